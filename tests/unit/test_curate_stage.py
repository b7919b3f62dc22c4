"""Curate: the ledger adds up to the row, a filter that loses a row is found out, texts lie beside their reasons."""

import json
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epigone.datasets import Waiting, iterate_rows, read_dataset
from epigone.errors import DataError, WorkError
from epigone.records import Conversation, Drop, DroppedConversation, Message
from epigone.spec import Component, Input
from epigone.stages.curate import Curate
from epigone.store import Store, read_records, read_summary


@dataclass(frozen=True)
class Swallow:
    """A filter with a fault: it loses every conversation whose id holds `letter`."""

    letter: str = "b"

    def apply(self, conversations: Iterable[Conversation]) -> Iterator[Conversation | Drop]:
        yield from (c for c in conversations if self.letter not in c.id)


@dataclass(frozen=True)
class LastFirst:
    """A filter that looks ahead: of equal answers the last is kept."""

    def apply(self, conversations: Iterable[Conversation]) -> Iterator[Conversation | Drop]:
        rows = list(conversations)
        last = {c.messages[-1].content: c.id for c in rows}
        for c in rows:
            yield c if last[c.messages[-1].content] == c.id else Drop(c.id, "said again later")


def dump(path: Path, rows: list[tuple[str, str, str]], broken: int = 0) -> Path:
    turns = [(i, [{"role": "user", "content": q}, {"role": "assistant", "content": a}]) for i, q, a in rows]
    lines = [json.dumps({"id": i, "messages": m}) for i, m in turns] + ['{"id": "broken", "messages": 1}'] * broken
    path.write_text("".join(line + "\n" for line in lines))
    return path


def curate(*sources: Path, filters: tuple[Component, ...] = ()) -> Curate:
    inputs = tuple(Input(str(path)) for path in sources)
    return Curate(inputs if len(inputs) > 1 else inputs[0], Component.of("formats", "messages"), filters)


def test_the_ledger_adds_up_and_keeps_the_texts(tmp_path: Path) -> None:
    one = dump(tmp_path / "one.jsonl", [("a", "Why?", "x"), ("b", "why", "y"), ("c", "How?", "z")], broken=2)
    two = dump(tmp_path / "two.jsonl", [("d", "Who?", "z"), ("e", "WHY!", "w")])
    last = Component("curation", f"{__name__}:LastFirst")
    folder = Store(tmp_path / "runs").build(curate(one, two, filters=(Component.of("curation", "duplicates"), last)))
    summary = read_summary(folder)
    assert summary["num_read"] == 7 and summary["num_kept"] == 2 and summary["unreadable"] == {"not in message form": 2}
    assert summary["filters"] == [
        {"filter": "1-duplicates", "num_in": 5, "dropped": {"duplicate query": 2}},
        {"filter": f"2-{__name__}:LastFirst", "num_in": 3, "dropped": {"said again later": 1}},
    ]
    assert [c.id for c in read_dataset(folder / "records.parquet")] == ["a", "d"]
    drops = read_records(folder / "dropped.jsonl", Drop)
    texts = list(iterate_rows(folder / "dropped.parquet", DroppedConversation))
    assert [(d.id, d.reason, d.detail, d.filter) for d in drops] == [
        (t.id, t.reason, t.detail, t.filter) for t in texts
    ]
    said = {t.id: [m.content for m in t.messages] for t in texts}
    assert said == {"b": ["why", "y"], "broken": [], "e": ["WHY!", "w"], "c": ["How?", "z"]}


@pytest.mark.parametrize(("letter", "error"), [("b", "gave back 'c'"), ("c", "lost 1 conversations, the first is 'c'")])
def test_a_filter_that_loses_a_conversation_stops_the_curation(tmp_path: Path, letter: str, error: str) -> None:
    path = dump(tmp_path / "one.jsonl", [("a", "Why?", "x"), ("b", "How?", "y"), ("c", "Who?", "z")])
    faulty = Component("curation", f"{__name__}:Swallow", (("letter", letter),))
    with pytest.raises(WorkError, match=error):
        Store(tmp_path / "runs").build(curate(path, filters=(faulty,)))
    assert not list((tmp_path / "runs").glob("datasets/*"))


def test_nothing_left_is_an_error(tmp_path: Path) -> None:
    path = dump(tmp_path / "one.jsonl", [], broken=3)
    with pytest.raises(DataError, match="all 3 rows were dropped"):
        Store(tmp_path / "runs").build(curate(path))


@given(st.lists(st.integers(-3, 9), max_size=60))
def test_what_waits_comes_out_in_order(tmp_path_factory: pytest.TempPathFactory, steps: list[int]) -> None:
    """Against a plain queue; a number above 0 pushes so many, one below pops. Only two are held in memory at a time."""
    waiting, plain = Waiting(tmp_path_factory.mktemp("waiting")), deque[str]()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Waiting, "HELD", 2)
        for number, step in enumerate(steps):
            for i in range(step):
                plain.append(f"{number}-{i}")
                waiting.push(Conversation(plain[-1], (Message("user", "x"),)))
            for _ in range(min(-step, len(plain))):
                assert waiting.pop().id == plain.popleft()
            assert len(waiting) == len(plain)
        assert [waiting.pop().id for _ in range(len(waiting))] == list(plain)
    with pytest.raises(IndexError):
        waiting.pop()
