"""Progress: who is told, what the file says, what a person reads, and that none of it gets into an artifact."""

import io
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest
from rich.console import Console

from epigone.commands import progress_bars
from epigone.commands.progress_bars import ProgressBars, in_words
from epigone.datasets import iterate_dataset, write_dataset
from epigone.errors import WorkError
from epigone.executors.local import Local
from epigone.progress import FILE_NAME, Progress, ProgressFile, listening, noting, read_progress, tell
from epigone.records import Conversation, Message
from epigone.similarity.compiled import in_blocks
from epigone.store import Store
from epigone.streams import text_chunks


def test_whoever_listens_last_is_told() -> None:
    outer: list[tuple] = []
    inner: list[tuple] = []
    tell(1, 2, "rows")  # nobody listens
    with listening(lambda *told: outer.append(told)):
        with listening(lambda *told: inner.append(told)):
            tell(3, 4, "rows", "x")
        with noting(lambda: "5 kept", of={"a"}):
            tell(5, 6, "rows", "a")
            tell(7, 8, "queries", "b")
        with pytest.raises(ValueError, match="stop"), listening(lambda *told: inner.append(told)):
            raise ValueError("stop")
        tell(9, 9, "rows")
    assert inner == [(3, 4, "rows", "x")]
    assert outer == [(5, 6, "rows", "a, 5 kept"), (9, 9, "rows", "")]


def test_the_file_is_written_now_and_then_and_each_phase_has_a_rate(tmp_path: Path) -> None:
    now = [100.0]
    with ProgressFile(tmp_path, lambda: now[0]) as told:
        assert read_progress(tmp_path) is None
        told(50, 1000, "bytes", "a.json")
        assert read_progress(tmp_path) == Progress(50, 1000, "bytes", "a.json", 50, 0.0)
        now[0] += 0.1
        told(60, 1000, "bytes")
        assert read_progress(tmp_path).done == 50  # too soon
        now[0] += 1.9
        told(250, 1000, "bytes", "a.json")
        found = read_progress(tmp_path)
        assert (found.rate, found.seconds_left) == (pytest.approx(100), pytest.approx(7.5))
        now[0] += 1
        told(10, 1000, "bytes")  # the same file once more
        assert read_progress(tmp_path) == Progress(10, 1000, "bytes", "", 10, 0.0)
        assert read_progress(tmp_path).seconds_left is None
        now[0] += 1
        told(10, 20, "blocks")
        assert read_progress(tmp_path) == Progress(10, 20, "blocks", "", 10, 0.0)
    assert list(tmp_path.iterdir()) == []


def test_the_last_word_before_a_long_wait_is_written_too(tmp_path: Path) -> None:
    with ProgressFile(tmp_path) as told:
        told(1, 9, "rows")
        told(2, 9, "rows")
        told(3, 9, "rows")
        assert read_progress(tmp_path).done == 1
        for _ in range(500):
            if (found := read_progress(tmp_path)) is not None and found.done == 3:
                break
            time.sleep(0.02)
        assert read_progress(tmp_path).done == 3
        told(4, 9, "rows")
        told(5, 9, "rows")
    time.sleep(0.4)  # nothing is written into a folder that was left
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["", "{", '{"done": 1}', "[1]"])
def test_a_file_that_is_being_written_says_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE_NAME).write_text(text)
    assert read_progress(tmp_path) is None


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (
            Progress(124_400_000, 600_000_000, "bytes", "dump.json, 12 rows read", 0, 6.2),
            "124 of 600 MB, 20 MB/s, 0:23 left, dump.json, 12 rows read",
        ),
        (Progress(30, 600, "steps", "loss 2.500", 10, 8), "30 of 600 steps, 2.5/s, 3:48 left, loss 2.500"),
        (Progress(7, 0, "queries", "", 7, 0.0), "7 queries"),
        (Progress(12_000, 0, "rows", "", 0, 4.0), "12,000 rows, 3,000/s"),
    ],
)
def test_in_words(told: Progress, words: str) -> None:
    assert in_words(told) == words


def test_files_datasets_and_searches_tell(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"x" * 3_000_000)
    talks = [Conversation(str(n), (Message("user", "?"),)) for n in range(700)]
    write_dataset(tmp_path / "made" / "records.parquet", talks)
    heard: list[tuple] = []
    with listening(lambda *told: heard.append(told)):
        list(text_chunks(tmp_path / "a.txt"))
        assert heard[-1] == (3_000_000, 3_000_000, "bytes", "a.txt")
        assert [told[0] for told in heard] == sorted(told[0] for told in heard) and len(heard) > 3
        heard.clear()
        list(iterate_dataset(tmp_path / "made" / "records.parquet"))
        assert heard == [(512, 700, "conversations", "made"), (700, 700, "conversations", "made")]
        heard.clear()
        released = threading.Event()
        threading.Timer(1.2, released.set).start()
        in_blocks([slice(0, 9)], lambda: None, lambda part, scratch: released.wait())
        assert heard and set(heard) == {(0, 9, "queries", "")}


@dataclass(frozen=True)
class Slow:
    """Tells how far it is until a file is there, then ends as it was told to."""

    go: str
    fail: str = ""

    kind: ClassVar[str] = "slow"
    version: ClassVar[int] = 1
    slug: ClassVar[str] = "slow"
    effort: ClassVar[float] = 1.0

    def run(self, inputs: Callable[[object], Path], out: Path) -> dict[str, object]:
        for number in range(1, 5000):
            tell(number, 100_000, "steps", "loss 0.5")
            time.sleep(0.01)
            if Path(self.go).exists():
                break
        if self.fail:
            raise WorkError(self.fail)
        (out / "text.txt").write_text("done")
        return {}


def wait_for(condition: Callable[[], bool]) -> None:
    for _ in range(3000):
        if condition():
            return
        time.sleep(0.02)


@pytest.mark.parametrize("is_terminal", [False, True])
def test_a_running_stage_is_shown_until_it_is_done(
    tmp_path: Path, is_terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress_bars, "LOOK_SECONDS", 0.05)
    go, root = tmp_path / "go", tmp_path / "runs"
    stage = Slow(str(go))
    console = Console(file=io.StringIO(), force_terminal=is_terminal, width=200, color_system=None)
    seen = threading.Thread(target=lambda: (wait_for(lambda: "/s, " in console.file.getvalue()), go.touch()))
    seen.start()
    with ProgressBars(console, [stage], 1, root) as on_event:
        Local(str(root), 1).run([stage], on_event)
    seen.join()
    text = console.file.getvalue()
    assert "slow/slow" in text and "of 100,000 steps" in text and " left, loss 0.5" in text
    (made,) = (root / "slow").iterdir()
    assert sorted(path.name for path in made.iterdir()) == ["DONE", "spec.json", "summary.json", "text.txt"]


def test_a_stage_that_failed_or_was_killed_leaves_nothing_that_is_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "go").touch()
    store, stage = Store(tmp_path / "runs"), Slow(str(tmp_path / "go"), "no")
    with pytest.raises(WorkError, match="no"):
        store.build(stage)
    staging = store.root / ".staging" / store.resolver.id(stage)
    assert list(staging.iterdir()) == []
    stage = Slow(str(tmp_path / "go"))
    staging = store.root / ".staging" / store.resolver.id(stage)
    staging.mkdir(parents=True)
    (staging / FILE_NAME).write_text(json.dumps({"done": 9}))  # what a killed build leaves
    assert FILE_NAME not in json.loads((store.build(stage) / "DONE").read_text())["files"]
