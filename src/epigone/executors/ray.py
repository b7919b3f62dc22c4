"""ray: stages as plain remote tasks of a Ray cluster, over as many machines as it has.

In: stages. Out: their artifacts under one root folder, the same to the byte as `local` builds, and figures of use.
**The root, and every file that a stage reads, lie in a folder that all nodes see at the same path** (NFS or the like,
with locks); stages meet on disk, Ray carries only their specs. No actors: a task is bound to nothing, so one whose node
or worker is lost simply starts again elsewhere. Source: https://docs.ray.io/en/latest/ray-core/fault_tolerance/tasks.html
"""

import os
import sys
import time
import uuid
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import ModuleType

import epigone
from epigone import discover
from epigone.errors import SpecError, WorkError
from epigone.interfaces import StageSpec
from epigone.schedule import Schedule, build, peak_bytes, single_thread
from epigone.store import Store

OnEvent = Callable[[str, StageSpec], None]

_ENVIRONMENT = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}  # no reports, no hints
_PROBE_SECONDS = 120
_ARRIVAL_SECONDS = 75  # NFS may hold on to a folder's old listing for a minute


@dataclass(frozen=True)
class Ray:
    """A Ray cluster whose nodes all see one root folder."""

    root: str
    """Folder of all artifacts, at the same path on every node."""
    address: str = ""
    """HOST:PORT of a running cluster; empty: that of RAY_ADDRESS or of this machine; local: one just for this run."""
    num_cpus_per_stage: int = 1
    """CPUs that Ray keeps for a stage, which uses one; more where a node has too little memory for a stage a CPU."""
    num_cpus: int = 0
    """CPUs of a cluster just for this run; 0: as many as the machine has."""
    num_restarts: int = 3
    """How often a stage starts again whose node or worker process was lost."""
    wait_seconds: float = 60.0
    """How long to wait for a node where the cluster has none left that could run a stage."""

    def run(self, stages: Sequence[StageSpec], on_event: OnEvent) -> dict[str, float]:
        """Run the stages, inputs first and the longest way to the end first. Returns `peak_memory_bytes`,
        the sum of what each process held at most.

        Events: start (again where a stage starts again), done, failed. Where a stage fails, those that need it are left
        out, the rest goes on, and a WorkError names the failures at the end. A full disk stops everything at once.
        Raises SpecError where Ray or the cluster is missing, or a node cannot run stages; then nothing was run.
        """
        ray = _load_ray()
        root = Path(self.root).absolute()
        # Ray reports lost nodes on standard output, which belongs to --json
        with redirect_stdout(sys.stderr), self._connected(ray), _marked(root) as mark:
            place = Place(str(root), os.getcwd(), mark.name, epigone.__version__)
            run = _Run(ray, self, place, Schedule.of(stages), on_event)
            run.probe()
            try:
                run.work()
            finally:  # also on Ctrl-C; what was being built is found under .staging by the next run
                run.cancel()
        if run.schedule.failures:
            raise WorkError("\n".join(run.schedule.failures))
        return {"peak_memory_bytes": float(peak_bytes() + sum(run.peaks.values()))}

    @contextmanager
    def _connected(self, ray: ModuleType) -> Generator[None, None, None]:
        if self.address.startswith("ray://"):
            raise SpecError(f"Ray address {self.address}: give HOST:PORT of the head node, as `ray start` prints it")
        if ray.is_initialized():  # by the caller, who also ends it
            yield
            return
        options: dict[str, object] = {"log_to_driver": False, "logging_level": "ERROR"}
        if self.address == "local":
            options |= {"_node_ip_address": "127.0.0.1", "include_dashboard": False, "num_cpus": self.num_cpus or None}
        try:
            ray.init(address=self.address or "auto", **options)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise SpecError(
                f"cannot reach a Ray cluster at {self.address or 'RAY_ADDRESS, or on this machine'}: {error}; start "
                "one with `ray start --head`, or give the address local for one just for this run"
            ) from error
        try:
            yield
        finally:
            ray.shutdown()


@dataclass(frozen=True)
class Place:
    """What a node must have in common with the machine that hands out the stages."""

    root: str
    folder: str
    """The working folder, for paths that are relative."""
    mark: str
    """A file under ROOT/.staging that this run made."""
    version: str

    def complaint(self) -> str:
        """Why stages cannot run in this process; empty where they can."""
        if not (Path(self.root) / ".staging" / self.mark).exists():
            return f"does not see the root {self.root}; it must be a folder that all nodes share, at the same path"
        if epigone.__version__ != self.version:
            return f"has epigone {epigone.__version__}, here it is {self.version}; install the same on all nodes"
        return ""


@dataclass(frozen=True)
class Report:
    """What a task says of its stage: why it failed, if nothing else need be tried, where it ran, with what memory."""

    failure: str | None
    is_final: bool
    process: tuple[str, int]
    peak_bytes: int


def report(place: Place, key: str, stage: StageSpec) -> Report:
    """Build a stage in this process, which is a worker of the cluster."""
    with suppress(OSError):
        os.chdir(place.folder)
    failure: str | None = place.complaint() or None
    is_final = failure is not None  # such a node would fail one stage after the other
    if failure is None:
        failure, is_final = _build(_store(place.root), key, stage)
    node = _node_name()
    return Report(failure and f"on node {node}: {failure}", is_final, (node, os.getpid()), peak_bytes())


def _build(store: Store, key: str, stage: StageSpec) -> tuple[str | None, bool]:
    with suppress(Exception):  # what cannot be read here is told better by the stage itself
        if store.resolver.id(stage) != key:
            return "reads other bytes from the stage's files than this machine does; share them with all nodes", False
    return build(store, stage)


@cache
def _store(root: str) -> Store:
    return Store(Path(root))  # kept, so that a file is hashed once a process


def _complaint(place: Place) -> str:
    return place.complaint()


def _node_name() -> str:
    return str(discover.load("ray").util.get_node_ip_address())


def _load_ray() -> ModuleType:
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    try:
        return discover.load("ray")
    except ImportError as error:
        raise SpecError("the executor ray needs Ray: pip install 'epigone[ray]'") from error


@contextmanager
def _marked(root: Path) -> Generator[Path, None, None]:
    """A new file in the root, by which a node tells that it sees this folder and not another of the same name."""
    mark = root / ".staging" / f"run-{uuid.uuid4().hex}"
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.touch()
    try:
        yield mark
    finally:
        mark.unlink(missing_ok=True)


@dataclass
class _Run:
    """One run: what is under way on the cluster."""

    ray: ModuleType
    options: Ray
    place: Place
    schedule: Schedule
    on_event: OnEvent
    running: dict[object, StageSpec] = field(default_factory=dict[object, StageSpec])
    num_lost: dict[str, int] = field(default_factory=dict[str, int])
    peaks: dict[tuple[str, int], int] = field(default_factory=dict[tuple[str, int], int])

    def probe(self) -> None:
        """Ask a process on every node whether it can run stages. Raises SpecError."""
        strategies = discover.load("ray.util.scheduling_strategies")
        asked = {}
        for node in self._nodes():
            pinned = strategies.NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            reference = self._submit(_complaint, self.place, num_cpus=0, scheduling_strategy=pinned)
            asked[reference] = node["NodeManagerAddress"]
        for reference, name in asked.items():
            try:
                complaint = self.ray.get(reference, timeout=_PROBE_SECONDS)
            except (self.ray.exceptions.NodeDiedError, self.ray.exceptions.TaskUnschedulableError):
                continue  # it is gone
            except self.ray.exceptions.GetTimeoutError:
                complaint = f"has not answered for {_PROBE_SECONDS} seconds; look at `ray status`"
            except self.ray.exceptions.RayError as error:
                complaint = f"cannot run epigone: {error}"
            if complaint:
                raise SpecError(f"node {name} {complaint}")

    def work(self) -> None:
        """Until every stage is done, failed or left out."""
        last_seen = time.monotonic()
        while self.schedule.is_open():
            num_places = self._num_places()
            last_seen = time.monotonic() if num_places else last_seen
            if time.monotonic() - last_seen > self.options.wait_seconds:
                self._give_up()
                return
            while self.schedule.ready and len(self.running) < num_places:
                self._hand_out(self.schedule.take())
            if self.running:
                done, _ = self.ray.wait(list(self.running), num_returns=1, timeout=1.0)
                for reference in done:
                    self._take_back(reference, self.running.pop(reference))
            else:
                time.sleep(0.5)

    def cancel(self) -> None:
        """Stop what still runs."""
        for reference in self.running:
            self.ray.cancel(reference, force=True)

    def _hand_out(self, stage: StageSpec) -> None:
        key, num_cpus = self.schedule.resolver.id(stage), self.options.num_cpus_per_stage
        reference = self._submit(report, self.place, key, stage, num_cpus=num_cpus, scheduling_strategy="SPREAD")
        self.running[reference] = stage
        self.on_event("start", stage)

    def _take_back(self, reference: object, stage: StageSpec) -> None:
        errors = self.ray.exceptions
        try:
            told: Report = self.ray.get(reference)
        except (errors.RayTaskError, errors.RuntimeEnvSetupError, errors.OutOfDiskError) as error:
            self._end(stage, str(error), is_final=isinstance(error, errors.OutOfDiskError))
        except errors.RayError as error:
            self._restart(stage, error)
        else:
            self.peaks[told.process] = max(told.peak_bytes, self.peaks.get(told.process, 0))
            self._end(stage, told.failure or self._missing(stage), is_final=told.is_final)

    def _end(self, stage: StageSpec, failure: str | None, *, is_final: bool) -> None:
        if failure is None:
            self.schedule.finish(stage)
        else:
            self.schedule.fail(stage, failure, is_final=is_final)
        self.on_event("done" if failure is None else "failed", stage)

    def _restart(self, stage: StageSpec, error: Exception) -> None:
        key = self.schedule.resolver.id(stage)
        self.num_lost[key] = self.num_lost.get(key, 0) + 1
        if self.num_lost[key] <= self.options.num_restarts:
            self.schedule.put_back(stage)
            return
        told = (str(error).splitlines() or [""])[0]
        failure = f"its node or worker process was lost {self.num_lost[key]} times (out of memory?): {told}"
        self._end(stage, f"{failure}; run the command again", is_final=False)

    def _missing(self, stage: StageSpec) -> str | None:
        """Why a stage that was built is not there. Listing its folder makes a network file system look again."""
        folder = Path(self.place.root) / self.schedule.resolver.id(stage)
        for _ in range(_ARRIVAL_SECONDS * 4):
            if folder.parent.is_dir() and folder.name in os.listdir(folder.parent) and (folder / "DONE").exists():
                return None
            time.sleep(0.25)
        return f"was built, but {folder} is not seen here; {self.place.root} must be a folder that all nodes share"

    def _give_up(self) -> None:
        waited = f"no node with {self.options.num_cpus_per_stage} CPUs was left for {self.options.wait_seconds:.0f} s"
        self.cancel()
        stages = list(self.running.values())
        self.running.clear()
        while self.schedule.ready or stages:
            stage = stages.pop() if stages else self.schedule.take()
            self._end(stage, f"{waited}; start nodes and run the command again", is_final=False)

    def _nodes(self) -> list[dict[str, object]]:
        """The nodes that can run a stage."""
        wanted = self.options.num_cpus_per_stage
        return [n for n in self.ray.nodes() if n["Alive"] and n["Resources"].get("CPU", 0) >= wanted]

    def _num_places(self) -> int:
        """How many stages the cluster can run at a time."""
        wanted = self.options.num_cpus_per_stage
        return sum(int(n["Resources"]["CPU"] // wanted) for n in self._nodes())  # pyright: ignore

    def _submit(self, function: Callable[..., object], *arguments: object, **options: object) -> object:
        environment = single_thread()
        if self.options.address != "local":  # programs compiled for this machine's CPU may not run on another's
            del environment["JAX_COMPILATION_CACHE_DIR"]
        # restarts are counted here: Ray's own would not say that a stage starts again
        task = self.ray.remote(function).options(max_retries=0, runtime_env={"env_vars": environment}, **options)
        return task.remote(*arguments)
