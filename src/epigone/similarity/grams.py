"""Token ids to n-grams: which n-grams of 1 to 4 tokens each text holds, and which texts hold each n-gram.

In: Tokens. Out: Texts (n-grams by text) and Postings (texts by n-gram). Ids are exact: an n-gram is the pair of the
(n-1)-grams that it begins and ends with, and equal pairs share an id. N-grams that cannot match anything on the other
side are left out on the way, so that no longer n-gram is built on them.
Source: Zobel and Moffat (2006), Inverted files for text search engines, https://doi.org/10.1145/1132956.1132959
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from epigone.similarity.compiled import compiled, compiled_part
from epigone.similarity.tokens import Tokens, by_length

MAX_ORDER = 4
MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
FOLD = np.uint64(29)


class Texts(NamedTuple):
    """The different n-grams of each text, with their counts."""

    lengths: NDArray[np.int64]
    """Tokens of each text, known ones or not."""
    bounds: NDArray[np.int64]
    """(texts, 5): the n-grams of order n of text t stand in `grams` from bounds[t, n - 1] to bounds[t, n]."""
    masses: NDArray[np.int64]
    """(texts, 4): occurrences of known n-grams, by order."""
    grams: NDArray[np.int32]
    """Ids, ascending within a text."""
    counts: NDArray[np.int32]
    """How often the text holds each."""


class Postings(NamedTuple):
    """The texts that hold each n-gram."""

    starts: NDArray[np.int64]
    """Where each n-gram's texts start; one more than there are n-grams."""
    texts: NDArray[np.int32]
    """Ascending for each n-gram."""
    counts: NDArray[np.int32]


class Corpus(NamedTuple):
    """Texts made ready to be searched."""

    texts: Texts
    """By length, short ones first."""
    numbers: NDArray[np.int64]
    """The number of each text before they were put in that order."""
    held: Postings


class Table(NamedTuple):
    """A hash table from a pair of n-grams, as one number, to the n-gram that they make."""

    keys: NDArray[np.int64]
    """-1 where a slot is free; the number of slots is a power of 2."""
    values: NDArray[np.int32]


@compiled_part
def _slot(keys, key):
    """The slot that holds the key, or the free one where it belongs."""
    mask = np.uint64(len(keys) - 1)
    mixed = np.uint64(key) * MULTIPLIER
    at = (mixed ^ (mixed >> FOLD)) & mask
    while keys[np.int64(at)] != key and keys[np.int64(at)] >= 0:
        at = (at + np.uint64(1)) & mask
    return np.int64(at)


@compiled
def _rehash(old, new):
    for slot in range(len(old.keys)):
        if old.keys[slot] >= 0:
            to = _slot(new.keys, old.keys[slot])
            new.keys[to] = old.keys[slot]
            new.values[to] = old.values[slot]


@compiled
def _intern(shorter, starts, longer, table, progress):
    """Fill `longer`, text by text, until the table is full; progress is (next text, next id)."""
    while progress[0] < len(starts) - 1:
        start, end = starts[progress[0]], starts[progress[0] + 1]
        if 2 * (progress[2] + end - start) > len(table.keys):
            return False
        for at in range(start, end - 1):
            if shorter[at] >= 0 and shorter[at + 1] >= 0:
                key = np.int64(shorter[at]) << 32 | np.int64(shorter[at + 1])
                slot = _slot(table.keys, key)
                if table.keys[slot] < 0:
                    table.keys[slot] = key
                    table.values[slot] = progress[1]
                    progress[1] += 1
                    progress[2] += 1
                longer[at] = table.values[slot]
        progress[0] += 1
    return True


@compiled
def _look_up(shorter, starts, longer, table):
    for text in range(len(starts) - 1):
        for at in range(starts[text], starts[text + 1] - 1):
            if shorter[at] >= 0 and shorter[at + 1] >= 0:
                key = np.int64(shorter[at]) << 32 | np.int64(shorter[at + 1])
                slot = _slot(table.keys, key)
                if table.keys[slot] >= 0:
                    longer[at] = table.values[slot]


@compiled
def _keep_shared(ids, starts, first, num_ids):
    """Renumber the ids from `first` on, -1 where only one text holds an n-gram; returns how many are left."""
    holder = np.full(num_ids, -1, dtype=np.int32)
    for text in range(len(starts) - 1):
        for at in range(starts[text], starts[text + 1]):
            gram = ids[at] - first
            if gram >= 0:
                if holder[gram] == -1:
                    holder[gram] = text
                elif holder[gram] != text:
                    holder[gram] = -2
    left = 0
    for gram in range(num_ids):
        shared = holder[gram] == -2
        holder[gram] = first + left if shared else -1
        left += shared
    for at in range(len(ids)):
        if ids[at] >= 0:
            ids[at] = holder[ids[at] - first]
    return left


@compiled
def _count_holders(ids, starts, num_grams):
    """Where the texts of each n-gram will start, and end, in postings without gaps."""
    ends = np.zeros(num_grams + 1, dtype=np.int64)
    last = np.full(num_grams, -1, dtype=np.int32)
    for text in range(len(starts) - 1):
        for order in range(MAX_ORDER):
            for at in range(starts[text], starts[text + 1]):
                gram = ids[order, at]
                if gram >= 0 and last[gram] != text:
                    last[gram] = text
                    ends[gram + 1] += 1
    for gram in range(num_grams):
        ends[gram + 1] += ends[gram]
    return ends


@compiled
def _hold(ids, starts, ends):
    """The texts of each n-gram, and how often each holds it, from the ids at each position, (4, positions)."""
    holders = np.empty(ends[-1], dtype=np.int32)
    counts = np.zeros(ends[-1], dtype=np.int32)
    last = np.full(len(ends) - 1, -1, dtype=np.int32)
    places = ends[:-1] - 1
    for text in range(len(starts) - 1):
        for order in range(MAX_ORDER):
            for at in range(starts[text], starts[text + 1]):
                gram = ids[order, at]
                if gram < 0:
                    continue
                if last[gram] != text:
                    last[gram] = text
                    places[gram] += 1
                    holders[places[gram]] = text
                counts[places[gram]] += 1
    return holders, counts


@compiled
def _by_text(ends, holders, counts, num_texts, firsts):
    """The n-grams of each text from the postings; an order's n-grams start at `firsts`."""
    bounds = np.zeros((num_texts, MAX_ORDER + 1), dtype=np.int64)
    masses = np.zeros((num_texts, MAX_ORDER), dtype=np.int64)
    for order in range(MAX_ORDER):
        for at in range(ends[firsts[order]], ends[firsts[order + 1]]):
            bounds[holders[at], order + 1] += 1
            masses[holders[at], order] += counts[at]
    size = 0
    places = np.empty(num_texts, dtype=np.int64)
    for text in range(num_texts):
        bounds[text, 0] = places[text] = size
        for order in range(MAX_ORDER):
            size += bounds[text, order + 1]
            bounds[text, order + 1] = size
    grams = np.empty(size, dtype=np.int32)
    held = np.empty(size, dtype=np.int32)
    for gram in range(len(ends) - 1):
        for at in range(ends[gram], ends[gram + 1]):
            place = places[holders[at]]
            grams[place], held[place] = gram, counts[at]
            places[holders[at]] += 1
    return bounds, masses, grams, held


def _new_table(num_slots: int) -> Table:
    return Table(np.full(num_slots, -1, dtype=np.int64), np.empty(num_slots, dtype=np.int32))


def _grow(table: Table) -> Table:
    larger = _new_table(2 * len(table.keys))
    _rehash(table, larger)
    return larger


def _intern_all(shorter: NDArray[np.int32], starts: NDArray[np.int64], table: Table, progress: NDArray[np.int64]):
    """Ids of the next order for every position, and the table, grown if need be. `progress` counts on."""
    longer = np.full(len(shorter), -1, dtype=np.int32)
    progress[0] = 0
    while not _intern(shorter, starts, longer, table, progress):
        table = _grow(table)
    return longer, table


def _both_ways(ids: NDArray[np.int32], starts: NDArray[np.int64], firsts: list[int]) -> tuple[Texts, Postings]:
    """N-grams by text and texts by n-gram, from the ids at each position; order n has ids from firsts[n - 1] on."""
    ends = _count_holders(ids, starts, firsts[-1])
    held = Postings(ends, *_hold(ids, starts, ends))
    return Texts(np.diff(starts), *_by_text(*held, len(starts) - 1, np.array(firsts))), held


def shared_grams(tokens: Tokens, num_tokens: int) -> Corpus:
    """Texts by the n-grams that two of them hold or more: all that matters when they are compared with one another."""
    tokens, numbers = by_length(tokens)
    ids = np.full((MAX_ORDER, len(tokens.ids)), -1, dtype=np.int32)
    ids[0] = tokens.ids
    firsts = [0, int(_keep_shared(ids[0], tokens.starts, 0, num_tokens))]
    for order in range(1, MAX_ORDER):
        progress = np.array([0, firsts[-1], 0])
        ids[order], _ = _intern_all(ids[order - 1], tokens.starts, _new_table(1 << 16), progress)
        firsts.append(firsts[-1] + int(_keep_shared(ids[order], tokens.starts, firsts[-1], int(progress[2]))))
    texts, held = _both_ways(ids, tokens.starts, firsts)
    return Corpus(texts, numbers, held)


@dataclass(frozen=True, eq=False)
class Grams:
    """All n-grams of some texts, in which other texts' n-grams are looked up."""

    texts: Texts
    """The texts that the n-grams are of."""
    firsts: list[int]
    """The first id of each order, and one more than the last of all."""
    table: Table

    @classmethod
    def of(cls, tokens: Tokens, num_tokens: int) -> "Grams":
        """Token ids are those of a vocabulary of `num_tokens`; -1 is in no n-gram."""
        ids = np.full((MAX_ORDER, len(tokens.ids)), -1, dtype=np.int32)
        ids[0] = tokens.ids
        firsts = [0, num_tokens]
        table, progress = _new_table(1 << 12), np.array([0, num_tokens, 0])
        for order in range(1, MAX_ORDER):
            ids[order], table = _intern_all(ids[order - 1], tokens.starts, table, progress)
            firsts.append(int(progress[1]))
        return cls(_both_ways(ids, tokens.starts, firsts)[0], firsts, table)

    def corpus(self, tokens: Tokens) -> Corpus:
        """Other texts by these n-grams, to be searched."""
        tokens, numbers = by_length(tokens)
        texts, held = self._found(tokens)
        return Corpus(texts, numbers, held)

    def look_up(self, tokens: Tokens) -> Texts:
        """Other texts by these n-grams; n-grams that are not among them are left out."""
        return self._found(tokens)[0]

    def _found(self, tokens: Tokens) -> tuple[Texts, Postings]:
        ids = np.full((MAX_ORDER, len(tokens.ids)), -1, dtype=np.int32)
        ids[0] = tokens.ids
        for order in range(1, MAX_ORDER):
            _look_up(ids[order - 1], tokens.starts, ids[order], self.table)
        return _both_ways(ids, tokens.starts, self.firsts)
