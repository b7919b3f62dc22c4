"""The formats on published files and on made-up ones: every row is kept or dropped with a reason; nothing vanishes."""

import gzip
import json
import re
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epigone.errors import DataError
from epigone.formats.messages import Messages, read_prompts
from epigone.formats.sharegpt import ShareGPT
from epigone.records import Conversation, Drop, Message
from epigone.rows import read_rows, without_surrogates


def entry(entry_id: str, *turns: tuple[str, str]) -> dict[str, object]:
    return {"id": entry_id, "conversations": [{"from": speaker, "value": value} for speaker, value in turns]}


def read(tmp_path: Path, *entries: dict[str, object], **options: object) -> list[Conversation | Drop]:
    path = tmp_path / "dump.json"
    path.write_text(json.dumps(entries, indent=2))
    return list(ShareGPT(**options).read(path))


def shape(row: Conversation | Drop) -> list[tuple[str, str]]:
    assert isinstance(row, Conversation), row
    return [(message.role, message.content) for message in row.messages]


# -- ShareGPT as found -------------------------------------------------------------------------------------------------
def test_sample_ledger(data_root: Path) -> None:
    """2,544 entries of 1,284 base ids (the data's README): each base id goes out once, each empty part once more."""
    path = data_root / "sharegpt" / "sharegpt_sample.json.gz"
    rows = list(ShareGPT().read(path))
    parts = Counter(row.reason for row in rows if isinstance(row, Drop) and "part" in row.reason)
    assert parts == {"empty part": 14}
    whole = [row.id for row in rows if not (isinstance(row, Drop) and "part" in row.reason)]
    with gzip.open(path) as stream:
        entries = json.load(stream)
    assert len(entries) == 2544
    assert sorted(whole) == sorted({e["id"].rsplit("_", 1)[0] for e in entries})
    assert len(whole) == 1284


def test_sample_turns_are_all_there(data_root: Path) -> None:
    """A joined conversation holds each turn once: as many as its last part's place and length say."""
    path = data_root / "sharegpt" / "sharegpt_small.json"
    entries = json.loads(path.read_text())
    ends: dict[str, int] = {}
    odd: set[str] = set()
    for e in entries:
        base, start = e["id"].rsplit("_", 1)
        ends[base] = max(ends.get(base, 0), int(start) + len(e["conversations"]))
        speakers = [turn["from"] for turn in e["conversations"]]
        if any(not turn["value"].strip() for turn in e["conversations"]) or not set(speakers) <= {"human", "gpt"}:
            odd.add(base)
        if any(one == two for one, two in pairwise(speakers)):
            odd.add(base)
    kept = {row.id: len(row.messages) for row in ShareGPT().read(path) if isinstance(row, Conversation)}
    plain = {base: kept[base] for base in kept if base not in odd}
    assert len(plain) > 30
    assert plain == {base: ends[base] for base in plain}


def test_truncated_download_says_what_is_whole(data_root: Path) -> None:
    path = data_root / "sharegpt" / "sharegpt_truncated_1mb.json"
    with pytest.raises(DataError, match=r"170 whole entries end at byte 988482 of 991473") as caught:
        list(ShareGPT().read(path))
    assert str(path) in str(caught.value)
    assert len(json.loads(path.read_bytes()[:988482] + b"]")) == 170


# -- ShareGPT, oddity by oddity ----------------------------------------------------------------------------------------
def test_parts_join_where_they_overlap_and_where_they_follow(tmp_path: Path) -> None:
    rows = read(
        tmp_path,
        entry("x_0", ("human", "a"), ("gpt", "b")),
        entry("x_1", ("gpt", "b"), ("human", "c"), ("gpt", "d")),
        entry("x_4", ("human", "e"), ("gpt", "f")),
        entry("x_9", ("human", "far"), ("gpt", "away")),
    )
    assert [content for _, content in shape(rows[0])] == list("abcdef")
    assert rows[0].id == "x"
    assert rows[1:] == [Drop("x_9", "part does not join", "starts at turn 9, 6 turns known")]


def test_ids_that_only_look_like_parts_stay_apart_on_request(tmp_path: Path) -> None:
    entries = [entry(f"q_{n}", ("human", f"ask {n}"), ("gpt", "yes")) for n in range(3)]
    assert [row.id for row in read(tmp_path, *entries, join_parts=False)] == ["q_0", "q_1", "q_2"]
    joined, dropped = read(tmp_path, *entries)
    assert [content for _, content in shape(joined)] == ["ask 0", "yes", "ask 2", "yes"]  # what the option is for
    assert (dropped.id, getattr(dropped, "reason", "")) == ("q_1", "part does not join")


def test_repairs(tmp_path: Path) -> None:
    banner = "*This conversation is shared from [**ChatHub**](https://chathub.gg)*"
    rows = read(
        tmp_path,
        entry("lead", ("gpt", "welcome"), ("user", "hi"), ("assistant", "yes")),
        entry("site", ("system", banner), ("human", "hi"), ("chatgpt", "yes")),
        entry("kept", ("system", "Be brief."), ("human", "hi"), ("gpt", "yes")),
        entry("twice", ("human", "one"), ("human", ""), ("human", "two"), ("gpt", "yes")),
        entry("half", ("human", "cut \ud83d off"), ("gpt", "\ud83d\ude00")),
    )
    hi = [("user", "hi"), ("assistant", "yes")]
    assert [shape(row) for row in rows] == [
        hi,
        hi,
        [("system", "Be brief."), *hi],
        [("user", "one\n\ntwo"), ("assistant", "yes")],
        [("user", "cut \ufffd off"), ("assistant", "😀")],
    ]


def test_drops_say_why(tmp_path: Path) -> None:
    rows = read(
        tmp_path,
        entry("none"),
        entry("ask", ("human", "hi")),
        entry("gap", ("human", "hi"), ("gpt", "yes"), ("human", " "), ("gpt", "no")),
        entry("bard", ("human", "hi"), ("bard", "yes")),
        entry("odd", ("human", "hi"), ("alien", "yes")),
        {"id": "bare"},
        {"id": "type", "conversations": [{"from": "human", "value": None}]},
    )
    assert {row.id: row.reason for row in rows if isinstance(row, Drop)} == {
        "none": "empty conversation",
        "ask": "no answer to a question",
        "gap": "two answers in a row",
        "bard": "another teacher",
        "odd": "unknown speaker",
        "bare": "not a ShareGPT entry",
        "type": "not a ShareGPT entry",
    }
    assert len(rows) == 7


def test_lines_and_gzip_read_like_the_array(tmp_path: Path) -> None:
    entries = [entry(name, ("human", "hi"), ("gpt", "yes")) for name in "ab"]
    lines, packed = tmp_path / "dump.jsonl", tmp_path / "dump.json.gz"
    lines.write_text("\n".join(json.dumps(e) for e in entries))
    packed.write_bytes(gzip.compress(json.dumps(entries).encode()))
    wanted = [shape(row) for row in read(tmp_path, *entries)]
    assert [shape(row) for row in ShareGPT().read(lines)] == wanted == [shape(row) for row in ShareGPT().read(packed)]
    packed.write_bytes(packed.read_bytes()[:-12])
    with pytest.raises(DataError, match="gzip stream is damaged"):
        list(ShareGPT().read(packed))


TURNS = st.lists(st.tuples(st.sampled_from(["human", "gpt", "system", "bing", "x"]), st.text(max_size=3)), max_size=5)


@given(st.lists(TURNS, max_size=6), st.integers(0, 400))
def test_cut_anywhere_is_an_error_and_whole_adds_up(tmp_path_factory, all_turns, cut: int) -> None:
    """Whole: one row out an entry. Cut before the last bracket: an error whose byte count re-reads."""
    path = tmp_path_factory.getbasetemp() / "cut.json"
    entries = [entry(f"id-{n}", *turns) for n, turns in enumerate(all_turns)]
    data = json.dumps(entries, ensure_ascii=False).encode("utf-8", "surrogatepass")
    if b"\xed" in data:
        data = json.dumps(entries).encode()
    path.write_bytes(data)
    assert [row.id for row in ShareGPT().read(path)] == [e["id"] for e in entries]
    path.write_bytes(data[: max(1, min(cut, len(data) - 1))])
    with pytest.raises(DataError, match="whole entries end at byte") as caught:
        list(ShareGPT().read(path))
    found = re.search(r"(\d+) whole entries end at byte (\d+)", str(caught.value))
    assert found
    whole, end = int(found[1]), int(found[2])
    assert len(json.loads(data[:end] + b"]")) == whole


# -- Messages and rows -------------------------------------------------------------------------------------------------
def test_messages(tmp_path: Path) -> None:
    path = tmp_path / "chat.jsonl"
    good = {"id": "a", "messages": [{"role": "user", "content": "hi"}]}
    bad = {"id": "b", "messages": [{"role": "human", "content": "hi"}]}
    path.write_text(json.dumps(good) + "\r\n" + json.dumps(bad) + "\n")
    kept, dropped = Messages().read(path)
    assert kept == Conversation("a", (Message("user", "hi"),), "chat.jsonl")
    assert isinstance(dropped, Drop) and "role 'human'; allowed: system, user, assistant" in dropped.detail
    with pytest.raises(DataError, match="row 2, message 0: role 'human'"):
        read_prompts(path)


@pytest.mark.parametrize(
    ("content", "says"), [('{"id": 1}\n{"id"', "row 2 is not JSON"), ("[1]", "row 1 is a JSON list")]
)
def test_lines_that_are_not_objects(tmp_path: Path, content: str, says: str) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text(content)
    with pytest.raises(DataError, match=says):
        list(read_rows(path))


def test_missing_and_undecodable_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        list(read_rows(tmp_path / "none.jsonl"))
    (tmp_path / "latin.jsonl").write_bytes(b'{"id": "\xe9"}')
    with pytest.raises(DataError, match="byte 8 is not UTF-8"):
        list(read_rows(tmp_path / "latin.jsonl"))


@given(st.text(st.characters(codec=None, categories=["Cs", "Lu", "So", "Zl"])))
def test_without_surrogates_always_encodes(text: str) -> None:
    fixed = without_surrogates(text)
    fixed.encode("utf-8")
    if not any("\ud800" <= char < "\ue000" for char in text):
        assert fixed == text


@given(st.lists(st.text()))
def test_rows_survive_any_text(tmp_path_factory, texts: list[str]) -> None:
    """U+2028 and the like stay inside their row: only a line feed ends one."""
    path = tmp_path_factory.getbasetemp() / "rows.jsonl"
    path.write_text("".join(json.dumps({"t": t}, ensure_ascii=False) + "\n" for t in texts), newline="")
    assert [row["t"] for _, row in read_rows(path)] == texts
