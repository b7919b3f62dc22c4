"""Checkpoints in the published layout: config.json + model.safetensors (or shards with an index), in and out.

In: a folder as `transformers` writes it. Out: a `Model`; and the other way round, so that `transformers` loads what is
saved here. Format: https://huggingface.co/docs/safetensors. Tensors are read memory-mapped, one at a time, as fp32.
"""

import json
import shutil
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path

from jaxtyping import Array, Float, PyTree
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from epigone.errors import ArtifactError, DataError
from epigone.models import family as families
from epigone.models import params as parameters
from epigone.models.family import Model, ModelConfig
from epigone.parallel import hosts

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
_SURPLUS = ("rotary_emb.inv_freq", "lm_head.weight")  # derived or tied tensors that older exports carry


def load_checkpoint(path: Path) -> Model:
    """The model of a folder, in fp32.

    Raises ArtifactError for a missing or broken file and a missing, unknown or misshapen tensor; DataError for a
    config.json that the family cannot honour.
    """
    family, config = load_config(path)
    tree = family.param_tree(config)
    with ExitStack() as stack:
        home = {name: file for file in _open_weights(path, stack) for name in file.keys()}  # noqa: SIM118 (not a dict)
        expected = parameters.published_shapes(tree)
        for name, shape in expected.items():
            if name not in home:
                raise ArtifactError(f"{path}: tensor {name!r} is missing; {CONFIG} asks for it with shape {shape}")
            if (found := tuple(home[name].get_slice(name).get_shape())) != shape:
                raise ArtifactError(f"{path}: tensor {name!r} has shape {found}, but {CONFIG} asks for {shape}")
        _refuse_surplus(path, set(home) - set(expected))
        params = parameters.from_published(tree, lambda name: home[name].get_tensor(name))
    return Model(family, config, params)


def save_checkpoint(
    path: Path,
    config: ModelConfig,
    params: PyTree[Float[Array, "..."]],
    *,
    tokenizer_files: Iterable[Path] = (),
    token_ids: Mapping[str, int] | None = None,
) -> None:
    """Write a folder that `transformers` loads with equal logits.

    `tokenizer_files` are copied beside the weights; `token_ids` go to config.json, such as {"eos_token_id": 2}.
    The same parameters give the same bytes. Of several processes all call it, and the first writes.
    """
    tree = families.of_config(config).param_tree(config)
    attributes = config.to_hf() | {"dtype": "float32"} | dict(token_ids or {})
    tensors = parameters.to_published(tree, params)
    if not hosts.is_first():
        return
    path.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path / WEIGHTS, metadata={"format": "pt"})
    (path / CONFIG).write_text(json.dumps(attributes, indent=2) + "\n", encoding="utf-8")
    for file in tokenizer_files:
        shutil.copyfile(file, path / file.name)


def load_config(path: Path) -> tuple[families.Family, ModelConfig]:
    """Family and variant of a folder's config.json. Raises ArtifactError or DataError as `load_checkpoint` does."""
    attributes = _read_json(path / CONFIG)
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


def _refuse_surplus(path: Path, names: set[str]) -> None:
    if unknown := sorted(name for name in names if not name.endswith(_SURPLUS)):
        raise ArtifactError(
            f"{path}: tensor {unknown[0]!r} belongs to no parameter of this family ({len(unknown)} such)"
        )
