"""What a family of models must offer, and how it is found: `models/llama.py` is the family `llama`.

A family is a module with these functions, one frozen `Config` and `VARIANTS`, its published sizes by name; its file
name is the `model_type` of config.json. A new family is one new file.
"""

import difflib
import importlib
import sys
from collections.abc import Mapping
from types import ModuleType
from typing import NamedTuple, Protocol, cast, runtime_checkable

import jax
from jaxtyping import Array, Float, Int, PyTree

from epigone import discover
from epigone.errors import DataError, SpecError
from epigone.models.layers import Layer
from epigone.models.params import Param, init


@runtime_checkable
class ModelConfig(Protocol):
    """What every variant tells; hashable, so that it can be a static argument of compiled functions."""

    @property
    def vocab_size(self) -> int:
        """Number of logits."""
        ...

    @property
    def max_positions(self) -> int:
        """Longest sequence, in tokens."""
        ...

    @property
    def num_layers(self) -> int:
        """Number of layers."""
        ...

    @property
    def num_kv_heads(self) -> int:
        """Heads of keys and values."""
        ...

    @property
    def head_width(self) -> int:
        """Width of one attention head."""
        ...

    def to_hf(self) -> dict[str, object]:
        """The published config.json."""
        ...


@runtime_checkable
class Family(Protocol):
    """The functions of a family module; `config` is always the family's own Config."""

    @property
    def Config(self) -> type:  # noqa: N802 (a class of the module)
        """The variant, with `from_hf(attributes)`."""
        ...

    def param_tree(self, config: ModelConfig, /) -> PyTree[Param]:
        """Every parameter, one line each."""
        ...

    def embed(
        self,
        params: PyTree[Float[Array, "..."]],
        config: ModelConfig,
        tokens_BT: Int[Array, "B T"],
        positions_BT: Int[Array, "B T"],
        /,
    ) -> Float[Array, "B T D"]:
        """What the first layer reads."""
        ...

    def layer(self, config: ModelConfig, positions_BT: Int[Array, "B T"], /) -> Layer:
        """What a layer computes, for tokens at these positions."""
        ...

    def logits(
        self, params: PyTree[Float[Array, "..."]], config: ModelConfig, features: Float[Array, "*B D"], /
    ) -> Float[Array, "*B V"]:
        """The last norm and the output head; in fp32."""
        ...


class Model(NamedTuple):
    """A family's functions, a variant, and its parameters."""

    family: Family
    config: ModelConfig
    params: PyTree[Float[Array, "..."]]


def names() -> list[str]:
    """All families, by `model_type`."""
    return [name for name in discover.names("models") if hasattr(_module(name), "Config")]


def of_type(model_type: str) -> Family:
    """The family of a `model_type`. Raises DataError with what there is."""
    known = names()
    if model_type not in known:
        raise DataError(f"no model family for model_type {model_type!r}; there is: {', '.join(known)}")
    return cast(Family, _module(model_type))


def of_config(config: ModelConfig) -> Family:
    """The family that a Config belongs to."""
    return cast(Family, sys.modules[type(config).__module__])


def variants() -> dict[str, ModelConfig]:
    """Every published size by its name, such as `llama-13b`: for planning and for random weights."""
    found = {name: config for family in names() for name, config in _module(family).VARIANTS.items()}
    return cast(dict[str, ModelConfig], found)


def variant(name: str) -> tuple[Family, ModelConfig]:
    """Family and config of a published size. Raises SpecError with the names that are close."""
    known = variants()
    if name not in known:
        close = difflib.get_close_matches(name, known, n=3) or sorted(known)
        raise SpecError(f"there is no model size {name!r}; there is: {', '.join(close)}")
    return of_config(known[name]), known[name]


def random_model(config: ModelConfig, *, seed: int) -> Model:
    """A model of a variant with random weights, drawn by `seed`."""
    family = of_config(config)
    return Model(family, config, init(family.param_tree(config), jax.random.key(seed)))


def config_from_hf(attributes: Mapping[str, object]) -> tuple[Family, ModelConfig]:
    """Family and variant of a config.json. Raises DataError naming what the family does not know."""
    family = of_type(str(attributes.get("model_type")))
    return family, family.Config.from_hf(attributes)


def _module(name: str) -> ModuleType:
    return importlib.import_module(f"epigone.models.{name}")
