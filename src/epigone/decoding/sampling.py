"""How the next token is drawn: greedily, or at a temperature with randomness that belongs to the row alone.

In: logits, and what each row asked for. Out: a token a row and its log-probability. Letters: B rows, V vocabulary.
Sources: top-k arXiv 1805.04833; top-p (nucleus) arXiv 1904.09751; in that order, as `transformers` applies them.
"""

import hashlib
from collections.abc import Sequence
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key, UInt

How = Literal["greedy", "sampled", "filtered"]


class Drawing(NamedTuple):
    """What each row asked for. Temperature 0 is greedy; `top_k` 0 and `top_p` 1 leave nothing out."""

    seeds: UInt[Array, " B"]
    temperature: Float[Array, " B"]
    top_p: Float[Array, " B"]
    top_k: Int[Array, " B"]


def row_seed(prompt: Sequence[int], seed: int) -> int:
    """32 bits from a prompt and the seed, so that a row's text depends neither on its order nor on its neighbours."""
    content = np.asarray([seed, *prompt], np.int64).tobytes()
    return int.from_bytes(hashlib.blake2b(content, digest_size=4).digest(), "little")


def choose(
    logits_BV: Float[Array, "B V"], asked: Drawing, num_drawn_B: Int[Array, " B"], how: How
) -> tuple[Int[Array, " B"], Float[Array, " B"]]:
    """The next tokens, and their natural-log probabilities at temperature 1. `num_drawn_B` tokens came before.

    `how` is known when this is compiled: greedy rows alone, rows that draw from all tokens too, or any rows.
    """
    tokens_B = jnp.argmax(logits_BV, axis=-1)
    if how != "greedy":
        scaled_BV = logits_BV / jnp.where(asked.temperature > 0, asked.temperature, 1)[:, None]
        if how == "filtered":
            scaled_BV = _left_in(scaled_BV, asked)
        drawn_B = _from_cumulated(jax.nn.softmax(scaled_BV), _uniform(_keys(asked.seeds), num_drawn_B))
        tokens_B = jnp.where(asked.temperature > 0, drawn_B, tokens_B)
    chosen_B = jnp.take_along_axis(logits_BV, tokens_B[:, None], axis=-1)[:, 0]
    return tokens_B, chosen_B - jax.nn.logsumexp(logits_BV, axis=-1)


def _keys(seeds_B: UInt[Array, " B"]) -> Key[Array, " B"]:
    return jax.vmap(jax.random.key)(seeds_B)


def _uniform(keys_B: Key[Array, " B"], num_drawn_B: Int[Array, " B"]) -> Float[Array, " B"]:
    """One number a row: a gumbel a logit would cost as much as a small model's forward pass."""
    return jax.vmap(lambda key, step: jax.random.uniform(jax.random.fold_in(key, step)))(keys_B, num_drawn_B)


def _from_cumulated(mass_BV: Float[Array, "B V"], uniform_B: Float[Array, " B"]) -> Int[Array, " B"]:
    total_BV = jnp.cumsum(mass_BV, axis=-1)
    below_B = jnp.sum(total_BV <= uniform_B[:, None] * total_BV[:, -1:], axis=-1)
    return jnp.minimum(below_B, mass_BV.shape[1] - 1)  # rounding may reach the whole mass


def _left_in(scaled_BV: Float[Array, "B V"], asked: Drawing) -> Float[Array, "B V"]:
    """Logits with all but the `top_k` best, and of these all but the fewest that hold `top_p`, at minus infinity.

    Tokens as likely as the last that is left in are left in too.
    """
    sorted_BV = jnp.sort(scaled_BV, axis=-1, descending=True)
    rank_V = jnp.arange(scaled_BV.shape[1])
    most_B = jnp.where(asked.top_k > 0, asked.top_k, scaled_BV.shape[1])
    best_BV = rank_V < most_B[:, None]
    mass_BV = jax.nn.softmax(jnp.where(best_BV, sorted_BV, -jnp.inf))
    before_BV = jnp.cumsum(mass_BV, axis=-1) - mass_BV
    held_BV = best_BV & ((before_BV < asked.top_p[:, None]) | (asked.top_p >= 1)[:, None])
    least_B = jnp.min(jnp.where(held_BV | (rank_V == 0), sorted_BV, jnp.inf), axis=-1)
    return jnp.where(scaled_BV >= least_B[:, None], scaled_BV, -jnp.inf)
