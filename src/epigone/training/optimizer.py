"""How a run learns: the Recipe, and the optimizers with their schedule made from it.

In: a Recipe. Out: an optax transformation whose rates are arrays, so that runs which differ in them alone share one
compiled step. Source: the paper, section 4.1 (AdamW, linear warm-up from 0, "gradients re-scaled by the magnitude of
each weight", which can be read in more than one way: docs/decisions/0013); warm-up then cosine, and the optimizer that
is not Adam, as in EasyLM (https://github.com/young-geng/EasyLM, `optimizers.py`).
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int, PyTree, UInt

from epigone.errors import SpecError
from epigone.models.params import Param

SCHEDULES = ("constant", "linear", "cosine")
OPTIMIZERS = ("adamw", "adamw-scaled-update", "adamw-scaled-gradient", "adafactor-scaled-update")
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
    optimizer: str = "adamw"
    """adamw; with its updates, or its gradients, times the root mean square of the weights that they change, layer by
    layer: adamw-scaled-update, adamw-scaled-gradient; adafactor-scaled-update: what the paper's authors published."""
    accumulation: int = 1
    """Parts that a batch is taken in, one after the other, where it does not fit into memory; no result changes."""
    dropout: float = 0.0
    """Share of what each layer adds to the residual stream that is left out at random; Koala's was 0.05."""
    forgetful_share: float = 0.0
    """Forgetful causal masking: at most this share of a block's past tokens cannot be seen; Koala's was 0.1."""
    seed: int = 0
    """Order of the blocks, and what is left out at random."""

    def __post_init__(self) -> None:
        if (self.num_epochs is None) == (self.num_steps is None):
            raise SpecError("a Recipe needs exactly one of num_epochs and num_steps")
        for name, allowed in (("schedule", SCHEDULES), ("optimizer", OPTIMIZERS)):
            if getattr(self, name) not in allowed:
                raise SpecError(f"no {name} {getattr(self, name)!r}; there is: {', '.join(allowed)}")
        for name in ("batch_size", "num_epochs", "num_steps", "learning_rate", "clip_norm", "accumulation"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise SpecError(f"{name} must be above 0, not {value}")
        for name in ("warmup_share", "final_share", "b1", "b2", "dropout", "forgetful_share"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise SpecError(f"{name} is a share from 0 to 1, not {value}")
        if self.dropout == 1:
            raise SpecError("dropout must be below 1: nothing would be left")
        if self.batch_size % self.accumulation:
            raise SpecError(f"a batch of {self.batch_size} blocks cannot be taken in {self.accumulation} equal parts")

    def total_steps(self, num_blocks: int) -> int:
        """Steps of a run over so many blocks; the last batch may be part empty."""
        if self.num_steps is not None:
            return self.num_steps
        return math.ceil((self.num_epochs or 0) * num_blocks / self.batch_size)

    def warmup_of(self, total_steps: int) -> int:
        """Warm-up steps of a run of so many steps."""
        return self.warmup_steps if self.warmup_share is None else round(self.warmup_share * total_steps)

    def rates(self, total_steps: int) -> "Rates":
        """The numbers that the compiled step takes."""
        warmup = self.warmup_of(total_steps)
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
            seed=jnp.uint32(self.seed),
            dropout=jnp.float32(self.dropout) if self.dropout else None,
            forgetful_share=jnp.float32(self.forgetful_share) if self.forgetful_share else None,
        )


class Rates(NamedTuple):
    """A Recipe as scalar arrays; `schedule` counts the choices of SCHEDULES; None is what is not computed at all."""

    learning_rate: Float[Array, ""]
    warmup_steps: Float[Array, ""]
    total_steps: Float[Array, ""]
    schedule: Int[Array, ""]
    final_share: Float[Array, ""]
    b1: Float[Array, ""]
    b2: Float[Array, ""]
    weight_decay: Float[Array, ""]
    clip_norm: Float[Array, ""]
    seed: UInt[Array, ""]
    dropout: Float[Array, ""] | None
    forgetful_share: Float[Array, ""] | None


def learning_rate(rates: Rates, step: Int[Array, "*s"]) -> Float[Array, "*s"]:
    """The rate of a step (from 0): optax.warmup_cosine_decay_schedule and its siblings, with every number an array."""
    warm = step / jnp.maximum(rates.warmup_steps, 1.0)
    done = (step - rates.warmup_steps) / jnp.maximum(rates.total_steps - rates.warmup_steps, 1.0)
    done = jnp.clip(done, 0.0, 1.0)
    left = jnp.stack([jnp.ones_like(done), 1.0 - done, 0.5 * (1.0 + jnp.cos(jnp.pi * done))])[rates.schedule]
    share = rates.final_share + (1.0 - rates.final_share) * left
    return rates.learning_rate * jnp.where(step < rates.warmup_steps, warm, share)


def make(name: str, rates: Rates, tree: PyTree[Param]) -> optax.GradientTransformation:
    """The optimizer of a name. `tree` tells matrices from norms, and which leaves are stacked.

    Gradients are clipped first, by their norm over all parameters; weights decay at the rate of the step.
    """

    def rate(step: ArrayLike) -> Float[Array, ""]:
        return learning_rate(rates, jnp.asarray(step))

    decayed = jax.tree.map(lambda p: len(p.shape) - p.stacked > 1, tree)
    if name == "adafactor-scaled-update":
        # No Adam: b2 is the exponent of a growing memory, and the momentum is one of updates that hold their rate.
        return optax.chain(
            optax.clip_by_global_norm(rates.clip_norm),
            optax.scale_by_factored_rms(factored=False, decay_rate=rates.b2),
            optax.scale_by_learning_rate(rate),
            _scale_by_parameter_rms(tree),
            optax.ema(rates.b1, debias=False),
            optax.add_decayed_weights(lambda step: -rates.weight_decay * rate(step), mask=decayed),
        )
    return optax.chain(
        optax.clip_by_global_norm(rates.clip_norm),
        _scale_by_parameter_rms(tree) if name == "adamw-scaled-gradient" else optax.identity(),
        optax.scale_by_adam(rates.b1, rates.b2),
        _scale_by_parameter_rms(tree) if name == "adamw-scaled-update" else optax.identity(),
        optax.add_decayed_weights(rates.weight_decay, mask=decayed),
        optax.scale_by_learning_rate(rate),
    )


def _scale_by_parameter_rms(tree: PyTree[Param]) -> optax.GradientTransformation:
    def scaled(param: Param, update: Float[Array, "..."], value: Float[Array, "..."]) -> Float[Array, "..."]:
        # A stacked leaf holds many layers: its root mean square is taken for each by itself.
        axes = tuple(range(int(param.stacked), value.ndim))
        rms = jnp.sqrt(jnp.mean(value * value, axis=axes, keepdims=True))
        return update * jnp.maximum(rms, RMS_FLOOR)

    return optax.stateless(lambda updates, params: jax.tree.map(scaled, tree, updates, params))
