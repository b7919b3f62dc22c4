"""What all executors share: which stage goes next, what came of building one, what a single-threaded process needs.

In: stages in dependency order. Out: the ready stage that starts the longest way to the end, until nothing is left.
Source: critical-path list scheduling, R. L. Graham, "Bounds on Multiprocessing Timing Anomalies" (1969).
"""

import contextlib
import ctypes
import heapq
import os
import resource
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from epigone.errors import DiskFullError, EpigoneError, SpecError
from epigone.interfaces import StageSpec
from epigone.spec import Resolver, in_order, inputs_of
from epigone.store import Store

_SINGLE_THREAD = {
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "POLARS_MAX_THREADS": "1",
    "RAYON_NUM_THREADS": "1",
    "TF_CPP_MIN_LOG_LEVEL": "2",
    "MALLOC_ARENA_MAX": "2",  # compilation frees much, and glibc would keep it in an arena a thread
    "MALLOC_MMAP_THRESHOLD_": "1000000000",  # what a step needs and frees, the next one gets without page faults
    "MALLOC_TRIM_THRESHOLD_": "256000000",
}


def single_thread() -> dict[str, str]:
    """Environment of a process that runs stages: one thread each (docs/decisions/0005); what the user set stands."""
    wanted = _SINGLE_THREAD | compiled_once()
    return {name: os.environ.get(name, value) for name, value in wanted.items()}


def keep_freed_memory() -> None:
    """The same for a process that runs already and has the machine to itself: what it once needed it keeps.

    Does nothing where its C library has no such setting.
    """
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        for parameter, value in ((-8, 2), (-3, 1_000_000_000), (-1, 2_000_000_000)):  # as malloc.h numbers them
            mallopt(parameter, value)


def compiled_once() -> dict[str, str]:
    """Environment of a process that keeps what it compiles, for the next one; to be set before JAX is loaded."""
    return {
        "JAX_COMPILATION_CACHE_DIR": str(cache_folder()),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.1",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "0",
    }


def cache_folder() -> Path:
    """Where compiled programs are kept over runs."""
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("EPIGONE_CACHE") or caches / "epigone") / "compiled"


def build(store: Store, stage: StageSpec) -> tuple[str | None, bool]:
    """Build a stage's artifact: why it failed (None where it is done), and whether nothing else need be tried."""
    try:
        store.build(stage)
    except EpigoneError as error:
        return str(error), isinstance(error, DiskFullError)
    except Exception:  # a bug, not swallowed: its traceback ends in the WorkError that names the stage
        return traceback.format_exc(), False
    return None, False


def build_part(store: Store, stage: StageSpec, *, is_first: bool) -> Path:
    """This process's part in a stage that several processes run together: the first builds the artifact, the others do
    their share of its work. What the stage is made from must be there. Raises SpecError where it is not."""
    missing = [each for each in in_order([stage], store.resolver) if not store.is_done(each)]
    if others := [store.resolver.id(each) for each in missing if each is not stage and each != stage]:
        raise SpecError(f"{others[0]} is not there yet: run what the stage is made from in one process, then the stage")
    if missing and is_first:
        store.build(stage)
    elif missing:
        stage.run(store.path, store.staging(stage))
    return store.folder(stage)


def peak_bytes() -> int:
    """The most memory that this process has held."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


@dataclass
class Schedule:
    """Which stages wait, which are ready; the ready one with the longest remaining way goes first."""

    resolver: Resolver
    waiting: dict[str, set[str]]
    readers: dict[str, list[StageSpec]]
    length: dict[str, float]
    places: dict[str, int]
    """Of each stage in the list: breaks ties, so that the order does not hang on object identity."""
    num_running: int = 0
    ready: list[tuple[float, int, StageSpec]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, stages: Sequence[StageSpec]) -> "Schedule":
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
        places = {resolver.id(stage): place for place, stage in enumerate(reversed(stages))}
        schedule = cls(resolver, waiting, readers, length, places)
        for stage in stages:
            if not waiting[resolver.id(stage)]:
                schedule._push(stage)
        return schedule

    def is_open(self) -> bool:
        """Whether something runs or could."""
        return bool(self.ready) or self.num_running > 0

    def take(self) -> StageSpec:
        """The next stage, which counts as running from now on."""
        self.num_running += 1
        return heapq.heappop(self.ready)[2]

    def take_if(self, fits: Callable[[StageSpec], bool]) -> StageSpec | None:
        """The same of the first ready stage that fits; None where none does."""
        passed: list[tuple[float, int, StageSpec]] = []
        found: StageSpec | None = None
        while self.ready and found is None:
            entry = heapq.heappop(self.ready)
            if fits(entry[2]):
                found = entry[2]
                self.num_running += 1
            else:
                passed.append(entry)
        for entry in passed:
            heapq.heappush(self.ready, entry)
        return found

    def finish(self, stage: StageSpec) -> None:
        """The stage is done: those that waited for it alone are ready."""
        self.num_running -= 1
        done = self.resolver.id(stage)
        for reader in self.readers[done]:
            missing = self.waiting[self.resolver.id(reader)]
            missing.discard(done)
            if not missing:
                self._push(reader)

    def fail(self, stage: StageSpec, message: str, *, is_final: bool) -> None:
        """The stage failed: those that need it are left out, and everything that has not started where it is final."""
        self.num_running -= 1
        self.failures.append(f"{self.resolver.id(stage)}: {message}")
        if is_final:
            self.ready.clear()
            self.readers = {key: [] for key in self.readers}

    def put_back(self, stage: StageSpec) -> None:
        """The stage did not get to its end and has to start again."""
        self.num_running -= 1
        self._push(stage)

    def _push(self, stage: StageSpec) -> None:
        key = self.resolver.id(stage)
        heapq.heappush(self.ready, (-self.length[key], self.places[key], stage))
