"""The characters of texts to token ids, compiled: sacrebleu's 13a rules, or whitespace alone.

In: code points. Out: ids, where equal ids mean equal tokens, letter by letter.

The 13a rules look at a character and its neighbour and put spaces around what they find, so they never look past
whitespace: each piece between two spaces is split for itself, by the four substitutions one after the other.
Source: sacrebleu.tokenizers.tokenizer_13a and tokenizer_re, https://github.com/mjpost/sacrebleu
"""

import re
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from epigone.similarity.compiled import compiled, compiled_part

SPACE, COMMA, DASH, DOT, NINE, ZERO = map(ord, " ,-.90")
NUM_ASCII = 128
PAST_SPACES = 0x3001
"""No character from here on is whitespace."""
IS_SPACE = np.array([chr(letter).isspace() for letter in range(PAST_SPACES)])
STANDS_ALONE = np.array([bool(re.match(r"[\{-\~\[-\` -\&\(-\+\:-\@\/]", chr(letter))) for letter in range(NUM_ASCII)])
"""The characters that are a token each, wherever they stand."""
GROWTH = 12
"""At most by this factor do the four substitutions lengthen a piece: 3 for the first, 2 each for two others."""
OFFSET, PRIME, FOLD = np.uint64(14695981039346656037), np.uint64(1099511628211), np.uint64(32)


class Store(NamedTuple):
    """Every token that is known, by id, and a hash table to find it."""

    slots: NDArray[np.int32]
    """Ids, -1 where free; the number of slots is a power of 2."""
    starts: NDArray[np.int64]
    """Where each token starts in `letters`, and where the last one ends."""
    hashes: NDArray[np.uint64]
    letters: NDArray[np.uint32]
    used: NDArray[np.int64]
    """How many tokens are known."""


class Output(NamedTuple):
    """Where the ids of texts are written."""

    ids: NDArray[np.int32]
    """Room for as many ids as there are letters."""
    ends: NDArray[np.int64]
    """Where the ids of each text end."""
    size: NDArray[np.int64]
    """How many ids there are."""


class How(NamedTuple):
    """How texts are split."""

    rules: bool
    """Whether by the 13a rules, or at whitespace alone."""
    grows: bool
    """Whether a token that is not known gets an id, or -1."""


def new_store(num_tokens: int, num_letters: int) -> Store:
    """Room for so many tokens and letters; the first is a power of 2."""
    return Store(
        np.full(2 * num_tokens, -1, dtype=np.int32),
        np.zeros(num_tokens + 1, dtype=np.int64),
        np.zeros(num_tokens, dtype=np.uint64),
        np.zeros(num_letters, dtype=np.uint32),
        np.zeros(1, dtype=np.int64),
    )


@compiled_part
def _hash(letters, start, end):
    mixed = OFFSET
    for at in range(start, end):
        mixed = (mixed ^ np.uint64(letters[at])) * PRIME
    return mixed ^ (mixed >> FOLD)


@compiled_part
def _is_token(store, token, letters, start, end):
    first = store.starts[token]
    if store.starts[token + 1] - first != end - start:
        return False
    at = 0
    while at < end - start and store.letters[first + at] == letters[start + at]:
        at += 1
    return at == end - start


@compiled_part
def _find(store, letters, start, end, grows):
    """The token's id; that of a new one, or -1 where the store no longer grows."""
    mixed = _hash(letters, start, end)
    mask = len(store.slots) - 1
    at = np.int64(mixed & np.uint64(mask))
    while store.slots[at] >= 0:
        token = store.slots[at]
        if store.hashes[token] == mixed and _is_token(store, token, letters, start, end):
            return token
        at = (at + 1) & mask
    if not grows:
        return np.int32(-1)
    token = np.int32(store.used[0])
    first = store.starts[token]
    for k in range(end - start):
        store.letters[first + k] = letters[start + k]
    store.starts[token + 1] = first + end - start
    store.hashes[token], store.slots[at] = mixed, token
    store.used[0] += 1
    return token


@compiled
def refill(old, new):
    """Put all tokens of a store into a larger one."""
    mask = len(new.slots) - 1
    for token in range(old.used[0]):
        at = np.int64(old.hashes[token] & np.uint64(mask))
        while new.slots[at] >= 0:
            at = (at + 1) & mask
        new.slots[at] = token
        new.hashes[token], new.starts[token + 1] = old.hashes[token], old.starts[token + 1]
    for at in range(old.starts[old.used[0]]):
        new.letters[at] = old.letters[at]
    new.used[0] = old.used[0]


@compiled_part
def _is_digit(letter):
    return ZERO <= letter <= NINE


@compiled_part
def _is_point(letter):
    return COMMA <= letter <= DOT and letter != DASH


@compiled_part
def _set_apart(letters, start, end, out):
    """A space on each side of the piece, and of each character that stands alone: ([...]) to ' \\1 '."""
    out[0], size = SPACE, 1
    for at in range(start, end):
        if letters[at] < NUM_ASCII and STANDS_ALONE[letters[at]]:
            out[size], out[size + 1], out[size + 2] = SPACE, letters[at], SPACE
            size += 3
        else:
            out[size] = letters[at]
            size += 1
    out[size] = SPACE
    return size + 1


@compiled_part
def _points_before(piece, size, out):
    """([^0-9])([\\.,]) to '\\1 \\2 '."""
    at, to = 0, 0
    while at < size:
        out[to] = piece[at]
        at, to = at + 1, to + 1
        if at < size and _is_point(piece[at]) and not _is_digit(piece[at - 1]):
            out[to], out[to + 1], out[to + 2] = SPACE, piece[at], SPACE
            at, to = at + 1, to + 3
    return to


@compiled_part
def _points_after(piece, size, out):
    """([\\.,])([^0-9]) to ' \\1 \\2'."""
    at, to = 0, 0
    while at < size:
        if at + 1 < size and _is_point(piece[at]) and not _is_digit(piece[at + 1]):
            out[to], out[to + 1], out[to + 2], out[to + 3] = SPACE, piece[at], SPACE, piece[at + 1]
            at, to = at + 2, to + 4
        else:
            out[to] = piece[at]
            at, to = at + 1, to + 1
    return to


@compiled_part
def _dashes_after(piece, size, out):
    """([0-9])(-) to '\\1 \\2 '."""
    at, to = 0, 0
    while at < size:
        out[to] = piece[at]
        at, to = at + 1, to + 1
        if at < size and piece[at] == DASH and _is_digit(piece[at - 1]):
            out[to], out[to + 1], out[to + 2] = SPACE, DASH, SPACE
            at, to = at + 1, to + 3
    return to


@compiled_part
def _needs_rules(letters, start, end):
    for at in range(start, end):
        letter = letters[at]
        if letter < NUM_ASCII and (STANDS_ALONE[letter] or COMMA <= letter <= DOT):
            return True
    return False


@compiled_part
def _split_piece(letters, start, end, store, how, out):
    """Write the ids of one piece by the rules."""
    one = np.empty(GROWTH * (end - start + 2), dtype=np.uint32)
    two = np.empty_like(one)
    length = _set_apart(letters, start, end, one)
    length = _points_before(one, length, two)
    length = _points_after(two, length, one)
    length = _dashes_after(one, length, two)
    first = 0
    for at in range(length):
        if two[at] == SPACE:
            if at > first:
                out.ids[out.size[0]] = _find(store, two, first, at, how.grows)
                out.size[0] += 1
            first = at + 1


@compiled_part
def _is_space(letter):
    return letter < PAST_SPACES and IS_SPACE[letter]


@compiled_part
def _split_text(letters, start, end, store, how, out):
    """Write the ids of one text."""
    at = start
    while at < end:
        while at < end and _is_space(letters[at]):
            at += 1
        first = at
        while at < end and not _is_space(letters[at]):
            at += 1
        if how.rules and _needs_rules(letters, first, at):
            _split_piece(letters, first, at, store, how, out)
        elif at > first:
            out.ids[out.size[0]] = _find(store, letters, first, at, how.grows)
            out.size[0] += 1


@compiled
def split(letters, ends, store, how, out, first):
    """Split texts from number `first` on until the store might be full; returns the number of the next text."""
    for text in range(first, len(ends)):
        start = ends[text - 1] if text > 0 else 0
        num_letters, num_tokens = ends[text] - start, store.used[0]
        if how.grows and (
            num_tokens + num_letters > len(store.hashes) or store.starts[num_tokens] + num_letters > len(store.letters)
        ):
            return text
        _split_text(letters, start, ends[text], store, how, out)
        out.ends[text] = out.size[0]
    return len(ends)
