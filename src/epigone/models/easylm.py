"""Checkpoints of EasyLM, the authors' trainer: a stream of tensors, read without unpickling; and weight differences.

In: a file of msgpack pairs (path of names, array as flax serialises it). Out: what `weights` asks of a checkpoint, as a
LLaMA: attributes, published names, published layout. The stream says nothing of heads: 128 wide, as every LLaMA of that
time has them. Its rotary pairs stand side by side, as in llama.cpp, and its matrices [in, out].
Sources: https://github.com/young-geng/EasyLM (checkpoint.py, models/llama); flax.serialization (`msgpack_serialize`).
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, cast

import jax
import ml_dtypes
import msgpack
import numpy as np
from jaxtyping import Shaped

from epigone.errors import DataError
from epigone.models.family import Model
from epigone.models.gguf import num_heads_of, unpaired
from epigone.models.params import Index, Reader

HEAD_WIDTH = 128
_NDARRAY = 1  # flax's number for an array among msgpack's extensions
_CHUNKED = "__msgpack_chunked_array__"
_DTYPES = {"float64": np.float64, "float32": np.float32, "float16": np.float16, "bfloat16": ml_dtypes.bfloat16}
_READ_BYTES = 1 << 24
_WHOLE = {
    ("transformer", "wte", "embedding"): "model.embed_tokens.weight",
    ("transformer", "ln_f", "kernel"): "model.norm.weight",
    ("lm_head", "kernel"): "lm_head.weight",
}
_LAYER = {
    "attention_norm": "input_layernorm",
    "attention/wq": "self_attn.q_proj",
    "attention/wk": "self_attn.k_proj",
    "attention/wv": "self_attn.v_proj",
    "attention/wo": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "feed_forward/w1": "mlp.gate_proj",
    "feed_forward/w2": "mlp.down_proj",
    "feed_forward/w3": "mlp.up_proj",
}
_FACTS: dict[str, object] = {"model_type": "llama", "rms_norm_eps": 1e-6, "rope_theta": 10_000.0}


class _Place(NamedTuple):
    start: int
    """Byte at which the pair begins."""
    size: int
    shape: tuple[int, ...]
    """As published."""


@dataclass(frozen=True, eq=False)
class EasyLmTensors:
    """A stream's tensors under their published names; read again from the file, one at a time."""

    path: Path
    attributes: Mapping[str, object]
    places: Mapping[str, _Place]

    def shapes(self, published: list[str]) -> dict[str, tuple[int, ...]]:
        """Shape of every tensor that is there."""
        return {name: place.shape for name, place in self.places.items()}

    def reader(self, published: list[str]) -> Reader:
        """Reads a tensor, or a part of it, in its published layout."""

        def read(name: str, index: Index) -> Shaped[np.ndarray, "..."]:
            place = self.places[name]
            with self.path.open("rb") as file:
                file.seek(place.start)
                _, value = msgpack.unpackb(file.read(place.size), raw=False)
            tensor = _published(name, _array(self.path, name, value)).astype(np.float32)
            heads = num_heads_of(name, self.attributes)
            return (unpaired(tensor, heads) if heads else tensor)[index]

        return read


def read_easylm(path: Path) -> EasyLmTensors:
    """The tensors of a stream. Raises DataError naming what in it is damaged or belongs to no LLaMA."""
    places: dict[str, _Place] = {}
    with path.open("rb") as file:
        stream = msgpack.Unpacker(file, raw=False, read_size=_READ_BYTES, max_buffer_size=0)
        while True:
            start = stream.tell()
            try:
                pair: object = stream.unpack()
            except msgpack.OutOfData:
                break
            except (ValueError, msgpack.UnpackException) as error:
                raise DataError(f"{path} is no EasyLM checkpoint at byte {start} ({error!r})") from error
            name, value = _pair(path, start, pair)
            shape = _published(name, _array(path, name, value)).shape
            places[name] = _Place(start, stream.tell() - start, shape)
    if (size := path.stat().st_size) != (whole := sum(place.size for place in places.values())):
        raise DataError(f"{path} is cut off: {len(places)} tensors end at byte {whole} of {size}; fetch it anew")
    return EasyLmTensors(path, _attributes(path, places), places)


def added(base: Model, difference: Model) -> Model:
    """A model that was published as its difference from a base. Raises DataError where the two do not fit.

    Koala was: https://github.com/young-geng/EasyLM/blob/main/docs/koala.md.
    """
    if base.config != difference.config:
        raise DataError(f"the difference is of another variant than the base: {difference.config}, {base.config}")
    return base._replace(params=jax.tree.map(lambda x, y: x + y, base.params, difference.params))


def _pair(path: Path, start: int, pair: object) -> tuple[str, object]:
    if not isinstance(pair, list) or len(pair) != 2 or not isinstance(pair[0], list):
        raise DataError(f"{path} is no EasyLM checkpoint: at byte {start} stands no pair of a path and an array")
    names = tuple(str(name) for name in cast(list[object], pair[0]))
    bare = names
    while bare[:1] == ("params",):
        bare = bare[1:]
    return _name(path, names, bare), pair[1]


def _name(path: Path, names: tuple[str, ...], bare: tuple[str, ...]) -> str:
    if bare in _WHOLE:
        return _WHOLE[bare]
    found = re.fullmatch(r"transformer/h/(\d+)/(.+)/kernel", "/".join(bare))
    if found and (module := _LAYER.get(found[2])):
        return f"model.layers.{found[1]}.{module}.weight"
    raise DataError(f"{path}: {'/'.join(names)!r} is no parameter of EasyLM's LLaMA; give its parameters alone")


def _array(path: Path, name: str, value: object) -> Shaped[np.ndarray, "..."]:
    """An array as flax serialises it, in chunks where it is large."""
    try:
        if not isinstance(value, bytes):
            raise ValueError(f"a {type(value).__name__} in place of bytes")
        found: object = msgpack.unpackb(value, ext_hook=_extension, raw=False)
        array = _joined(cast(dict[str, object], found)) if isinstance(found, dict) else found
        if not isinstance(array, np.ndarray):
            raise ValueError(f"a {type(array).__name__} in place of an array")
        return array
    except (ValueError, KeyError, TypeError, msgpack.UnpackException) as error:
        raise DataError(f"{path}: tensor {name!r} is no array as flax writes it ({error!r})") from error


def _extension(code: int, data: bytes) -> Shaped[np.ndarray, "..."]:
    if code != _NDARRAY:
        raise ValueError(f"extension {code} is no array")
    shape, dtype, content = msgpack.unpackb(data, raw=False)
    if dtype not in _DTYPES:
        raise ValueError(f"an array of {dtype!r}; there is: {', '.join(_DTYPES)}")
    return np.frombuffer(content, _DTYPES[dtype]).reshape(shape)


def _joined(parts: dict[str, object]) -> Shaped[np.ndarray, "..."]:
    if not parts.get(_CHUNKED):
        raise ValueError("an object that is no array in chunks")
    shape, chunks = (_sequence(parts[key]) for key in ("shape", "chunks"))
    return np.concatenate(cast(list[np.ndarray], chunks)).reshape(cast(list[int], shape))


def _sequence(value: object) -> list[object]:
    """A sequence, which flax writes as an object of "0", "1" ..."""
    if isinstance(value, dict):
        entries = cast(dict[str, object], value)
        return [entries[str(index)] for index in range(len(entries))]
    return list(cast(Sequence[object], value))


def _published(name: str, array: Shaped[np.ndarray, "..."]) -> Shaped[np.ndarray, "..."]:
    return array.T if array.ndim == 2 and "embed_tokens" not in name else array


def _attributes(path: Path, places: Mapping[str, _Place]) -> dict[str, object]:
    first = "model.layers.0."
    needed = ("model.embed_tokens.weight", first + "mlp.gate_proj.weight", first + "self_attn.k_proj.weight")
    if missing := [name for name in needed if name not in places or len(places[name].shape) != 2]:
        raise DataError(f"{path}: tensor {missing[0]!r} is missing; is this a whole LLaMA of EasyLM?")
    (vocabulary, width), (hidden, _), (keys, _) = (places[name].shape for name in needed)
    head_width = math.gcd(width, HEAD_WIDTH)  # tiny models have narrower ones
    layers = {int(name.split(".")[2]) for name in places if name.startswith("model.layers.")}
    return _FACTS | {
        "vocab_size": vocabulary,
        "hidden_size": width,
        "intermediate_size": hidden,
        "num_hidden_layers": max(layers) + 1,
        "num_attention_heads": width // head_width,
        "num_key_value_heads": keys // head_width,
        "max_position_embeddings": 2048,
        "tie_word_embeddings": "lm_head.weight" not in places,
    }
