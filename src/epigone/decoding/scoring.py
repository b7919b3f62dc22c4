"""What is computed to score continuations: every beginning once, however many continuations and items share it.

In: pairs of token ids, a prefix and a continuation. Out: batches of padded rows (`loop.Marked`), and which pair each
scored token belongs to. Continuations of one prefix, such as the options of a question, stand behind it in one row, as
branches that do not see one another; rows that begin alike, such as questions behind the same exemplars, share the
keys and values of that beginning. Pure.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from epigone.decoding import prefixes
from epigone.decoding.loop import Marked
from epigone.decoding.shapes import doubled, first_part, padded

Pair = tuple[Sequence[int], Sequence[int]]
BATCH_TOKENS = 2048
"""Padded tokens of a batch, but for a single row that is longer."""
_ROW_TOKENS = 128
"""Length up to which branches share a row whatever their trunk; beyond it, only up to twice the trunk's."""


class Row(NamedTuple):
    """A prefix and its continuations, each with the number of its pair."""

    trunk: Sequence[int]
    branches: list[tuple[int, Sequence[int]]]

    @property
    def length(self) -> int:
        """Number of tokens."""
        return len(self.trunk) + sum(len(tokens) for _, tokens in self.branches)


class Batch(NamedTuple):
    """Rows, padded; behind `shared` tokens that they all begin with and that are not among theirs.

    `asked` names the pair of every scored token of a row, in order.
    """

    shared: Sequence[int]
    marked: Marked
    asked: list[list[int]]


def batches(pairs: Sequence[Pair], batch_size: int, *, share_prefixes: bool) -> Iterator[Batch]:
    """Everything once, in rows of like length; the last tokens of every prefix stay in its own row."""
    rows = _rows(pairs) if share_prefixes else [Row(prefix, [(i, tail)]) for i, (prefix, tail) in enumerate(pairs)]
    groups = prefixes.grouped([row.trunk for row in rows]) if share_prefixes else []
    alone = [group.rows[0] for group in groups if not group.length] if share_prefixes else range(len(rows))
    yield from _cut([rows[i] for i in alone], 0, batch_size)
    for group in groups:
        if group.length:
            yield from _cut([rows[i] for i in group.rows], group.length, batch_size)


def _rows(pairs: Sequence[Pair]) -> list[Row]:
    """Pairs of one prefix together, as long as a row stays short."""
    rows: list[Row] = []
    open_rows: dict[tuple[int, ...], Row] = {}
    for number, (prefix, continuation) in enumerate(pairs):
        row = open_rows.get(key := tuple(prefix))
        if row is None or row.length + len(continuation) > max(_ROW_TOKENS, 2 * len(prefix)):
            row = open_rows[key] = Row(prefix, [])
            rows.append(row)
        row.branches.append((number, continuation))
    return rows


def _cut(rows: Sequence[Row], num_shared: int, batch_size: int) -> Iterator[Batch]:
    left = sorted(rows, key=lambda row: row.length)
    while left:
        count, computed = first_part([row.length - num_shared for row in left], batch_size, BATCH_TOKENS)
        yield _batch(left[:count], num_shared, computed)
        left = left[count:]


def _batch(rows: Sequence[Row], num_shared: int, computed: int) -> Batch:
    shape = computed, padded(max(row.length for row in rows) - num_shared)
    num_asked = doubled(max(row.length - len(row.trunk) for row in rows))
    tokens_BT, positions_BT, asked_BM, before_BM = (
        np.zeros((computed, n), np.int32) for n in (shape[1], shape[1], num_asked, num_asked)
    )
    branches_BT = np.full(shape, -1, np.int32)
    pairs: list[list[int]] = []
    for place, row in enumerate(rows):
        end = len(row.trunk) - num_shared
        tokens_BT[place, :end] = row.trunk[num_shared:]
        branches_BT[place, :end] = 0
        positions_BT[place, :end] = num_shared + np.arange(end)
        asked: list[int] = []
        start = end
        for branch, (pair, tokens) in enumerate(row.branches, 1):
            own = slice(start, start + len(tokens))
            tokens_BT[place, own] = tokens
            branches_BT[place, own] = branch
            positions_BT[place, own] = len(row.trunk) + np.arange(len(tokens))
            into = slice(len(asked), len(asked) + len(tokens))
            asked_BM[place, into] = np.arange(own.start, own.stop)
            before_BM[place, into] = [end - 1, *range(own.start, own.stop - 1)]
            asked += [pair] * len(tokens)
            start = own.stop
        pairs.append(asked)
    marked = Marked(*map(jnp.asarray, (tokens_BT, branches_BT, positions_BT, asked_BM, before_BM)))
    return Batch(rows[0].trunk[:num_shared], marked, pairs)
