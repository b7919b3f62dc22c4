"""How the next token is drawn: greedily, or at a temperature with randomness that belongs to the row alone."""

import hashlib
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key


def row_seed(prompt: Sequence[int], seed: int) -> int:
    """32 bits from a prompt and the seed, so that a row's text depends neither on its order nor on its neighbours."""
    content = np.asarray([seed, *prompt], np.int64).tobytes()
    return int.from_bytes(hashlib.blake2b(content, digest_size=4).digest(), "little")


def choose(
    logits_BV: Float[Array, "B V"], keys_B: Key[Array, " B"], step: Int[Array, ""], temperature: Float[Array, ""]
) -> tuple[Int[Array, " B"], Float[Array, " B"]]:
    """The next tokens, and their natural-log probabilities at temperature 1. Temperature 0 is greedy."""

    def draw() -> Int[Array, " B"]:
        # one uniform number a row: a gumbel a logit would cost as much as a small model's forward pass
        uniform_B = jax.vmap(lambda key: jax.random.uniform(jax.random.fold_in(key, step)))(keys_B)
        mass_BV = jnp.cumsum(jax.nn.softmax(logits_BV / temperature), axis=-1)
        below_B = jnp.sum(mass_BV <= uniform_B[:, None] * mass_BV[:, -1:], axis=-1)
        return jnp.minimum(below_B, logits_BV.shape[1] - 1)  # rounding may reach the whole mass

    tokens_B = jax.lax.cond(temperature > 0, draw, lambda: jnp.argmax(logits_BV, axis=-1))
    chosen_B = jnp.take_along_axis(logits_BV, tokens_B[:, None], axis=-1)[:, 0]
    return tokens_B, chosen_B - jax.nn.logsumexp(logits_BV, axis=-1)
