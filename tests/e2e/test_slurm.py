"""Stages on a queue that stands in for Slurm and runs its scripts: arrays, failures, lost jobs, several nodes."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from artifact_bytes import contents
from epigone.commands.run import executor_of
from epigone.errors import HandedOn, SpecError, WorkError
from epigone.executors.local import Local
from epigone.executors.slurm import Slurm
from epigone.interfaces import StageSpec
from epigone.spec import in_order
from epigone.store import Store
from epigone.studies.testbed import testbed as make_testbed
from fake_slurm import install
from training_cases import trained


@dataclass(frozen=True)
class Step:
    """Writes its name after its inputs' texts, or fails."""

    name: str
    inputs: tuple["Step", ...] = ()
    fail: bool = False
    effort: float | int = 1.0
    """Of work."""

    kind: ClassVar[str] = "steps"
    version: ClassVar[int] = 1

    @property
    def slug(self) -> str:
        return self.name

    def run(self, inputs: Callable[[object], Path], out: Path) -> dict[str, object]:
        if self.fail:
            raise ZeroDivisionError("oops")
        texts = [(inputs(step) / "text.txt").read_text() for step in self.inputs]
        (out / "text.txt").write_text("".join(texts) + self.name)
        return {}


@pytest.fixture
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "queue"
    for name, value in install(folder).items():
        monkeypatch.setenv(name, value)
    here = Path(__file__).parent
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(here), *filter(None, sys.path)]))
    return folder


def slurm(root: Path) -> Slurm:
    return Slurm(str(root), poll_seconds=0.05, arrival_seconds=0.2)


def run(executor: Slurm | Local, *targets: StageSpec) -> list[tuple[str, str]]:
    events: list[tuple[str, str]] = []
    store = Store(Path(executor.root))
    stages = [stage for stage in in_order(targets, store.resolver) if not store.is_done(stage)]
    executor.run(stages, lambda event, stage: events.append((event, stage.slug)))
    return events


@pytest.mark.slow
def test_cells_are_tasks_of_one_array_and_a_lost_one_starts_again(queue: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    first = Step("first")
    cells = tuple(Step(f"cell{n}", (first,)) for n in range(3))
    (queue / "lose").write_text("cell1")
    events = run(slurm(root), Step("last", cells))
    assert next(root.glob("steps/last--*/text.txt")).read_text() == "firstcell0firstcell1firstcell2last"
    assert [event for event, name in events if name == "cell1"] == ["start", "start", "done"]
    arrays = [(folder / "job.sh").read_text().count("--array=0-2\n") for folder in sorted((root / ".slurm").iterdir())]
    assert arrays == [0, 1, 0, 0]  # the first, the cells, the lost one, the last


def test_a_failure_is_named_the_rest_goes_on_and_the_same_command_too(queue: Path, tmp_path: Path) -> None:
    broken = Step("broken", fail=True)
    with pytest.raises(WorkError, match=r"(?s)steps/broken--\w+: exit code 1: .*ZeroDivisionError"):
        run(slurm(tmp_path), Step("reader", (broken,)), broken, Step("one"))
    assert [path.name.partition("--")[0] for path in tmp_path.glob("steps/*")] == ["one"]


def test_jobs_of_an_earlier_run_are_found_in_the_queue(queue: Path, tmp_path: Path) -> None:
    step = Step("one")
    with pytest.raises(KeyboardInterrupt):
        executor = slurm(tmp_path)
        executor.run([step], interrupt)
    assert run(slurm(tmp_path), step) in ([("start", "one"), ("done", "one")], [])
    assert len((queue / "submitted").read_text().splitlines()) == 1


def interrupt(event: str, stage: StageSpec) -> None:
    raise KeyboardInterrupt


@pytest.mark.slow
def test_scripts_alone(queue: Path, tmp_path: Path) -> None:
    """Nothing is submitted; what is written has Slurm keep to the order, and gives the same artifacts."""
    root = tmp_path / "root"
    last = Step("last", tuple(Step(f"cell{n}", (Step("first"),)) for n in range(2)))
    with pytest.raises(HandedOn, match=r"4 stages in 3 array jobs are written") as caught:
        run(executor_of("slurm:write", root, 1), last)
    assert caught.value.exit_code == 0 and not (queue / "submitted").exists()
    subprocess.run(["bash", str(root / ".slurm" / "submit.sh")], check=True, capture_output=True)
    assert [line.split()[1][:22] for line in (queue / "submitted").read_text().splitlines()][1:] == [
        "--dependency=afterany:"
    ] * 2
    while list((queue / "queue").iterdir()):
        time.sleep(0.05)
    assert next(root.glob("steps/last--*/text.txt")).read_text() == "firstcell0firstcell1last"


def test_what_a_task_asks_for(tmp_path: Path) -> None:
    small, large = trained(tmp_path, ""), trained(tmp_path, "1,16,1")
    with pytest.raises(HandedOn):
        run(executor_of("slurm:gpus=8,cpus=16,write", tmp_path, 1), small, large)
    one, two = (path.read_text() for path in sorted((tmp_path / ".slurm").glob("*/job.sh")))
    assert "--nodes=1\n" in one and "--gpus-per-node=1\n" in one and "srun" not in one and "--mem=1536M" in one
    assert "--nodes=2\n" in two and "--gpus-per-node=8\n" in two and "--cpus-per-task=16\n" in two
    assert "srun --kill-on-bad-exit=1" in two
    with pytest.raises(SpecError, match="takes 12 devices and a machine has 8"):
        run(executor_of("slurm:gpus=8,write", tmp_path, 1), trained(tmp_path, "1,12,1"))
    with pytest.raises(SpecError, match="gpus=N, cpus=N"):
        executor_of("slurm:gpus=many", tmp_path, 1)


def test_without_slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SpecError, match="sbatch and squeue on the PATH"):
        run(slurm(tmp_path), Step("one"))


@pytest.mark.slow
def test_what_takes_two_nodes_runs_through_srun(queue: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone, both = trained(tmp_path, ""), trained(tmp_path, "1,2,1")
    run(slurm(tmp_path), both, alone)
    logs = [Store(tmp_path).path(stage) / "train_log.jsonl" for stage in (alone, both)]
    one, two = ([json.loads(line)["loss"] for line in log.read_text().splitlines()] for log in logs)
    assert len(one) == 20
    np.testing.assert_allclose(two, one, rtol=1e-5)


@pytest.mark.slow
def test_the_testbed_has_the_bytes_of_one_machine(queue: Path, tmp_path: Path) -> None:
    report = make_testbed(seeds=1, scale="small").report
    run(replace(slurm(tmp_path / "slurm"), arrival_seconds=5.0), report)
    run(Local(str(tmp_path / "local"), 2), report)
    assert contents(tmp_path / "slurm") == contents(tmp_path / "local")
    assert len(contents(tmp_path / "slurm")) > 100


def test_every_stage_of_the_testbed_reads_back_from_its_file(tmp_path: Path) -> None:
    """Written with a check of its own: a stage whose file is another stage is refused."""
    with pytest.raises(HandedOn, match="stages in"):
        run(Slurm(str(tmp_path), writes_only=True), make_testbed(seeds=1, scale="small").report)
