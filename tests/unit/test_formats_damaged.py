"""Every format on damaged files: a DataError that names the file, or every row accounted for; never a traceback."""

import copy
import dataclasses
import gzip
import io
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pyarrow
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from epigone import discover
from epigone.errors import DataError
from epigone.records import Conversation, Document, Drop

CHAT = [{"role": "user", "content": 'Why "so"?'}, {"role": "assistant", "content": "Because, 😀.\n<think>"}]
TURNS = [{"from": "human", "value": "Why?"}, {"from": "gpt", "value": "Because \\ so."}]
ROWS: dict[str, list[dict]] = {
    "sharegpt": [{"id": f"s{n}", "conversations": TURNS * n} for n in range(1, 5)],
    "fastchat": [{"conversation_id": f"c{n}", "model": "m", "conversation": CHAT * n} for n in range(1, 5)],
    "messages": [{"id": f"m{n}", "messages": CHAT * n} for n in range(1, 5)],
    "alpaca": [{"instruction": f"Do {n}.", "input": "", "output": "Done ü."} for n in range(4)],
    "hc3": [{"question": f"{n}?", "human_answers": ["a"], "chatgpt_answers": ["b"], "source": "x"} for n in range(4)],
    "self_instruct": [
        {"id": f"t{n}", "instruction": "Do.", "instances": [{"input": "", "output": "b"}]} for n in "abcd"
    ],
    "documents": [{"id": f"d{n}", "text": "Paris . 😀"} for n in range(4)],
}
MESSAGE = {"type": "Default", "content": "Why?", "author": {"id": "1", "name": "a", "isBot": False}, "mentions": []}
REPLY = {"id": "2", "type": "Reply", "content": "So.", "author": {"id": "3", "name": "b", "isBot": True}}
EXPORT = {
    "guild": {"id": "1"},
    "channel": {"id": "2"},
    "messages": [MESSAGE | {"id": "1"}, REPLY | {"reference": {"messageId": "1"}}, MESSAGE | {"id": "4"}],
    "messageCount": 3,
}
TASK = {"Definition": ["Do."], "Instances": [{"id": f"i{n}", "input": "x", "output": ["y"]} for n in range(3)]}
CSV = b'text,source,question,label\n"So, ""yes""\n.",s,Why?,ai\nNo,s,Why?,human\n'
PACKS = {"": lambda data: data, ".gz": gzip.compress, ".zst": zstandard.compress}
JUNK = [None, True, 0, -1, 10**400, float("nan"), 2.5, "", " ", "\ud83d", "network error", "<think>", [], {}, [None]]
JUNK += [
    [[]],
    {"a": None},
    [{"role": "user"}],
    [{"from": "gpt"}],
    [{"input": 1, "output": [[]]}],
    ["a", 1],
    "a_0",
    "a_9",
]


def table() -> bytes:
    out = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist(ROWS["messages"]), out)
    return out.getvalue()


class Case(NamedTuple):
    """A format, and a file that it reads whole."""

    format: str
    name: str
    data: bytes


CASES = [
    *(Case(name, "x.json", json.dumps(rows, indent=1, ensure_ascii=False).encode()) for name, rows in ROWS.items()),
    *(Case(name, "x.jsonl", "\n".join(map(json.dumps, rows)).encode()) for name, rows in ROWS.items()),
    *(
        Case(name, f"x{end}", pack("\n".join(map(json.dumps, ROWS[name])).encode()))
        for end, pack in list(PACKS.items())[1:]
        for name in ("sharegpt", "documents")
    ),
    Case("discord", "x.json", json.dumps(EXPORT, indent=2).encode()),
    Case("super_natural_instructions", "x.json", json.dumps(TASK).encode()),
    Case("hc3", "x.csv", CSV),
    Case("plain_text", "x.txt", "One.\n\nTwo ü.\n".encode()),
    Case("parquet", "x.parquet", table()),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("damaged")


def outcome(folder: Path, case: Case, data: bytes, *, salvage: bool = False) -> list | None:
    """The rows, each fit to be written; None where the file is refused by name."""
    path = folder / case.name
    path.write_bytes(data)
    component = discover.make("formats", case.format, {"salvage": True} if salvage else {})
    assert component.fits(path) in (True, False)
    try:
        found = list(component.read(path))
    except DataError as error:
        assert case.name in str(error) and str(error).encode()
        return None
    for row in found:
        assert isinstance(row, Conversation | Document | Drop)
        json.dumps(dataclasses.asdict(row), ensure_ascii=False, allow_nan=False).encode()
    kept = [row.id for row in found if not isinstance(row, Drop)]
    assert len(kept) == len(set(kept))
    return found


@st.composite
def damaged(draw: st.DrawFn, data: bytes) -> bytes:
    found = bytearray(data)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, max(0, len(found) - 1)))
        what = draw(st.sampled_from(["delete", "replace", "insert", "cut", "flip"]))
        new = draw(st.sampled_from([b'"', b"{", b"]", b"\n", b",", b"\\ud83d", b"\xff", b"\x00", b"NaN", b"\r", b"-"]))
        if what == "cut":
            del found[at:]
        elif what == "flip" and found:
            found[at] ^= 1 << draw(st.integers(0, 7))
        else:
            found[at : at + (what != "insert") * draw(st.integers(1, 5))] = b"" if what == "delete" else new
    return bytes(found)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.format}/{case.name}")
def test_damaged_bytes_never_break_a_reader(case: Case, folder: Path) -> None:
    @settings(max_examples=30)
    @given(damaged(case.data), st.booleans())
    def check(broken: bytes, salvage: bool) -> None:
        salvage = salvage and case.format != "parquet"
        found = outcome(folder, case, broken, salvage=salvage)
        if case.name == "x.jsonl" and found is not None:
            check_lines(broken, found, salvage=salvage)

    assert outcome(folder, case, case.data)
    check()


def check_lines(data: bytes, found: list, *, salvage: bool) -> None:
    """Each line that is not blank is told of: what is no object too, and what is no JSON where that is survived."""
    if data.lstrip().startswith(b"["):
        return
    try:
        lines = [line for line in data.decode("utf-8-sig").split("\n") if line.strip()]
    except UnicodeDecodeError:
        assert salvage and [row.reason for row in found if isinstance(row, Drop)].count("truncated file") == 1
        return
    num_bad = sum(not is_json(line) for line in lines)
    assert num_bad == 0 or salvage
    assert num_bad == sum(isinstance(row, Drop) and row.reason == "line is not JSON" for row in found)
    objects = [json.loads(line) for line in lines if is_json(line)]
    assert len(found) >= num_bad + len({base(entry) for entry in objects})


def base(entry: object) -> str:
    """What tells rows apart; ShareGPT joins those that have one id."""
    return str(entry.get("id") or json.dumps(entry)) if isinstance(entry, dict) else json.dumps(entry)


def is_json(line: str) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


@st.composite
def junked(draw: st.DrawFn, rows: list[dict]) -> list:
    """Rows with fields that are missing, renamed or hold something else, some rows twice, some no objects."""
    rows = json.loads(json.dumps(rows))
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(rows) - 1))
        row = rows[place]
        what = draw(st.sampled_from(["drop", "rename", "junk", "junk", "inner", "twice", "row"]))
        if what == "row" or not row or not isinstance(row, dict):
            rows[place] = junk(draw)
            continue
        name = draw(st.sampled_from(sorted(row)))
        if what == "twice":
            rows.append(dict(row))
        elif what == "inner" and isinstance(row[name], dict | list) and row[name]:
            inner = row[name]
            inner[draw(st.sampled_from(sorted(inner) if isinstance(inner, dict) else range(len(inner))))] = junk(draw)
        elif what == "rename":
            row[name + "x"] = row.pop(name)
        elif what == "drop":
            del row[name]
        else:
            row[name] = junk(draw)
    return rows


def junk(draw: st.DrawFn) -> object:
    return copy.deepcopy(draw(st.sampled_from(JUNK)))


def num_asked(name: str, rows: list) -> int:
    """How many Conversations and Drops a file of such rows must give."""
    many = {"hc3": "chatgpt_answers", "self_instruct": "instances"}.get(name)
    sizes = [len(v) if isinstance(v := row.get(many), list) and v else 1 for row in rows if isinstance(row, dict)]
    return sum(sizes) + sum(not isinstance(row, dict) for row in rows) if many else len(rows)


@pytest.mark.parametrize("name", [name for name in ROWS if name != "sharegpt"])
def test_every_row_goes_out_once(name: str, folder: Path) -> None:
    @settings(max_examples=50)
    @given(junked(ROWS[name]))
    def check(rows: list) -> None:
        data = json.dumps(rows).encode()
        found = outcome(folder, Case(name, "x.json", b""), data)
        if any(value == 10**400 for value in rows):
            return
        assert found is not None and len(found) == num_asked(name, rows)

    check()


@settings(max_examples=60)
@given(junked(ROWS["sharegpt"]))
def test_every_part_of_sharegpt_is_accounted_for(folder: Path, rows: list) -> None:
    """Every id comes out, and every entry that has no turns to join."""
    found = outcome(folder, Case("sharegpt", "x.json", b""), json.dumps(rows).encode())
    assert found is not None
    assert len(found) <= len(rows)
    ids = {row["id"] for row in rows if isinstance(row, dict) and isinstance(row.get("id"), str) and row["id"].strip()}
    told = {row.id for row in found}
    assert {i.replace("\ud83d", "\ufffd").strip() for i in ids} <= told | {f"{i}_0" for i in told} | {
        f"{i}_9" for i in told
    }


@settings(max_examples=50)
@given(junked(EXPORT["messages"]))  # pyright: ignore[reportArgumentType]
def test_every_message_of_a_channel_is_accounted_for(folder: Path, messages: list) -> None:
    path = folder / "x.json"
    path.write_text(json.dumps(EXPORT | {"messages": messages}))
    notes: Counter[str] = Counter()
    found = [row for row in discover.make("formats", "discord", {}).read(path, notes)]
    told = [row for row in found if getattr(row, "reason", "") != "no bot in the channel"]
    passed = sum(count for name, count in notes.items() if "messages" in name or "notices" in name)
    assert len(told) + passed == len(messages)


@pytest.mark.parametrize("name", ROWS)
def test_packed_files_give_the_same(name: str, folder: Path) -> None:
    plain = json.dumps(ROWS[name]).encode()
    expected = outcome(folder, Case(name, "x", b""), plain)
    for pack in PACKS.values():
        assert outcome(folder, Case(name, "x", b""), pack(plain)) == expected
        assert outcome(folder, Case(name, "x", b""), pack(b"\xef\xbb\xbf" + plain)) == expected


PROGRAM = """
import resource, sys
from pathlib import Path
from epigone import discover
path, read = Path(sys.argv[1]), discover.make("formats", sys.argv[2], {}).read
from epigone.formats.sharegpt import ShareGPT
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
num_rows = sum(1 for _ in read(path))
print(num_rows, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def test_memory_is_flat_in_the_files_size(tmp_path: Path) -> None:
    check_memory(tmp_path / "large.json", num_parts=1_000)


@pytest.mark.slow
def test_memory_is_flat_in_a_much_larger_file(tmp_path: Path) -> None:
    check_memory(tmp_path / "large.json", num_parts=20_000)


def check_memory(path: Path, num_parts: int) -> None:
    """Conversations in two parts of 10 KB each, the second one ten entries later: 20 MB or 200 MB, read in 16 MiB."""
    turns = [{"from": "human", "value": "Why? " * 200}, {"from": "gpt", "value": "Because \\u00fc 😀 " * 500}]
    with path.open("w") as handle:
        handle.write("[")
        for number in range(num_parts):
            half, of = (number // 10) % 2, (number // 20) * 10 + number % 10
            part = {"id": f"c{of}_{2 * half}", "conversations": turns}
            handle.write((",\n" if number else "") + json.dumps(part))
        handle.write("]")
    assert path.stat().st_size > 9_000 * num_parts
    done = subprocess.run([sys.executable, "-c", PROGRAM, path, "sharegpt"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    num_rows, megabytes = map(int, done.stdout.split())
    assert num_rows == num_parts // 2
    assert megabytes < 24
