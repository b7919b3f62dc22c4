"""Where a run's arrays lie: on one device, or spread over a mesh as the logical-axis rules say.

In: a mesh or None. Out: parameters, state and batches in their places. Without a mesh everything goes to the first
device. Batches are divided over `data` and `fsdp`; each process hands its own devices their rows.
"""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array, PyTree

from epigone.errors import SpecError
from epigone.models.params import Param
from epigone.parallel import rules

Tree = TypeVar("Tree")


@dataclass(frozen=True, eq=False)
class Placement:
    """A mesh, with what the rules need of a variant."""

    mesh: Mesh | None
    head_width: int

    def check(self, batch_size: int, accumulation: int) -> None:
        """Raises SpecError where the blocks of a pass do not divide over the devices that share them."""
        num_parts = self.mesh.shape["data"] * self.mesh.shape["fsdp"] if self.mesh else 1
        if batch_size // accumulation % num_parts:
            raise SpecError(
                f"a batch of {batch_size} blocks in {accumulation} parts does not divide over the "
                f"data x fsdp = {num_parts} devices; take a multiple of {num_parts * accumulation} blocks, "
                "or give more devices to tensor"
            )

    def put(self, state: Tree, tree: PyTree[Param]) -> Tree:
        """Parameters of `tree`, or a state that holds parts of its structure, in their places."""
        if self.mesh is None:
            return state
        return rules.put(state, rules.places(state, tree, dict(self.mesh.shape), self.head_width), self.mesh)

    def numbers(self, numbers: Tree) -> Tree:
        """Scalars on every device."""
        if self.mesh is None:
            return numbers
        return rules.put(numbers, jax.tree.map(lambda x: PartitionSpec(), numbers), self.mesh)

    def batches(self, arrays: tuple[np.ndarray, ...]) -> tuple[Array, ...]:
        """Stacked batches [steps, blocks, tokens], divided by blocks."""
        if self.mesh is None:
            return tuple(map(jnp.asarray, arrays))
        return tuple(rules.put_array(array, PartitionSpec(None, rules.BATCH), self.mesh) for array in arrays)

    def active(self) -> AbstractContextManager[object]:
        """The context in which compiled functions know the mesh."""
        return nullcontext() if self.mesh is None else jax.set_mesh(self.mesh)
