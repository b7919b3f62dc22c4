"""What a training pass leaves out at random: parts of what layers add, tokens of the past.

In: one key a block, so that a block loses the same whatever batch or part of a batch it is in. Out: the residual stream
after a layer, the attention bias. Sources: dropout, Srivastava et al. 2014 (JMLR 15), on the residual stream as in
GPT-2; forgetful causal masking, arXiv 2210.13432, as in EasyLM (https://github.com/young-geng/EasyLM): one mask for all
queries, heads and layers of a block, and the first token of a document is always seen.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from epigone.models.layers import MASKED


class Noise(NamedTuple):
    """None for a share: nothing of that kind is computed at all."""

    keys: Key[Array, " B"]
    dropout: Float[Array, ""] | None = None
    """Share of what a layer adds to the residual stream that is dropped; the rest grows to make up for it."""
    forgetful: Float[Array, ""] | None = None
    """Largest share of a block's tokens that its queries do not see; each block draws its own, from 0 to this."""

    def after_layer(
        self, before: Float[Array, "B T D"], after: Float[Array, "B T D"], index: Int[Array, ""]
    ) -> Float[Array, "B T D"]:
        """The residual stream with part of what the layer `index` added dropped, attention and MLP together."""
        if self.dropout is None:
            return after
        kept = jax.vmap(lambda key: jax.random.uniform(key, before.shape[1:]))(self._keys(1 + index)) >= self.dropout
        return before + jnp.where(kept, (after - before) / (1.0 - self.dropout), 0.0).astype(before.dtype)

    def forget(self, bias_BTT: Float[Array, "B T T"], positions_BT: Int[Array, "B T"]) -> Float[Array, "B T T"]:
        """The bias with forgotten tokens masked for every query, themselves included."""
        if self.forgetful is None:
            return bias_BTT
        drawn = jax.vmap(lambda key: jax.random.uniform(key, (1 + positions_BT.shape[1],)))(self._keys(0))
        seen_BT = (drawn[:, 1:] >= drawn[:, :1] * self.forgetful) | (positions_BT == 0)
        return jnp.where(seen_BT[:, None, :], bias_BTT, MASKED)

    def _keys(self, purpose: Int[Array, ""] | int) -> Key[Array, " B"]:
        return jax.vmap(jax.random.fold_in, (0, None))(self.keys, purpose)
