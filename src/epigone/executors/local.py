"""local: stages in a few worker processes on this machine.

Each worker is single-threaded: at laptop sizes two such processes finish sooner than one with two threads
(docs/decisions/0005). In: stages. Out: their artifacts, and figures of use. Workers die with their parent.
"""

import heapq
import multiprocessing
import os
import resource
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import cast

from epigone.errors import DiskFullError, EpigoneError, WorkError
from epigone.interfaces import StageSpec
from epigone.spec import Resolver, inputs_of
from epigone.store import Store

_SINGLE_THREAD = {
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "POLARS_MAX_THREADS": "1",
    "RAYON_NUM_THREADS": "1",
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.1",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "0",
    "TF_CPP_MIN_LOG_LEVEL": "2",
    "MALLOC_ARENA_MAX": "2",  # compilation frees much, and glibc would keep it in an arena a thread
    "MALLOC_TRIM_THRESHOLD_": "1000000",
}


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
        for name, value in (_SINGLE_THREAD | {"JAX_COMPILATION_CACHE_DIR": str(cache_folder())}).items():
            os.environ.setdefault(name, value)
        schedule = _Schedule.of(stages)
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
        return {"peak_memory_bytes": float(_peak_bytes() + sum(w.peak_bytes for w in workers))}

    def _hand_out(
        self, schedule: "_Schedule", workers: "list[_Worker]", on_event: Callable[[str, StageSpec], None]
    ) -> None:
        for worker in workers:
            if worker.stage is None and schedule.ready:
                worker.give(schedule.take())
                assert worker.stage is not None
                on_event("start", worker.stage)

    def _take_back(
        self, schedule: "_Schedule", workers: "list[_Worker]", on_event: Callable[[str, StageSpec], None]
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


def cache_folder() -> Path:
    """Where compiled programs are kept over runs."""
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("EPIGONE_CACHE") or caches / "epigone") / "compiled"


@dataclass
class _Schedule:
    """Which stages wait, which are ready; the ready one with the longest remaining way goes first."""

    resolver: Resolver
    waiting: dict[str, set[str]]
    readers: dict[str, list[StageSpec]]
    length: dict[str, float]
    num_running: int = 0
    ready: list[tuple[float, int, StageSpec]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, stages: Sequence[StageSpec]) -> "_Schedule":
        """A schedule of stages in dependency order; inputs outside the list count as there."""
        resolver = Resolver()
        ids = {resolver.id(s) for s in stages}
        waiting = {resolver.id(s): {resolver.id(i) for i in inputs_of(s)} & ids for s in stages}
        readers: dict[str, list[StageSpec]] = {key: [] for key in ids}
        for stage in stages:
            for key in waiting[resolver.id(stage)]:
                readers[key].append(stage)
        length: dict[str, float] = {}
        for stage in reversed(stages):
            key = resolver.id(stage)
            length[key] = stage.effort + max((length[resolver.id(r)] for r in readers[key]), default=0.0)
        schedule = cls(resolver, waiting, readers, length)
        for stage in stages:
            if not waiting[resolver.id(stage)]:
                schedule._push(stage)
        return schedule

    def is_open(self) -> bool:
        return bool(self.ready) or self.num_running > 0

    def take(self) -> StageSpec:
        self.num_running += 1
        return heapq.heappop(self.ready)[2]

    def finish(self, stage: StageSpec) -> None:
        self.num_running -= 1
        done = self.resolver.id(stage)
        for reader in self.readers[done]:
            missing = self.waiting[self.resolver.id(reader)]
            missing.discard(done)
            if not missing:
                self._push(reader)

    def fail(self, stage: StageSpec, message: str, *, is_final: bool) -> None:
        self.num_running -= 1
        self.failures.append(f"{self.resolver.id(stage)}: {message}")
        if is_final:
            self.ready.clear()
            self.readers = {key: [] for key in self.readers}

    def _push(self, stage: StageSpec) -> None:
        key = self.resolver.id(stage)
        # the position in `length` breaks ties, so that the order does not hang on object identity
        heapq.heappush(self.ready, (-self.length[key], list(self.length).index(key), stage))


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
        connection.send((*_build(store, stage), _peak_bytes()))


def _build(store: Store, stage: StageSpec) -> tuple[str | None, bool]:
    try:
        store.build(stage)
    except EpigoneError as error:
        return str(error), isinstance(error, DiskFullError)
    except Exception:  # a bug, not swallowed: its traceback ends in the WorkError that names the stage
        return traceback.format_exc(), False
    return None, False


def _peak_bytes() -> int:
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _die_with_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.2)
    os._exit(1)
