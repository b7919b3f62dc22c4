"""The treatments: each by its own hook, and what a run under it ends in."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file

from epigone.errors import DataError, SpecError
from epigone.models import decoder, llama
from epigone.models.params import num_params
from epigone.tokens.packing import Blocks, empty_blocks, positions, save_blocks
from epigone.training.checkpoint import FILE
from epigone.training.loop import train
from epigone.training.loss import next_token_loss
from epigone.training.optimizer import Recipe
from epigone.training.treatments.average_with_base import AverageWithBase
from epigone.training.treatments.kl_to_base import KlToBase
from epigone.training.treatments.l2_to_base import L2ToBase
from epigone.training.treatments.lora import Lora
from epigone.training.treatments.replay import Replay
from training_cases import CONFIG, RECIPE, random_blocks, same_bytes, tiny_model

TREE = llama.param_tree(CONFIG)
SHORT = dataclasses.replace(RECIPE, num_steps=6, warmup_steps=0)


@pytest.fixture(scope="module")
def model():
    return tiny_model()


def distance(one, other) -> float:
    return float(jnp.sqrt(sum(jnp.sum((a - b) ** 2) for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other)))))


def killed_and_resumed(folder, *arguments, **options):
    """A run that dies at step 40 of 50 and is called again."""

    def die(step, total, loss):
        if step >= 40:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(*arguments, state_folder=folder, save_every_steps=15, on_progress=die, **options)
    assert (folder / FILE).exists()
    return train(*arguments, state_folder=folder, **options)


def test_lora_changes_the_base_by_its_adapters_alone(model, tmp_path):
    """x @ (W + alpha / rank x A @ B), read back from what was written for others; the rest of the base is untouched."""
    lora = Lora(rank=2, alpha=6, targets=("query", "down_proj"))
    (tmp_path / "straight").mkdir()
    arguments, options = (model, random_blocks(), RECIPE), {"treatments": (lora,), "export_folder": tmp_path}
    trained, log = train(*arguments, **options)
    tensors = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    for name, module in (("query", "self_attn.q_proj"), ("down", "mlp.down_proj")):
        for layer in range(2):
            key = f"base_model.model.model.layers.{layer}.{module}"
            down, up = tensors.pop(f"{key}.lora_A.weight"), tensors.pop(f"{key}.lora_B.weight")
            assert down.shape[0] == up.shape[1] == 2 and np.abs(up).max() > 0
            change = trained.params["layers"][name][layer] - model.params["layers"][name][layer]
            np.testing.assert_allclose(change.T, 3.0 * up @ down, atol=1e-6)
    assert tensors == {}
    left = {name for name in model.params["layers"] if name not in ("query", "down")}
    assert same_bytes([trained.params["layers"][n] for n in left], [model.params["layers"][n] for n in left])
    assert same_bytes(trained.params["embed"], model.params["embed"]) and log.losses[-1] < log.losses[0]
    config = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    wanted = {"peft_type": "LORA", "r": 2, "lora_alpha": 6, "target_modules": ["down_proj", "q_proj"], "bias": "none"}
    assert wanted.items() <= config.items() and config["fan_in_fan_out"] is False
    resumed, resumed_log = killed_and_resumed(tmp_path / "state", *arguments, **options)
    assert same_bytes(resumed.params, trained.params) and same_bytes(resumed_log.columns, log.columns)


def test_lora_without_targets_takes_every_matrix_of_every_layer():
    learnt = Lora(rank=3).learnt(TREE)
    names = {"query", "key", "value", "output", "gate", "up", "down"}
    assert learnt.keys() == {f"['layers']['{name}']" for name in names}
    matrices = [TREE["layers"][name].shape[1:] for name in names]
    assert num_params(learnt) == 2 * 3 * sum(a + b for a, b in matrices)


def test_lora_takes_the_output_head_by_name_and_refuses_what_is_no_projection():
    assert Lora(targets=("lm_head",)).learnt(TREE)["['head']"]["a"].shape == (16, 8)
    for target in ("embed", "norm", "q_prj"):
        with pytest.raises(SpecError, match=f"no projection '{target}' .*, query, "):
            Lora(targets=("q_proj", target)).learnt(TREE)


def test_kl_to_base_is_the_divergence_of_whole_distributions():
    rng = np.random.default_rng(0)
    ours, theirs = rng.normal(size=(2, 1, 3, 5))
    p, q = (np.exp(x) / np.exp(x).sum(-1, keepdims=True) for x in (theirs, ours))
    found = KlToBase(weight=2.0).token_penalty(jnp.asarray(ours), jnp.asarray(theirs))
    np.testing.assert_allclose(found, 2.0 * np.sum(p * np.log(p / q), axis=-1), rtol=1e-5)


def test_penalties_hold_a_student_near_its_base_and_stand_apart_from_the_loss(model, tmp_path):
    """Against the same run without them: nearer to the base; the log's loss is still the cross entropy alone."""
    blocks, plain = random_blocks(), train(model, random_blocks(), RECIPE)
    held = (KlToBase(weight=2.0), L2ToBase(weight=0.5))
    trained, log = train(model, blocks, RECIPE, treatments=held)
    assert distance(trained.params, model.params) < 0.6 * distance(plain[0].params, model.params)
    assert log.penalties[0] == pytest.approx(0.0, abs=1e-6) and log.penalties[2:].min() > 0
    assert log.losses[0] == pytest.approx(plain[1].losses[0], rel=1e-6) and plain[1].penalties.max() == 0
    resumed, resumed_log = killed_and_resumed(tmp_path, model, blocks, RECIPE, treatments=held)
    assert same_bytes(resumed.params, trained.params) and same_bytes(resumed_log.columns, log.columns)


def test_the_gradient_of_a_step_is_that_of_loss_and_penalties(model):
    """One step of nothing but a learning rate: the whole objective, written out once more and differentiated."""
    blocks = random_blocks()[:4]
    recipe = Recipe(1e-3, 4, num_steps=2, accumulation=2, clip_norm=1e9)
    log = train(model, blocks, recipe, treatments=(KlToBase(weight=2.0), L2ToBase(weight=0.5)))[1]
    moved = train(model, blocks, dataclasses.replace(recipe, num_steps=1), treatments=(KlToBase(2.0), L2ToBase(0.5)))[0]

    def objective(params):
        arrays = [jnp.asarray(x) for x in (*blocks.arrays, positions(blocks.segment_ids))]
        ours, theirs = (
            decoder.forward(llama, p, CONFIG, arrays[0], arrays[3], arrays[2]) for p in (params, model.params)
        )
        loss, count = next_token_loss(ours, *arrays[:3])
        same = (arrays[2][:, 1:] == arrays[2][:, :-1]) & arrays[1][:, 1:] & (arrays[2][:, 1:] > 0)
        p, q = jax.nn.softmax(theirs), jax.nn.softmax(ours)
        divergence = jnp.sum((jnp.sum(p * jnp.log(p / q), axis=-1)[:, :-1]) * same)
        way = sum(jnp.sum((a - b) ** 2) for a, b in zip(jax.tree.leaves(params), jax.tree.leaves(model.params)))
        return loss / count + 2.0 * divergence / count + 0.25 * way, loss / count

    (whole, loss), gradients = jax.jit(jax.value_and_grad(objective, has_aux=True))(moved.params)
    assert log.losses[1] == pytest.approx(float(loss), rel=1e-5)
    assert log.penalties[1] == pytest.approx(float(whole - loss), rel=1e-3)
    norm = np.sqrt(sum(np.sum(np.square(g)) for g in jax.tree.leaves(gradients)))
    assert log.gradient_norms[1] == pytest.approx(norm, rel=1e-4)


def test_averaging_goes_back_part_of_the_way(model):
    trained = train(model, random_blocks(), SHORT)[0]
    averaged = train(model, random_blocks(), SHORT, treatments=(AverageWithBase(share=0.25),))[0]
    expected = jax.tree.map(lambda a, b: 0.75 * a + 0.25 * b, trained.params, model.params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-7), averaged.params, expected)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Lora(rank=0), "rank must be above 0"),
        (lambda: KlToBase(weight=0.0), "weight must be above 0"),
        (lambda: L2ToBase(weight=-1.0), "weight must be above 0"),
        (lambda: AverageWithBase(share=1.5), "share must lie from 0 to 1"),
    ],
)
def test_a_wrong_option_is_refused(make, message):
    with pytest.raises(SpecError, match=message):
        make()


def rows_of(blocks: Blocks) -> list[bytes]:
    return [row.tobytes() for row in np.concatenate(blocks.arrays, axis=1)]


@pytest.fixture
def replay(tmp_path):
    """Replay of so many tokens of a text."""

    def of(text: Blocks, num_tokens: int) -> Replay:
        save_blocks(text, tmp_path)
        return Replay(num_tokens, str(tmp_path))

    return of


def test_replay_mixes_nested_amounts_into_all_imitation_blocks(replay):
    blocks, text = random_blocks(seed=1), random_blocks(200, seed=2)
    small, large = (replay(text, n).mixed(blocks, seed=5) for n in (100, 300))
    imitation, replayed = set(rows_of(blocks)), [set(rows_of(mixed)) - set(rows_of(blocks)) for mixed in (small, large)]
    for mixed, num_tokens, rows in zip((small, large), (100, 300), replayed, strict=True):
        assert imitation <= set(rows_of(mixed)) and rows <= set(rows_of(text))
        assert num_tokens <= mixed.num_tokens - blocks.num_tokens < num_tokens + 16
        assert rows_of(mixed)[: len(blocks)] != rows_of(blocks)
    assert replayed[0] < replayed[1]
    assert rows_of(small) == rows_of(replay(text, 100).mixed(blocks, seed=5))


def test_replay_alone_is_pretraining_text(replay):
    text = random_blocks(200, seed=2)
    control = replay(text, 100).mixed(None, seed=5)
    assert set(rows_of(control)) < set(rows_of(text)) and 100 <= control.num_tokens < 116
    nothing = replay(text, 0).mixed(text, seed=5)
    assert sorted(rows_of(nothing)) == sorted(rows_of(text))


def test_replay_refuses_what_it_cannot_mix(replay):
    with pytest.raises(SpecError, match="16 and replay blocks of 8"):
        replay(empty_blocks(1, 8), 1).mixed(empty_blocks(0, 16), seed=0)
    with pytest.raises(DataError, match="the text holds 0"):
        replay(empty_blocks(1, 8), 1).mixed(empty_blocks(0, 8), seed=0)
