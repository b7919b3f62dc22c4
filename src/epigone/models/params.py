"""One line a parameter: shape, logical axes, init and the tensor's name in the published checkpoint.

In: a tree (nested dicts) of `Param`. Out, all from that one tree: random parameters, abstract shapes, the parameter
count, and the way from and to Hugging Face tensors. Layers are stacked: a leading axis "layers" stands for one
published tensor a layer, with `{layer}` in its name. A published weight that is stored [out, in] is `transpose`d, so
that every matrix here is applied as `x @ w`; several parameters may be parts of one published tensor. The form is that
of jax-llm-examples' `ArrayInfo` (https://github.com/jax-ml/jax-llm-examples).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, PyTree, Shaped

from epigone.parallel import hosts

Init = Callable[[Key[Array, ""], tuple[int, ...]], Float[Array, "..."]]
Index = tuple[slice, ...]
Reader = Callable[[str, Index], Shaped[np.ndarray, "..."]]
"""Gives the part of a published tensor (its name) at an index, in the published layout."""


@dataclass(frozen=True, slots=True)
class Part:
    """A parameter's place in a published tensor: of its outputs, in each of `groups`, the `index`th of `count`."""

    index: int
    count: int
    groups: int = 1


@dataclass(frozen=True, slots=True)
class Param:
    """One parameter. `axes` names each dim of `shape` for sharding rules; `name` and what follows are HF's layout."""

    shape: tuple[int, ...]
    axes: tuple[str, ...]
    init: Init
    name: str
    transpose: bool = False
    part: Part | None = None

    @property
    def stacked(self) -> bool:
        """True where the leading dim counts layers."""
        return self.axes[0] == "layers"

    @property
    def names(self) -> tuple[str, ...]:
        """The published tensors that this parameter is made of, one a layer."""
        return tuple(self.name.format(layer=i) for i in range(self.shape[0])) if self.stacked else (self.name,)

    @property
    def published_shape(self) -> tuple[int, ...]:
        """Shape of each published tensor, parts of others included."""
        *rest, outputs = self.shape[1:] if self.stacked else self.shape
        shape = (*rest, outputs * self.part.count if self.part else outputs)
        return shape[::-1] if self.transpose else shape

    def view(self, published: Shaped[np.ndarray, "..."]) -> Shaped[np.ndarray, "..."]:
        """Where this parameter lies in a whole published tensor, as a view in our orientation."""
        ours = published.T if self.transpose else published
        if self.part is None:
            return ours
        # splitting the last dim never copies, whatever the strides
        return ours.reshape(*ours.shape[:-1], self.part.groups, self.part.count, -1)[..., self.part.index, :]


def ones(key: Key[Array, ""], shape: tuple[int, ...]) -> Float[Array, "..."]:
    """Init of norm weights."""
    return jnp.ones(shape)


def zeros(key: Key[Array, ""], shape: tuple[int, ...]) -> Float[Array, "..."]:
    """Init of biases, and of norm weights that are kept as their distance from 1."""
    return jnp.zeros(shape)


def normal(deviation: float) -> Init:
    """Init from a normal distribution around 0."""
    return lambda key, shape: deviation * jax.random.normal(key, shape)


def init(tree: PyTree[Param], key: Key[Array, ""]) -> PyTree[Float[Array, "..."]]:
    """Random fp32 parameters of the tree's structure."""
    leaves, structure = jax.tree.flatten(tree)
    keys = jax.random.split(key, len(leaves))
    return jax.tree.unflatten(structure, [p.init(k, p.shape) for p, k in zip(leaves, keys, strict=True)])


def shapes(tree: PyTree[Param]) -> PyTree[jax.ShapeDtypeStruct]:
    """Abstract fp32 parameters, for `jax.eval_shape` and compilation without weights."""
    return jax.tree.map(lambda p: jax.ShapeDtypeStruct(p.shape, jnp.float32), tree)


def num_params(tree: PyTree[Param]) -> int:
    """Number of scalars in the tree."""
    return sum(math.prod(p.shape) for p in jax.tree.leaves(tree))


def published_shapes(tree: PyTree[Param]) -> dict[str, tuple[int, ...]]:
    """Every published tensor's name and shape."""
    return {name: p.published_shape for p in jax.tree.leaves(tree) for name in p.names}


def from_published(
    tree: PyTree[Param], read: Reader, shardings: PyTree[jax.sharding.Sharding] | None = None
) -> PyTree[Float[Array, "..."]]:
    """Parameters in fp32 from published tensors, read one at a time and in the pieces that each device holds.

    With `shardings` (of the tree's structure) every device gets its own piece alone: the host never holds a whole one.
    """

    def one(param: Param, sharding: jax.sharding.Sharding | None) -> Float[Array, "..."]:
        if sharding is None:
            return jnp.asarray(_piece(param, read, (slice(None),) * len(param.shape)))
        return jax.make_array_from_callback(param.shape, sharding, lambda index: _piece(param, read, index or ()))

    leaves, structure = jax.tree.flatten(tree)
    places = [None] * len(leaves) if shardings is None else structure.flatten_up_to(shardings)
    return jax.tree.unflatten(structure, [one(param, place) for param, place in zip(leaves, places, strict=True)])


def _piece(param: Param, read: Reader, index: Index) -> Float[np.ndarray, "..."]:
    """The part of a parameter at an index, gathered layer by layer."""
    ranges = [range(size)[part] for size, part in zip(param.shape, index, strict=True)]
    within = index[1:] if param.stacked else index
    names = [param.names[i] for i in ranges[0]] if param.stacked else [param.name]
    asked = within if param.part is None else (*within[:-1], slice(None))
    found = np.empty([len(r) for r in ranges], np.float32)
    for name, row in zip(names, found if param.stacked else [found], strict=True):
        ours = param.view(read(name, asked[::-1] if param.transpose else asked))
        if param.part is not None:  # a part is cut out of all outputs, and the piece out of it
            ours = ours.reshape(*ours.shape[:-2], -1)[..., within[-1]]
        row[...] = ours
    return found


def publishers(
    tree: PyTree[Param], params: PyTree[Float[Array, "..."]]
) -> dict[str, Callable[[], Float[np.ndarray, "..."]]]:
    """By name, what makes a published tensor (fp32, contiguous), so that one can be made and written after another."""
    sources: dict[str, list[tuple[Param, Float[Array, ...], int | None]]] = {}
    for param, value in zip(jax.tree.leaves(tree), jax.tree.leaves(params), strict=True):
        for i, name in enumerate(param.names):
            sources.setdefault(name, []).append((param, value, i if param.stacked else None))

    def make(parts: list[tuple[Param, Float[Array, "..."], int | None]]) -> Float[np.ndarray, "..."]:
        tensor = np.zeros(parts[0][0].published_shape, np.float32)
        for param, value, row in parts:
            view = param.view(tensor)
            view[...] = hosts.whole(value, row).reshape(view.shape)
        return tensor

    return {name: partial(make, parts) for name, parts in sources.items()}


def to_published(tree: PyTree[Param], params: PyTree[Float[Array, "..."]]) -> dict[str, Float[np.ndarray, "..."]]:
    """Published tensors, fp32 and contiguous, by name. Of several processes, all call it."""
    return {name: make() for name, make in publishers(tree, params).items()}
