"""A GGUF file's header: what it says about model and tokenizer, and where its tensors lie.

In: a .gguf file, or a folder with exactly one (an unpacked package). Out: metadata as plain values, tensors as places
in the memory-mapped file; nothing of them is read. Beside the reader of the package `gguf`, which takes 20 CPU-seconds
for a vocabulary of 262,144 words, this one takes one, and it says what is wrong with a broken file.
Source: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md (versions 2 and 3, little-endian).
"""

import mmap
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Shaped, UInt8

from epigone.errors import DataError

Value = str | bool | int | float | list[str] | Shaped[np.ndarray, " n"]

MAGIC = b"GGUF"
_ALIGNMENT = 32
_NUMBERS = {
    0: "<u1",
    1: "<i1",
    2: "<u2",
    3: "<i2",
    4: "<u4",
    5: "<i4",
    6: "<f4",
    7: "?",
    10: "<u8",
    11: "<i8",
    12: "<f8",
}
_STRING, _ARRAY = 8, 9


class TensorPlace(NamedTuple):
    """Where a tensor lies. `kind` is ggml's number of how it is stored."""

    shape: tuple[int, ...]
    """As in the published layout: rows first."""
    kind: int
    start: int
    """Byte of the file."""


@dataclass(frozen=True, eq=False)
class GgufFile:
    """An opened file: header parsed, tensors where they are."""

    path: Path
    metadata: Mapping[str, Value]
    tensors: Mapping[str, TensorPlace]
    content: UInt8[np.ndarray, " bytes"]
    """The whole file, memory-mapped."""

    def text(self, key: str, default: str | None = None) -> str:
        """A text of the metadata. Raises DataError where it is missing (and there is no default) or something else."""
        value = self.metadata.get(key, default)
        if not isinstance(value, str):
            raise self.wrong(key, value, "a text")
        return value

    def number(self, key: str, default: float | None = None) -> int | float:
        """A number of the metadata. Raises DataError where it is missing or something else."""
        value = self.metadata.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.wrong(key, value, "a number")
        return value

    def texts(self, key: str) -> list[str]:
        """A list of texts. Raises DataError where it is missing or something else."""
        value = self.metadata.get(key)
        if not isinstance(value, list):
            raise self.wrong(key, value, "a list of texts")
        return value

    def numbers(self, key: str) -> Shaped[np.ndarray, " n"]:
        """An array of numbers. Raises DataError where it is missing or something else."""
        value = self.metadata.get(key)
        if not isinstance(value, np.ndarray):
            raise self.wrong(key, value, "an array of numbers")
        return value

    def flag(self, key: str, default: bool) -> bool:
        """Yes or no. Raises DataError for something else."""
        value = self.metadata.get(key, default)
        if not isinstance(value, bool):
            raise self.wrong(key, value, "true or false")
        return value

    def wrong(self, key: str, value: object, wanted: str) -> DataError:
        """The error that names a key of the metadata."""
        return DataError(f"{self.path}: metadata {key!r} should be {wanted}, not {str(value)[:60]!r}")


def find_gguf(path: Path) -> Path | None:
    """The .gguf file at `path`, or the only one under that folder; None where there is none.

    Raises DataError for several, and for parts of a file that were never joined.
    """
    if path.is_file():
        return path if path.suffix == ".gguf" else None
    found = sorted(path.rglob("*.gguf"))
    if len(found) > 1:
        raise DataError(
            f"{path} holds {len(found)} .gguf files ({found[0].name}, {found[1].name} ...); name one of them"
        )
    if not found and (parts := sorted(path.rglob("*.gguf.part*"))):
        whole = parts[0].name.split(".part")[0]
        raise DataError(
            f"{path} holds a .gguf in {len(parts)} parts; join them first, in order: cat PART ... > {whole}"
        )
    return found[0] if found else None


def open_gguf(path: Path) -> GgufFile:
    """The header of a file. Raises DataError for anything but a whole GGUF file of version 2 or 3."""
    try:
        with path.open("rb") as handle:
            mapped = mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:  # ValueError: nothing in it
        raise DataError(f"{path} cannot be read as GGUF: {error}") from error
    if mapped[:4] != MAGIC:
        raise DataError(f"{path} is no GGUF file: it starts with {mapped[:4]!r}, not {MAGIC!r}")
    reader = _Reader(mapped, 4)
    try:
        version = reader.number("<I")
        if version not in (2, 3):
            raise DataError(f"{path} is GGUF version {version} (or big-endian); 2 and 3 in little-endian can be read")
        num_tensors, num_values = reader.number("<Q"), reader.number("<Q")
        metadata = dict(reader.entry() for _ in range(num_values))
        places = dict(reader.place() for _ in range(num_tensors))
    except (struct.error, ValueError, KeyError, OverflowError, MemoryError) as error:
        raise DataError(f"{path} is cut off or damaged at byte {reader.at} of its header ({error!r})") from error
    _refuse_parts(path, metadata)
    alignment = metadata.get("general.alignment", _ALIGNMENT)
    if not isinstance(alignment, int) or alignment < 1:
        raise DataError(f"{path}: metadata 'general.alignment' should be a positive number, not {alignment!r}")
    start = -(-reader.at // alignment) * alignment
    tensors = {name: place._replace(start=start + place.start) for name, place in places.items()}
    return GgufFile(path, metadata, tensors, np.frombuffer(mapped, np.uint8))


class _Reader:
    """Reads one thing after the other; `at` is the next byte."""

    def __init__(self, data: mmap.mmap, at: int) -> None:
        self.data, self.at = data, at

    def number(self, form: str) -> int:
        (value,) = struct.unpack_from(form, self.data, self.at)
        self.at += struct.calcsize(form)
        return value

    def bytes(self, length: int) -> bytes:
        if length > len(self.data) - self.at:
            raise ValueError(f"{length} bytes wanted, {len(self.data) - self.at} left")
        self.at += length
        return self.data[self.at - length : self.at]

    def text(self) -> str:
        return self.bytes(self.number("<Q")).decode("utf-8")

    def entry(self) -> tuple[str, Value]:
        key = self.text()
        return key, self.value(self.number("<I"))

    def value(self, kind: int) -> Value:
        if kind == _STRING:
            return self.text()
        if kind != _ARRAY:
            dtype = np.dtype(_NUMBERS[kind])
            return np.frombuffer(self.bytes(dtype.itemsize), dtype)[0].item()
        inner, length = self.number("<I"), self.number("<Q")
        if inner == _STRING:
            return [self.text() for _ in range(length)]
        dtype = np.dtype(_NUMBERS[inner])
        return np.frombuffer(self.bytes(length * dtype.itemsize), dtype)

    def place(self) -> tuple[str, TensorPlace]:
        name = self.text()
        dims = [self.number("<Q") for _ in range(self.number("<I"))]
        return name, TensorPlace(tuple(reversed(dims)), self.number("<I"), self.number("<Q"))


def _refuse_parts(path: Path, metadata: Mapping[str, Value]) -> None:
    parts = metadata.get("split.count", 0)
    if isinstance(parts, int) and parts > 1:
        raise DataError(f"{path} is one of {parts} parts of a model; join them by `llama-gguf-split --merge` first")
