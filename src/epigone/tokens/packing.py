"""Token sequences -> blocks of one length.

In: (ids, mask of what is learnt) a sequence, as `ChatTokens.encode` gives them. Out: Blocks, in which every sequence
has a segment of its own: attention and positions stay within it, and nothing is predicted across its border.
`concatenate_and_chop` is the other named choice: the stack of the paper's authors (EasyLM,
https://github.com/young-geng/EasyLM) chunks one token stream into blocks without document masks.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Bool, Int, Int32

from epigone.errors import ArtifactError, DataError
from epigone.tokens.layout import Layout, PackCounts, lay_out_documents, lay_out_stream

Tokenized = tuple[list[int], list[bool]]
"""Ids and, of the same length, True where the loss counts."""

Reader = Callable[[int], tuple[Int32[np.ndarray, " n"], Bool[np.ndarray, " n"]]]
"""The number of a sequence -> its ids and its mask."""


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
    whole = list(sequences)
    layout, counts = lay_out_documents(_lengths(whole), length, overlong=overlong)
    return fill(layout, _reader(whole), 0, layout.num_rows), counts


def concatenate_and_chop(sequences: Iterable[Tokenized], length: int) -> tuple[Blocks, PackCounts]:
    """One stream cut every `length` tokens, each block one segment: documents see, and predict, one another.

    The authors drop the unfinished last block; here it is padded. Raises SpecError for a length below 2.
    """
    whole = list(sequences)
    layout, counts = lay_out_stream(_lengths(whole), length)
    return fill(layout, _reader(whole), 0, layout.num_rows), counts


def fill(layout: Layout, read: Reader, first: int, last: int) -> Blocks:
    """The blocks `first` to `last` (not included) of a layout; `read` gives a sequence's ids and mask."""
    blocks = empty_blocks(last - first, layout.length)
    for row, column, segment, sequence, start, stop in layout.pieces(first, last):
        ids, mask = read(sequence)
        here = slice(column, column + stop - start)
        blocks.tokens[row - first, here] = ids[start:stop]
        blocks.loss_mask[row - first, here] = mask[start:stop]
        blocks.segment_ids[row - first, here] = segment
    return blocks


def num_to_take(lengths: Int[np.ndarray, " n"], max_tokens: int) -> int:
    """How many sequences the shortest prefix has that holds `max_tokens` tokens.

    A smaller amount is thus always part of a larger one. Raises DataError where there are fewer.
    """
    ends = np.cumsum(lengths)
    num_tokens = int(ends[-1]) if len(ends) else 0
    if num_tokens < max_tokens:
        raise DataError(
            f"{max_tokens} tokens were asked for, the data holds {num_tokens}: ask for less or collect more"
        )
    return int(np.searchsorted(ends, max_tokens)) + 1 if max_tokens > 0 else 0


def take_tokens(sequences: Iterable[Tokenized], max_tokens: int) -> list[Tokenized]:
    """The prefix of `num_to_take` sequences. Raises DataError where there are fewer tokens."""
    whole = list(sequences)
    return whole[: num_to_take(_lengths(whole), max_tokens)]


def save_blocks(blocks: Blocks, folder: Path) -> None:
    """Write one .npy file an array into `folder`."""
    with BlockWriter(folder, len(blocks), blocks.length) as writer:
        writer.write(blocks)


class BlockWriter:
    """Writes blocks as .npy files, some rows at a time, so that memory stays flat; whole when the context is left."""

    def __init__(self, folder: Path, num_blocks: int, length: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.paths = [folder / f"{field.name}.npy" for field in fields(Blocks)]
        self.shape = (num_blocks, length)
        self.num_written = self.num_loss_tokens = self.num_tokens = 0

    def __enter__(self) -> "BlockWriter":
        self._files = [path.with_name(path.name + ".partial").open("wb") for path in self.paths]
        for file, array in zip(self._files, empty_blocks(0, self.shape[1]).arrays, strict=True):
            header = {**np.lib.format.header_data_from_array_1_0(array), "shape": self.shape}
            np.lib.format.write_array_header_1_0(file, header)
        return self

    def write(self, blocks: Blocks) -> None:
        """Add some rows."""
        self.num_written += len(blocks)
        self.num_tokens += blocks.num_tokens
        self.num_loss_tokens += int(np.count_nonzero(blocks.loss_mask))
        for file, array in zip(self._files, blocks.arrays, strict=True):
            file.write(np.ascontiguousarray(array).tobytes())

    def __exit__(self, kind: object, *rest: object) -> None:
        for file, path in zip(self._files, self.paths, strict=True):
            file.close()
            if kind is None:
                assert self.num_written == self.shape[0], "a block writer was left before all rows were written"
                Path(file.name).rename(path)


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


def _lengths(sequences: Sequence[Tokenized]) -> Int[np.ndarray, " n"]:
    return np.array([len(ids) for ids, _ in sequences], np.int64)


def _reader(sequences: Sequence[Tokenized]) -> Reader:
    return lambda number: (np.array(sequences[number][0], np.int32), np.array(sequences[number][1], np.bool_))
