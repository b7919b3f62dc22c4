"""Losses of pairs: two answers to one prompt, the chosen and the rejected one, each by its whole log-likelihood.

In: blocks of pairs (`tokens.pairs`): in every block segments 1 and 2 are a pair, 3 and 4 the next, the chosen answer
first. Out: log-likelihoods by segment, and a loss a pair. A pair of which one answer has no learnt token is none.
Source: Rafailov et al. 2023, arXiv 2305.18290, whose loss reads nothing else.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from epigone.training.loss import targets


def segment_sums(values_Bt: Float[Array, "B t"], segment_ids_Bt: Int[Array, "B t"], most: int) -> Float[Array, "B S"]:
    """Sums of the values by segment, from 0 (padding) up to at least `most`, so many that whole pairs follow the 0."""
    width = most + 1 + most % 2

    def one(values_t: Float[Array, " t"], segment_ids_t: Int[Array, " t"]) -> Float[Array, " S"]:
        return jax.ops.segment_sum(values_t, segment_ids_t, num_segments=width)

    return jax.vmap(one)(values_Bt, segment_ids_Bt)


def of_pairs(
    losses_of: Callable[..., Float[Array, "B P"] | None],
    ours_BS: Float[Array, "B S"],
    base_BS: Float[Array, "B S"],
    weights_BT: Float[Array, "B T"],
    segment_ids_BT: Int[Array, "B T"],
) -> Float[Array, "B P"]:
    """The loss of every pair, 0 where there is none."""
    is_pair = _is_pair(weights_BT, segment_ids_BT)
    losses = losses_of(ours_BS[:, 1::2], ours_BS[:, 2::2], base_BS[:, 1::2], base_BS[:, 2::2])
    assert losses is not None
    return jnp.where(is_pair, losses, 0.0)


def num_pairs(loss_mask_BT: Bool[Array, "B T"], segment_ids_BT: Int[Array, "B T"]) -> Float[Array, ""]:
    """How many pairs there are."""
    weights = targets(loss_mask_BT, segment_ids_BT).astype(jnp.float32)
    return jnp.sum(_is_pair(weights, segment_ids_BT).astype(jnp.float32))


def _is_pair(weights_BT: Float[Array, "B T"], segment_ids_BT: Int[Array, "B T"]) -> Bool[Array, "B P"]:
    counts_BS = segment_sums(weights_BT, segment_ids_BT, weights_BT.shape[1])
    return (counts_BS[:, 1::2] > 0) & (counts_BS[:, 2::2] > 0)
