"""How a forward pass is computed: precision, what is remembered for the backward pass, which attention.

In: the choices of a Compute. Out: parameters cast, layers rematerialised. Beyond rounding no choice changes a result.
Source: mixed precision arXiv 1710.03740 (fp32 masters are the caller's); https://docs.jax.dev/en/latest/gradient-checkpointing.html
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from epigone.errors import SpecError

CHOICES = {"dtype": ("float32", "bfloat16"), "remat": ("none", "dots", "full"), "attention": ("xla", "cudnn")}

Carry = TypeVar("Carry")
Row = TypeVar("Row")
Out = TypeVar("Out")


@dataclass(frozen=True)
class Compute:
    """Hashable, so that it can be a static argument of compiled functions. Raises SpecError for an unknown choice."""

    dtype: str = "float32"
    """What matrices and activations are computed in; norms, softmax and logits stay in fp32."""
    remat: str = "none"
    """What the backward pass computes again: nothing; all but matrix products; all of each layer."""
    attention: str = "xla"
    """xla (anywhere), or cudnn (fused, NVIDIA cards only, bfloat16 only): packed documents are apart in both."""

    def __post_init__(self) -> None:
        for field, allowed in CHOICES.items():
            if (value := getattr(self, field)) not in allowed:
                raise SpecError(f"compute: no {field} {value!r}; there is: {', '.join(allowed)}")
        if self.attention == "cudnn" and self.dtype != "bfloat16":
            raise SpecError(f"compute: attention cudnn computes in bfloat16 only, not {self.dtype}; take attention xla")

    def cast(self, params: PyTree[Float[Array, "..."]]) -> PyTree[Float[Array, "..."]]:
        """Parameters in the precision of the pass."""
        return jax.tree.map(lambda x: x.astype(jnp.dtype(self.dtype)), params)

    def remembered(self, layer: Callable[[Carry, Row], Out]) -> Callable[[Carry, Row], Out]:
        """The layer, with its intermediate results kept or computed again."""
        if self.remat == "none":
            return layer
        kept = jax.checkpoint_policies.dots_with_no_batch_dims_saveable if self.remat == "dots" else None
        return jax.checkpoint(layer, policy=kept)


DEFAULT = Compute()
