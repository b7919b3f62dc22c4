"""Documents -> token arrays on disk, a shard at a time: bounded memory, and a killed run goes on at the next shard.

In: rows that can be read again and again (a dataset, a file of documents) and whoever encodes them. Out: a folder of
    survey.npy            characters of every document
    R-SSSSS.tokens.npy    of shard S of round R: ids of its documents, one after the other (int32)
    R-SSSSS.mask.npy      what is learnt of them, a bit a token
    R-SSSSS.documents.npy number, tokens and characters of each of its documents; written last: the shard is whole
and the reader of such folders. Which documents a shard holds follows from the survey, so that shards are the same
however often the work was cut off. Source: amounts as prefixes of one permutation, the paper's section 4.2.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int, Int32

from epigone.errors import ArtifactError, SpecError
from epigone.progress import noting
from epigone.store import write_text
from epigone.tokens.packing import Tokenized, num_to_take
from epigone.tokens.sources import Row, Source, characters_of

Numbers = Int[np.ndarray, "_"]
"""Of documents, or one a document."""

SHARD_CHARACTERS = 1 << 21
"""About so much text is encoded, and written, at a time: half a million tokens."""
CHARACTERS_A_TOKEN = 4
"""The first guess at how much text an amount of tokens needs; a guess that was too low costs one more pass."""


@dataclass(frozen=True)
class Selection:
    """Which documents are encoded, and in which order they count towards an amount."""

    is_permuted: bool = True
    """One seeded permutation, or the order in which they stand."""
    seed: int = 0
    """Of the permutation."""
    max_tokens: int = 0
    """Tokens that the first documents in that order must hold (0: all documents)."""
    shard: int = 0
    """Which of the parts of the data, by document number."""
    num_shards: int = 1
    """In how many parts the data are encoded, each by a run of its own."""

    def __post_init__(self) -> None:
        if not 0 <= self.shard < self.num_shards:
            raise SpecError(f"shard {self.shard} of {self.num_shards} does not exist; shards count from 0")
        if self.max_tokens and self.num_shards > 1:
            raise SpecError("one part of the data cannot know what all parts hold; give max_tokens or num_shards")

    def order(self, num_documents: int) -> Numbers:
        """The document numbers in the order in which they count."""
        if not self.is_permuted:
            return np.arange(num_documents)
        return np.random.default_rng(self.seed).permutation(num_documents)


def encode_documents(source: Source, folder: Path, selection: Selection) -> None:
    """Encode what the selection needs into `folder`; what is there already stays."""
    characters = _survey(source, folder)
    order = selection.order(len(characters))
    num_ready, num_wanted = 0, _first_guess(characters[order], selection.max_tokens)
    number = 0
    while num_ready < num_wanted:
        chosen = np.sort(order[num_ready:num_wanted])
        if selection.num_shards > 1:
            bounds = [len(characters) * k // selection.num_shards for k in (selection.shard, selection.shard + 1)]
            chosen = chosen[(chosen >= bounds[0]) & (chosen < bounds[1])]
        _encode_round(source, folder, number, _shards(chosen, characters))
        num_ready = num_wanted
        if selection.max_tokens and Encoded([folder]).lengths[order[:num_ready]].sum() < selection.max_tokens:
            num_wanted = min(2 * num_wanted, len(order))
        number += 1


class Encoded:
    """Reads what `encode_documents` wrote, from all parts of the data at once."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self.num_documents = _num_documents(folders)
        self.lengths: Numbers = np.full(self.num_documents, -1, np.int64)
        """Tokens of every document, -1 where it was not encoded."""
        self._shard = np.zeros(self.num_documents, np.int64)
        self._start = np.zeros(self.num_documents, np.int64)
        self._paths = [path for folder in folders for path in _finished(folder)]
        for shard, path in enumerate(self._paths):
            numbers, lengths, _ = np.load(path).T
            self.lengths[numbers] = lengths
            self._shard[numbers] = shard
            self._start[numbers] = np.cumsum(lengths) - lengths
        self._open = lru_cache(maxsize=16)(self._opened)

    def read(self, number: int) -> tuple[Int32[np.ndarray, " n"], Bool[np.ndarray, " n"]]:
        """Ids and mask of a document. Raises ArtifactError where it was not encoded."""
        if self.lengths[number] < 0:
            raise ArtifactError(f"document {number} was not encoded; give all shards of the encoding")
        tokens, bits = self._open(int(self._shard[number]))
        start = int(self._start[number])
        stop = start + int(self.lengths[number])
        first = start // 8
        mask = np.unpackbits(bits[first : -(-stop // 8)])[start - 8 * first : stop - 8 * first]
        return tokens[start:stop], mask.astype(np.bool_)

    def taken(self, selection: Selection) -> Numbers:
        """The document numbers of the amount, in order. Raises DataError, ArtifactError where it is not there."""
        order = selection.order(self.num_documents)
        lengths = self.lengths[order]
        missing = np.flatnonzero(lengths < 0)
        num_ready = int(missing[0]) if len(missing) else len(order)
        if not selection.max_tokens and num_ready < len(order):
            raise ArtifactError(
                f"{len(missing)} of {len(order)} documents were not encoded; give all shards of the encoding"
            )
        return order[: num_to_take(lengths[:num_ready], selection.max_tokens)] if selection.max_tokens else order

    def _opened(self, shard: int) -> tuple[np.ndarray, np.ndarray]:
        path = self._paths[shard]
        return tuple(np.load(_beside(path, name), mmap_mode="r") for name in ("tokens", "mask"))  # pyright: ignore[reportReturnType]


def _survey(source: Source, folder: Path) -> Numbers:
    path = folder / "survey.npy"
    if not path.exists():
        _save(path, np.fromiter((characters_of(row) for row in source.rows()), np.int64))
    return np.load(path)


def _first_guess(characters: Numbers, max_tokens: int) -> int:
    """How many documents, in order, may hold so many tokens."""
    if not max_tokens:
        return len(characters)
    ends = np.cumsum(characters)
    return min(int(np.searchsorted(ends, CHARACTERS_A_TOKEN * max_tokens)) + 1, len(characters))


def _shards(chosen: Numbers, characters: Numbers) -> list[Numbers]:
    """The chosen documents, in the order of the file, by shard."""
    starts = np.cumsum(characters[chosen]) - characters[chosen]
    borders = np.flatnonzero(np.diff(starts // SHARD_CHARACTERS)) + 1
    return [part for part in np.split(chosen, borders) if len(part)]


def _encode_round(source: Source, folder: Path, number: int, shards: Sequence[Numbers]) -> None:
    paths = [folder / f"{number}-{shard:05d}.documents.npy" for shard in range(len(shards))]
    missing = [shard for shard, path in enumerate(paths) if not path.exists()]
    shard_of = {int(document): shard for shard in missing for document in shards[shard]}
    if not missing:
        return
    held: list[Row] = []
    num_tokens = 0
    with noting(lambda: f"{num_tokens / 1e6:.1f}M tokens"):
        for document, row in enumerate(source.rows()):
            if document not in shard_of:
                continue
            held.append(row)
            shard = shard_of[document]
            if document == shards[shard][-1]:
                num_tokens += _write_shard(paths[shard], shards[shard], held, source.encode(held))
                held = []
                if shard == missing[-1]:
                    return


def _write_shard(path: Path, numbers: Numbers, rows: Sequence[Row], encoded: Sequence[Tokenized]) -> int:
    """Write a shard; returns its tokens."""
    lengths = np.array([len(ids) for ids, _ in encoded], np.int64)
    total = int(lengths.sum())
    tokens = np.fromiter((id_ for ids, _ in encoded for id_ in ids), np.int32, total)
    mask = np.fromiter((learnt for _, learning in encoded for learnt in learning), np.bool_, total)
    _save(_beside(path, "tokens"), tokens)
    _save(_beside(path, "mask"), np.packbits(mask))
    _save(path, np.stack([numbers, lengths, np.array([characters_of(row) for row in rows])], axis=1))
    return total


def _save(path: Path, array: np.ndarray) -> None:
    """The array, whole or not at all."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    write_text(path, buffer.getvalue())


def _beside(documents: Path, name: str) -> Path:
    return documents.with_name(documents.name.replace(".documents.", f".{name}."))


def _finished(folder: Path) -> list[Path]:
    return sorted(folder.glob("*-*.documents.npy"))


def _num_documents(folders: Sequence[Path]) -> int:
    try:
        found = {len(np.load(folder / "survey.npy", mmap_mode="r")) for folder in folders}
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{folders[0]}: not an encoding ({error}); encode again") from error
    if len(found) != 1:
        raise ArtifactError(f"encodings of different data: {sorted(found)} documents; give the shards of one")
    return found.pop()
