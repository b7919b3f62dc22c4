import jax.numpy as jnp
import ml_dtypes
import msgpack
import numpy as np
import pytest

from epigone.commands.export import run_export
from epigone.errors import DataError
from epigone.models import llama
from epigone.models.easylm import read_easylm
from epigone.models.weights import load_checkpoint, save_checkpoint

WIDTH, HIDDEN, VOCABULARY, HEADS = 256, 8, 12, 2
DRAW = np.random.default_rng(0).normal


def serialised(array, chunk_size=0):
    """As flax.serialization writes it: extension 1 holds (shape, name of the dtype, bytes); large arrays in chunks."""

    def extension(part):
        packed = msgpack.packb((part.shape, part.dtype.name, part.tobytes()), use_bin_type=True)
        return msgpack.ExtType(1, packed)

    if not chunk_size:
        return msgpack.packb(extension(array))
    flat = array.reshape(-1)
    chunks = [flat[at : at + chunk_size] for at in range(0, flat.size, chunk_size)]
    shape = {str(i): size for i, size in enumerate(array.shape)}
    told = {"__msgpack_chunked_array__": True, "shape": shape}
    return msgpack.packb(told | {"chunks": {str(i): extension(chunk) for i, chunk in enumerate(chunks)}})


def tensors():
    layer = {"attention_norm": (WIDTH,), "ffn_norm": (WIDTH,), "feed_forward/w1": (WIDTH, HIDDEN)}
    layer |= {f"attention/w{name}": (WIDTH, WIDTH) for name in "qkvo"}
    layer |= {"feed_forward/w2": (HIDDEN, WIDTH), "feed_forward/w3": (WIDTH, HIDDEN)}
    shapes = {f"transformer/h/{i}/{name}/kernel": shape for i in range(2) for name, shape in layer.items()}
    shapes |= {"transformer/wte/embedding": (VOCABULARY, WIDTH), "transformer/ln_f/kernel": (WIDTH,)}
    shapes |= {"lm_head/kernel": (WIDTH, VOCABULARY)}
    return {name: DRAW(size=shape).astype(np.float32) for name, shape in shapes.items()}


def write(path, arrays, *, prefix=("params",), serialise=serialised):
    packer = msgpack.Packer()
    content = [packer.pack(((*prefix, *name.split("/")), serialise(array))) for name, array in arrays.items()]
    path.write_bytes(b"".join(content))
    return path


@pytest.fixture(scope="module")
def arrays():
    return tensors()


@pytest.mark.parametrize("prefix", [(), ("params",), ("params", "params")])
def test_a_stream_is_a_llama(tmp_path, arrays, prefix):
    family, config, params = load_checkpoint(write(tmp_path / "streaming_params", arrays, prefix=prefix))
    assert family is llama and (config.num_heads, config.num_layers, config.max_positions) == (HEADS, 2, 2048)
    layers = params["layers"]
    np.testing.assert_array_equal(params["embed"], arrays["transformer/wte/embedding"])
    np.testing.assert_array_equal(params["head"], arrays["lm_head/kernel"])
    for ours, theirs in {"gate": "w1", "down": "w2", "up": "w3"}.items():
        np.testing.assert_array_equal(layers[ours][1], arrays[f"transformer/h/1/feed_forward/{theirs}/kernel"])
    np.testing.assert_array_equal(layers["output"][0], arrays["transformer/h/0/attention/wo/kernel"])


def test_turned_by_position_queries_and_keys_meet_as_in_the_complex_form(tmp_path, arrays):
    """EasyLM multiplies neighbours as complex numbers; the scores are the same in halves."""
    params = load_checkpoint(write(tmp_path / "streaming_params", arrays)).params
    x, positions = DRAW(size=(5, WIDTH)), np.arange(5)

    def complex_form(kernel):
        heads = (x @ kernel).reshape(5, HEADS, -1, 2)
        turns = np.exp(1j * positions[:, None] * 10000.0 ** (-np.arange(64) / 64))
        return (heads[..., 0] + 1j * heads[..., 1]) * turns[:, None]

    q, k = (complex_form(arrays[f"transformer/h/0/attention/w{name}/kernel"]) for name in "qk")
    expected = np.einsum("thc,shc->hts", q, k.conj()).real
    angles = llama.rotary.angles(jnp.asarray(positions)[None], 128, 10000.0)

    def in_halves(kernel):
        heads = jnp.float32(x @ np.float64(kernel)).reshape(1, 5, HEADS, 128).swapaxes(1, 2)
        return np.float64(llama.rotary.rotate(heads, angles)[0])

    q, k = (in_halves(params["layers"][name][0]) for name in ("query", "key"))
    np.testing.assert_allclose(q @ k.swapaxes(1, 2), expected, atol=1e-3 * np.abs(expected).max())


def test_half_precision_and_chunks(tmp_path, arrays):
    half = {name: array.astype(ml_dtypes.bfloat16) for name, array in arrays.items()}
    file = write(tmp_path / "streaming_params", half, serialise=lambda array: serialised(array, chunk_size=1000))
    found = load_checkpoint(file).params["layers"]["down"][1]
    np.testing.assert_array_equal(found, half["transformer/h/1/feed_forward/w2/kernel"].astype(np.float32))


def test_flax_writes_such_arrays(arrays):
    serialization = pytest.importorskip("flax.serialization", reason="flax is not installed")
    for array in (arrays["lm_head/kernel"], arrays["lm_head/kernel"].astype(ml_dtypes.bfloat16)):
        assert serialization.to_bytes(array) == serialised(array)


def test_a_difference_is_added_to_its_base(tmp_path, arrays):
    difference = write(tmp_path / "koala_diff", arrays)
    config = load_checkpoint(difference).config
    base = write(tmp_path / "llama", {name: 2 * array for name, array in arrays.items()})
    run_export(difference, tmp_path / "koala", to="safetensors", kind="f16", base=base, quiet=True)
    found = load_checkpoint(tmp_path / "koala")
    np.testing.assert_allclose(found.params["head"], 3 * arrays["lm_head/kernel"], rtol=1e-6)
    save_checkpoint(tmp_path / "other", llama.Config(**vars(config) | {"norm_epsilon": 1e-5}), found.params)
    with pytest.raises(DataError, match="the difference is of another variant than the base"):
        run_export(difference, tmp_path / "no", to="safetensors", kind="f16", base=tmp_path / "other", quiet=True)


def refused(path, message):
    with pytest.raises(DataError, match=message):
        read_easylm(path)


def test_what_is_damaged_or_no_stream_is_refused(tmp_path, arrays):
    file = write(tmp_path / "streaming_params", arrays)
    file.write_bytes(file.read_bytes()[:-100])
    refused(file, r"is cut off: 20 tensors end at byte \d+ of \d+; fetch it anew")
    file.write_bytes(b"\x80\x04\x95 a pickle")
    refused(file, r"is no EasyLM checkpoint: at byte 0 stands no pair")
    refused(write(file, {"step": np.zeros(3, np.float32)}), "'params/step' is no parameter of EasyLM's LLaMA")
    refused(write(file, {"lm_head/kernel": np.zeros(3, np.int32)}), "an array of 'int32'; there is: float64")
    refused(write(file, {"lm_head/kernel": arrays["lm_head/kernel"]}), "'model.embed_tokens.weight' is missing")
    evil = msgpack.packb(msgpack.ExtType(3, b"x"))
    refused(write(file, {"lm_head/kernel": None}, serialise=lambda _: evil), "extension 3 is no array")
