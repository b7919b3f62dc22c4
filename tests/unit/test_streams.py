"""Streams of text: what is packed or far away reads as what is plain, and what cannot be read says what it is."""

import codecs
import gzip
import io
import json
import random
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pyarrow
import pytest
import zstandard
from fsspec.implementations.memory import MemoryFileSystem
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from epigone import discover, streams
from epigone.errors import DataError
from epigone.formats import sniff
from epigone.records import Message
from epigone.rows import head, read_table, read_text

TEXT = "One line, ünï-cødé 😀.\n" * 40_000
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 55448695\n"


def framed(data: bytes) -> bytes:
    """Two zstd frames, the first without its size, as a stream writer makes it."""
    packed = io.BytesIO()
    with zstandard.ZstdCompressor().stream_writer(packed, closefd=False) as writer:
        writer.write(data[:999])
    return packed.getvalue() + zstandard.compress(data[999:])


def gzipped(data: bytes) -> bytes:
    """Without the time, since the names of tests are made of it."""
    return gzip.compress(data, mtime=0)


PACKINGS = {
    "plain": lambda data: data,
    "bom": lambda data: codecs.BOM_UTF8 + data,
    "gz": gzip.compress,
    "gz in members": lambda data: gzip.compress(data[:7]) + gzip.compress(data[7:]) + bytes(512),
    "gz with a bom": lambda data: gzip.compress(codecs.BOM_UTF8 + data),
    "zst": zstandard.compress,
    "zst in frames": framed,
}


class HubInMemory(MemoryFileSystem):
    """What stands in for the Hub: files by their hf:// address, in memory."""

    protocol = "hf"

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return "/" + path.removeprefix("hf://").strip("/")


@pytest.fixture
def hub() -> Iterator[HubInMemory]:
    known = fsspec.registry.get("hf")
    fsspec.register_implementation("hf", HubInMemory, clobber=True)
    yield HubInMemory()
    if known:
        fsspec.register_implementation("hf", known, clobber=True)


@pytest.mark.parametrize("name", PACKINGS)
def test_packed_reads_as_plain(name: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(PACKINGS[name](TEXT.encode()))
    chunks = list(streams.text_chunks(path))
    assert "".join(chunk.text for chunk in chunks) == TEXT
    assert read_text(path) == TEXT and head(path) == TEXT[: len(head(path))] != ""
    ends = [chunk.end for chunk in chunks]
    assert [chunk.start for chunk in chunks[1:]] == ends[:-1]
    assert ends[-1] == len(TEXT.encode()) + 3 * ("bom" in name)


def test_a_file_on_the_hub_reads_as_the_same_file_here(hub: HubInMemory, tmp_path: Path) -> None:
    hub.pipe_file("hf://datasets/someone/chats/data/train.jsonl.zst", zstandard.compress(TEXT.encode()))
    path = Path("hf://datasets/someone/chats/data/train.jsonl.zst")
    assert str(path).startswith("hf:/d")  # Path takes a slash away; the reader puts it back
    assert streams.url_of(path) == "hf://datasets/someone/chats/data/train.jsonl.zst"
    assert read_text(path) == TEXT
    with pytest.raises(DataError, match=r"hf://datasets/someone/none.*cannot be read"):
        read_text(Path("hf://datasets/someone/none"))
    assert head(Path("hf://datasets/someone/none")) == ""


def test_formats_read_from_the_hub(hub: HubInMemory) -> None:
    rows = [{"id": "a", "messages": [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "So."}]}]
    table = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist(rows), table)
    hub.pipe_file("hf://datasets/o/n/x.parquet", table.getvalue())
    hub.pipe_file("hf://datasets/o/n/x.jsonl.gz", gzip.compress(json.dumps(rows[0]).encode()))
    found = {}
    for name in ("x.parquet", "x.jsonl.gz"):
        path = Path(f"hf://datasets/o/n/{name}")
        found[sniff(path)] = [row.messages for row in discover.make("formats", sniff(path), {}).read(path)]
    assert found == {name: [(Message("user", "Why?"), Message("assistant", "So."))] for name in ("parquet", "messages")}


def test_a_path_that_only_looks_like_an_address_is_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hf:" / "datasets").mkdir(parents=True)
    (tmp_path / "hf:" / "datasets" / "a").write_text("here")
    assert read_text(Path("hf:/datasets/a")) == "here"
    with pytest.raises(DataError, match="No such file"):
        read_text(Path("unheard:/of"))


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (POINTER, r"git-lfs pointer.*55448695 bytes.*git lfs pull"),
        (gzipped(TEXT.encode())[:-20], r"the gzip stream is damaged \(it ends in the middle\)"),
        (gzipped(TEXT.encode())[:10] + b"\x07" * 99, "the gzip stream is damaged"),
        (zstandard.compress(TEXT.encode())[:-20], r"the zstd stream is damaged \(it ends in the middle\)"),
        (zstandard.compress(TEXT.encode())[:30] + b"\xff" * 99, "the zstd stream is damaged"),
        (b"caf\xe9 au lait", "byte 3 is not UTF-8"),
        (gzipped(codecs.BOM_UTF8 + b"caf\xe9 au lait"), "byte 6 is not UTF-8"),
        ("text".encode("utf-16"), "is UTF-16"),
    ],
)
def test_what_cannot_be_read_says_what_it_is(data: bytes, says: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(data)
    with pytest.raises(DataError, match=says) as caught:
        read_text(path)
    assert str(path) in str(caught.value)


def test_what_comes_before_the_damage_is_given(tmp_path: Path) -> None:
    noise = random.Random(0).randbytes(400_000).hex()
    path = tmp_path / "file.gz"
    for pack in (gzip.compress, zstandard.compress):
        path.write_bytes(pack(noise.encode())[:-5_000])
        found = ""
        with pytest.raises(streams.DamageError):
            for chunk in streams.text_chunks(path):
                found += chunk.text
        assert noise.startswith(found) and len(found) > len(noise) - 400_000
        assert head(path) != ""


def test_a_directory_and_a_missing_file(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(DataError, match="cannot be read"):
            read_text(path)
        assert head(path) == "" and streams.magic(path) == b""


@settings(max_examples=150)
@given(st.text(st.characters(exclude_categories=["Cs"])), st.integers(1, 9))
def test_characters_are_whole_wherever_blocks_end(tmp_path_factory, text: str, size: int) -> None:
    path = tmp_path_factory.getbasetemp() / "blocks"
    path.write_bytes(codecs.BOM_UTF8 + text.encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streams, "BLOCK_BYTES", size)
        patch.setattr(streams, "PACKED_BYTES", 4)
        chunks = list(streams.text_chunks(path))
        lines = list(streams.text_lines(path))
    assert "".join(chunk.text for chunk in chunks) == text
    assert all(len(chunk.text.encode()) == chunk.end - chunk.start for chunk in chunks)
    assert lines == list(io.StringIO(text, newline=""))


def test_tables_stream_across_quoted_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "table.csv.zst"
    path.write_bytes(zstandard.compress(b'a,b\r\n1,"two\r\nlines"\r\n3,4'))
    assert [row for _, row in read_table(path)] == [{"a": "1", "b": "two\r\nlines"}, {"a": "3", "b": "4"}]
