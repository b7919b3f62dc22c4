"""Checkpoints in the published layout: config.json + model.safetensors (or shards with an index), in and out; GGUF in.

In: a folder as `transformers` writes it, or a .gguf file. Out: a `Model`; and the other way round, so that
`transformers` loads what is saved here. Format: https://huggingface.co/docs/safetensors. Tensors are read
memory-mapped, one at a time, as fp32.
"""

import json
import math
import shutil
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import jax
from jaxtyping import Array, Float, PyTree
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from epigone.errors import ArtifactError, DataError
from epigone.gguf_file import find_gguf
from epigone.models import family as families
from epigone.models import params as parameters
from epigone.models.easylm import read_easylm
from epigone.models.family import Model, ModelConfig
from epigone.models.gguf import read_gguf
from epigone.models.params import Param
from epigone.parallel import hosts, rules

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
# derived or tied tensors that older exports carry: frequencies, causal masks, a head that is the embedding
_SURPLUS = (
    "rotary_emb.inv_freq",
    "lm_head.weight",
    *(f".{a}.{b}" for a in ("attn", "attention") for b in ("bias", "masked_bias")),
)
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "chat_template.jinja",
    "special_tokens_map.json",
    "added_tokens.json",
    "generation_config.json",
)
"""What a checkpoint folder may hold beside its weights, to be copied to what was made of it."""
MAX_SHARD_BYTES = 5_000_000_000


@runtime_checkable
class Stored(Protocol):
    """A checkpoint on disk, whatever its layout, under published names."""

    @property
    def attributes(self) -> Mapping[str, object]:
        """The config.json."""
        ...

    def shapes(self, published: list[str], /) -> Mapping[str, tuple[int, ...]]:
        """Shape of every tensor that is there; `published` are those that the family asks for."""
        ...

    def reader(self, published: list[str], /) -> parameters.Reader:
        """Reads a tensor, or a part of it, by its name."""
        ...


def load_checkpoint(path: Path, mesh: jax.sharding.Mesh | None = None) -> Model:
    """The model of a folder (config.json and safetensors, or one .gguf), a .gguf or EasyLM stream file, in fp32.

    Over a mesh each device reads its own piece of every parameter alone (`parallel.rules`).
    Raises ArtifactError for a missing or broken file and a missing, unknown or misshapen tensor; DataError for a
    config.json, or the metadata of a .gguf file, that the family cannot honour.
    """
    with ExitStack() as stack:
        stored = _opened(path, stack)
        family, config = _config(path, stored.attributes)
        tree = family.param_tree(config)
        places = None if mesh is None else rules.shardings(tree, mesh, config.head_width)
        params = _params(path, stored, tree, shardings=places)
    return Model(family, config, params)


def load_published(
    path: Path, tree_of: Callable[[Mapping[str, object]], PyTree[Param]], surplus: tuple[str, ...] = ()
) -> PyTree[Float[Array, "..."]]:
    """The parameters of a folder that is no language model, in fp32: those that `tree_of` asks for by its config.json.

    Tensors whose names end as `surplus` says may be there beside them. Raises ArtifactError as `load_checkpoint` does.
    """
    with ExitStack() as stack:
        stored = _opened(path, stack)
        return _params(path, stored, tree_of(stored.attributes), surplus=surplus)


def _params(
    path: Path,
    stored: Stored,
    tree: PyTree[Param],
    *,
    shardings: PyTree[jax.sharding.Sharding] | None = None,
    surplus: tuple[str, ...] = (),
) -> PyTree[Float[Array, "..."]]:
    expected = parameters.published_shapes(tree)
    found = stored.shapes(list(expected))
    for name, shape in expected.items():
        if name not in found:
            raise ArtifactError(f"{path}: tensor {name!r} is missing; {CONFIG} asks for it with shape {shape}")
        if found[name] != shape:
            raise ArtifactError(f"{path}: tensor {name!r} has shape {found[name]}, but {CONFIG} asks for {shape}")
    _refuse_surplus(path, set(found) - set(expected), (*_SURPLUS, *surplus))
    return parameters.from_published(tree, stored.reader(list(expected)), shardings)


def load_config(path: Path) -> tuple[families.Family, ModelConfig]:
    """Family and variant of a folder or a .gguf file; raises as `load_checkpoint` does, for the config alone."""
    with ExitStack() as stack:
        is_plain = (path / CONFIG).exists()
        return _config(path, _read_json(path / CONFIG) if is_plain else _opened(path, stack).attributes)


def save_checkpoint(
    path: Path,
    config: ModelConfig,
    params: PyTree[Float[Array, "..."]],
    *,
    tokenizer_files: Iterable[Path] = (),
    token_ids: Mapping[str, int] | None = None,
    max_shard_bytes: int = MAX_SHARD_BYTES,
) -> None:
    """Write a folder that `transformers` loads with equal logits.

    `tokenizer_files` are copied beside the weights; `token_ids` go to config.json, such as {"eos_token_id": 2}.
    The same parameters give the same bytes. Weights of more than `max_shard_bytes` go to several files with an index.
    Of several processes all call it, and the first writes.
    """
    tree = families.of_config(config).param_tree(config)
    attributes = config.to_hf() | {"dtype": "float32"} | dict(token_ids or {})
    _save_weights(path, tree, params, max_shard_bytes)
    if not hosts.is_first():
        return
    (path / CONFIG).write_text(json.dumps(attributes, indent=2) + "\n", encoding="utf-8")
    for file in tokenizer_files:
        shutil.copyfile(file, path / file.name)


def tokenizer_files(path: Path) -> list[Path]:
    """Tokenizer, chat template and what belongs to them in a checkpoint folder, for `save_checkpoint`."""
    return [path / name for name in TOKENIZER_FILES if (path / name).is_file()]


def _save_weights(path: Path, tree: PyTree[Param], params: PyTree[Float[Array, "..."]], max_bytes: int) -> None:
    if hosts.is_first():
        path.mkdir(parents=True, exist_ok=True)
        for old in (path / INDEX, path / WEIGHTS, *path.glob("model-*-of-*.safetensors")):
            old.unlink(missing_ok=True)
    makers = parameters.publishers(tree, params)
    sizes = {name: 4 * math.prod(shape) for name, shape in parameters.published_shapes(tree).items()}
    shards: list[list[str]] = [[]]
    for name in makers:
        if shards[-1] and sum(map(sizes.__getitem__, shards[-1])) + sizes[name] > max_bytes:
            shards.append([])
        shards[-1].append(name)
    single = len(shards) == 1
    files = [WEIGHTS] if single else [f"model-{i + 1:05}-of-{len(shards):05}.safetensors" for i in range(len(shards))]
    for file, names in zip(files, shards, strict=True):
        tensors = {name: makers[name]() for name in names}
        if hosts.is_first():
            save_file(tensors, path / file, metadata={"format": "pt"})
    if not single and hosts.is_first():
        weight_map = {name: file for file, names in zip(files, shards, strict=True) for name in names}
        index = {"metadata": {"total_size": sum(sizes.values())}, "weight_map": weight_map}
        (path / INDEX).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")


def _opened(path: Path, stack: ExitStack) -> Stored:
    if not (path / CONFIG).exists() and (file := find_gguf(path)):
        return read_gguf(file)
    if path.is_file():
        return read_easylm(path)
    attributes = _read_json(path / CONFIG)
    return _SafeTensors(attributes, {name: file for file in _open_weights(path, stack) for name in file.keys()})  # noqa: SIM118


@dataclass(frozen=True)
class _SafeTensors:
    attributes: Mapping[str, object]
    home: Mapping[str, Any]
    """The opened file (safetensors.safe_open) of every tensor."""

    def shapes(self, published: list[str]) -> dict[str, tuple[int, ...]]:
        return {
            name: tuple(self.home[here].get_slice(here).get_shape()) for name, here in self._names(published).items()
        }

    def reader(self, published: list[str]) -> parameters.Reader:
        names = self._names(published)
        return lambda name, index: self.home[names[name]].get_slice(names[name])[index]

    def _names(self, published: list[str]) -> dict[str, str]:
        """Published name -> name here, where older exports of the bare decoder lack what its names begin with."""
        prefix = next(name.partition(".")[0] for name in published if ".0." in name) + "."
        is_bare = not any(name.startswith(prefix) for name in self.home)
        return {prefix + name if is_bare and prefix + name in published else name: name for name in self.home}


def _config(path: Path, attributes: Mapping[str, object]) -> tuple[families.Family, ModelConfig]:
    try:
        return families.config_from_hf(attributes)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def _open_weights(path: Path, stack: ExitStack) -> list[safe_open]:
    files = [path / WEIGHTS]
    if (path / INDEX).exists():
        weight_map = _read_json(path / INDEX).get("weight_map")
        if not isinstance(weight_map, dict):
            raise ArtifactError(f"{path / INDEX}: no weight_map; it should name a file for each tensor")
        files = [path / str(name) for name in sorted(set(weight_map.values()))]
    return [_open(file, stack) for file in files]


def _open(file: Path, stack: ExitStack) -> safe_open:
    if not file.is_file():
        raise ArtifactError(f"{file} is missing; a checkpoint has {CONFIG} and {WEIGHTS} (or {INDEX} and its shards)")
    try:
        return stack.enter_context(safe_open(file, framework="numpy"))
    except (SafetensorError, OSError) as error:
        raise ArtifactError(f"{file} is no whole safetensors file ({error}); make or fetch it anew") from error


def _read_json(file: Path) -> dict[str, object]:
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ArtifactError(f"{file} cannot be read ({error.strerror}); a checkpoint folder has {CONFIG}") from error
    except ValueError as error:
        raise ArtifactError(f"{file} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise ArtifactError(f"{file} should hold a JSON object, not a {type(value).__name__}")
    return value


def _refuse_surplus(path: Path, names: set[str], endings: tuple[str, ...]) -> None:
    if unknown := sorted(name for name in names if not name.endswith(endings)):
        raise ArtifactError(
            f"{path}: tensor {unknown[0]!r} belongs to no parameter of this family ({len(unknown)} such)"
        )
