"""The treatment `l2_to_base`: a student's parameters are drawn back to its base's, against forgetting.

In: the parameters of both. Out: weight / 2 x the squared distance between them, added to the mean loss of a step.
Source: L2-SP, arXiv 1802.01483, equation 2.
"""

from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from epigone.errors import SpecError
from epigone.training.treatment import Params, Treatment


@dataclass(frozen=True)
class L2ToBase(Treatment):
    """How much it counts."""

    weight: float | int
    """Its gradient is this times the way that a parameter has come."""

    changes_step: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not self.weight > 0:
            raise SpecError(f"l2_to_base: weight must be above 0, not {self.weight}")

    def penalty(self, params: Params, base: Params) -> Float[Array, ""]:
        """Half the squared distance over all parameters, times the weight."""
        squares = jax.tree.map(lambda ours, theirs: jnp.sum(jnp.square(ours - theirs)), params, base)
        return 0.5 * self.weight * sum(jax.tree.leaves(squares), start=jnp.zeros(()))
