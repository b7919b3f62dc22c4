"""The treatment `average_with_base`: the finished student is the weighted mean of its parameters and its base's.

In: the parameters of both, after training. Out: (1 - share) x student + share x base. Training itself is as without it.
Source: WiSE-FT, arXiv 2109.01903.
"""

from dataclasses import dataclass

import jax

from epigone.errors import SpecError
from epigone.training.treatment import Params, Treatment


@dataclass(frozen=True)
class AverageWithBase(Treatment):
    """How far it goes back."""

    share: float | int
    """Of the base: 0 is the student, 1 the base itself."""

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise SpecError(f"average_with_base: share must lie from 0 to 1, not {self.share}")

    def finished(self, params: Params, base: Params) -> Params:
        """The mean, parameter by parameter."""
        return jax.tree.map(lambda ours, theirs: (1 - self.share) * ours + self.share * theirs, params, base)
