"""GGUF in: a model as llama.cpp stores it, quantised or not, as config.json attributes and published tensors.

In: a .gguf file. Out: what `weights` asks of a checkpoint: attributes, the tensors' shapes by published name, and a way
to read each, de-quantised to fp32, one at a time from the memory-mapped file. Three things are stored otherwise than
they are published: the rows of q and k of architecture `llama` (rotary pairs side by side), Gemma's norms (1 + w), and
the frequencies of LLaMA 3's scaled rotary positions (as a tensor).
Sources: the package `gguf` (names, de-quantisation);
https://github.com/ggml-org/llama.cpp/blob/master/convert_hf_to_gguf.py (what is stored how).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import gguf
import numpy as np
from gguf.quants import dequantize
from jaxtyping import Float

from epigone.errors import DataError
from epigone.gguf_file import GgufFile, TensorPlace, open_gguf
from epigone.models.params import Index, Reader

NAMES = {
    "context_length": "max_position_embeddings",
    "block_count": "num_hidden_layers",
    "embedding_length": "hidden_size",
    "feed_forward_length": "intermediate_size",
    "attention.head_count": "num_attention_heads",
    "attention.head_count_kv": "num_key_value_heads",
    "attention.layer_norm_rms_epsilon": "rms_norm_eps",
    "attention.key_length": "head_dim",
    "attention.sliding_window": "sliding_window",
    "rope.freq_base": "rope_theta",
}
"""Metadata behind the architecture's name -> attribute of config.json."""
_IMPLIED = {"vocab_size", "rope.dimension_count", "attention.value_length", "attention.causal"}
_SCALING = {"type": "rope_type", "factor": "factor", "original_context_length": "original_max_position_embeddings"}
_FREQUENCIES = "rope_freqs.weight"
_LLAMA3 = {"low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}
_ROWS = 4096  # de-quantised at a time

Attributes = dict[str, object]


@dataclass(frozen=True)
class Architecture:
    """How a model type is written as an architecture of llama.cpp."""

    name: str
    model_type: str
    fixed: Mapping[str, object] = field(default_factory=dict)
    """Attributes that the metadata leave out."""
    pairs_rows: bool = False
    """Rows of q and k are stored with each rotary pair side by side."""
    shifts_norms: bool = False
    """Norm weights are stored as 1 + w."""

    def names(self, published: list[str], num_layers: int) -> dict[str, str]:
        """Published name -> name in the file. Raises DataError for a tensor that the architecture does not have."""
        known = gguf.get_tensor_name_map(_ENUM[self.name], num_layers)
        found = {name: known.get_name(name, (".weight", ".bias")) for name in published}
        if lost := [name for name, theirs in found.items() if theirs is None]:
            raise DataError(f"architecture {self.name} of GGUF has no tensor for {lost[0]!r}")
        return {name: str(theirs) for name, theirs in found.items()}


_ENUM = {name: number for number, name in gguf.MODEL_ARCH_NAMES.items()}
ARCHITECTURES = {
    each.name: each
    for each in (
        Architecture("llama", "llama", {"hidden_act": "silu"}, pairs_rows=True),
        Architecture("qwen2", "qwen2", {"hidden_act": "silu"}),
        Architecture("qwen3", "qwen3", {"hidden_act": "silu", "attention_bias": False}),
        Architecture(
            "gemma3",
            "gemma3_text",
            {"hidden_activation": "gelu_pytorch_tanh", "attention_bias": False, "rope_local_base_freq": 10000.0},
            shifts_norms=True,
        ),
    )
}
"""By llama.cpp's name. Mistral and SmolLM2 are `llama` there."""


@dataclass(frozen=True, eq=False)
class GgufTensors:
    """A file's tensors under their published names."""

    file: GgufFile
    architecture: Architecture
    attributes: Attributes

    def shapes(self, published: list[str]) -> dict[str, tuple[int, ...]]:
        """Shape of every tensor that is there, by published name; what no published name stands for keeps its own."""
        names = self._names(published)
        ours = {theirs: name for name, theirs in names.items()}
        stored = {name: place for name, place in self.file.tensors.items() if name != _FREQUENCIES}
        return {ours.get(name, name): place.shape for name, place in stored.items()}

    def reader(self, published: list[str]) -> Reader:
        """Reads a tensor, or a part of it, by its published name and in its published layout.

        Raises DataError for a damaged file.
        """
        names = self._names(published)

        def read(name: str, index: Index) -> Float[np.ndarray, "..."]:
            if self.architecture.pairs_rows and (heads := num_heads_of(name, self.attributes)):
                return unpaired(_dequantised(self.file, names[name]), heads)[index]
            tensor = _dequantised(self.file, names[name], index[0])[(slice(None), *index[1:])]
            return tensor - 1.0 if self.architecture.shifts_norms and name.endswith("norm.weight") else tensor

        return read

    def _names(self, published: list[str]) -> dict[str, str]:
        return self.architecture.names(published, int(self.file.number(f"{self.architecture.name}.block_count")))


def num_heads_of(name: str, attributes: Mapping[str, object]) -> int:
    """Heads in the rows of a published q or k tensor; 0 for any other tensor."""
    which = {"q_proj": "num_attention_heads", "k_proj": "num_key_value_heads"}
    found = next((attribute for part, attribute in which.items() if f".{part}." in name), None)
    return int(str(attributes[found])) if found else 0


def unpaired(rows: Float[np.ndarray, "rows ..."], num_heads: int) -> Float[np.ndarray, "rows ..."]:
    """Each head's rows from llama.cpp's order (rotary pairs side by side) to halves, as they are published."""
    return rows.reshape(num_heads, -1, 2, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)


def paired(rows: Float[np.ndarray, "rows ..."], num_heads: int) -> Float[np.ndarray, "rows ..."]:
    """The way back of `unpaired`."""
    return rows.reshape(num_heads, 2, -1, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)


def read_gguf(path: Path) -> GgufTensors:
    """A file's attributes and tensors. Raises DataError naming what in it this reader or the family does not know."""
    file = open_gguf(path)
    name = file.text("general.architecture")
    if name not in ARCHITECTURES:
        raise DataError(f"{path}: architecture {name!r} cannot be read; there is: {', '.join(ARCHITECTURES)}")
    architecture = ARCHITECTURES[name]
    return GgufTensors(file, architecture, _attributes(file, architecture))


def _attributes(file: GgufFile, architecture: Architecture) -> Attributes:
    prefix = architecture.name + "."
    given = {key.removeprefix(prefix): key for key in file.metadata if key.startswith(prefix)}
    found: Attributes = {"model_type": architecture.model_type, **architecture.fixed}
    found |= {NAMES[key]: _rounded(file.number(full)) for key, full in given.items() if key in NAMES}
    scaling = {key for key in given if key.startswith("rope.scaling.")}
    if unknown := sorted(set(given) - set(NAMES) - _IMPLIED - scaling):
        raise DataError(
            f"{file.path}: metadata {prefix + unknown[0]!r} (value {file.metadata[prefix + unknown[0]]!r}) is not known"
        )
    found.setdefault("num_key_value_heads", found.get("num_attention_heads"))
    embedding = file.tensors.get("token_embd.weight")
    if embedding is None:
        raise DataError(f"{file.path}: tensor 'token_embd.weight' is missing; is this a whole model?")
    found |= {"vocab_size": embedding.shape[0], "tie_word_embeddings": "output.weight" not in file.tensors}
    if rope := _rope_scaling(file, prefix, scaling, found):
        found["rope_scaling"] = rope
    return found | (_gemma3(file) if architecture.name == "gemma3" else {})


def _gemma3(file: GgufFile) -> Attributes:
    """What llama.cpp knows of Gemma 3 without being told: every sixth layer sees all, and how queries are scaled."""
    num_layers = int(file.number("gemma3.block_count"))
    kinds = ["full_attention" if (index + 1) % 6 == 0 else "sliding_attention" for index in range(num_layers)]
    scalar = file.number("gemma3.attention.key_length")
    if num_layers == 62:  # the 27B variant alone
        scalar = int(file.number("gemma3.embedding_length") / file.number("gemma3.attention.head_count"))
    theta = _rounded(file.number("gemma3.rope.freq_base", 1e6))
    return {"layer_types": kinds, "query_pre_attn_scalar": scalar, "rope_theta": theta}


def _rope_scaling(file: GgufFile, prefix: str, keys: set[str], found: Attributes) -> Attributes | None:
    if _FREQUENCIES in file.tensors:
        return _llama3_scaling(file, found)
    if not keys or file.metadata.get(prefix + "rope.scaling.type") == "none":
        return None
    names = {key: _SCALING.get(key.removeprefix("rope.scaling."), key) for key in keys}
    return {name: _rounded(file.metadata[prefix + key]) for key, name in names.items()}


def _llama3_scaling(file: GgufFile, found: Attributes) -> Attributes:
    """The published attribute behind a tensor of frequency divisors: all of LLaMA 3's differ in the factor alone."""
    divisors = _dequantised(file, _FREQUENCIES)
    scaling: Attributes = {"rope_type": "llama3", "factor": float(divisors.max()), **_LLAMA3}
    expected = llama3_divisors(2 * len(divisors), float(str(found.get("rope_theta", 10000.0))), float(divisors.max()))
    if not np.allclose(divisors, expected, rtol=1e-3):
        raise DataError(f"{file.path}: {_FREQUENCIES} is not how LLaMA 3 scales rotary positions (factor, 1, 4, 8192)")
    return scaling


def llama3_divisors(head_width: int, theta: float, factor: float) -> Float[np.ndarray, " h"]:
    """What LLaMA 3.1 divides each rotary frequency by: 1 for short waves, `factor` for long ones, smooth between."""
    low, high, length = _LLAMA3.values()
    waves = 2 * np.pi * theta ** (np.arange(0, head_width, 2) / head_width)
    smooth = np.clip((length / waves - low) / (high - low), 0, 1)
    return (1 / ((1 - smooth) / factor + smooth)).astype(np.float32)


def _rounded(value: object) -> object:
    """A number that was stored as fp32 as it was written: 1e-05, not 9.999999747378752e-06."""
    return float(str(np.float32(value))) if isinstance(value, float) else value


def _dequantised(file: GgufFile, name: str, index: slice = slice(None)) -> Float[np.ndarray, "..."]:
    """A tensor, or the rows of it at `index`."""
    place = file.tensors[name]
    kind, width = _kind(file, name, place)
    num_bytes = width * int(np.prod(place.shape[:-1], dtype=np.int64))
    stored = file.content[place.start : place.start + num_bytes]
    if len(stored) != num_bytes:
        raise DataError(f"{file.path}: tensor {name!r} ends behind the end of the file; fetch it anew")
    if len(place.shape) == 1:
        return dequantize(stored, kind)[index]
    rows = stored.reshape(-1, width)[index]
    tensor = np.empty((len(rows), place.shape[-1]), np.float32)
    for start in range(0, len(rows), _ROWS):
        tensor[start : start + _ROWS] = dequantize(rows[start : start + _ROWS], kind)
    return tensor


def _kind(file: GgufFile, name: str, place: TensorPlace) -> tuple[gguf.GGMLQuantizationType, int]:
    """How a tensor is stored, and bytes a row."""
    try:
        kind = gguf.GGMLQuantizationType(place.kind)
        dequantize(np.zeros((1, gguf.GGML_QUANT_SIZES[kind][1]), np.uint8), kind)
    except (ValueError, NotImplementedError) as error:
        raise DataError(
            f"{file.path}: tensor {name!r} is stored as kind {place.kind}, which cannot be read ({error})"
        ) from error
    block, size = gguf.GGML_QUANT_SIZES[kind]
    if len(place.shape) not in (1, 2) or place.shape[-1] % block:
        raise DataError(
            f"{file.path}: tensor {name!r} of shape {place.shape} is no vector or matrix in whole blocks of {block}"
        )
    return kind, place.shape[-1] // block * size
