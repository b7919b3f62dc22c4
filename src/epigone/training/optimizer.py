"""How a run learns: the Recipe, and AdamW with its schedule made from it.

In: a Recipe. Out: an optax transformation whose rates are arrays, so that runs which differ in them alone share one
compiled step. Source: the paper, section 4.1 (AdamW, linear warm-up from 0, "gradients re-scaled by the magnitude of
each weight"); warm-up then cosine as in EasyLM (https://github.com/young-geng/EasyLM).
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, PyTree

from epigone.errors import SpecError
from epigone.models.params import Param

SCHEDULES = ("constant", "linear", "cosine")
RMS_FLOOR = 1e-3


@dataclass(frozen=True)
class Recipe:
    """The options of one training run; exactly one of num_epochs and num_steps is given."""

    learning_rate: float
    """Peak rate."""
    batch_size: int
    """Blocks a step."""
    num_epochs: int | None = None
    """Passes over the blocks; every block is seen exactly that often."""
    num_steps: int | None = None
    """Steps, over as many passes as they take."""
    warmup_steps: int = 0
    """Steps of linear warm-up from 0."""
    warmup_share: float | None = None
    """Warm-up as a share of all steps (0-1), instead of warmup_steps."""
    schedule: str = "constant"
    """What the rate does after the warm-up: constant, linear or cosine."""
    final_share: float = 0.1
    """Share of the peak at which a falling schedule ends."""
    b1: float = 0.9
    b2: float = 0.98
    weight_decay: float = 0.0
    """Decoupled; norms and biases are left out."""
    clip_norm: float = 1.0
    """Largest global norm of the gradients."""
    scale_by_parameter: bool = False
    """The paper's re-scaling: each update times the root mean square of its weights, per layer."""
    seed: int = 0
    """Order of the blocks."""

    def __post_init__(self) -> None:
        if (self.num_epochs is None) == (self.num_steps is None):
            raise SpecError("a Recipe needs exactly one of num_epochs and num_steps")
        if self.schedule not in SCHEDULES:
            raise SpecError(f"no schedule {self.schedule!r}; there is: {', '.join(SCHEDULES)}")
        for name in ("batch_size", "num_epochs", "num_steps", "learning_rate", "clip_norm"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise SpecError(f"{name} must be above 0, not {value}")
        for name in ("warmup_share", "final_share", "b1", "b2"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise SpecError(f"{name} is a share from 0 to 1, not {value}")

    def total_steps(self, num_blocks: int) -> int:
        """Steps of a run over so many blocks; the last batch may be part empty."""
        if self.num_steps is not None:
            return self.num_steps
        return math.ceil((self.num_epochs or 0) * num_blocks / self.batch_size)

    def rates(self, total_steps: int) -> "Rates":
        """The numbers that the compiled step takes."""
        warmup = self.warmup_steps if self.warmup_share is None else round(self.warmup_share * total_steps)
        return Rates(
            learning_rate=jnp.float32(self.learning_rate),
            warmup_steps=jnp.float32(warmup),
            total_steps=jnp.float32(total_steps),
            schedule=jnp.int32(SCHEDULES.index(self.schedule)),
            final_share=jnp.float32(self.final_share),
            b1=jnp.float32(self.b1),
            b2=jnp.float32(self.b2),
            weight_decay=jnp.float32(self.weight_decay),
            clip_norm=jnp.float32(self.clip_norm),
        )


class Rates(NamedTuple):
    """A Recipe as scalar arrays; `schedule` counts the choices of SCHEDULES."""

    learning_rate: Float[Array, ""]
    warmup_steps: Float[Array, ""]
    total_steps: Float[Array, ""]
    schedule: Int[Array, ""]
    final_share: Float[Array, ""]
    b1: Float[Array, ""]
    b2: Float[Array, ""]
    weight_decay: Float[Array, ""]
    clip_norm: Float[Array, ""]


def learning_rate(rates: Rates, step: Int[Array, "*s"]) -> Float[Array, "*s"]:
    """The rate of a step (from 0): optax.warmup_cosine_decay_schedule and its siblings, with every number an array."""
    warm = step / jnp.maximum(rates.warmup_steps, 1.0)
    done = (step - rates.warmup_steps) / jnp.maximum(rates.total_steps - rates.warmup_steps, 1.0)
    done = jnp.clip(done, 0.0, 1.0)
    left = jnp.stack([jnp.ones_like(done), 1.0 - done, 0.5 * (1.0 + jnp.cos(jnp.pi * done))])[rates.schedule]
    share = rates.final_share + (1.0 - rates.final_share) * left
    return rates.learning_rate * jnp.where(step < rates.warmup_steps, warm, share)


def adamw(rates: Rates, tree: PyTree[Param], *, scale_by_parameter: bool = False) -> optax.GradientTransformation:
    """Clip, Adam, re-scale (if asked), decay, rate. `tree` tells matrices from norms, and which leaves are stacked."""
    return optax.chain(
        optax.clip_by_global_norm(rates.clip_norm),
        optax.scale_by_adam(rates.b1, rates.b2),
        _scale_by_parameter_rms(tree) if scale_by_parameter else optax.identity(),
        optax.add_decayed_weights(rates.weight_decay, mask=jax.tree.map(lambda p: len(p.shape) - p.stacked > 1, tree)),
        optax.scale_by_learning_rate(lambda count: learning_rate(rates, jnp.asarray(count))),
    )


def _scale_by_parameter_rms(tree: PyTree[Param]) -> optax.GradientTransformation:
    def scaled(param: Param, update: Float[Array, "..."], value: Float[Array, "..."]) -> Float[Array, "..."]:
        # A stacked leaf holds many layers: its root mean square is taken for each by itself.
        axes = tuple(range(int(param.stacked), value.ndim))
        rms = jnp.sqrt(jnp.mean(value * value, axis=axes, keepdims=True))
        return update * jnp.maximum(rms, RMS_FLOOR)

    return optax.stateless(lambda updates, params: jax.tree.map(scaled, tree, updates, params))
