"""The store: an artifact is whole or not there, and corrupt ones are refused."""

import errno
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epigone.datasets import read_dataset, write_dataset
from epigone.errors import ArtifactError, WorkError
from epigone.records import Conversation, Message, Response
from epigone.store import Store, read_records, verify, write_records


@dataclass(frozen=True)
class Echo:
    """A stage that writes its text, or fails on the way."""

    text: str
    fail: str = ""

    kind: ClassVar[str] = "echoes"
    version: ClassVar[int] = 1
    slug: ClassVar[str] = "echo"
    effort: ClassVar[float] = 1.0

    def run(self, inputs: Callable[[object], Path], out: Path) -> dict[str, object]:
        (out / "text.txt").write_text(self.text)
        if self.fail == "crash":
            raise RuntimeError("half-way")
        if self.fail == "disk":
            raise OSError(errno.ENOSPC, "No space left on device")
        return {"num_rows": 1}


def test_an_artifact_is_built_once_and_verified(tmp_path: Path) -> None:
    store = Store(tmp_path)
    folder = store.build(Echo("hello"))
    changed = (folder / "DONE").stat().st_mtime_ns
    assert store.build(Echo("hello")) == folder
    assert (folder / "DONE").stat().st_mtime_ns == changed
    assert verify(folder) == 3
    assert json.loads((folder / "summary.json").read_text())["num_rows"] == 1


@pytest.mark.parametrize(("fail", "error"), [("crash", RuntimeError), ("disk", WorkError)])
def test_a_failed_build_leaves_nothing_that_looks_whole(tmp_path: Path, fail: str, error: type[Exception]) -> None:
    store = Store(tmp_path)
    with pytest.raises(error, match=r"half-way|disk full.*free space"):
        store.build(Echo("hello", fail))
    assert not store.is_done(Echo("hello", fail))
    assert not list(tmp_path.glob("*/*/DONE"))
    with pytest.raises(ArtifactError, match="no DONE"):
        store.path(Echo("hello", fail))


def test_a_write_that_was_cut_off_is_no_file_of_the_artifact(tmp_path: Path) -> None:
    store = Store(tmp_path)
    staging = tmp_path / ".staging" / store.resolver.id(Echo("hello"))
    staging.mkdir(parents=True)
    (staging / "DONE.partial").write_text("{")
    folder = store.build(Echo("hello"))
    assert sorted(p.name for p in folder.iterdir()) == ["DONE", "spec.json", "summary.json", "text.txt"]
    assert verify(folder) == 3


def test_a_truncated_file_is_found_by_size_and_a_changed_one_by_verify(tmp_path: Path) -> None:
    store = Store(tmp_path)
    folder = store.build(Echo("hello"))
    (folder / "text.txt").write_text("jello")
    assert store.is_done(Echo("hello"))
    with pytest.raises(ArtifactError, match=r"text.txt is not what DONE says"):
        verify(folder)
    (folder / "text.txt").write_text("hell")
    with pytest.raises(ArtifactError, match="has 4 bytes, DONE says 5; delete"):
        store.is_done(Echo("hello"))
    (folder / "text.txt").unlink()
    with pytest.raises(ArtifactError, match="is missing"):
        store.build(Echo("hello"))


def test_a_hit_whose_spec_differs_is_an_error(tmp_path: Path) -> None:
    store = Store(tmp_path)
    folder = store.build(Echo("hello"))
    spec = json.loads((folder / "spec.json").read_text())
    spec["spec"]["text"] = "other"
    (folder / "spec.json").write_text(json.dumps(spec, indent=1, sort_keys=True) + "\n")
    with pytest.raises(ArtifactError, match="another spec"):
        store.is_done(Echo("hello"))


def test_an_unreadable_done_is_an_artifact_error(tmp_path: Path) -> None:
    store = Store(tmp_path)
    folder = store.build(Echo("hello"))
    for broken in ("", "[]", "{}"):
        (folder / "DONE").write_text(broken)
        with pytest.raises(ArtifactError, match="delete"):
            store.is_done(Echo("hello"))


TEXT = st.text(st.characters(exclude_categories=["Cs"]))
MESSAGES = st.lists(st.builds(Message, st.sampled_from(["user", "assistant"]), TEXT), max_size=4).map(tuple)


@given(st.lists(st.builds(Response, TEXT, MESSAGES, TEXT, TEXT, TEXT, st.integers(0, 9)), max_size=4))
def test_records_come_back_as_they_went(tmp_path_factory: pytest.TempPathFactory, rows: list[Response]) -> None:
    path = tmp_path_factory.mktemp("records") / "records.jsonl"
    assert write_records(path, rows) == len(rows)
    assert read_records(path, Response) == rows


@given(st.lists(st.builds(Conversation, TEXT, MESSAGES, TEXT), max_size=4))
def test_datasets_come_back_as_they_went(tmp_path_factory: pytest.TempPathFactory, rows: list[Conversation]) -> None:
    path = tmp_path_factory.mktemp("dataset") / "records.parquet"
    write_dataset(path, rows)
    assert read_dataset(path) == rows


def test_a_broken_row_is_named(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    row = '{"role": "user", "content": "x"}\n'
    path.write_text(row + row + '{"role": "user", "contents": "x"}\n')
    with pytest.raises(ArtifactError, match="row 3: not a Message"):
        read_records(path, Message)
    path.write_text(row + "{")
    with pytest.raises(ArtifactError, match="row 2"):
        read_records(path, Message)
    (tmp_path / "records.parquet").write_bytes(b"PAR1")
    with pytest.raises(ArtifactError, match="not a dataset"):
        read_dataset(tmp_path / "records.parquet")
