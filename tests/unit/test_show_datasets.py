"""`epigone show` of a dataset: page by page, kept beside dropped, by reason; text is shown as text."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from epigone.commands import show_datasets
from epigone.datasets import DatasetWriter, write_dataset
from epigone.errors import SpecError
from epigone.records import Conversation, DroppedConversation, Message


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    said = (Message("user", "[red]Why?[/red]"), Message("assistant", "So. " * 100, reasoning="hm"))
    write_dataset(tmp_path / "records.parquet", [Conversation(f"k{i}", said, "one.jsonl") for i in range(5)])
    with DatasetWriter(tmp_path / "dropped.parquet", DroppedConversation) as writer:
        for i in range(7):
            reason = "duplicate query" if i % 2 else "another language"
            writer.write(DroppedConversation(f"d{i}", reason, f"same as k{i}", "1-duplicates", said))
    return tmp_path


def test_pages_go_through_both_sides(folder: Path) -> None:
    found = list(show_datasets.pages(folder, 3, skip=1))
    assert [[c.id for c in page.kept] for page in found] == [["k1", "k2", "k3"], ["k4"]]
    assert [[d.id for d in page.dropped] for page in found] == [["d1", "d2", "d3"], ["d4", "d5", "d6"]]


def test_a_reason_selects(folder: Path) -> None:
    page = next(show_datasets.pages(folder, 9, reason="duplicate query"))
    assert [d.id for d in page.dropped] == ["d1", "d3", "d5"]
    with pytest.raises(SpecError, match=r"there are: another language \(4\), duplicate query \(3\)"):
        next(show_datasets.pages(folder, 9, reason="dull"))


def test_the_table_shows_text_as_text(folder: Path) -> None:
    console = Console(file=io.StringIO(), width=100)
    show_datasets.show(next(show_datasets.pages(folder, 2)), console)
    printed = console.file.getvalue()  # pyright: ignore[reportAttributeAccessIssue]
    assert "[red]Why?[/red]" in printed and "...." in printed and "reasoned" in printed
    assert printed.count("k0") >= 1 and "d1" in printed and "d2" not in printed
