"""A study: a grid of cells that expands to stages and ends in a report.

In: a Study (a recipe's result). Out: the report's folder, after everything missing has run in dependency order.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from epigone.errors import EpigoneError
from epigone.interfaces import Executor, StageSpec
from epigone.spec import in_order
from epigone.store import Store


@dataclass(frozen=True)
class Study:
    """A name and the stage that everything leads to; the rest of the DAG hangs on it."""

    name: str
    report: StageSpec


@dataclass(frozen=True)
class Plan:
    """The stages of a study, inputs first, and which of them are still to be run."""

    stages: list[StageSpec]
    missing: list[StageSpec]


@dataclass(frozen=True)
class Outcome:
    """Where the report is, what the run took."""

    report: Path
    num_stages: int
    num_run: int
    wall_seconds: float
    peak_memory_bytes: float
    seconds_by_kind: dict[str, float] = field(default_factory=dict[str, float])


def plan(study: Study, store: Store) -> Plan:
    """What there is and what is missing. Raises ArtifactError where an artifact is corrupt."""
    stages = in_order([study.report], store.resolver)
    return Plan(stages, [stage for stage in stages if not store.is_done(stage)])


def run(study: Study, store: Store, executor: Executor, on_event: Callable[[str, StageSpec], None]) -> Outcome:
    """Run what is missing and say where the report lies. Raises WorkError, ArtifactError or SpecError."""
    started = time.monotonic()
    planned = plan(study, store)
    spent: dict[str, float] = {}
    begun: dict[int, float] = {}

    def record(event: str, stage: StageSpec) -> None:
        if event == "start":
            begun[id(stage)] = time.monotonic()
        else:
            spent[stage.kind] = spent.get(stage.kind, 0.0) + time.monotonic() - begun[id(stage)]
        on_event(event, stage)

    used = executor.run(planned.missing, record) if planned.missing else {}
    report = store.path(study.report)
    if not (report / "report.html").exists():
        raise EpigoneError(f"{report} holds no report.html; delete the folder and run the command again")
    return Outcome(
        report=report / "report.html",
        num_stages=len(planned.stages),
        num_run=len(planned.missing),
        wall_seconds=time.monotonic() - started,
        peak_memory_bytes=used.get("peak_memory_bytes", 0.0),
        seconds_by_kind=spent,
    )


class TimeLeft:
    """How much of the planned effort is done, and the seconds that the rest will take at the speed so far."""

    def __init__(self, missing: list[StageSpec], num_workers: int) -> None:
        self.total = sum(stage.effort for stage in missing)
        self.num_stages = len(missing)
        self.num_workers = num_workers
        self.done = 0.0
        self.num_done = 0
        self._started = time.monotonic()

    def finish(self, stage: StageSpec) -> None:
        """Count a stage as done."""
        self.done += stage.effort
        self.num_done += 1

    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._started

    def seconds(self) -> float:
        """Seconds left: by the speed so far, and by the planned efforts while little is done."""
        planned = (self.total - self.done) / self.num_workers
        weight = min(1.0, 4 * self.done / self.total) if self.total else 1.0
        observed = self.elapsed() * (self.total - self.done) / self.done if self.done else planned
        return weight * observed + (1 - weight) * planned
