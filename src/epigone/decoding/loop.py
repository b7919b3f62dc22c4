"""The compiled part of decoding: read new rows into slots, draw some tokens for all rows, score given tokens.

In: the cache of all slots and padded batches of token ids. Out: the cache, tokens and log-probabilities, one row each.
Slot s of a row of the cache holds the token at position s, so that a row's cache can be copied to begin another row's.
Drawing reads the cache without writing it: what is drawn within a call goes to a few columns beside it, at the same
place for every row, and is copied to each row's own place once, when the call ends; a scatter a token costs more on a
CPU than a small model's step. Letters as in `models.layers`; C columns, P slots of a past, M scored tokens of a row.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PyTree

from epigone.decoding.sampling import Drawing, How, choose
from epigone.models import decoder
from epigone.models.family import Family, Model, ModelConfig
from epigone.models.layers import KVCache, Past, Sight

Params = PyTree[Float[Array, "..."]]
NUM_COLUMNS = 8
"""Tokens drawn in one call at most.

A row that ends within a call waits for the call's end, four steps on average; a call costs a tiny model's dispatch
(about a tenth of its eight steps) and one copy of the keys and values that are read.
"""
NUM_PLACES = 64
"""Tokens of a row whose logits are held at once: with a vocabulary of 262,144 they take 64 MiB."""


class New(NamedTuple):
    """Rows to be read: padded tokens behind the first `shared` that slot `donor` holds already, and where they go.

    A padding row repeats another one, and does its work again.
    """

    tokens: Int[Array, "B T"]
    lengths: Int[Array, " B"]
    slots: Int[Array, " B"]
    donor: Int[Array, ""]
    shared: Int[Array, ""]
    drawing: Drawing


class Running(NamedTuple):
    """Rows that draw: `lengths` tokens are in the cache, `last` is not yet; `num_drawn` so far, `left` to come."""

    slots: Int[Array, " B"]
    lengths: Int[Array, " B"]
    last: Int[Array, " B"]
    num_drawn: Int[Array, " B"]
    left: Int[Array, " B"]
    drawing: Drawing


class Drawn(NamedTuple):
    """The tokens of a call with their natural-log probabilities; behind a row's end they mean nothing."""

    tokens: Int[Array, "B C"]
    logprobs: Float[Array, "B C"]


class Marked(NamedTuple):
    """Rows to be scored: a trunk and branches behind it, each of which sees the trunk and itself.

    `branches` is 0 in the trunk, 1.. in a branch, -1 in padding; `asked` are the places of the tokens to be scored and
    `before` the places whose features foretell them.
    """

    tokens: Int[Array, "B T"]
    branches: Int[Array, "B T"]
    positions: Int[Array, "B T"]
    asked: Int[Array, "B M"]
    before: Int[Array, "B M"]


class Scored(NamedTuple):
    """Log-probability of each token that was asked for, and the likeliest tokens in its place."""

    logprobs: Float[Array, "B M"]
    top_tokens: Int[Array, "B M A"]
    top_logprobs: Float[Array, "B M A"]


@partial(jax.jit, static_argnames=("family", "config", "how", "num_past"), donate_argnames="cache")
def read(
    params: Params, cache: KVCache, new: New, *, family: Family, config: ModelConfig, how: How, num_past: int
) -> tuple[KVCache, Drawn]:
    """New rows into their slots, and the first token of each. `num_past` is room for what is shared, 0 for nothing."""
    batch_size, length = new.tokens.shape
    donor = KVCache(*(x[:, :, :, :num_past] for x in _row(cache, new.donor)))
    known = KVCache(donor.keys[:, 0], donor.values[:, 0])
    past = _past_of(known, new.shared, batch_size, length) if num_past else None
    features_BTD, own = _read(Model(family, config, params), new.tokens, new.shared, past)
    last_BD = features_BTD[jnp.arange(batch_size), new.lengths - 1]
    first_B, logprobs_B = choose(
        family.logits(params, config, last_BD), new.drawing, jnp.zeros(batch_size, jnp.int32), how
    )

    def place(row: Int[Array, ""], into: KVCache) -> KVCache:
        into = _put(into, donor, new.slots[row], jnp.int32(0)) if num_past else into
        return _put(into, _row(own, row), new.slots[row], new.shared)

    return jax.lax.fori_loop(0, batch_size, place, cache), Drawn(first_B[:, None], logprobs_B[:, None])


@partial(jax.jit, static_argnames=("family", "config", "how", "num_seen"), donate_argnames="cache")
def draw(
    params: Params,
    cache: KVCache,
    running: Running,
    is_end_V: Bool[Array, " V"],
    num_steps: Int[Array, ""],
    *,
    family: Family,
    config: ModelConfig,
    how: How,
    num_seen: int,
) -> tuple[KVCache, Drawn]:
    """Up to `num_steps` more tokens a row, fewer once all rows are done; `num_seen` slots hold all that was read."""
    model, batch_size = Model(family, config, params), len(running.slots)
    past = _slots_of(params, cache, running, num_seen)
    zeros_BC = jnp.zeros((batch_size, NUM_COLUMNS), jnp.int32)
    start = (
        jnp.int32(0),
        running.last,
        running.left <= 0,
        Drawn(zeros_BC, jnp.zeros(zeros_BC.shape)),
        decoder.empty_cache(config, batch_size, NUM_COLUMNS, cache.keys.dtype),
    )

    def step(carry: tuple[Array, Array, Array, Drawn, KVCache]) -> tuple[Array, Array, Array, Drawn, KVCache]:
        column, last_B, done_B, drawn, recent = carry
        features_BD, recent = _read_last(model, running, column, last_B, recent, past)
        logits_BV = family.logits(params, config, features_BD)
        last_B, logprobs_B = choose(logits_BV, running.drawing, running.num_drawn + column, how)
        drawn = Drawn(drawn.tokens.at[:, column].set(last_B), drawn.logprobs.at[:, column].set(logprobs_B))
        return column + 1, last_B, done_B | is_end_V[last_B] | (column + 1 >= running.left), drawn, recent

    _, _, _, drawn, recent = jax.lax.while_loop(lambda carry: (carry[0] < num_steps) & ~carry[2].all(), step, start)

    def place(row: Int[Array, ""], into: KVCache) -> KVCache:
        return _put(into, _row(recent, row), running.slots[row], running.lengths[row])

    return jax.lax.fori_loop(0, batch_size, place, cache), drawn


@partial(jax.jit, static_argnames=("family", "config"))
def remember(params: Params, tokens_1T: Int[Array, "1 T"], *, family: Family, config: ModelConfig) -> KVCache:
    """Keys and values of a padded beginning that rows to be scored share, without a batch dim."""
    _, own = _read(Model(family, config, params), tokens_1T, jnp.int32(0), None)
    return KVCache(own.keys[:, 0], own.values[:, 0])


@partial(jax.jit, static_argnames=("family", "config", "num_top"))
def score(
    params: Params,
    marked: Marked,
    shared: KVCache | None,
    num_shared: Int[Array, ""],
    *,
    family: Family,
    config: ModelConfig,
    num_top: int = 0,
) -> Scored:
    """Log-probabilities of the tokens asked for. Logits are made row by row and a few places at a time, for memory.

    Positions count from the beginning of what is shared, of which `num_shared` tokens are no padding.
    """
    model, (batch_size, length) = Model(family, config, params), marked.tokens.shape
    same_BTT = (marked.branches[:, :, None] == marked.branches[:, None, :]) | (marked.branches == 0)[:, None, :]
    sight = Sight(same_BTT & jnp.tril(jnp.ones((length, length), bool)), marked.positions)
    past = None if shared is None else _past_of(shared, num_shared, batch_size, length)
    features_BTD, _ = _features(model, marked.tokens, marked.positions, sight, past)

    def places(x: tuple[Array, Array]) -> Scored:
        features_MD, tokens_M = x
        logprobs_MV = jax.nn.log_softmax(family.logits(params, config, features_MD))
        found_M = jnp.take_along_axis(logprobs_MV, tokens_M[:, None], axis=-1)[:, 0]
        top, best = jax.lax.top_k(logprobs_MV, num_top) if num_top else (logprobs_MV[:, :0], tokens_M[:, None][:, :0])
        return Scored(found_M, best, top)

    def row(x: tuple[Array, Array, Array, Array]) -> Scored:
        features_TD, tokens_T, asked_M, before_M = x
        num_at_once = min(len(asked_M), NUM_PLACES)  # both are powers of two
        features_PMD, tokens_PM = (
            each.reshape(-1, num_at_once, *each.shape[1:]) for each in (features_TD[before_M], tokens_T[asked_M])
        )
        return Scored(*(x.reshape(len(asked_M), *x.shape[2:]) for x in jax.lax.map(places, (features_PMD, tokens_PM))))

    return jax.lax.map(row, (features_BTD, jnp.asarray(marked.tokens), marked.asked, marked.before))


def _read(
    model: Model, tokens_BT: Int[Array, "B T"], start: Int[Array, ""], past: Past | None
) -> tuple[Float[Array, "B T D"], KVCache]:
    """Features, and the keys and values, of tokens that follow on `start` others."""
    length = tokens_BT.shape[1]
    positions_BT = jnp.broadcast_to(start + jnp.arange(length), tokens_BT.shape)
    causal_BTT = jnp.broadcast_to(jnp.tril(jnp.ones((length, length), bool)), (*tokens_BT.shape, length))
    return _features(model, tokens_BT, positions_BT, Sight(causal_BTT, positions_BT), past)


def _features(
    model: Model, tokens_BT: Int[Array, "B T"], positions_BT: Int[Array, "B T"], sight: Sight, past: Past | None
) -> tuple[Float[Array, "B T D"], KVCache]:
    empty = decoder.empty_cache(model.config, tokens_BT.shape[0], tokens_BT.shape[1])
    return decoder.features_cached(
        model.family, model.params, model.config, tokens_BT, positions_BT, empty, slot=0, sight=sight, past=past
    )


def _read_last(
    model: Model, running: Running, column: Int[Array, ""], last_B: Int[Array, " B"], recent: KVCache, past: Past
) -> tuple[Float[Array, "B D"], KVCache]:
    """Features of the token drawn last, and the columns with it."""
    columns_C = jnp.arange(NUM_COLUMNS)
    sight = Sight(
        jnp.broadcast_to(columns_C <= column, (len(last_B), 1, NUM_COLUMNS)), running.lengths[:, None] + columns_C
    )
    features_B1D, recent = decoder.features_cached(
        model.family,
        model.params,
        model.config,
        last_B[:, None],
        (running.lengths + column)[:, None],
        recent,
        slot=column,
        sight=sight,
        past=past,
    )
    return features_B1D[:, 0], recent


def _slots_of(params: Params, cache: KVCache, running: Running, num_seen: int) -> Past:
    """What the rows read before, cut out of the cache once a call; by layer where layers run one after the other."""
    slots_S = jnp.arange(num_seen)
    sight = Sight(
        (slots_S < running.lengths[:, None])[:, None], jnp.broadcast_to(slots_S, (len(running.slots), num_seen))
    )
    if isinstance(params["layers"], tuple):

        def by_layer(x: Float[Array, "L N K S H"]) -> tuple[Float[Array, "B K P H"], ...]:
            return tuple(x[layer, running.slots, :, :num_seen] for layer in range(x.shape[0]))

        return Past(by_layer(cache.keys), by_layer(cache.values), sight)
    return Past(cache.keys[:, running.slots, :, :num_seen], cache.values[:, running.slots, :, :num_seen], sight)


def _past_of(shared: KVCache, num_shared: Int[Array, ""], batch_size: int, length: int) -> Past:
    """What every row sees alike: the first `num_shared` slots."""
    slots_P = jnp.arange(shared.keys.shape[-2])
    visible_BTP = jnp.broadcast_to(slots_P < num_shared, (batch_size, length, len(slots_P)))
    return Past(shared.keys, shared.values, Sight(visible_BTP, jnp.broadcast_to(slots_P, (batch_size, len(slots_P)))))


def _row(cache: KVCache, row: Int[Array, ""]) -> KVCache:
    return KVCache(*(jax.lax.dynamic_slice_in_dim(x, row, 1, axis=1) for x in cache))


def _put(into: KVCache, part: KVCache, row: Int[Array, ""], start: Int[Array, ""]) -> KVCache:
    """One row's keys and values to its slots from `start`."""
    return KVCache(
        *(jax.lax.dynamic_update_slice(x, y.astype(x.dtype), (0, row, 0, start, 0)) for x, y in zip(into, part))
    )
