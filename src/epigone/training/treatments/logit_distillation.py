"""The treatment `logit_distillation`: a student learns a teacher's whole next-token distribution, not its words alone.

In: a teacher's checkpoint of the same vocabulary, which reads every batch. Out: weight x temperature^2 x
KL(teacher || student), in nats, added to the loss of every learnt token. A teacher behind a server gives no such
distribution, or a few of its likeliest tokens: this asks for the checkpoint.
Source: Hinton, Vinyals & Dean 2015, arXiv 1503.02531, section 2.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from epigone.errors import SpecError
from epigone.models.family import Model
from epigone.models.weights import load_checkpoint
from epigone.parallel.mesh import Mesh
from epigone.training.treatment import Treatment


@dataclass(frozen=True)
class LogitDistillation(Treatment):
    """Which teacher, and how much it counts beside the words."""

    path: str
    """Folder of the teacher's checkpoint, or its .gguf file."""
    weight: float | int = 1.0
    """Nats of loss per nat of divergence."""
    temperature: float | int = 1.0
    """Both distributions are flattened by it: logits are divided by it."""

    changes_step: ClassVar[bool] = True
    compares_logits: ClassVar[bool] = True
    has_reference: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for name in ("weight", "temperature"):
            if not getattr(self, name) > 0:
                raise SpecError(f"logit_distillation: {name} must be above 0, not {getattr(self, name)}")

    def reference(self, mesh: Mesh | None) -> Model:
        """The teacher."""
        return load_checkpoint(Path(self.path), mesh)

    def token_penalty(self, logits: Float[Array, "B T V"], base_logits: Float[Array, "B T V"]) -> Float[Array, "B T"]:
        """Divergence of the student's distribution from the teacher's, whose logits `base_logits` are here."""
        ours, theirs = (jax.nn.log_softmax(each / self.temperature) for each in (logits, base_logits))
        divergence = jnp.sum(jnp.exp(theirs) * (theirs - ours), axis=-1)
        return self.weight * self.temperature**2 * divergence
