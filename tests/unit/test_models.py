import json
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from epigone.errors import ArtifactError, DataError, SpecError
from epigone.models import decoder, layers, llama
from epigone.models import family as families
from epigone.models import params as parameters
from epigone.models.compute import Compute
from epigone.models.weights import load_checkpoint, save_checkpoint

CONFIG = llama.Config(
    vocab_size=40, width=32, num_layers=2, num_heads=4, num_kv_heads=2, hidden_width=48, max_positions=64
)


@pytest.fixture(scope="module")
def params():
    return parameters.init(llama.param_tree(CONFIG), jax.random.key(0))


@pytest.fixture
def folder(params, tmp_path):
    save_checkpoint(tmp_path, CONFIG, params)
    return tmp_path


forward = jax.jit(partial(decoder.forward, llama), static_argnums=1)
features_cached = jax.jit(partial(decoder.features_cached, llama), static_argnums=1)


def random_tokens(shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).integers(1, CONFIG.vocab_size, shape))


def alone(params, tokens):
    length = len(tokens)
    return forward(params, CONFIG, tokens[None], jnp.arange(length)[None], jnp.ones((1, length), int))[0]


def edit_config(folder: Path, **changes) -> None:
    attributes = json.loads((folder / "config.json").read_text()) | changes
    (folder / "config.json").write_text(json.dumps(attributes))


def test_families_are_found_by_file_name():
    assert families.names() == ["gemma3_text", "gpt2", "gpt_neox", "llama", "mistral", "qwen2", "qwen3", "smollm3"]
    assert families.of_type("llama") is llama
    assert families.of_config(CONFIG) is llama
    with pytest.raises(DataError, match=r"'gpt9'.*llama"):
        families.of_type("gpt9")


def test_params_follow_from_one_tree(params):
    tree = llama.param_tree(CONFIG)
    assert jax.tree.map(lambda p: (p.shape, p.dtype), params) == jax.tree.map(
        lambda s: (s.shape, s.dtype), parameters.shapes(tree)
    )
    # by hand: embedding and head, per layer q o, k v, gate up down and two norms, last norm
    assert parameters.num_params(tree) == 2 * 40 * 32 + 2 * (2 * 32 * 32 + 2 * 32 * 16 + 3 * 32 * 48 + 64) + 32
    assert all(len(p.shape) == len(p.axes) for p in jax.tree.leaves(tree))


def test_packed_is_separate_documents(params):
    lengths = [7, 1, 12, 5]
    documents = [random_tokens(n, seed) for seed, n in enumerate(lengths)]
    padding = jnp.zeros(7, int)
    tokens = jnp.concatenate([*documents, padding])[None]
    positions = jnp.concatenate([*map(jnp.arange, lengths), padding])[None]
    segments = jnp.concatenate([*(jnp.full(n, i + 1) for i, n in enumerate(lengths)), padding])[None]
    packed = forward(params, CONFIG, tokens, positions, segments)[0]
    assert jnp.isfinite(packed).all()
    start = 0
    for document in documents:
        expected = alone(params, document)
        np.testing.assert_allclose(packed[start : start + len(document)], expected, atol=1e-5)
        start += len(document)
    one_segment = forward(params, CONFIG, tokens, positions, jnp.ones_like(segments))[0]
    assert jnp.abs(one_segment - packed)[10].max() > 0.1  # the mask is what keeps them apart


def test_causal(params):
    tokens = random_tokens(12)
    changed = alone(params, tokens.at[8].set(tokens[8] % 39 + 1))
    np.testing.assert_allclose(alone(params, tokens)[:8], changed[:8], atol=1e-6)
    assert jnp.abs(alone(params, tokens)[8:] - changed[8:]).max() > 0.1


@pytest.mark.parametrize("chunks", [[12], [1] * 12, [5, 1, 6]])
def test_cached_is_uncached(params, chunks):
    tokens, cache, start, found = random_tokens(12), decoder.empty_cache(CONFIG, 1, 16), 0, []
    for n in chunks:
        positions = jnp.arange(start, start + n)[None]
        features, cache = features_cached(
            params,
            CONFIG,
            tokens[None, start : start + n],
            positions,
            cache,
            slot=start,
            sight=layers.Sight(jnp.arange(16)[None, None, :] <= positions[:, :, None], jnp.arange(16)[None]),
        )
        found.append(llama.logits(params, CONFIG, features)[0])
        start += n
    np.testing.assert_allclose(jnp.concatenate(found), alone(params, tokens), atol=1e-5)


def test_grouped_attention_is_attention_over_repeated_heads():
    q, k, v = (jax.random.normal(jax.random.key(i), (2, n, 5, 8)) for i, n in enumerate((6, 2, 2)))
    bias = layers.packed_bias(jnp.ones((2, 5), int))
    repeated = [jnp.repeat(x, 3, axis=1) for x in (k, v)]
    scores = q @ repeated[0].swapaxes(-1, -2) / 8**0.5 + bias[:, None]
    np.testing.assert_allclose(
        layers.attention(q, k, v, bias), jax.nn.softmax(scores) @ repeated[1], rtol=1e-5, atol=1e-6
    )


def test_checkpoint_round_trip(folder, params):
    family, config, loaded = load_checkpoint(folder)
    assert family is llama and config == CONFIG
    jax.tree.map(np.testing.assert_array_equal, loaded, params)


def test_same_params_same_bytes(folder, params, tmp_path_factory):
    other = tmp_path_factory.mktemp("again")
    save_checkpoint(other, CONFIG, params)
    for name in ("config.json", "model.safetensors"):
        assert (other / name).read_bytes() == (folder / name).read_bytes()


def test_shards_and_bfloat16(folder, params):
    tensors = {k: v.astype(ml_dtypes.bfloat16) for k, v in load_file(folder / "model.safetensors").items()}
    (folder / "model.safetensors").unlink()
    names = sorted(tensors)
    homes = {name: f"model-0000{i % 2 + 1}-of-00002.safetensors" for i, name in enumerate(names)}
    for file in set(homes.values()):
        save_file({name: tensors[name] for name in names if homes[name] == file}, folder / file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": homes}))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=0.01), load_checkpoint(folder).params, params)
    (folder / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(ArtifactError, match=r"model-00002-of-00002.safetensors is missing"):
        load_checkpoint(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"window_size": 4}, "does not know the attribute 'window_size'"),
        ({"rope_scaling": {"type": "yarn", "factor": 2.0}}, "rope_type='yarn' is not computed; there is: default, lin"),
        ({"rope_parameters": {"rope_type": "llama3", "factor": 8}}, "low_freq_factor of rope_type 'llama3' must be a"),
        ({"rope_parameters": {"rope_type": "default", "factor": 2}}, "'default' does not know 'factor' .value 2"),
        ({"attention_bias": True}, "attention_bias=False only, not True"),
        ({"hidden_act": "gelu"}, "hidden_act='silu' only, not 'gelu'"),
        ({"head_dim": 7}, "head_width 7 must be even"),
        ({"hidden_size": "big"}, "hidden_size must be a number, not 'big'"),
        ({"num_attention_heads": 3}, "must be a multiple"),
        ({"model_type": "lama"}, "'lama'; there is: .*llama"),
    ],
)
def test_config_that_cannot_be_honoured_is_refused(folder, change, message):
    edit_config(folder, **change)
    with pytest.raises(DataError, match=message) as caught:
        load_checkpoint(folder)
    assert str(folder) in str(caught.value)


def test_missing_config_attribute(folder):
    attributes = json.loads((folder / "config.json").read_text())
    del attributes["hidden_size"]
    with pytest.raises(DataError, match="hidden_size must be a number, not None"):
        llama.Config.from_hf(attributes)


def test_broken_weights(folder):
    file = folder / "model.safetensors"
    whole, tensors = file.read_bytes(), load_file(file)
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ArtifactError, match=r"model.safetensors is no whole safetensors file"):
        load_checkpoint(folder)
    save_file({k: v for k, v in tensors.items() if k != "model.norm.weight"}, file)
    with pytest.raises(ArtifactError, match=r"'model.norm.weight' is missing"):
        load_checkpoint(folder)
    save_file(tensors | {"model.extra.weight": tensors["model.norm.weight"]}, file)
    with pytest.raises(ArtifactError, match=r"'model.extra.weight' belongs to no parameter"):
        load_checkpoint(folder)
    save_file(tensors | {"model.norm.weight": np.ones(31, np.float32)}, file)
    with pytest.raises(ArtifactError, match=r"'model.norm.weight' has shape \(31,\).* \(32,\)"):
        load_checkpoint(folder)
    file.unlink()
    with pytest.raises(ArtifactError, match=r"model.safetensors is missing"):
        load_checkpoint(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(ArtifactError, match="not JSON"):
        load_checkpoint(folder)
    with pytest.raises(ArtifactError, match="cannot be read"):
        load_checkpoint(folder / "nowhere")


@pytest.mark.parametrize("gaps", [False, True])
def test_a_window_is_the_same_in_a_block_and_in_a_cache(gaps):
    """Padding between prompt and reply leaves unseen slots in a cache: the window goes by positions."""
    place = jnp.arange(9)
    in_block = layers.within_block(layers.packed_bias(jnp.ones((1, 9), int)), 3)[0]
    by_hand = (place[:, None] >= place) & (place[:, None] - place <= 2)
    np.testing.assert_array_equal(in_block == 0, by_hand)
    slots = jnp.where(place < 5, place, place + 4) if gaps else place
    visible = jnp.zeros((9, 14), bool).at[:, slots].set(place[:, None] >= place)
    positions = jnp.full(14, 99).at[slots].set(place)
    in_cache = layers.bias_in(layers.Sight(visible[None], positions[None]), place[None], 3)[0]
    np.testing.assert_array_equal(in_cache[:, slots] == 0, by_hand)
    assert (in_cache == 0).sum() == by_hand.sum()


@pytest.mark.parametrize("remat", ["dots", "full"])
def test_what_is_computed_again_changes_nothing(params, remat):
    tokens = random_tokens(8)[None]
    arguments = (tokens, jnp.arange(8)[None], jnp.ones((1, 8), int))

    @partial(jax.jit, static_argnums=1)
    def gradients(params, compute):
        return jax.grad(lambda p: decoder.forward(llama, p, CONFIG, *arguments, compute=compute)[0, :, 3].sum())(params)

    same = partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-6)
    jax.tree.map(same, gradients(params, Compute(remat=remat)), gradients(params, Compute()))


def test_half_precision_is_near_full_precision(params):
    tokens = random_tokens(12)
    arguments = (tokens[None], jnp.arange(12)[None], jnp.ones((1, 12), int))
    half = decoder.forward(llama, params, CONFIG, *arguments, compute=Compute(dtype="bfloat16"))[0]
    full = alone(params, tokens)
    assert half.dtype == jnp.float32
    assert 0 < jnp.abs(half - full).max() < 0.05 * jnp.abs(full).max()


def test_an_unknown_way_to_compute_is_refused():
    with pytest.raises(SpecError, match="no remat 'half'; there is: none, dots, full"):
        Compute(remat="half")


def test_what_a_kind_of_attention_cannot_do_is_refused():
    with pytest.raises(SpecError, match="cudnn computes in bfloat16 only, not float32"):
        Compute(attention="cudnn")
