"""Entries one by one: equal to what the json module gives for the whole, and to the byte about what is lost."""

import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from epigone import streams
from epigone.entries import SURROGATES, Loss, read_entries, read_lines, read_members
from epigone.errors import DataError

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
SPACES = st.sampled_from([None, 0, 2])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file.json"


def in_small_blocks(size: int) -> pytest.MonkeyPatch:
    patch = pytest.MonkeyPatch()
    patch.setattr(streams, "BLOCK_BYTES", size)
    patch.setattr(streams, "PACKED_BYTES", 4)
    return patch


def encoded(value: object, indent: int | None, ascii_only: bool) -> bytes:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    return (text if ascii_only else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")).encode()


def plain(value: object) -> object:
    """Lone surrogates replaced, by way of text: independent of the reader's walk through the values."""
    text = json.dumps(value, ensure_ascii=False)
    return json.loads("".join("\ufffd" if "\ud800" <= char <= "\udfff" else char for char in text))


def whole_before(data: bytes) -> tuple[int, int]:
    """Of an array that is cut off: how many entries are whole, and the byte where the last of them ends."""
    text = data.decode(errors="ignore")
    decoder, at, num, end = json.JSONDecoder(), text.index("[") + 1, 0, text.index("[") + 1
    while True:
        rest = text[at:].lstrip()
        try:
            _, size = decoder.raw_decode(rest)
        except ValueError:
            return num, len(text[:end].encode())
        at += len(text[at:]) - len(rest) + size
        num, end = num + 1, at
        rest = text[at:].lstrip()
        if not rest.startswith(","):
            return num, len(text[:end].encode())
        at += len(text[at:]) - len(rest) + 1


@settings(max_examples=200)
@given(st.lists(VALUES, max_size=6), SPACES, st.booleans(), st.integers(1, 40))
def test_equal_to_the_json_module(
    tmp_path_factory, values: list, indent: int | None, ascii_only: bool, size: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "whole.json"
    path.write_bytes(encoded(values, indent, ascii_only))
    patch = in_small_blocks(size)
    found = list(read_entries(path))
    patch.undo()
    assert json.dumps([value for _, value in found]) == json.dumps(plain(json.loads(path.read_bytes())))
    assert [number for number, _ in found] == list(range(1, len(values) + 1))


@settings(max_examples=200)
@given(st.lists(VALUES, max_size=6), st.booleans(), st.integers(1, 40))
def test_lines_equal_to_the_json_module(tmp_path_factory, values: list, ascii_only: bool, size: int) -> None:
    path = tmp_path_factory.getbasetemp() / "whole.jsonl"
    path.write_bytes(b"\n\n".join(encoded(value, None, ascii_only) for value in values))
    patch = in_small_blocks(size)
    found = list(read_lines(path))
    patch.undo()
    assert json.dumps([value for _, value in found]) == json.dumps([plain(value) for value in values])
    assert [number for number, _ in found] == list(range(1, 2 * len(values), 2))


@settings(max_examples=200)
@given(
    st.dictionaries(st.text(max_size=3), VALUES, max_size=3), st.lists(VALUES, max_size=4), SPACES, st.integers(1, 40)
)
def test_members_equal_to_the_json_module(tmp_path_factory, fields, values: list, indent, size: int) -> None:
    path = tmp_path_factory.getbasetemp() / "members.json"
    path.write_bytes(encoded({"before": 1} | fields | {"wanted": values, "after": 2.5}, indent, True))
    patch = in_small_blocks(size)
    found = list(read_members(path, "wanted"))
    patch.undo()
    whole = plain(json.loads(path.read_bytes()))
    entries = [value for name, value in found if name == "wanted"]
    assert json.dumps(entries) == json.dumps(whole.pop("wanted"))  # pyright: ignore[reportAttributeAccessIssue]
    assert json.dumps(dict(pair for pair in found if pair[0] != "wanted")) == json.dumps(whole)


@settings(max_examples=200)
@given(st.lists(VALUES, min_size=1, max_size=6), SPACES, st.integers(1, 40), st.data())
def test_a_cut_array_gives_what_is_whole_and_counts_what_is_lost(
    tmp_path_factory, values: list, indent: int | None, size: int, data: st.DataObject
) -> None:
    path = tmp_path_factory.getbasetemp() / "cut.json"
    whole = encoded(values, indent, False)
    cut = whole[: data.draw(st.integers(1, len(whole) - 1))]
    path.write_bytes(cut)
    num, end = whole_before(cut)
    patch = in_small_blocks(size)
    *found, loss = read_entries(path, salvage=True)
    with pytest.raises(DataError, match=f"{num} whole entries end at byte {end} of {len(cut)}, {len(cut) - end} bytes"):
        list(read_entries(path))
    patch.undo()
    assert isinstance(loss, Loss)
    # a number that the cut shortened is whole as far as anybody can tell
    assert (len(found), loss.num_whole, loss.start, loss.end) == (num, num, end, len(cut))


@pytest.mark.parametrize(
    ("data", "says", "whole", "lost"),
    [
        (b'[{"a": 1}, {"a": 2 "b"}, {"a": 3}]', "1 whole entries end at byte 9 of 34, 25 bytes", [{"a": 1}], 25),
        (b'[1, 2] "more"', "something follows the array", [1, 2], 7),
        (b"[1 2]", "'2' follows an entry", [1], 3),
        (b"[1,]", "1 whole entries end at byte 2 of 4", [1], 2),
        (b'[1, "caf\xe9", 2]', "byte 8 is not UTF-8", [1], 6),
        (b"[" + b"[" * 100_000, "recursion", [], 100_000),
        (b"[1" + b"0" * 5_000 + b", 2]", "4300 digits", [], 5_005),
    ],
)
def test_damage_in_an_array(path: Path, data: bytes, says: str, whole: list, lost: int) -> None:
    path.write_bytes(data)
    with pytest.raises(DataError, match=says):
        list(read_entries(path))
    *found, loss = read_entries(path, salvage=True)
    assert [value for _, value in found] == whole  # pyright: ignore[reportGeneralTypeIssues]
    assert isinstance(loss, Loss) and loss.end - loss.start == lost


def test_damage_in_the_middle_of_a_large_array_does_not_read_the_rest_as_one_entry(path: Path) -> None:
    entries = [{"text": "x" * 5_000, "number": number} for number in range(2_000)]
    data = json.dumps(entries).replace('"number": 100}', '"number": 100', 1)
    path.write_text(data)
    *found, loss = read_entries(path, salvage=True)
    assert len(found) == 100 and isinstance(loss, Loss)
    assert loss.end == len(data) and data[: loss.start].endswith('"number": 99}')


def test_lines_that_are_lost_are_told_one_by_one(path: Path) -> None:
    lines = [b'{"a": 1}', b'{"a": 2', b"", b'{"a": 3}', b'{"a"']
    path.write_bytes(b"\n".join(lines))
    with pytest.raises(DataError, match=r"row 2 is not JSON .* line 2, bytes 9 to 17, after 1 whole"):
        list(read_lines(path))
    found = list(read_lines(path, salvage=True))
    losses = [entry for entry in found if isinstance(entry, Loss)]
    assert [entry for entry in found if not isinstance(entry, Loss)] == [(1, {"a": 1}), (4, {"a": 3})]
    assert [(loss.line, loss.start, loss.end) for loss in losses] == [(2, 9, 17), (5, 27, 31)]


def test_lone_surrogates_are_replaced_and_counted(path: Path) -> None:
    path.write_bytes(rb'[{"\ud83d": ["\ude00 and \ud83d"], "pair": "\ud83d\ude00", "text": "\\ud83d\ude00"}]')
    notes: Counter[str] = Counter()
    (entry,) = read_entries(path, notes=notes)
    expected = {"\ufffd": ["\ufffd and \ufffd"], "pair": "😀", "text": "\\ud83d\ufffd"}
    assert entry == (1, expected)
    assert notes == {SURROGATES: 4}


def test_files_that_are_something_else(path: Path) -> None:
    path.write_text("")
    assert list(read_entries(path)) == []
    with pytest.raises(DataError, match=r"begins with ''; one JSON object"):
        list(read_members(path, "messages"))
    path.write_text('{"a": [1, 2], "messages": 3}')
    assert list(read_members(path, "messages")) == [("a", [1, 2]), ("messages", 3)]
    path.write_text('{"messages": [1, 2')
    with pytest.raises(DataError, match="the JSON object is cut off or damaged: 2 whole entries end at byte 18"):
        list(read_members(path, "messages"))
