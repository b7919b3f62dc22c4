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
from jaxtyping import Array, Bool, Float, Int, Key, UInt

How = Literal["greedy", "sampled", "filtered"]
NUM_BEST = 1024
"""Of a larger vocabulary only so many tokens are sorted on a CPU, where they hold enough: of 262,144, sorting all takes
longer than a small model's step."""


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
    rows = scaled_BV, asked.top_p, asked.top_k
    if jax.default_backend() == "cpu" and scaled_BV.shape[1] > NUM_BEST:
        least_B = jax.lax.map(lambda row: _least_of_best(*row), rows)
    else:
        least_B = jax.vmap(lambda x_V, p, k: _least(jnp.sort(x_V, descending=True), _total(x_V), p, k)[0])(*rows)
    return jnp.where(scaled_BV >= least_B[:, None], scaled_BV, -jnp.inf)


def _least_of_best(scaled_V: Float[Array, " V"], top_p: Float[Array, ""], top_k: Int[Array, ""]) -> Float[Array, ""]:
    """What `_least` gives, by sorting the few best alone where they are enough; row by row, since few rows are not."""
    total = _total(scaled_V)
    least, is_enough = _least(jax.lax.top_k(scaled_V, NUM_BEST)[0], total, top_p, top_k)

    def by_all() -> Float[Array, ""]:
        return _least(jnp.sort(scaled_V, descending=True), total, top_p, top_k)[0]

    return jax.lax.cond(is_enough | ((top_p >= 1) & (top_k <= 0)), lambda: least, by_all)


def _least(
    sorted_N: Float[Array, " N"], total: Float[Array, ""], top_p: Float[Array, ""], top_k: Int[Array, ""]
) -> tuple[Float[Array, ""], Bool[Array, ""]]:
    """The least logit that is left in, of a row's N best, best first; and whether N are enough to tell.

    `total` is the logarithm of the mass of all tokens. A row that leaves nothing out has minus infinity.
    """
    rank_N = jnp.arange(len(sorted_N))
    best_N = (rank_N < top_k) | (top_k <= 0)
    mass_N = jnp.where(best_N, jnp.exp(sorted_N - total), 0.0)
    whole = jnp.where(top_k > 0, mass_N.sum(), 1.0)
    before_N = jnp.cumsum(mass_N) - mass_N
    held_N = best_N & ((before_N < top_p * whole) | (top_p >= 1)) | (rank_N == 0)
    least = jnp.min(jnp.where(held_N, sorted_N, jnp.inf))
    is_enough = ((top_k > 0) & (top_k <= len(sorted_N))) | ((top_k <= 0) & ~held_N[-1])
    return jnp.where((top_p >= 1) & (top_k <= 0), -jnp.inf, least), is_enough


def _total(scaled_V: Float[Array, " V"]) -> Float[Array, ""]:
    return jax.nn.logsumexp(scaled_V)
