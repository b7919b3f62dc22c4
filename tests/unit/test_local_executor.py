"""The local executor: order, failures and dead workers."""

import errno
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

from epigone.errors import DataError, WorkError
from epigone.executors.local import Local
from epigone.interfaces import StageSpec
from epigone.spec import in_order
from epigone.store import Store


@dataclass(frozen=True)
class Step:
    """Writes its name after its inputs' texts; may fail in three ways."""

    name: str
    inputs: tuple["Step", ...] = ()
    fail: str = ""
    effort: float | int = 1.0

    kind: ClassVar[str] = "steps"
    version: ClassVar[int] = 1

    @property
    def slug(self) -> str:
        return self.name

    def run(self, inputs: Callable[[object], Path], out: Path) -> dict[str, object]:
        if self.fail == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.fail == "disk":
            raise OSError(errno.ENOSPC, "No space left on device")
        if self.fail == "data":
            raise DataError("row 3 is broken")
        if self.fail == "bug":
            raise ZeroDivisionError("oops")
        texts = [(inputs(step) / "text.txt").read_text() for step in self.inputs]
        (out / "text.txt").write_text("".join(texts) + self.name)
        return {}


def run(root: Path, *targets: Step) -> list[tuple[str, str]]:
    store = Store(root)
    events: list[tuple[str, str]] = []

    def note(event: str, stage: StageSpec) -> None:
        events.append((event, stage.slug))

    Local(str(root), 2).run(in_order(targets, store.resolver), note)
    return events


def test_inputs_run_before_their_readers(tmp_path: Path) -> None:
    a = Step("a")
    b, c = Step("b", (a,)), Step("c", (a,))
    events = run(tmp_path, Step("d", (b, c)))
    assert next(tmp_path.glob("steps/d--*/text.txt")).read_text() == "abacd"
    assert events.index(("done", "a")) < events.index(("start", "b"))
    assert sorted(name for event, name in events if event == "done") == ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    ("fail", "message"),
    [("data", "row 3 is broken"), ("bug", "ZeroDivisionError"), ("die", "worker process died")],
)
def test_a_failure_is_named_and_the_rest_goes_on(tmp_path: Path, fail: str, message: str) -> None:
    broken = Step("broken", fail=fail)
    with pytest.raises(WorkError, match=message):
        run(tmp_path, Step("reader", (broken,)), Step("one"), Step("two", (Step("three"),)))
    assert sorted(p.name.split("--")[0] for p in tmp_path.glob("steps/*")) == ["one", "three", "two"]


def test_a_full_disk_stops_the_rest(tmp_path: Path) -> None:
    chain = Step("last", (Step("second", (Step("first"),)),))
    with pytest.raises(WorkError, match="disk full") as caught:
        run(tmp_path, *(Step(f"full{n}", fail="disk", effort=9.0) for n in range(6)), chain)  # these go first
    assert str(caught.value).count("disk full") <= 2  # those that ran already when the first one failed
    assert not list(tmp_path.glob("steps/*"))
