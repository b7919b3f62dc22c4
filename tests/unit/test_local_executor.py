"""The local executor: order, failures and dead workers."""

import errno
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import ClassVar

import pytest

from epigone.errors import DataError, SpecError, WorkError
from epigone.executors.local import Local
from epigone.interfaces import StageSpec
from epigone.needs import WHOLE, WORKER_BYTES
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


@dataclass(frozen=True)
class Held(Step):
    """Waits, not for ever, until so many of its kind have come; says what it saw when it came itself."""

    num_devices: int = 0
    together: int = 1
    patience: int = 20

    def run(self, inputs: Callable[[object], Path], out: Path) -> dict[str, object]:
        gate = Path(os.environ["GATE"])
        (gate / self.name).touch()
        (gate / f"{self.name}.came").touch()
        most = [path for path in gate.iterdir() if path.suffix != ".came"]  # those that run
        for _ in range(15 * self.patience):
            if len(list(gate.glob("*.came"))) >= self.together:
                break
            time.sleep(0.02)
        (out / "text.txt").write_text(f"{os.environ.get('CUDA_VISIBLE_DEVICES', 'all')} {len(most)}")
        (gate / self.name).unlink()
        return {}


def held(root: Path, executor: Local, *steps: Held) -> dict[str, tuple[str, int]]:
    """By step what it saw: its devices, and how many ran beside it, itself included."""
    executor.run(list(steps), lambda event, stage: None)
    told = {p.parent.name.split("--")[0]: p.read_text().split() for p in root.glob("steps/*/text.txt")}
    return {name: (words[0] if len(words) > 1 else "", int(words[-1])) for name, words in told.items()}


@pytest.fixture
def gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "gate"
    folder.mkdir()
    monkeypatch.setenv("GATE", str(folder))
    return folder


def test_as_many_run_as_memory_lasts_for(tmp_path: Path, gate: Path) -> None:
    steps = [Held(f"step{n}", together=2, patience=1) for n in range(3)]
    tight = Local(str(tmp_path / "tight"), 3, memory_bytes=WORKER_BYTES + 1)
    assert {most for _, most in held(tmp_path / "tight", tight, *steps).values()} == {1}
    for came in gate.iterdir():
        came.unlink()
    small = Local(str(tmp_path / "small"), 3, memory_bytes=1)  # each is more than there is: still one at a time
    assert {most for _, most in held(tmp_path / "small", small, *steps).values()} == {1}
    for came in gate.iterdir():
        came.unlink()
    steps = [Held(f"step{n}", together=2) for n in range(2)]
    wide = Local(str(tmp_path / "wide"), 2, memory_bytes=3 * WORKER_BYTES)
    assert max(most for _, most in held(tmp_path / "wide", wide, *steps).values()) >= 2


def test_each_device_is_one_stage_s_at_a_time(tmp_path: Path, gate: Path) -> None:
    steps = [
        Held("one", num_devices=1, together=2, effort=9.0),
        Held("other", num_devices=1, together=2, effort=9.0),
        Held("none", effort=5.0),
        Held("all", num_devices=WHOLE),
    ]
    found = held(tmp_path, Local(str(tmp_path), 2, devices=("4", "7")), *steps)
    assert sorted([found["one"][0], found["other"][0]]) == ["4", "7"] and max(most for _, most in found.values()) == 2
    assert found["none"][0] == "" and found["all"] == ("4,7", 1)


def test_a_stage_that_takes_more_devices_than_there_are_is_named_before_anything_runs(tmp_path: Path) -> None:
    big = Held("big", num_devices=16)
    with pytest.raises(SpecError, match=r"steps/big--\w+ takes 16 devices and this machine has 2"):
        Local(str(tmp_path), 2, devices=("0", "1")).run([Step("small"), big], lambda event, stage: None)
    assert not list(tmp_path.glob("steps/*"))


def test_ctrl_c_while_a_worker_starts_is_not_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start = BaseProcess.start

    def interrupted(process: BaseProcess) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        start(process)

    monkeypatch.setattr(BaseProcess, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, Step("a"))
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
