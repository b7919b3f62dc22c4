"""Where a run's arrays lie: on one device, or spread over a mesh as the logical-axis rules say.

In: a mesh or None, and a model's parameter tree. Out: the same model, state and batches in their places. Without a mesh
everything goes to the first device. Batches are divided over `data` and `fsdp`; each process hands its own devices
their rows.
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
from epigone.models.family import Model
from epigone.models.params import Param
from epigone.parallel import rules

Tree = TypeVar("Tree")


@dataclass(frozen=True, eq=False)
class Placement:
    """A mesh with what the rules need of a variant."""

    mesh: Mesh | None
    tree: PyTree[Param]
    head_width: int

    def check(self, batch_size: int) -> None:
        """Raises SpecError where the blocks of a step do not divide over the devices that share them."""
        num_parts = self.mesh.shape["data"] * self.mesh.shape["fsdp"] if self.mesh else 1
        if batch_size % num_parts:
            raise SpecError(
                f"a batch of {batch_size} blocks does not divide over data x fsdp = {num_parts} devices; "
                f"take a multiple of {num_parts} blocks, or give more devices to tensor"
            )

    def model(self, model: Model) -> Model:
        """The model with its parameters in their places."""
        return model._replace(params=self.state(model.params)) if self.mesh else model

    def state(self, state: Tree) -> Tree:
        """Parameters, or a state that holds parts of their structure, in their places."""
        if self.mesh is None:
            return state
        where = rules.places(state, self.tree, dict(self.mesh.shape), self.head_width)
        return rules.put(state, where, self.mesh)

    def numbers(self, numbers: Tree) -> Tree:
        """Scalars on every device."""
        return numbers if self.mesh is None else rules.put(numbers, _everywhere(numbers), self.mesh)

    def batches(self, arrays: tuple[np.ndarray, ...]) -> tuple[Array, ...]:
        """Stacked batches [steps, blocks, tokens], divided by blocks."""
        if self.mesh is None:
            return tuple(map(jnp.asarray, arrays))
        return tuple(rules.put_array(array, PartitionSpec(None, rules.BATCH), self.mesh) for array in arrays)

    def active(self) -> AbstractContextManager[object]:
        """The context in which compiled functions know the mesh."""
        return nullcontext() if self.mesh is None else jax.set_mesh(self.mesh)


def _everywhere(tree: PyTree[object]) -> PyTree[PartitionSpec]:
    return jax.tree.map(lambda x: PartitionSpec(), tree)
