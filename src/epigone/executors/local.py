"""local: stages in a few worker processes on this machine.

Each worker is single-threaded: at laptop sizes two such processes finish sooner than one with two threads
(docs/decisions/0005). In: stages. Out: their artifacts, and figures of use. Workers die with their parent.
"""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import cast

from epigone.errors import WorkError
from epigone.interfaces import StageSpec
from epigone.schedule import Schedule, build, peak_bytes, single_thread
from epigone.store import Store


@dataclass(frozen=True)
class Local:
    """Worker processes on this machine that write into one root folder."""

    root: str
    num_workers: int = 2

    def run(self, stages: Sequence[StageSpec], on_event: Callable[[str, StageSpec], None]) -> dict[str, float]:
        """Run the stages, inputs first and the longest way to the end first. Returns `peak_memory_bytes`,
        the sum of what each process held at most.

        Events: start, done, failed. Where a stage fails, those that need it are left out, the rest goes on, and a
        WorkError names the failures at the end. A full disk stops everything at once.
        """
        os.environ.update(single_thread())
        schedule = Schedule.of(stages)
        workers = [_Worker.start(self.root) for _ in range(max(1, min(self.num_workers, len(stages))))]
        try:
            while schedule.is_open():
                self._hand_out(schedule, workers, on_event)
                self._take_back(schedule, workers, on_event)
        finally:
            for worker in workers:
                worker.stop()
        if schedule.failures:
            raise WorkError("\n".join(schedule.failures))
        return {"peak_memory_bytes": float(peak_bytes() + sum(w.peak_bytes for w in workers))}

    def _hand_out(
        self, schedule: Schedule, workers: "list[_Worker]", on_event: Callable[[str, StageSpec], None]
    ) -> None:
        for worker in workers:
            if worker.stage is None and schedule.ready:
                worker.give(schedule.take())
                assert worker.stage is not None
                on_event("start", worker.stage)

    def _take_back(
        self, schedule: Schedule, workers: "list[_Worker]", on_event: Callable[[str, StageSpec], None]
    ) -> None:
        busy = {w.connection: w for w in workers if w.stage is not None}
        for connection in wait(list(busy)):
            worker = busy[connection]  # pyright: ignore[reportArgumentType]
            stage, worker.stage = worker.stage, None
            assert stage is not None
            failure, is_final = worker.outcome()
            if failure is None:
                schedule.finish(stage)
            else:
                schedule.fail(stage, failure, is_final=is_final)
            on_event("done" if failure is None else "failed", stage)
            if not worker.process.is_alive():
                workers[workers.index(worker)] = _Worker.start(self.root)


@dataclass
class _Worker:
    process: BaseProcess
    connection: Connection
    stage: StageSpec | None = None
    peak_bytes: int = 0

    @classmethod
    def start(cls, root: str) -> "_Worker":
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_work, args=(theirs, root, os.getpid()), daemon=True)
        # Ctrl-C goes to the whole group: the parent says what it means and stops its workers, which inherit deafness
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        process.start()
        signal.signal(signal.SIGINT, before)
        theirs.close()
        return cls(process, cast(Connection, ours))

    def give(self, stage: StageSpec) -> None:
        self.stage = stage
        self.connection.send(stage)

    def outcome(self) -> tuple[str | None, bool]:
        """Why the stage failed (None where it is done), and whether nothing else need be tried."""
        try:
            failure, is_final, self.peak_bytes = self.connection.recv()
        except (EOFError, ConnectionError):
            self.process.join(5)
            code = self.process.exitcode
            return f"the worker process died (exit code {code}; out of memory?); run the command again", False
        return failure, is_final

    def stop(self) -> None:
        self.connection.close()
        self.process.terminate()
        self.process.join(10)


def _work(connection: Connection, root: str, parent: int) -> None:
    threading.Thread(target=_die_with_parent, args=(parent,), daemon=True).start()
    store = Store(Path(root))
    while True:
        try:
            stage: StageSpec = connection.recv()
        except EOFError:
            return
        connection.send((*build(store, stage), peak_bytes()))


def _die_with_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.2)
    os._exit(1)
