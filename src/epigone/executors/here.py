"""here: stages in this process, one after the other; what a task of a cluster runs, whose process is its own already.

In: stages. Out: their artifacts, and figures of use. Nothing is isolated: a stage that dies takes the others along.
Threads are as the environment has them when the process starts (`schedule.single_thread`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from epigone.errors import WorkError
from epigone.interfaces import StageSpec
from epigone.schedule import Schedule, build, peak_bytes
from epigone.store import Store


@dataclass(frozen=True)
class Here:
    """This process."""

    root: str
    """Folder of all artifacts."""

    def run(self, stages: Sequence[StageSpec], on_event: Callable[[str, StageSpec], None]) -> dict[str, float]:
        """Run the stages, inputs first. Returns `peak_memory_bytes`, the most that this process has held.

        Events: start, done, failed. Where a stage fails, those that need it are left out, the rest goes on, and a
        WorkError names the failures at the end. A full disk stops everything at once.
        """
        schedule = Schedule.of(stages)
        store = Store(Path(self.root), schedule.resolver)
        while schedule.is_open():
            stage = schedule.take()
            on_event("start", stage)
            failure, is_final = build(store, stage)
            if failure is None:
                schedule.finish(stage)
            else:
                schedule.fail(stage, failure, is_final=is_final)
            on_event("done" if failure is None else "failed", stage)
        if schedule.failures:
            raise WorkError("\n".join(schedule.failures))
        return {"peak_memory_bytes": float(peak_bytes())}
