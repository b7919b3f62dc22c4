"""Files as streams of text: plain, gzip or zstd, on this machine or behind a URL, chunk by chunk.

In: a path, or what `Path` makes of a URL such as hf://datasets/OWNER/NAME/file. Out: blocks of unpacked bytes, or text
with its byte positions in the unpacked file. Memory stays flat in the file's size. What cannot be read on is a
DataError (DamageError where something came before it); a git-lfs pointer is named.
Sources: RFC 1952 (gzip) and RFC 8878 (zstd) for the magic bytes; https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md;
https://huggingface.co/docs/huggingface_hub/guides/hf_file_system for hf:// paths.
"""

import codecs
import importlib
import io
import os
import re
import zlib
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import NamedTuple, Protocol, cast

import zstandard

from epigone.errors import DataError
from epigone.progress import tell

BLOCK_BYTES = 1 << 20
"""Bytes of a plain file that are read at a time."""
PACKED_BYTES = 1 << 14
"""Bytes of a packed file that are read at a time: what they unpack to must be small, too."""
GZIP_MAGIC = b"\x1f\x8b"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
LFS_MAGIC = b"version https://git-lfs.github.com/spec/"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]+):/+(?P<rest>.*)", re.DOTALL)


class DamageError(DataError):
    """The file cannot be read on from here; what came before it is whole."""


class Chunk(NamedTuple):
    """Text of bytes `start` to `end` of the unpacked file; the last chunk's `end` is the file's size."""

    text: str
    start: int
    end: int


class _Unpacker(Protocol):
    """What zlib and zstandard both offer."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, /) -> bytes: ...


def url_of(path: Path) -> str:
    """The URL that a path stands for (`Path` makes one slash of two); empty where it lies on this machine."""
    found = _URL.fullmatch(str(path))
    if not found or path.exists() or found["scheme"] not in _fsspec().available_protocols():
        return ""
    return f"{found['scheme']}://{found['rest']}"


@contextmanager
def opened(path: Path) -> Generator[io.BufferedReader, None, None]:
    """The file as it lies there, seekable. Raises DataError where it cannot be opened."""
    url = url_of(path)
    try:
        handle = io.BufferedReader(_fsspec().open(url, "rb").open()) if url else path.open("rb")
    except Exception as error:  # besides OSError whatever a service's own library raises: no network, no such data set
        if not url and not isinstance(error, OSError | ValueError):
            raise
        why = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
        raise DataError(f"{url or path}: cannot be read ({why}); check the path") from error
    with handle:
        yield handle


def byte_blocks(path: Path) -> Iterator[bytes]:
    """The unpacked bytes of a file, block by block. Raises DataError; DamageError where it stops in the middle."""
    with opened(path) as handle:
        first = _read(handle, path, PACKED_BYTES)
        if first.startswith(LFS_MAGIC):
            raise DataError(
                f"{path}: is a git-lfs pointer, not the file itself ({_lfs_size(first)}); run `git lfs pull`, "
                f"or download the file from where it is published"
            )
        if first.startswith(GZIP_MAGIC):
            yield from _unpacked(handle, first, path, "gzip", lambda: zlib.decompressobj(31))
        elif first.startswith(ZSTD_MAGIC):
            unpacker = zstandard.ZstdDecompressor()
            yield from _unpacked(handle, first, path, "zstd", lambda: cast(_Unpacker, unpacker.decompressobj()))
        else:
            while first:
                yield first
                first = _read(handle, path, BLOCK_BYTES)


def text_chunks(path: Path) -> Iterator[Chunk]:
    """A UTF-8 file as text, its byte order mark taken off. Bytes of a character cut at the very end are left out.

    Raises DataError where the file cannot be read, DamageError where it is damaged or not UTF-8 from some byte on.
    """
    pending, at, is_first = b"", 0, True
    for block in _gathered(byte_blocks(path)):
        if is_first and block.startswith(_UTF16):
            raise DataError(f"{path}: is UTF-16, not UTF-8; convert the file to UTF-8")
        if is_first and block.startswith(codecs.BOM_UTF8):
            block, at = block[len(codecs.BOM_UTF8) :], len(codecs.BOM_UTF8)
        is_first, data = False, pending + block
        try:
            text, num_bytes = codecs.utf_8_decode(data, "strict", False)
        except UnicodeDecodeError as error:
            bad = at + error.start
            yield Chunk(data[: error.start].decode(), at, bad)
            raise DamageError(f"{path}: byte {bad} is not UTF-8; convert the file to UTF-8") from error
        yield Chunk(text, at, at + num_bytes)
        pending, at = data[num_bytes:], at + num_bytes
    yield Chunk("", at, at + len(pending))


def text_lines(path: Path) -> Iterator[str]:
    """Lines with their ends (a line feed, a carriage return, or both), as `csv` wants them. Raises as text_chunks."""
    rest = ""
    for chunk in text_chunks(path):
        lines = _split_lines(rest + chunk.text)
        rest = lines.pop() if lines else ""
        yield from lines
    yield from _split_lines(rest)


def first_text(path: Path, num_bytes: int, *, or_nothing: bool = False) -> str:
    """The beginning of a file as text; wrong bytes are U+FFFD. Never raises.

    Where it is damaged, what comes before the damage; with `or_nothing` nothing.
    """
    data = b""
    try:
        for block in byte_blocks(path):
            data += block
            if len(data) >= num_bytes:
                break
    except (DataError, OSError, ValueError):
        data = b"" if or_nothing else data
    return data[:num_bytes].decode("utf-8-sig", "replace")


def magic(path: Path) -> bytes:
    """The first bytes of a file as it lies there; empty where it cannot be read. Never raises."""
    try:
        with opened(path) as handle:
            return _read(handle, path, len(LFS_MAGIC))
    except (DataError, OSError, ValueError):
        return b""


def num_bytes_of(text: str) -> int:
    """How many bytes a text takes in UTF-8."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def _fsspec() -> ModuleType:
    """On first use: it is slow to import, and few files lie elsewhere."""
    return importlib.import_module("fsspec")


def _gathered(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Small blocks as large ones; what came before damage is given before the damage is told."""
    pieces, size = list[bytes](), 0
    try:
        for block in blocks:
            pieces.append(block)
            size += len(block)
            if size >= BLOCK_BYTES // 2:
                yield b"".join(pieces)
                pieces, size = [], 0
    except DamageError:
        yield b"".join(pieces)
        raise
    yield b"".join(pieces)


def _split_lines(text: str) -> list[str]:
    r"""Lines with their ends; a "\r" at the very end stays open, since its "\n" may come."""
    return re.findall(r"[^\r\n]*(?:\r\n|\n|\r(?!\Z))|[^\r\n]+\r?\Z|\r\Z", text)


def _read(handle: io.BufferedReader, path: Path, size: int) -> bytes:
    try:
        block = handle.read(size)
    except Exception as error:
        url = url_of(path)
        if not url and not isinstance(error, OSError):
            raise
        why = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
        raise DamageError(f"{url or path}: cannot be read on ({why}); try again") from error
    with suppress(OSError, ValueError):  # some services' files do not know where they are
        tell(handle.tell(), _size_of(handle), "bytes", path.name)
    return block


def _size_of(handle: io.BufferedReader) -> int:
    """Bytes of the file as it lies there; 0 where nobody knows."""
    try:
        return os.fstat(handle.fileno()).st_size
    except OSError:  # behind a URL
        return int(getattr(handle.raw, "size", None) or 0)


def _unpacked(
    handle: io.BufferedReader, block: bytes, path: Path, name: str, make: Callable[[], _Unpacker]
) -> Iterator[bytes]:
    """Members or frames that follow one another are one file; zero bytes between them are padding."""
    unpacker, is_begun = make(), False
    while block:
        try:
            data = unpacker.decompress(block)
        except (zlib.error, zstandard.ZstdError) as error:
            raise DamageError(f"{path}: the {name} stream is damaged ({error}); fetch the file again") from error
        if data:
            yield data
        block, is_begun = b"", True
        if unpacker.eof:
            block, is_begun = unpacker.unused_data.lstrip(b"\0"), False
            unpacker = make()
        while not block and (read := _read(handle, path, PACKED_BYTES)):
            block = read if is_begun else read.lstrip(b"\0")
    if is_begun:
        raise DamageError(f"{path}: the {name} stream is damaged (it ends in the middle); fetch the file again")


def _lfs_size(first: bytes) -> str:
    found = re.search(rb"\nsize (\d+)", first)
    return f"which has {int(found[1])} bytes" if found else "of unknown size"
