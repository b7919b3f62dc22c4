"""GGUF out: a model as llama.cpp reads it, in F32, F16 or Q8_0.

In: a Model, and the metadata of its tokenizer. Out: one .gguf file; reading it gives the same model within the step of
the quantiser. Matrices are quantised, vectors stay in fp32. What is stored otherwise than it is published stands in
`gguf`. Sources: as there.
"""

from collections.abc import Mapping
from pathlib import Path

import gguf
import numpy as np
from gguf.quants import quantize
from jaxtyping import Float

from epigone.errors import SpecError
from epigone.gguf_file import Value
from epigone.models import params as parameters
from epigone.models.family import Model, ModelConfig
from epigone.models.gguf import ARCHITECTURES, NAMES, Architecture, Attributes, llama3_divisors, num_heads_of, paired

KINDS = {
    "f32": (gguf.GGMLQuantizationType.F32, gguf.LlamaFileType.ALL_F32),
    "f16": (gguf.GGMLQuantizationType.F16, gguf.LlamaFileType.MOSTLY_F16),
    "q8_0": (gguf.GGMLQuantizationType.Q8_0, gguf.LlamaFileType.MOSTLY_Q8_0),
}
"""How matrices are stored, by name."""


def save_gguf(path: Path, model: Model, tokenizer: Mapping[str, Value], *, kind: str = "f16", name: str = "") -> None:
    """Write a model. The same model gives the same bytes; the file appears whole or not at all.

    Raises SpecError for a kind or a family that cannot be written, and for rows that do not fill whole blocks of 32.
    """
    if kind not in KINDS:
        raise SpecError(f"no kind {kind!r} of GGUF can be written; there is: {', '.join(KINDS)}")
    attributes = model.config.to_hf()
    architecture = _architecture(model.config, attributes)
    partial = path.with_name(path.name + ".partial")
    writer = gguf.GGUFWriter(partial, architecture.name)
    writer.add_name(name or path.stem)
    writer.add_file_type(KINDS[kind][1])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    for key, value in (_metadata(architecture, attributes) | dict(tokenizer)).items():
        _add(writer, key, value)
    for key, tensor in _tensors(model, architecture, attributes).items():
        stored = KINDS[kind][0] if tensor.ndim == 2 else gguf.GGMLQuantizationType.F32
        if tensor.shape[-1] % gguf.GGML_QUANT_SIZES[stored][0]:
            raise SpecError(f"tensor {key!r} has rows of {tensor.shape[-1]}, not whole blocks of 32; write f16 or f32")
        writer.add_tensor(key, quantize(tensor, stored), raw_dtype=stored)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    partial.rename(path)


def _architecture(config: ModelConfig, attributes: Mapping[str, object]) -> Architecture:
    model_type = attributes["model_type"]
    if model_type == "mistral":  # llama.cpp's llama, as long as no layer has a window
        model_type = "llama"
    found = next((each for each in ARCHITECTURES.values() if each.model_type == model_type), None)
    if found is None:
        known = ", ".join(each.model_type for each in ARCHITECTURES.values())
        raise SpecError(f"family {model_type!r} cannot be written as GGUF; there is: {known}")
    if found.name != "gemma3" and any(getattr(config, "windows", ())):
        raise SpecError(f"GGUF's architecture {found.name} knows no layers with a window; write safetensors")
    return found


def _metadata(architecture: Architecture, attributes: Attributes) -> dict[str, Value]:
    prefix = architecture.name + "."
    known = {key: attributes.get(theirs) for key, theirs in NAMES.items()}
    found: dict[str, Value] = {prefix + k: value for k, value in known.items() if isinstance(value, int | float)}
    width = int(str(attributes.get("head_dim") or _head_width(attributes)))
    found |= {prefix + "attention.key_length": width, prefix + "attention.value_length": width}
    found[prefix + "vocab_size"] = int(str(attributes["vocab_size"]))
    if architecture.name == "llama":
        found[prefix + "rope.dimension_count"] = width
    rope = _rope(attributes)
    if rope.get("rope_type") == "linear":
        found |= {prefix + "rope.scaling.type": "linear", prefix + "rope.scaling.factor": float(str(rope["factor"]))}
    return found


def _tensors(model: Model, architecture: Architecture, attributes: Attributes) -> dict[str, Float[np.ndarray, "..."]]:
    published = parameters.to_published(model.family.param_tree(model.config), model.params)
    names = architecture.names(list(published), model.config.num_layers)
    found: dict[str, Float[np.ndarray, ...]] = {}
    rope = _rope(attributes)
    if rope.get("rope_type") == "llama3":
        theta = float(str(attributes.get("rope_theta", rope.get("rope_theta"))))
        found["rope_freqs.weight"] = llama3_divisors(model.config.head_width, theta, float(str(rope["factor"])))
    for name, tensor in published.items():
        if architecture.pairs_rows and (heads := num_heads_of(name, attributes)):
            tensor = paired(tensor, heads)
        if architecture.shifts_norms and name.endswith("norm.weight"):
            tensor = tensor + 1.0
        found[names[name]] = tensor
    return found


def _rope(attributes: Attributes) -> Mapping[str, object]:
    rope = attributes.get("rope_scaling") or attributes.get("rope_parameters")
    return rope if isinstance(rope, dict) else {}


def _head_width(attributes: Attributes) -> int:
    return int(str(attributes["hidden_size"])) // int(str(attributes["num_attention_heads"]))


def _add(writer: gguf.GGUFWriter, key: str, value: Value) -> None:
    if isinstance(value, bool):
        writer.add_bool(key, value)
    elif isinstance(value, int):
        writer.add_uint32(key, value)
    elif isinstance(value, float):
        writer.add_float32(key, value)
    elif isinstance(value, str):
        writer.add_string(key, value)
    else:
        writer.add_array(key, value if isinstance(value, list) else value.tolist())
