"""ray: stages as plain remote tasks of a Ray cluster, over as many machines as it has.

In: stages. Out: their artifacts under one root folder, the same to the byte as `local` builds, and figures of use.
**The root, and every file that a stage reads, lie in a folder that all nodes see at the same path** (NFS or the like,
with locks); stages meet on disk, Ray carries only their specs. No actors: a task is bound to nothing, so one whose node
or worker is lost simply starts again elsewhere. Ray keeps for each the devices and the memory that it needs
(docs/decisions/0029); one that takes more devices than a node has runs on several, as a gang. Source: https://docs.ray.io/en/latest/ray-core/fault_tolerance/tasks.html
"""

import os
import sys
import time
import uuid
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import epigone
from epigone import discover
from epigone.errors import SpecError, WorkError
from epigone.interfaces import StageSpec
from epigone.mirror import VARIABLE, Mirror
from epigone.needs import Needs, Room, hosts_of, needs_of, processors_as_devices
from epigone.ray_nodes import Gang, Place, Report, complaint, report, report_of_gang
from epigone.schedule import Schedule, peak_bytes, single_thread
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
            run.check(stages)
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
    running: "dict[object, _Task]" = field(default_factory=dict)
    num_lost: dict[str, int] = field(default_factory=dict[str, int])
    peaks: dict[tuple[str, int], int] = field(default_factory=dict[tuple[str, int], int])

    def __post_init__(self) -> None:
        self.store = Store(Path(self.options.root), self.schedule.resolver)
        self.has_devices = room_of(self._nodes()).num_devices > 0

    def check(self, stages: Sequence[StageSpec]) -> None:
        """Raises SpecError for a stage whose devices do not fill whole nodes."""
        nodes = self._nodes()
        for stage in stages:
            self._task(stage, nodes)

    def probe(self) -> None:
        """Ask a process on every node whether it can run stages. Raises SpecError."""
        strategies = discover.load("ray.util.scheduling_strategies")
        asked = {}
        for node in self._nodes():
            pinned = strategies.NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            reference = self._submit(complaint, self.place, num_cpus=0, scheduling_strategy=pinned)
            asked[reference] = node["NodeManagerAddress"]
        for reference, name in asked.items():
            try:
                told = self.ray.get(reference, timeout=_PROBE_SECONDS)
            except (self.ray.exceptions.NodeDiedError, self.ray.exceptions.TaskUnschedulableError):
                continue  # it is gone
            except self.ray.exceptions.GetTimeoutError:
                told = f"has not answered for {_PROBE_SECONDS} seconds; look at `ray status`"
            except self.ray.exceptions.RayError as error:
                told = f"cannot run epigone: {error}"
            if told:
                raise SpecError(f"node {name} {told}")

    def work(self) -> None:
        """Until every stage is done, failed or left out."""
        last_seen = time.monotonic()
        while self.schedule.is_open():
            nodes = self._nodes()
            last_seen = time.monotonic() if nodes else last_seen
            if time.monotonic() - last_seen > self.options.wait_seconds:
                self._give_up()
                return
            self._hand_out_all(nodes)
            if self.running:
                done, _ = self.ray.wait(list(self.running), num_returns=1, timeout=1.0)
                for reference in done:
                    self._take_back(reference, self._forget(reference))
            else:
                time.sleep(0.2)

    def cancel(self) -> None:
        """Stop whatever runs, and give back the nodes of gangs."""
        for reference, task in self.running.items():
            self.ray.cancel(reference, force=True)
            self._give_back(task)

    def _forget(self, reference: object) -> StageSpec:
        task = self.running.pop(reference)
        self._give_back(task)
        return task.stage

    def _give_back(self, task: "_Task") -> None:
        if task.gang:
            discover.load("ray.util").remove_placement_group(task.gang.group)
            task.gang = None

    def _hand_out_all(self, nodes: Sequence[Mapping[str, Any]]) -> None:
        """Every ready stage that the cluster has CPUs, devices and memory for beside those that run."""
        free = room_of(nodes)

        def fits(stage: StageSpec) -> bool:
            each = self._task(stage, nodes)
            num_taken = sum(task.num_hosts for task in self.running.values())
            has_places = num_taken + each.num_hosts <= self._num_places(nodes)
            left = free.without([task.needs for task in self.running.values()])
            return not self.running or (has_places and left.holds(each.needs))

        while nodes and (stage := self.schedule.take_if(fits)):
            self._hand_out(self._task(stage, nodes))

    def _task(self, stage: StageSpec, nodes: Sequence[Mapping[str, Any]]) -> "_Task":
        """The stage with what it takes; memory is cut to what the largest node has, or it would never run."""
        num_gpus = max((int(node["Resources"].get("GPU", 0)) for node in nodes), default=0)
        most = int(max((node["Resources"].get("memory", 0) for node in nodes), default=0))
        asked = needs_of(stage, self.store)
        told = asked.on(num_gpus)
        name = self.schedule.resolver.id(stage)
        num_hosts = hosts_of(asked.num_devices, num_gpus or processors_as_devices(), name)
        return _Task(stage, Needs(told.num_devices, min(asked.memory_bytes, most)), num_hosts)

    def _hand_out(self, task: "_Task") -> None:
        stage, needs = task.stage, task.needs
        arguments = (self.place, self.schedule.resolver.id(stage), stage)
        if task.num_hosts == 1:
            wanted = {"num_cpus": self.options.num_cpus_per_stage, "memory": needs.memory_bytes}
            wanted |= {"num_gpus": needs.num_devices, "scheduling_strategy": "SPREAD"}
            reference = self._submit(report, *arguments, **wanted)
        else:
            task.gang = self._gang(task)
            reference = self._submit(report_of_gang, *arguments, task.gang, num_cpus=0, scheduling_strategy="SPREAD")
        self.running[reference] = task
        self.on_event("start", stage)

    def _gang(self, task: "_Task") -> Gang:
        """Nodes for one stage, each with its share of the devices, kept by Ray until they are given back."""
        num_cpus, num_gpus = self.options.num_cpus_per_stage, task.needs.num_devices // task.num_hosts
        bundle = {"CPU": num_cpus} | ({"GPU": num_gpus} if num_gpus else {})
        group = discover.load("ray.util").placement_group([bundle] * task.num_hosts, strategy="STRICT_SPREAD")
        environment = self._environment() | {"EPIGONE_GANG": uuid.uuid4().hex}  # processes of its own
        return Gang(group, task.num_hosts, num_cpus, num_gpus, self.options.wait_seconds, tuple(environment.items()))

    def _take_back(self, reference: object, stage: StageSpec) -> None:
        errors = self.ray.exceptions
        try:
            told: Report = self.ray.get(reference)
        except (errors.RayTaskError, errors.RuntimeEnvSetupError, errors.OutOfDiskError) as error:
            self._end(stage, str(error), is_final=isinstance(error, errors.OutOfDiskError))
        except errors.RayError as error:
            self._restart(stage, str(error))
        else:
            if told.is_lost:
                self._restart(stage, told.failure or "")
                return
            self.peaks[told.process] = max(told.peak_bytes, self.peaks.get(told.process, 0))
            self._end(stage, told.failure or self._missing(stage), is_final=told.is_final)

    def _end(self, stage: StageSpec, failure: str | None, *, is_final: bool) -> None:
        if failure is None:
            self.schedule.finish(stage)
        else:
            self.schedule.fail(stage, failure, is_final=is_final)
        self.on_event("done" if failure is None else "failed", stage)

    def _restart(self, stage: StageSpec, error: str) -> None:
        key = self.schedule.resolver.id(stage)
        self.num_lost[key] = self.num_lost.get(key, 0) + 1
        if self.num_lost[key] <= self.options.num_restarts:
            self.schedule.put_back(stage)
            return
        told = (error.splitlines() or [""])[0]
        failure = f"its node or worker process was lost {self.num_lost[key]} times (out of memory?): {told}"
        self._end(stage, f"{failure}; run the command again", is_final=False)

    def _missing(self, stage: StageSpec) -> str | None:
        """Why a stage that was built is not there. Listing its folder makes a network file system look again."""
        folder = Path(self.place.root) / self.schedule.resolver.id(stage)
        for _ in range(_ARRIVAL_SECONDS * 4):
            if folder.parent.is_dir() and folder.name in os.listdir(folder.parent) and (folder / "DONE").exists():
                return None
            if (mirror := Mirror.named()) and mirror.has(self.schedule.resolver.id(stage)):
                return None
            time.sleep(0.25)
        return f"was built, but {folder} is not seen here; {self.place.root} must be a folder that all nodes share"

    def _give_up(self) -> None:
        waited = f"no node with {self.options.num_cpus_per_stage} CPUs was left for {self.options.wait_seconds:.0f} s"
        self.cancel()
        stages = [self._forget(reference) for reference in list(self.running)]
        while self.schedule.ready or stages:
            stage = stages.pop() if stages else self.schedule.take()
            self._end(stage, f"{waited}; start nodes and run the command again", is_final=False)

    def _nodes(self) -> list[dict[str, Any]]:
        """The nodes that can run a stage."""
        wanted = self.options.num_cpus_per_stage
        return [n for n in self.ray.nodes() if n["Alive"] and n["Resources"].get("CPU", 0) >= wanted]

    def _num_places(self, nodes: Sequence[Mapping[str, Any]]) -> int:
        """How many stages the cluster can run at a time."""
        return sum(int(n["Resources"]["CPU"] // self.options.num_cpus_per_stage) for n in nodes)

    def _submit(self, function: Callable[..., object], *arguments: object, **options: object) -> object:
        # restarts are counted here: Ray's own would not say that a stage starts again
        environment = self._environment()
        if options.get("num_gpus") == 0 and self.has_devices:
            environment["JAX_PLATFORMS"] = "cpu"  # what asks for no device takes none
        task = self.ray.remote(function).options(max_retries=0, runtime_env={"env_vars": environment}, **options)
        return task.remote(*arguments)

    def _environment(self) -> dict[str, str]:
        environment = single_thread() | ({VARIABLE: mirror.url} if (mirror := Mirror.named()) else {})
        if self.options.address != "local":  # programs compiled for this machine's CPU may not run on another's
            del environment["JAX_COMPILATION_CACHE_DIR"]
        return environment


@dataclass
class _Task:
    """A stage that runs, and what it takes."""

    stage: StageSpec
    needs: Needs
    num_hosts: int
    gang: Gang | None = None


def room_of(nodes: Sequence[Mapping[str, Any]]) -> Room:
    """Devices and memory of all nodes together; which node has them is for Ray to find."""
    memory = int(sum(node["Resources"].get("memory", 0) for node in nodes))
    return Room(int(sum(node["Resources"].get("GPU", 0) for node in nodes)), memory)
