"""Masked next-token cross entropy, at once or a piece of the blocks after the other.

In: logits of packed blocks. Out: its sum over the tokens that are learnt, and their number; the mean over a batch is
sum / count, so that every learnt token weighs the same however it is packed. Source: the paper, section 4.1
("standard LM losses on only the model outputs").
"""

from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int, PyTree, Shaped

Sums = TypeVar("Sums", bound=PyTree[Float[Array, "..."]])


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
    weights = targets(loss_mask_BT, segment_ids_BT).astype(logits_BTV.dtype)
    return jnp.sum(token_losses(logits_BTV, following(tokens_BT)) * weights), jnp.sum(weights)


def following(tokens_BT: Int[Array, "B T"]) -> Int[Array, "B T"]:
    """The token after each; what stands after the last means nothing.

    Rolling the tokens and not slicing the logits saves a copy of the largest array there is (13 % of a step on CPU).
    """
    return jnp.roll(tokens_BT, -1, axis=1)


def token_losses(logits_BTV: Float[Array, "B T V"], following_BT: Int[Array, "B T"]) -> Float[Array, "B T"]:
    """Cross entropy of every token with the one that follows, learnt or not."""
    return optax.softmax_cross_entropy_with_integer_labels(logits_BTV, following_BT)


def num_pieces(batch_size: int, length: int, vocab_size: int, max_bytes: int) -> int:
    """Into how many equal pieces blocks are cut along T for fp32 logits of a piece to stay within `max_bytes`.

    One position of all blocks is the least that there is.
    """
    position_bytes = batch_size * vocab_size * 4
    divisors = (n for n in range(1, length + 1) if length % n == 0)
    return next((n for n in divisors if length // n * position_bytes <= max_bytes), length)


def summed(
    sums_of: Callable[[PyTree[Shaped[Array, "B t ..."]]], Sums], arrays: PyTree[Shaped[Array, "B T ..."]], pieces: int
) -> Sums:
    """Sums over all tokens of what `sums_of` adds up over some of them.

    Of more than one piece, the backward pass computes each anew: the logits of one piece are all that is ever there.
    """
    if pieces == 1:
        return sums_of(arrays)
    cut = jax.tree.map(lambda x: x.reshape(x.shape[0], pieces, -1, *x.shape[2:]).swapaxes(0, 1), arrays)
    return jax.tree.map(lambda x: jnp.sum(x, axis=0), jax.lax.map(jax.checkpoint(sums_of), cut))
