"""One line a parameter: shape, logical axes, init and the tensor's name in the published checkpoint.

In: a tree (nested dicts) of `Param`. Out, all from that one tree: random parameters, abstract shapes, the parameter
count, and the way from and to Hugging Face tensors. Layers are stacked: a leading axis "layers" stands for one
published tensor a layer, with `{layer}` in its name. A published weight that is stored [out, in] is `transpose`d, so
that every matrix here is applied as `x @ w`. The form is that of jax-llm-examples' `ArrayInfo`
(https://github.com/jax-ml/jax-llm-examples).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, PyTree, Shaped

from epigone.parallel import hosts

Init = Callable[[Key[Array, ""], tuple[int, ...]], Float[Array, "..."]]


@dataclass(frozen=True, slots=True)
class Param:
    """One parameter. `axes` names each dim of `shape` for sharding rules; `name` and `transpose` are HF's layout."""

    shape: tuple[int, ...]
    axes: tuple[str, ...]
    init: Init
    name: str
    transpose: bool = False

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
        """Shape of each published tensor."""
        shape = self.shape[1:] if self.stacked else self.shape
        return shape[::-1] if self.transpose else shape


def ones(key: Key[Array, ""], shape: tuple[int, ...]) -> Float[Array, "..."]:
    """Init of norm weights."""
    return jnp.ones(shape)


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
    tree: PyTree[Param], read: Callable[[str], Shaped[np.ndarray, "..."]]
) -> PyTree[Float[Array, "..."]]:
    """Parameters in fp32 from published tensors; `read` returns the tensor of a name, in the published layout."""

    def one(param: Param) -> Float[Array, "..."]:
        tensors = [np.asarray(read(name), np.float32) for name in param.names]
        tensors = [t.T if param.transpose else t for t in tensors]
        return jnp.asarray(np.stack(tensors) if param.stacked else tensors[0])

    return jax.tree.map(one, tree)


def to_published(tree: PyTree[Param], params: PyTree[Float[Array, "..."]]) -> dict[str, Float[np.ndarray, "..."]]:
    """Published tensors, fp32 and contiguous, by name. Of several processes, all call it."""
    tensors: dict[str, np.ndarray] = {}
    for param, value in zip(jax.tree.leaves(tree), jax.tree.leaves(params), strict=True):
        array = hosts.whole(value).astype(np.float32, copy=False)
        for name, tensor in zip(param.names, array if param.stacked else [array], strict=True):
            tensors[name] = np.ascontiguousarray(tensor.T if param.transpose else tensor)
    return tensors
