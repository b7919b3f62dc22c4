"""What a training pass leaves out at random: what is seen, what is dropped, and that a run goes on bit for bit."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from epigone.errors import SpecError
from epigone.models import decoder, layers, llama
from epigone.models.noise import Noise
from epigone.tokens.packing import positions
from epigone.training.loop import train
from training_cases import CONFIG, RECIPE, random_blocks, same_bytes, tiny_model

NOISY = dataclasses.replace(RECIPE, num_steps=50, batch_size=4, dropout=0.2, forgetful_share=0.3, accumulation=2)


def keys(num_blocks: int, seed: int = 0):
    return jax.random.split(jax.random.key(seed), num_blocks)


def test_forgotten_tokens_are_seen_by_nobody_and_first_tokens_by_all():
    blocks = random_blocks(800, length=32)
    segments = jnp.asarray(blocks.segment_ids)
    places = jnp.asarray(positions(blocks.segment_ids))
    plain = np.array(layers.packed_bias(segments) == 0)
    noise = Noise(keys(len(blocks)), forgetful=jnp.float32(0.5))
    seen = np.array(noise.forget(layers.packed_bias(segments), places) == 0)
    assert not (seen & ~plain).any()  # nothing becomes visible
    columns = seen.any(axis=1), plain.any(axis=1)  # was a token seen by anybody
    assert (seen == plain & columns[0][:, None, :]).all()  # a token is forgotten by all of its readers or by none
    first = np.array(places == 0) & (blocks.segment_ids > 0)
    assert columns[0][first].all() and seen.any(axis=2)[blocks.segment_ids > 0].all()
    rest = columns[1] & ~first
    shares = np.array([1 - columns[0][row][rest[row]].mean() for row in range(len(blocks)) if rest[row].sum() > 20])
    assert shares.min() < 0.05 and 0.35 < shares.max() < 0.75  # each block draws its own share, up to the largest
    assert abs(shares.mean() - 0.25) < 0.03


def test_dropout_keeps_the_mean_and_scales_what_is_left():
    before, after = jnp.full((8, 64, 32), 2.0), jnp.full((8, 64, 32), 3.0)
    noise = Noise(keys(8), dropout=jnp.float32(0.2))
    dropped = np.array(noise.after_layer(before, after, jnp.int32(0)))
    assert set(np.unique(dropped).round(5)) == {2.0, 3.25}
    assert abs((dropped == 2.0).mean() - 0.2) < 0.02
    again, other = (np.array(noise.after_layer(before, after, jnp.int32(i))) for i in (0, 1))
    assert (again == dropped).all() and (other != dropped).mean() > 0.2  # another layer drops others
    assert np.unique([row.tobytes() for row in dropped]).size == 8  # and so does another block


def test_noise_that_is_off_is_not_computed():
    """The compiled pass is the same program, to the letter."""
    params = tiny_model().params
    blocks = random_blocks()[:2]
    arrays = [jnp.asarray(x) for x in (blocks.tokens, positions(blocks.segment_ids), blocks.segment_ids)]

    def program(noise: Noise | None) -> str:
        return str(jax.make_jaxpr(lambda *a: decoder.features(llama, params, CONFIG, *a, noise=noise))(*arrays))

    assert program(None) == program(Noise(keys(2)))
    assert "random" in program(Noise(keys(2), dropout=jnp.float32(0.1)))
    assert RECIPE.rates(1).dropout is None and RECIPE.rates(1).forgetful_share is None


@pytest.mark.slow
def test_noise_depends_on_seed_step_and_block_alone(tmp_path):
    """In parts as at once, and a run that was killed goes on in the same bytes; another seed is another run."""
    model, blocks = tiny_model(), random_blocks()
    straight, log = train(model, blocks, NOISY)

    def die(step, total, loss):
        if step >= 40:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(model, blocks, NOISY, state_folder=tmp_path, save_every_steps=15, on_progress=die)
    resumed, resumed_log = train(model, blocks, NOISY, state_folder=tmp_path)
    assert same_bytes(resumed.params, straight.params) and same_bytes(resumed_log.columns, log.columns)
    whole = train(model, blocks, dataclasses.replace(NOISY, accumulation=1))[1]
    np.testing.assert_allclose(log.losses, whole.losses, rtol=1e-4)
    other = train(model, blocks, dataclasses.replace(NOISY, seed=1))[1]
    assert np.abs(other.losses - log.losses).max() > 0.01


def test_shares_outside_0_to_1_are_refused():
    for changes in ({"dropout": 1.0}, {"dropout": -0.1}, {"forgetful_share": 1.5}):
        with pytest.raises(SpecError, match=r"dropout|forgetful_share"):
            dataclasses.replace(RECIPE, **changes)
