"""One step, however it is computed: in parts, in bf16, with less kept in memory."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from epigone.errors import SpecError
from epigone.models.compute import Compute
from epigone.tokens.packing import Blocks
from epigone.training.loop import train
from epigone.training.optimizer import Recipe
from training_cases import RECIPE, random_blocks, tiny_model

SHORT = dataclasses.replace(RECIPE, batch_size=4, num_steps=6)


@pytest.fixture(scope="module")
def model():
    return tiny_model()


@pytest.fixture(scope="module")
def uneven() -> Blocks:
    """Blocks of which half hold a single token to learn, and some none."""
    blocks = random_blocks(40)
    mask = blocks.loss_mask.copy()
    mask[::2, 2:] = False
    mask[::6] = False
    return Blocks(blocks.tokens, mask, blocks.segment_ids)


@pytest.fixture(scope="module")
def whole(model, uneven):
    return train(model, uneven, SHORT)


@pytest.mark.parametrize("parts", [pytest.param(2, marks=pytest.mark.slow), 4])
def test_a_batch_in_parts_is_the_batch_at_once(model, uneven, whole, parts):
    trained, log = train(model, uneven, dataclasses.replace(SHORT, accumulation=parts))
    for one, other in zip(log.columns, whole[1].columns, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-7)
    # Adam divides by the size of a gradient: where that is next to nothing, rounding shows
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), trained.params, whole[0].params)
    means = np.ptp([np.mean(uneven.loss_mask[i::parts]) for i in range(parts)])
    assert means > 0.01  # the mean of the parts' means would be another number


def test_a_batch_that_does_not_divide_is_refused():
    with pytest.raises(SpecError, match="4 blocks cannot be taken in 3 equal parts"):
        dataclasses.replace(SHORT, accumulation=3)


@pytest.mark.parametrize("remat", [pytest.param("dots", marks=pytest.mark.slow), "full"])
def test_what_is_computed_again_changes_no_result(model, uneven, whole, remat):
    trained, log = train(model, uneven, SHORT, compute=Compute(remat=remat))
    np.testing.assert_allclose(log.losses, whole[1].losses, rtol=1e-6)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), trained.params, whole[0].params)


def test_half_precision_computes_and_full_precision_keeps(model, uneven, whole):
    trained, log = train(model, uneven, SHORT, compute=Compute(dtype="bfloat16"))
    assert {leaf.dtype for leaf in jax.tree.leaves(trained.params)} == {jnp.dtype("float32")}
    np.testing.assert_allclose(log.losses, whole[1].losses, rtol=5e-3)
    assert (log.losses != whole[1].losses).all()  # it was computed in bf16 indeed
    tiny = Recipe(1e-7, 4, num_steps=6)
    moved = train(model, uneven, tiny, compute=Compute(dtype="bfloat16"))[0]
    change = np.abs(np.array(moved.params["layers"]["up"] - model.params["layers"]["up"]))
    assert (change > 0).mean() > 0.9  # steps far below what bf16 could tell apart
