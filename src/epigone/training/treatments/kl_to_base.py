"""The treatment `kl_to_base`: a student is held to what its base would have said, token by token, against forgetting.

In: the student's logits and the base's for the same tokens. Out: weight x KL(base || student), in nats, added to the
loss of every learnt token. Source: learning without forgetting, arXiv 1606.09282, whose second target is what the old
model would have said.
"""

from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from epigone.errors import SpecError
from epigone.training.treatment import Treatment


@dataclass(frozen=True)
class KlToBase(Treatment):
    """How much it counts."""

    weight: float | int
    """Nats of loss per nat of divergence."""

    changes_step: ClassVar[bool] = True
    compares_logits: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not self.weight > 0:
            raise SpecError(f"kl_to_base: weight must be above 0, not {self.weight}")

    def token_penalty(self, logits: Float[Array, "B T V"], base_logits: Float[Array, "B T V"]) -> Float[Array, "B T"]:
        """Divergence of the whole next-token distribution, times the weight."""
        ours, theirs = jax.nn.log_softmax(logits), jax.nn.log_softmax(base_logits)
        return self.weight * jnp.sum(jnp.exp(theirs) * (theirs - ours), axis=-1)
