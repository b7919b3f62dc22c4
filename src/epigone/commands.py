"""What each command does: spec -> stages -> artifacts, with progress that people can look at.

In: parsed arguments. Out: plain values for `--json`; progress on standard error: bars on a terminal, else plain lines.
"""

import inspect
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from epigone import discover
from epigone.errors import SpecError
from epigone.executors.local import Local
from epigone.executors.ray import Ray
from epigone.interfaces import Executor, StageSpec
from epigone.spec import Resolver, read_stage
from epigone.store import Store, verify
from epigone.study import Outcome, Study, TimeLeft, plan, run


def run_study(
    name: str, root: Path, *, seeds: int, scale: str, num_workers: int, executor: str = "local", quiet: bool
) -> dict[str, object]:
    """Run a study and say where its report is. Raises EpigoneError."""
    recipe = discover.recipe(name)
    if "seeds" not in inspect.signature(recipe).parameters:
        raise SpecError(f"the study {name!r} has a command of its own: epigone {name}")
    study = recipe(seeds=seeds, scale=scale)
    assert isinstance(study, Study)
    outcome = execute(study, root, Console(stderr=True, quiet=quiet), num_workers, executor)
    return {
        "report": str(outcome.report),
        "num_stages": outcome.num_stages,
        "num_run": outcome.num_run,
        "wall_seconds": round(outcome.wall_seconds, 1),
        "peak_memory_bytes": int(outcome.peak_memory_bytes),
        "seconds_by_kind": {kind: round(seconds, 1) for kind, seconds in outcome.seconds_by_kind.items()},
    }


def executor_of(text: str, root: Path, num_workers: int) -> Executor:
    """What --executor says: local, ray (a running cluster), ray:HOST:PORT, or ray:local (one just for this run)."""
    name, _, address = text.partition(":")
    if text == "local":
        return Local(str(root), num_workers)
    if name == "ray":
        return Ray(str(root), address, num_cpus=num_workers)
    raise SpecError(f"--executor {text}: there is local, ray, ray:HOST:PORT and ray:local")


def execute(study: Study, root: Path, console: Console, num_workers: int, executor: str = "local") -> Outcome:
    """Run what is missing of a study, with its progress on the console."""
    store, where = Store(root), executor_of(executor, root, num_workers)
    missing = plan(study, store).missing
    try:
        with _progress(console, missing, num_workers) as on_event:
            outcome = run(study, store, where, on_event)
    except KeyboardInterrupt:
        console.print("interrupted; the same command goes on where this one stopped")
        raise
    _print_outcome(outcome, console)
    return outcome


def build(stage: StageSpec, root: Path, console: Console, num_workers: int, executor: str = "local") -> Path:
    """Run what is missing of one artifact and of those that it is made from, with progress; returns its folder."""
    store = Store(root)
    missing = plan(Study(stage.slug, stage), store).missing
    if missing:
        try:
            with _progress(console, missing, num_workers) as on_event:
                executor_of(executor, root, num_workers).run(missing, on_event)
        except KeyboardInterrupt:
            console.print("interrupted; the same command goes on where this one stopped")
            raise
    return store.path(stage)


class _progress:  # noqa: N801 (a context)
    """A bar with the time left on a terminal; elsewhere a plain line now and then."""

    def __init__(self, console: Console, missing: list[StageSpec], num_workers: int) -> None:
        self.console = console
        self.left = TimeLeft(missing, num_workers)
        self.resolver = Resolver()
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[count]}"),
            TimeElapsedColumn(),
        )
        self.bar = Progress(*columns, TextColumn("{task.fields[left]}"), console=console, transient=True)
        self.task = self.bar.add_task("starting", total=self.left.total or 1.0, count="", left="")
        self.printed = 0.0

    def __enter__(self) -> Callable[[str, StageSpec], None]:
        if self.console.is_terminal:
            self.bar.start()
        return self.on_event

    def __exit__(self, *exc: object) -> None:
        self.bar.stop()

    def on_event(self, event: str, stage: StageSpec) -> None:
        """Move on."""
        name = self.resolver.id(stage).rpartition("--")[0]
        if event == "start":
            self.bar.update(self.task, description=name)
            return
        self.left.finish(stage)
        count = f"{self.left.num_done}/{self.left.num_stages}"
        left = f"about {_minutes(self.left.seconds())} left"
        self.bar.update(self.task, completed=self.left.done, count=count, left=left)
        plain_due = not self.console.is_terminal and self.left.elapsed() - self.printed > 10
        if event == "failed" or plain_due:
            self.printed = self.left.elapsed()
            self.console.print(
                f"{_minutes(self.printed)}  {count} {event} {name}, {left}", highlight=False, soft_wrap=True
            )


def _minutes(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def _print_outcome(outcome: Outcome, console: Console) -> None:
    if outcome.num_run:
        table = Table("artifacts", "worker time", box=None)
        for kind, seconds in outcome.seconds_by_kind.items():
            table.add_row(kind, _minutes(seconds))
        console.print(table)
        memory = outcome.peak_memory_bytes / 2**30
        console.print(f"{outcome.num_run} of {outcome.num_stages} stages run, peak memory {memory:.2f} GiB")
    else:
        console.print(f"all {outcome.num_stages} stages were there already")
    console.print(f"{_minutes(outcome.wall_seconds)} min. Report: {outcome.report}", highlight=False, soft_wrap=True)


def run_stage(verb: str, spec: Path, root: Path, *, num_workers: int = 1, executor: str = "local") -> Path:
    """Run one stage from its spec file, and the stages nested in it that are missing."""
    stage = read_stage(spec, verb)
    store = Store(root)
    missing = plan(Study(verb, stage), store).missing
    if missing:
        executor_of(executor, root, num_workers).run(missing, lambda event, which: None)
    return store.path(stage)


def verify_root(root: Path) -> dict[str, int]:
    """Re-hash all artifacts under a root. Raises ArtifactError naming the first file that differs."""
    if not root.is_dir():
        raise SpecError(f"there is no folder {root}; give the root of the artifacts with --root")
    folders = sorted(done.parent for done in root.glob("*/*/DONE"))
    return {"num_artifacts": len(folders), "num_files": sum(verify(folder) for folder in folders)}
