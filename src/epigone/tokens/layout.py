"""Where every sequence goes in blocks of one length, worked out from the sequences' lengths alone.

In: the number of tokens of every sequence. Out: a Layout: which stretch of which sequence stands in which block, from
which column on; and what was split and cut. Tokens need not be in memory for it.
Source: best fit decreasing (Johnson 1973, Near-optimal bin packing algorithms), in windows; for the stream the stack of
the paper's authors (https://github.com/young-geng/EasyLM).
"""

import bisect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Int, Int64

from epigone.errors import SpecError

WINDOW = 2048
"""Pieces that are sorted by length at a time, so that packing is linear in the data and keeps its rough order."""

Lengths = Int[np.ndarray, " n"]
Stretch = tuple[int, int, int]
"""Sequence, first token, one after the last token."""


@dataclass(frozen=True)
class PackCounts:
    """What went in and what was cut: num_tokens = tokens in the blocks + num_tokens_cut."""

    num_sequences: int
    num_tokens: int
    num_split: int = 0
    num_truncated: int = 0
    num_tokens_cut: int = 0


@dataclass(frozen=True, eq=False)
class Layout:
    """Pieces block after block, in the order in which they stand there."""

    length: int
    num_rows: int
    stretches: Int64[np.ndarray, "p 3"]
    """Sequence, first token and one after the last token of every piece."""
    first_piece: Int64[np.ndarray, " r"]
    """The first piece of every block, and the number of pieces at the end."""
    is_stream: bool = False
    """Whether a block is one segment, whatever it holds."""

    def pieces(self, first: int, last: int) -> Iterator[tuple[int, int, int, int, int, int]]:
        """(block, column, segment, sequence, start, stop) of every piece in the blocks `first` to `last` - 1."""
        for row in range(first, last):
            column = 0
            here = self.stretches[self.first_piece[row] : self.first_piece[row + 1]].tolist()
            for segment, (sequence, start, stop) in enumerate(here, start=1):
                yield row, column, 1 if self.is_stream else segment, sequence, start, stop
                column += stop - start


def lay_out_documents(
    lengths: Lengths, length: int, *, overlong: Literal["split", "truncate"]
) -> tuple[Layout, PackCounts]:
    """Whole sequences by best fit, the longest of a window first. Raises SpecError for a length below 2.

    A sequence longer than `length` is `split` into several pieces, or `truncate`d at its end.
    """
    _check_length(length)
    kept = np.minimum(lengths, length) if overlong == "truncate" else lengths
    pieces = [
        (number, start, min(start + length, size))
        for number, size in enumerate(kept.tolist())
        for start in range(0, size, length)
    ]
    num_long = int(np.count_nonzero(lengths > length))
    counts = PackCounts(
        num_sequences=len(lengths),
        num_tokens=int(lengths.sum()),
        num_split=num_long if overlong == "split" else 0,
        num_truncated=num_long if overlong == "truncate" else 0,
        num_tokens_cut=int((lengths - kept).sum()),
    )
    return _layout(_best_fit(pieces, length), length), counts


def lay_out_stream(lengths: Lengths, length: int) -> tuple[Layout, PackCounts]:
    """One stream of all sequences, cut every `length` tokens. Raises SpecError for a length below 2."""
    _check_length(length)
    rows: list[list[Stretch]] = []
    room = 0
    for number, size in enumerate(lengths.tolist()):
        start = 0
        while start < size:
            if not room:
                rows.append([])
                room = length
            stop = min(size, start + room)
            rows[-1].append((number, start, stop))
            room -= stop - start
            start = stop
    return _layout(rows, length, is_stream=True), PackCounts(len(lengths), int(lengths.sum()))


def _layout(rows: Sequence[Sequence[Stretch]], length: int, *, is_stream: bool = False) -> Layout:
    stretches = np.array([piece for row in rows for piece in row], np.int64).reshape(-1, 3)
    first_piece = np.cumsum([0, *(len(row) for row in rows)], dtype=np.int64)
    return Layout(length, len(rows), stretches, first_piece, is_stream)


def _check_length(length: int) -> None:
    if length < 2:
        raise SpecError(f"a block of {length} tokens has nothing to predict; the length must be 2 or more")


def _best_fit(pieces: Sequence[Stretch], length: int) -> list[list[Stretch]]:
    """Pieces by block. Each goes where the least room is left after it; equal room goes by block number."""
    blocks: list[list[Stretch]] = []
    open_blocks: list[tuple[int, int]] = []  # (room, block number), sorted
    for first in range(0, len(pieces), WINDOW):
        for piece in sorted(pieces[first : first + WINDOW], key=lambda piece: piece[1] - piece[2]):
            size = piece[2] - piece[1]
            at = bisect.bisect_left(open_blocks, (size, -1))
            room, number = open_blocks.pop(at) if at < len(open_blocks) else (length, len(blocks))
            if number == len(blocks):
                blocks.append([])
            blocks[number].append(piece)
            if room > size:
                bisect.insort(open_blocks, (room - size, number))
    return blocks
