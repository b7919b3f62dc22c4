"""slurm: stages as array jobs of a Slurm cluster, submitted as they become ready; or scripts for somebody to submit.

In: stages. Out: their artifacts under one root folder that all nodes see at the same path, the same to the byte as
`local` builds. Whoever waits may be stopped: the jobs go on, and the same command finds them again. A stage that takes
more devices than a node has gets several nodes, joined through `srun`. Source: https://slurm.schedmd.com/job_array.html.
"""

import os
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from epigone.errors import HandedOn, SpecError, WorkError
from epigone.interfaces import StageSpec
from epigone.needs import hosts_of, needs_of, processors_as_devices
from epigone.schedule import Schedule
from epigone.slurm_script import MOST_TASKS, Allocation, ids_of, write_job
from epigone.spec import inputs_of
from epigone.store import Store, write_text

OnEvent = Callable[[str, StageSpec], None]
FOLDER = ".slurm"
"""Under the root: one folder a job."""
_LOG_LINES = 12


@dataclass(frozen=True)
class Slurm:
    """A Slurm cluster whose nodes all see one root folder."""

    root: str
    """Folder of all artifacts, at the same path on every node."""
    num_gpus: int = 0
    """Devices of a node; 0: there are none, and processors do the work."""
    num_cpus: int = 1
    """Processors of a task."""
    writes_only: bool = False
    """Write the scripts of everything and submit nothing."""
    num_restarts: int = 3
    """How often a stage is submitted again whose job vanished without a word."""
    poll_seconds: float | int = 5.0
    """Between two looks at the queue."""
    arrival_seconds: float | int = 75.0
    """How long what a job has written may take to be seen here; NFS may hold on to an old listing for a minute."""

    def run(self, stages: Sequence[StageSpec], on_event: OnEvent) -> dict[str, float]:
        """Run the stages, inputs first. Returns no figures: what a job took, `sacct` knows.

        Events: start (again where a stage starts again), done, failed. Where a stage fails, those that need it are left
        out, the rest goes on, and a WorkError names the failures at the end. Raises SpecError where Slurm is missing,
        and HandedOn where scripts were to be written alone.
        """
        if not self.writes_only and not (shutil.which("sbatch") and shutil.which("squeue")):
            raise SpecError("the executor slurm needs sbatch and squeue on the PATH: run it on a login node")
        run = _Run(self, Schedule.of(stages), on_event)
        for stage in stages:
            run.allocation(stage)
        if self.writes_only:
            raise HandedOn(run.write_all(stages))
        run.adopt()
        run.work()
        if run.schedule.failures:
            raise WorkError("\n".join(run.schedule.failures))
        return {}


@dataclass
class _Task:
    """A stage that was submitted."""

    stage: StageSpec
    folder: Path
    number: int
    job: str
    missed: float | None = None
    """When it was first found neither in the queue nor ended."""

    @property
    def in_queue(self) -> str:
        return f"{self.job}_{self.number}"

    def file(self, suffix: str) -> Path:
        return self.folder / f"{self.number}.{suffix}"


@dataclass
class _Run:
    """One run: what is in the queue."""

    options: Slurm
    schedule: Schedule
    on_event: OnEvent
    running: dict[str, _Task] = field(default_factory=dict[str, _Task])
    found: dict[str, tuple[Path, int, str]] = field(default_factory=dict[str, tuple[Path, int, str]])
    """Tasks by artifact that an earlier run has submitted, and that are in the queue still."""
    num_lost: dict[str, int] = field(default_factory=dict[str, int])

    def __post_init__(self) -> None:
        self.root = Path(self.options.root).absolute()
        self.store = Store(self.root, self.schedule.resolver)

    def adopt(self) -> None:
        """Find what an earlier run has submitted."""
        queued = _queue() or set()
        for submitted in sorted((self.root / FOLDER).glob("*/job")):
            job = submitted.read_text().strip()
            for number, key in enumerate(ids_of(submitted.parent)):
                if f"{job}_{number}" in queued:
                    self.found[key] = (submitted.parent, number, job)

    def work(self) -> None:
        """Until every stage is done, failed or left out."""
        while self.schedule.is_open():
            self._hand_out()
            if self.running and not self._take_back():
                time.sleep(self.options.poll_seconds)

    def allocation(self, stage: StageSpec) -> Allocation:
        """What the stage's task takes. Raises SpecError where its devices do not fill whole nodes."""
        asked, gpus = needs_of(stage, self.store), self.options.num_gpus
        name = self.schedule.resolver.id(stage)
        num_hosts = hosts_of(asked.num_devices, gpus or processors_as_devices(), name)
        wanted = asked.on(gpus).num_devices // num_hosts
        return Allocation(num_hosts, wanted, self.options.num_cpus, asked.memory_bytes)

    def _hand_out(self) -> None:
        ready: dict[tuple[Allocation, str], list[StageSpec]] = {}
        while self.schedule.ready:
            stage = self.schedule.take()
            key = self.schedule.resolver.id(stage)
            if key in self.found:
                self.running[key] = _Task(stage, *self.found.pop(key))
                self.on_event("start", stage)
            else:
                ready.setdefault((self.allocation(stage), stage.kind), []).append(stage)
        for (allocation, _), stages in ready.items():
            for part in _parts(stages):
                self._submit(part, allocation)

    def _submit(self, stages: Sequence[StageSpec], allocation: Allocation) -> None:
        folder = self._folder(stages[0].kind)
        job = _sbatch(write_job(folder, stages, allocation, self.root, self.schedule.resolver))
        write_text(folder / "job", job + "\n")
        for number, stage in enumerate(stages):
            self.running[self.schedule.resolver.id(stage)] = _Task(stage, folder, number, job)
            self.on_event("start", stage)

    def _folder(self, kind: str) -> Path:
        """A new one; its number says in which order jobs were written."""
        home = self.root / FOLDER
        home.mkdir(parents=True, exist_ok=True)
        number = max((int(path.name.partition("-")[0]) for path in home.glob("[0-9]*-*")), default=0) + 1
        folder = home / f"{number:05d}-{kind}"
        folder.mkdir()
        return folder

    def _take_back(self) -> bool:
        """Hear what came of tasks; whether anything did."""
        queued = _queue()
        ended = [key for key, task in list(self.running.items()) if self._has_ended(key, task, queued)]
        return bool(ended)

    def _has_ended(self, key: str, task: _Task, queued: set[str] | None) -> bool:
        if (self.store.folder(task.stage) / "DONE").exists():
            return self._end(key, None)
        if task.file("exit").exists():
            code = task.file("exit").read_text().strip()
            if code != "0":
                return self._end(key, f"exit code {code}: {_last_words(task.file('log'))}")
        elif queued is None or task.in_queue in queued:
            task.missed = None
            return False
        task.missed = task.missed or time.monotonic()
        if time.monotonic() - task.missed < self.options.arrival_seconds:
            return False
        return self._restart(key, task)

    def _restart(self, key: str, task: _Task) -> bool:
        self.num_lost[key] = self.num_lost.get(key, 0) + 1
        if self.num_lost[key] > self.options.num_restarts:
            words = _last_words(task.file("log"))
            told = (
                f"its job vanished {self.num_lost[key]} times (out of memory or time?); `sacct -j {task.job}` says more"
            )
            return self._end(key, f"{told}. {words}")
        self.schedule.put_back(self.running.pop(key).stage)
        return True

    def _end(self, key: str, failure: str | None) -> bool:
        stage = self.running[key].stage
        if failure is None:
            self.schedule.finish(stage)
        else:
            self.schedule.fail(stage, failure, is_final="disk full" in failure)
        self.on_event("done" if failure is None else "failed", stage)
        del self.running[key]
        return True

    def write_all(self, stages: Sequence[StageSpec]) -> str:
        """Scripts for all stages, level by level, and one that submits them; says how it goes on."""
        depth: dict[str, int] = {}
        levels: dict[tuple[int, Allocation, str], list[StageSpec]] = {}
        resolver = self.schedule.resolver
        for stage in stages:
            before = [depth[resolver.id(each)] for each in inputs_of(stage) if resolver.id(each) in depth]
            depth[resolver.id(stage)] = level = max(before, default=-1) + 1
            levels.setdefault((level, self.allocation(stage), stage.kind), []).append(stage)
        jobs: dict[str, tuple[Path, set[str]]] = {}
        owner: dict[str, str] = {}
        for (_, allocation, kind), group in sorted(levels.items(), key=lambda entry: entry[0][0]):
            for part in _parts(group):
                folder = self._folder(kind)
                write_job(folder, part, allocation, self.root, resolver)
                needed = {resolver.id(each) for stage in part for each in inputs_of(stage)}
                jobs[folder.name.replace("-", "_")] = (folder, {owner[key] for key in needed if key in owner})
                owner |= {resolver.id(stage): folder.name.replace("-", "_") for stage in part}
        submit = self.root / FOLDER / "submit.sh"
        write_text(submit, _submit_script(jobs))
        return (
            f"{len(stages)} stages in {len(jobs)} array jobs are written, none is submitted: bash {submit} does; "
            "once they have run, the same command without `write` finds what they made and goes on"
        )


def _submit_script(jobs: dict[str, tuple[Path, set[str]]]) -> str:
    lines = [
        "#!/usr/bin/env bash",
        "# A task whose inputs failed ends with an error of its own; the rest goes on.",
        "set -e",
    ]
    for name, (folder, needed) in jobs.items():
        after = "".join(f":$job_{each}" for each in sorted(needed))
        dependency = f'"--dependency=afterany{after}" ' if needed else ""
        path = shlex.quote(str(folder))
        lines.append(f"job_{name}=$(sbatch --parsable {dependency}{path}/job.sh)")
        lines.append(f"job_{name}=${{job_{name}%%;*}}; echo $job_{name} > {path}/job")  # JOB or JOB;CLUSTER
    return "\n".join([*lines, ""])


def _parts(stages: Sequence[StageSpec]) -> Iterator[Sequence[StageSpec]]:
    for start in range(0, len(stages), MOST_TASKS):
        yield stages[start : start + MOST_TASKS]


def _sbatch(script: Path) -> str:
    done = subprocess.run(["sbatch", "--parsable", str(script)], capture_output=True, text=True)
    if done.returncode:
        raise WorkError(
            f"sbatch {script}: {done.stderr.strip()}; what was submitted goes on, the same command waits for it"
        )
    return done.stdout.strip().partition(";")[0]  # JOB or JOB;CLUSTER


def _queue() -> set[str] | None:
    """The tasks of one's own in the queue, JOB_NUMBER; None where Slurm does not say."""
    command = ["squeue", "--me", "--array", "--noheader", "--format=%i"]
    done = subprocess.run(command, capture_output=True, text=True)
    return set(done.stdout.split()) if done.returncode == 0 else None


def _last_words(log: Path) -> str:
    try:
        lines = log.read_text(errors="replace").splitlines()
    except OSError:
        return f"it left no log at {log}"
    told = [number for number, line in enumerate(lines) if line.startswith("epigone: ")]
    words = lines[told[-1] :] if told else lines[-_LOG_LINES:]
    return "\n".join(words) + f"\n(all of it: {os.fspath(log)})"
