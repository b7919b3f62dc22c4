"""The treatment `dpo`: a student learns from pairs which of two answers was preferred, held to what it was before.

In: blocks of pairs (the stage `tokenize_pairs`). Out: in place of the cross entropy, the mean over pairs of
-log sigmoid(beta x ((log p(chosen) - log p0(chosen)) - (log p(rejected) - log p0(rejected)))); p0 is the model that the
run started from. Sources: Rafailov et al. 2023, arXiv 2305.18290, equation 7; section 5 of arXiv 2305.15717, which
leaves open whether a teacher's judgments teach more than its answers.
"""

from dataclasses import dataclass
from typing import ClassVar

import jax
from jaxtyping import Array, Float

from epigone.errors import SpecError
from epigone.training.treatment import Treatment


@dataclass(frozen=True)
class Dpo(Treatment):
    """How closely it is held."""

    beta: float | int = 0.1
    """Higher holds it nearer to the model that it started from."""

    changes_step: ClassVar[bool] = True
    replaces_loss: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not self.beta > 0:
            raise SpecError(f"dpo: beta must be above 0, not {self.beta}")

    def pair_losses(
        self,
        chosen: Float[Array, "B P"],
        rejected: Float[Array, "B P"],
        base_chosen: Float[Array, "B P"],
        base_rejected: Float[Array, "B P"],
    ) -> Float[Array, "B P"]:
        """One loss a pair; log 2 where the model is still its base."""
        return -jax.nn.log_sigmoid(self.beta * ((chosen - base_chosen) - (rejected - base_rejected)))
