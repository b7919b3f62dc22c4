"""Token sequences -> blocks of one length.

In: (ids, mask of what is learnt) a sequence, as `ChatTokens.encode` gives them. Out: Blocks, in which every sequence
has a segment of its own: attention and positions stay within it, and nothing is predicted across its border.
`concatenate_and_chop` is the other named choice: the stack of the paper's authors (EasyLM,
https://github.com/young-geng/EasyLM) chunks one token stream into blocks without document masks.
"""

import bisect
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Bool, Int32

from epigone.errors import ArtifactError, DataError, SpecError

Tokenized = tuple[list[int], list[bool]]
"""Ids and, of the same length, True where the loss counts."""

WINDOW = 2048
"""Sequences that are sorted by length at a time, so that packing is linear in the data and keeps its rough order."""


@dataclass(frozen=True, eq=False)
class Blocks:
    """Packed tokens. Segments count from 1 within a block; 0 is padding (token 0, no loss)."""

    tokens: Int32[np.ndarray, "n t"]
    loss_mask: Bool[np.ndarray, "n t"]
    segment_ids: Int32[np.ndarray, "n t"]

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def length(self) -> int:
        """Tokens a block, padding included."""
        return self.tokens.shape[1]

    @property
    def num_tokens(self) -> int:
        """Tokens in all, padding left out."""
        return int(np.count_nonzero(self.segment_ids))

    @property
    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The three arrays in the order of the fields."""
        return self.tokens, self.loss_mask, self.segment_ids

    def __getitem__(self, rows: slice | np.ndarray) -> "Blocks":
        return Blocks(*(array[rows] for array in self.arrays))

    def joined(self, other: "Blocks") -> "Blocks":
        """These blocks, then the other ones."""
        return Blocks(*(np.concatenate(pair) for pair in zip(self.arrays, other.arrays, strict=True)))


@dataclass(frozen=True)
class PackCounts:
    """What went in and what was cut: num_tokens = tokens in the blocks + num_tokens_cut."""

    num_sequences: int
    num_tokens: int
    num_split: int = 0
    num_truncated: int = 0
    num_tokens_cut: int = 0


def empty_blocks(num_blocks: int, length: int) -> Blocks:
    """Blocks of nothing but padding."""
    shape = (num_blocks, length)
    return Blocks(np.zeros(shape, np.int32), np.zeros(shape, np.bool_), np.zeros(shape, np.int32))


def positions(segment_ids: Int32[np.ndarray, "n t"]) -> Int32[np.ndarray, "n t"]:
    """Position of every token within its segment, from 0."""
    index = np.broadcast_to(np.arange(segment_ids.shape[1], dtype=np.int32), segment_ids.shape)
    starts = np.ones(segment_ids.shape, np.bool_)
    starts[:, 1:] = segment_ids[:, 1:] != segment_ids[:, :-1]
    return index - np.maximum.accumulate(np.where(starts, index, 0), axis=1)


def pack(
    sequences: Iterable[Tokenized], length: int, *, overlong: Literal["split", "truncate"]
) -> tuple[Blocks, PackCounts]:
    """Whole sequences into blocks by best fit, the longest of a window first.

    A sequence longer than `length` is `split` into several segments (documents), or `truncate`d at its end (dialogues,
    whose later turns mean nothing without the earlier ones); both are counted. Raises SpecError for a length below 2.
    """
    _check_length(length)
    pieces: list[Tokenized] = []
    num_sequences = num_tokens = num_long = num_cut = 0
    for ids, mask in sequences:
        num_sequences += 1
        num_tokens += len(ids)
        num_long += len(ids) > length
        if overlong == "truncate":
            num_cut += max(len(ids) - length, 0)
            ids, mask = ids[:length], mask[:length]
        pieces += [(ids[i : i + length], mask[i : i + length]) for i in range(0, len(ids), length)]
    blocks = _fill(_best_fit(pieces, length), length)
    if overlong == "truncate":
        return blocks, PackCounts(num_sequences, num_tokens, num_truncated=num_long, num_tokens_cut=num_cut)
    return blocks, PackCounts(num_sequences, num_tokens, num_split=num_long)


def concatenate_and_chop(sequences: Iterable[Tokenized], length: int) -> tuple[Blocks, PackCounts]:
    """One stream cut every `length` tokens, each block one segment: documents see, and predict, one another.

    The authors drop the unfinished last block; here it is padded. Raises SpecError for a length below 2.
    """
    _check_length(length)
    whole = list(sequences)
    ids = list(itertools.chain.from_iterable(ids for ids, _ in whole))
    mask = list(itertools.chain.from_iterable(mask for _, mask in whole))
    chopped = [[(ids[i : i + length], mask[i : i + length])] for i in range(0, len(ids), length)]
    return _fill(chopped, length), PackCounts(len(whole), len(ids))


def take_tokens(sequences: Iterable[Tokenized], max_tokens: int) -> list[Tokenized]:
    """The shortest prefix that holds `max_tokens` tokens, so that a smaller amount is always part of a larger one.

    Raises DataError where there are fewer.
    """
    taken: list[Tokenized] = []
    num_tokens = 0
    for sequence in sequences:
        if num_tokens >= max_tokens:
            break
        taken.append(sequence)
        num_tokens += len(sequence[0])
    if num_tokens < max_tokens:
        raise DataError(
            f"{max_tokens} tokens were asked for, the data holds {num_tokens}: ask for less or collect more"
        )
    return taken


def save_blocks(blocks: Blocks, folder: Path) -> None:
    """Write one .npy file an array into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for field in fields(blocks):
        np.save(folder / f"{field.name}.npy", getattr(blocks, field.name), allow_pickle=False)


def load_blocks(folder: Path) -> Blocks:
    """Blocks as `save_blocks` wrote them, mapped and not read. Raises ArtifactError for a missing or broken file."""
    arrays = {}
    for field in fields(Blocks):
        file = folder / f"{field.name}.npy"
        try:
            array = np.load(file, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise ArtifactError(f"{file}: not a saved block array ({error}); tokenize again") from error
        arrays[field.name] = array
    if len({array.shape for array in arrays.values()}) != 1:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
        raise ArtifactError(f"{folder}: block arrays of different shapes ({shapes}); tokenize again")
    return Blocks(**arrays)


def _check_length(length: int) -> None:
    if length < 2:
        raise SpecError(f"a block of {length} tokens has nothing to predict; the length must be 2 or more")


def _best_fit(pieces: Sequence[Tokenized], length: int) -> list[list[Tokenized]]:
    """Pieces by block. Each goes where the least room is left after it; equal room goes by block number."""
    blocks: list[list[Tokenized]] = []
    open_blocks: list[tuple[int, int]] = []  # (room, block number), sorted
    for window in _windows(pieces):
        for piece in sorted(window, key=lambda piece: -len(piece[0])):
            at = bisect.bisect_left(open_blocks, (len(piece[0]), -1))
            room, number = open_blocks.pop(at) if at < len(open_blocks) else (length, len(blocks))
            if number == len(blocks):
                blocks.append([])
            blocks[number].append(piece)
            if room > len(piece[0]):
                bisect.insort(open_blocks, (room - len(piece[0]), number))
    return blocks


def _windows(pieces: Sequence[Tokenized]) -> Iterator[Sequence[Tokenized]]:
    return (pieces[i : i + WINDOW] for i in range(0, len(pieces), WINDOW))


def _fill(blocks_of_pieces: Sequence[Sequence[Tokenized]], length: int) -> Blocks:
    blocks = empty_blocks(len(blocks_of_pieces), length)
    for row, pieces in enumerate(blocks_of_pieces):
        start = 0
        for segment, (ids, mask) in enumerate(pieces, start=1):
            stop = start + len(ids)
            blocks.tokens[row, start:stop] = ids
            blocks.loss_mask[row, start:stop] = mask
            blocks.segment_ids[row, start:stop] = segment
            start = stop
    return blocks
