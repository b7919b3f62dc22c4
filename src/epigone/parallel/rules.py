"""Logical-axis rules: which dim of a parameter goes over which axis of the mesh, and how a step keeps to it.

In: the names of a parameter's dims (`Param.axes`), the sizes of the mesh. Out: partition specs for parameters, and for
whatever has their structure (Adam's moments, gradients); constraints for a compiled step, which do nothing where no
mesh is set. At rest every matrix lies over `tensor` by one dim and over `fsdp` by another; to be used it is gathered
over `fsdp` in the precision of the pass, and its gradient is scattered back.
Sources: ZeRO stage 3, arXiv 1910.02054; tensor parallelism, arXiv 1909.08053; constraints, arXiv 2105.04663.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Protocol, TypeVar, runtime_checkable

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float, PyTree, Shaped

from epigone.parallel.mesh import AXES

BATCH = ("data", "fsdp")
"""The mesh axes over which blocks are divided."""
RULES = {
    "tensor": ("heads", "kv_heads", "hidden", "vocab"),
    "fsdp": ("width", "hidden", "heads", "kv_heads", "vocab"),
}
"""Mesh axis -> the dims that it may divide, the best first. A dim goes over one axis alone."""

HEADS = ("heads", "kv_heads")

Tree = TypeVar("Tree")


@runtime_checkable
class Named(Protocol):
    """What the rules ask of a parameter."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of its dims."""
        ...

    @property
    def axes(self) -> tuple[str, ...]:
        """Names of its dims."""
        ...


def spec(param: Named, mesh: Mapping[str, int], head_width: int) -> PartitionSpec:
    """Where a parameter lies. Heads are never cut: a dim of heads divides by their number."""
    places: list[str | None] = [None] * len(param.shape)
    for axis in RULES:
        for dim in _candidates(param, axis, mesh, places):
            if _units(param, dim, head_width) % mesh[axis] == 0:
                places[dim] = axis
                break
    return PartitionSpec(*places)


def specs(tree: PyTree[Named], mesh: Mapping[str, int], head_width: int) -> PyTree[PartitionSpec]:
    """`spec` of every parameter."""
    return jax.tree.map(lambda param: spec(param, mesh, head_width), tree)


def shardings(tree: PyTree[Named], mesh: Mesh, head_width: int) -> PyTree[NamedSharding]:
    """Where every parameter lies on a mesh."""
    return jax.tree.map(lambda param: NamedSharding(mesh, spec(param, dict(mesh.shape), head_width)), tree)


def undivided(tree: PyTree[Named], mesh: Mapping[str, int], head_width: int) -> list[str]:
    """A line for every parameter that the rules would divide over an axis, and whose sizes do not divide by it."""
    lines: list[str] = []
    for path, param in jax.tree.leaves_with_path(tree):
        places = spec(param, mesh, head_width)
        for axis in set(RULES) - set(places):
            dims = _candidates(param, axis, mesh, tuple(places))
            told = " or ".join(f"{param.axes[dim]} {_units(param, dim, head_width)}" for dim in dims)
            if told:
                lines.append(f"{jax.tree_util.keystr(path)}: {told} does not divide by {axis} {mesh[axis]}")
    return lines


def _candidates(
    param: Named, axis: str, mesh: Mapping[str, int], places: Sequence[str | tuple[str, ...] | None]
) -> list[int]:
    """The dims that may go over an axis of more than one device, the best first."""
    free = [dim for dim, name in enumerate(param.axes) if name in RULES[axis] and places[dim] is None]
    return sorted(free, key=lambda dim: RULES[axis].index(param.axes[dim])) if mesh[axis] > 1 else []


def _units(param: Named, dim: int, head_width: int) -> int:
    """Into how many parts a dim may be cut."""
    return param.shape[dim] // (head_width if param.axes[dim] in HEADS else 1)


def places(
    state: PyTree[Shaped[Array, "..."]], tree: PyTree[Named], mesh: Mapping[str, int], head_width: int
) -> PyTree[PartitionSpec]:
    """Where a state lies: every part with the structure of `tree` as the parameters do, the rest on every device."""
    structure = jax.tree.structure(tree)
    own = specs(tree, mesh, head_width)

    def is_like(part: object) -> bool:
        return jax.tree.structure(part) == structure

    def whole_or_divided(part: PyTree[Shaped[Array, "..."]]) -> PyTree[PartitionSpec]:
        fitting = lambda x, place: place if x.ndim == len(place) else PartitionSpec()  # noqa: E731
        return jax.tree.map(fitting, part, own) if is_like(part) else PartitionSpec()

    return jax.tree.map(whole_or_divided, state, is_leaf=is_like)


def put(state: Tree, where: PyTree[PartitionSpec], mesh: Mesh) -> Tree:
    """Arrays onto the mesh, each to its place."""
    return jax.tree.map(lambda array, place: put_array(array, place, mesh), state, where)


def put_array(array: Shaped[Array | np.ndarray, "..."], place: PartitionSpec, mesh: Mesh) -> Shaped[Array, "..."]:
    """One array onto the mesh, unless it lies there already.

    Every process holds the same array, and hands its own devices their parts; or it is spread over all of them already.
    """
    there = NamedSharding(mesh, place)
    if isinstance(array, jax.Array):
        if array.sharding.is_equivalent_to(there, array.ndim):
            return array
        if not array.is_fully_addressable:
            return jax.device_put(array, there)
    whole = np.asarray(array)
    return jax.make_array_from_callback(whole.shape, there, lambda part: whole[part])


def held(state: Tree, tree: PyTree[Named], head_width: int) -> Tree:
    """In a compiled step: a state stays where `places` has it."""
    if not _is_set():
        return state
    mesh = dict(jax.sharding.get_abstract_mesh().shape)
    return jax.tree.map(_constrain, state, places(state, tree, mesh, head_width))


def by_batch(x: Float[Array, "B ..."]) -> Float[Array, "B ..."]:
    """In a compiled step: the leading dim is divided as blocks are; the compiler chooses for the others."""
    free = (PartitionSpec.UNCONSTRAINED,) * (x.ndim - 1)
    return _constrain(x, PartitionSpec(BATCH, *free)) if _is_set() else x


def gathered(params: Tree, tree: PyTree[Named], head_width: int, *, stacked: bool = True) -> Tree:
    """In a compiled step: parameters gathered over `fsdp` for use, and their gradients scattered over it again.

    `stacked` is False for one layer's part of stacked parameters, which has no dim `layers`.
    """
    if not _is_set():
        return params
    mesh = dict(jax.sharding.get_abstract_mesh().shape)

    def one(param: Named, value: Float[Array, "..."]) -> Float[Array, "..."]:
        at_rest = spec(param, mesh, head_width)
        if not stacked:
            at_rest = PartitionSpec(*at_rest[1:])
        in_use = PartitionSpec(*(None if axis == "fsdp" else axis for axis in at_rest))
        return _gather(value, in_use, at_rest)

    return jax.tree.map(one, tree, params)


@partial(jax.custom_vjp, nondiff_argnums=(1, 2))
def _gather(x: Float[Array, "..."], in_use: PartitionSpec, at_rest: PartitionSpec) -> Float[Array, "..."]:
    return _constrain(x, in_use)


def _gather_forward(
    x: Float[Array, "..."], in_use: PartitionSpec, at_rest: PartitionSpec
) -> tuple[Float[Array, "..."], None]:
    return _constrain(x, in_use), None


def _gather_backward(
    in_use: PartitionSpec, at_rest: PartitionSpec, saved: None, gradient: Float[Array, "..."]
) -> tuple[Float[Array, "..."]]:
    return (_constrain(_constrain(gradient, in_use), at_rest),)


_gather.defvjp(_gather_forward, _gather_backward)


def _constrain(x: Shaped[Array, "..."], place: PartitionSpec) -> Shaped[Array, "..."]:
    return jax.lax.with_sharding_constraint(x, place)


def _is_set() -> bool:
    return set(AXES) <= set(jax.sharding.get_abstract_mesh().axis_names)
