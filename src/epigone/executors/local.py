"""local: stages in a few worker processes on this machine.

Each worker is single-threaded: at laptop sizes two such processes finish sooner than one with two threads
(docs/decisions/0005). Stages run side by side only as far as memory and accelerators last (docs/decisions/0029).
In: stages. Out: their artifacts, and figures of use. Workers die with their parent.
"""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import cast

from epigone.errors import SpecError, WorkError
from epigone.interfaces import StageSpec
from epigone.needs import Needs, Room, devices_here, memory_here, needs_of
from epigone.schedule import Schedule, build, peak_bytes, single_thread
from epigone.store import Store


@dataclass(frozen=True)
class Local:
    """Worker processes on this machine that write into one root folder."""

    root: str
    """Folder of all artifacts."""
    num_workers: int = 2
    """Stages at a time, where memory and devices last for as many."""
    memory_bytes: int = 0
    """Of all stages together, by their estimates; 0: what is free when the run begins."""
    devices: tuple[str, ...] | None = None
    """Accelerators by name, as CUDA_VISIBLE_DEVICES has them; None: those that there are."""

    def run(self, stages: Sequence[StageSpec], on_event: Callable[[str, StageSpec], None]) -> dict[str, float]:
        """Run the stages, inputs first and the longest way to the end first. Returns `peak_memory_bytes`,
        the sum of what each process held at most.

        Events: start, done, failed. Where a stage fails, those that need it are left out, the rest goes on, and a
        WorkError names the failures at the end. A full disk stops everything at once. A stage whose estimate is more
        than there is runs alone. Raises SpecError, before anything runs, for one that takes more devices.
        """
        os.environ.update(single_thread())
        devices = devices_here() if self.devices is None else self.devices
        run = _Run(self.root, Schedule.of(stages), Room(len(devices), self.memory_bytes or memory_here()), devices)
        run.check(stages)
        run.workers = [run.start() for _ in range(max(1, min(self.num_workers, len(stages))))]
        try:
            while run.schedule.is_open():
                run.hand_out(on_event)
                run.take_back(on_event)
        finally:
            for worker in run.workers:
                worker.stop()
        if run.schedule.failures:
            raise WorkError("\n".join(run.schedule.failures))
        return {"peak_memory_bytes": float(peak_bytes() + run.peak_bytes())}


@dataclass
class _Run:
    """One run: what is under way."""

    root: str
    schedule: Schedule
    room: Room
    devices: tuple[str, ...]
    workers: "list[_Worker]" = field(default_factory=list["_Worker"])
    ended_bytes: int = 0
    """Peaks of workers that are gone."""

    def __post_init__(self) -> None:
        self.store = Store(Path(self.root), self.schedule.resolver)

    def check(self, stages: Sequence[StageSpec]) -> None:
        """Raises SpecError where a stage takes more devices than there are."""
        for stage in stages:
            wanted = needs_of(stage, self.store).on(self.room.num_devices).num_devices
            if wanted > self.room.num_devices:
                raise SpecError(
                    f"{self.schedule.resolver.id(stage)} takes {wanted} devices and this machine has "
                    f"{self.room.num_devices}: give its training a smaller mesh, or the executor ray or slurm"
                )

    def hand_out(self, on_event: Callable[[str, StageSpec], None]) -> None:
        """Give ready stages to idle workers, as long as they fit beside those that run."""
        while idle := [worker for worker in self.workers if worker.stage is None]:
            left = self.room.without([each.needs for each in self.workers if each.stage is not None])
            fits = partial(self._fits, left, is_alone=len(idle) == len(self.workers))
            stage = self.schedule.take_if(fits)
            if stage is None:
                return
            needs = self._needs(stage)
            self._worker(idle, needs.num_devices).give(stage, needs)
            on_event("start", stage)

    def take_back(self, on_event: Callable[[str, StageSpec], None]) -> None:
        """Wait for a worker, and hear what came of its stage."""
        busy = {w.connection: w for w in self.workers if w.stage is not None}
        for connection in wait(list(busy)):
            worker = busy[connection]  # pyright: ignore[reportArgumentType]
            stage, worker.stage = worker.stage, None
            assert stage is not None
            failure, is_final = worker.outcome()
            if failure is None:
                self.schedule.finish(stage)
            else:
                self.schedule.fail(stage, failure, is_final=is_final)
            on_event("done" if failure is None else "failed", stage)
            if not worker.process.is_alive():
                self._replace(worker, worker.devices)

    def peak_bytes(self) -> int:
        """The sum over all workers that there were."""
        return self.ended_bytes + sum(worker.peak_bytes for worker in self.workers)

    def _needs(self, stage: StageSpec) -> Needs:
        return needs_of(stage, self.store).on(self.room.num_devices)

    def _fits(self, left: Room, stage: StageSpec, *, is_alone: bool) -> bool:
        return is_alone or left.holds(self._needs(stage))

    def _worker(self, idle: "list[_Worker]", num_devices: int) -> "_Worker":
        """An idle worker that sees so many accelerators, which no other process holds on to.

        JAX takes what it sees when a process first uses it, and keeps it: for others a worker has to start anew.
        """
        if found := next((each for each in idle if len(each.devices) == num_devices), None):
            return found
        busy = {name for each in self.workers if each not in idle for name in each.devices}
        chosen = tuple(name for name in self.devices if name not in busy)[:num_devices]
        for other in idle[1:]:
            if set(other.devices) & set(chosen):
                self._replace(other, ())
        return self._replace(idle[0], chosen)

    def _replace(self, worker: "_Worker", devices: tuple[str, ...]) -> "_Worker":
        worker.stop()
        self.ended_bytes += worker.peak_bytes
        place = self.workers.index(worker)
        self.workers[place] = self.start(devices)
        return self.workers[place]

    def start(self, devices: tuple[str, ...] = ()) -> "_Worker":
        """A new worker."""
        return _Worker.start(self.root, devices, _seeing(devices) if self.devices else {})


@dataclass
class _Worker:
    process: BaseProcess
    connection: Connection
    devices: tuple[str, ...] = ()
    stage: StageSpec | None = None
    needs: Needs = field(default_factory=Needs)
    peak_bytes: int = 0

    @classmethod
    def start(cls, root: str, devices: tuple[str, ...], environment: Mapping[str, str]) -> "_Worker":
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_work, args=(theirs, root, os.getpid()), daemon=True)
        # Ctrl-C goes to the whole group: the parent says what it means and stops its workers, which inherit deafness.
        # One that comes just now waits until the worker is there; ignored, it would be lost.
        resource_tracker.ensure_running()  # it lifts the block where it is started behind it
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            with _set(environment):
                process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()
        return cls(process, cast(Connection, ours), devices)

    def give(self, stage: StageSpec, needs: Needs) -> None:
        self.stage, self.needs = stage, needs
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


def _seeing(devices: tuple[str, ...]) -> dict[str, str]:
    """Environment of a process that sees these accelerators alone."""
    return {"CUDA_VISIBLE_DEVICES": ",".join(devices)} | ({} if devices else {"JAX_PLATFORMS": "cpu"})


@contextmanager
def _set(environment: Mapping[str, str]) -> Generator[None, None, None]:
    """A process that is started within inherits these."""
    before = {name: os.environ.get(name) for name in environment}
    os.environ.update(environment)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def _work(connection: Connection, root: str, parent: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
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
