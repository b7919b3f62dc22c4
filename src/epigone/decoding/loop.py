"""The compiled part of decoding: prefill and draw until every row is done; and the likelihood of given tokens.

In: padded batches of token ids. Prompts are padded on the right; what is drawn goes to the cache slots behind the
padding, at the positions right after the prompt, and padding is never visible. Out: arrays, one row a prompt. One
compilation serves all checkpoints of a Config at one shape; the number of tokens to draw is no part of the shape.
Letters as in `models.layers`; P prompt tokens, N = S - P tokens that there is room to draw.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PyTree, UInt

from epigone.decoding.sampling import choose
from epigone.models import decoder
from epigone.models.family import Family, Model, ModelConfig
from epigone.models.layers import KVCache


class Asked(NamedTuple):
    """A padded batch; a row of length 0 is nobody's. `seeds` holds 32 random bits a row."""

    prompts: Int[Array, "B P"]
    lengths: Int[Array, " B"]
    seeds: UInt[Array, " B"]
    is_end: Bool[Array, " V"]
    temperature: Float[Array, ""]
    max_new: Int[Array, ""]


class Drawn(NamedTuple):
    """What was drawn so far: `num` tokens a row with the sum of their log-probabilities; `done` where an end came."""

    step: Int[Array, ""]
    last: Int[Array, " B"]
    tokens: Int[Array, "B N"]
    num: Int[Array, " B"]
    logprob: Float[Array, " B"]
    done: Bool[Array, " B"]


@partial(jax.jit, static_argnames=("family", "config", "num_slots"))
def generate(
    params: PyTree[Float[Array, "..."]], asked: Asked, *, family: Family, config: ModelConfig, num_slots: int
) -> Drawn:
    """Prefill, then draw until every row is done or `max_new` tokens are there."""
    model = Model(family, config, params)

    def more(carry: tuple[Drawn, KVCache]) -> Bool[Array, ""]:
        return (carry[0].step < asked.max_new) & ~carry[0].done.all()

    def extend(carry: tuple[Drawn, KVCache]) -> tuple[Drawn, KVCache]:
        features_BD, cache = _read_last(model, asked, *carry)
        return _draw(model, asked, carry[0], features_BD), cache

    features_BD, cache = _read_prompts(model, asked, num_slots)
    batch_size, num_prompt = asked.prompts.shape
    zeros_B = jnp.zeros(batch_size, jnp.int32)
    tokens_BN = jnp.zeros((batch_size, num_slots - num_prompt), jnp.int32)
    nothing = Drawn(jnp.int32(0), zeros_B, tokens_BN, zeros_B, jnp.zeros(batch_size), asked.lengths == 0)
    return jax.lax.while_loop(more, extend, (_draw(model, asked, nothing, features_BD), cache))[0]


@partial(jax.jit, static_argnames=("family", "config"))
def score(
    params: PyTree[Float[Array, "..."]],
    tokens_BT: Int[Array, "B T"],
    starts_B: Int[Array, " B"],
    lengths_B: Int[Array, " B"],
    *,
    family: Family,
    config: ModelConfig,
) -> Float[Array, " B"]:
    """Sum of log-probabilities of the tokens [start, length) of each row. Logits are made row by row, for memory."""
    index_T = jnp.arange(tokens_BT.shape[1])
    segment_ids_BT = (index_T < lengths_B[:, None]).astype(jnp.int32)
    positions_BT = jnp.broadcast_to(index_T, tokens_BT.shape)
    features_BTD = decoder.features(family, params, config, tokens_BT, positions_BT, segment_ids_BT)

    def row_sum(row: tuple[Array, Array, Array, Array]) -> Float[Array, ""]:
        features_TD, tokens_T, start, length = row
        logits_TV = family.logits(params, config, features_TD[:-1])
        chosen_T = jnp.take_along_axis(logits_TV, tokens_T[1:, None], axis=-1)[:, 0]
        wanted_T = (index_T[1:] >= start) & (index_T[1:] < length)
        return jnp.sum(jnp.where(wanted_T, chosen_T - jax.nn.logsumexp(logits_TV, axis=-1), 0.0))

    return jax.lax.map(row_sum, (features_BTD, tokens_BT, starts_B, lengths_B))


def _read_prompts(model: Model, asked: Asked, num_slots: int) -> tuple[Float[Array, "B D"], KVCache]:
    """Features of each prompt's last token, and the cache of all prompts."""
    batch_size, num_prompt = asked.prompts.shape
    index_P = jnp.arange(num_prompt)
    causal_PS = jnp.arange(num_slots) <= index_P[:, None]
    features_BPD, cache = decoder.features_cached(
        model.family,
        model.params,
        model.config,
        asked.prompts,
        jnp.broadcast_to(index_P, asked.prompts.shape),
        decoder.empty_cache(model.config, batch_size, num_slots),
        slot=0,
        visible_BTS=jnp.broadcast_to(causal_PS, (batch_size, num_prompt, num_slots)),
    )
    return features_BPD[jnp.arange(batch_size), jnp.maximum(asked.lengths - 1, 0)], cache


def _read_last(model: Model, asked: Asked, drawn: Drawn, cache: KVCache) -> tuple[Float[Array, "B D"], KVCache]:
    """Features of the token drawn last, and the cache with it."""
    num_prompt, slots_S = asked.prompts.shape[1], jnp.arange(cache.keys.shape[3])
    slot = num_prompt + drawn.step - 1
    visible_BS = (slots_S < asked.lengths[:, None]) | ((slots_S >= num_prompt) & (slots_S <= slot))
    features_B1D, cache = decoder.features_cached(
        model.family,
        model.params,
        model.config,
        drawn.last[:, None],
        (asked.lengths + drawn.step - 1)[:, None],
        cache,
        slot=slot,
        visible_BTS=visible_BS[:, None],
    )
    return features_B1D[:, 0], cache


def _draw(model: Model, asked: Asked, drawn: Drawn, features_BD: Float[Array, "B D"]) -> Drawn:
    """One more token for every row that is not done."""
    logits_BV = model.family.logits(model.params, model.config, features_BD)
    keys_B = jax.vmap(jax.random.key)(asked.seeds)
    last_B, logprob_B = choose(logits_BV, keys_B, drawn.step, asked.temperature)
    running_B = ~drawn.done
    return Drawn(
        step=drawn.step + 1,
        last=last_B,
        tokens=drawn.tokens.at[:, drawn.step].set(jnp.where(running_B, last_B, 0)),
        num=drawn.num + running_B,
        logprob=drawn.logprob + jnp.where(running_B, logprob_B, 0.0),
        done=drawn.done | asked.is_end[last_B],
    )
