"""How every verb runs its stages, with progress that people can look at; the verbs run and verify whole.

In: studies, stages, parsed arguments. Out: plain values for `--json`; progress on standard error: bars on a
terminal, else plain lines.
"""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.table import Table

from epigone.commands.progress_bars import ProgressBars, minutes
from epigone.errors import SpecError
from epigone.executors.here import Here
from epigone.executors.local import Local
from epigone.executors.ray import Ray
from epigone.executors.slurm import Slurm
from epigone.interfaces import Executor, StageSpec
from epigone.parallel.launch import launch_of
from epigone.schedule import build_part
from epigone.spec import in_order, read_stage
from epigone.store import Store, verify
from epigone.study import Outcome, Study, plan, run


def executor_of(text: str, root: Path, num_workers: int) -> Executor:
    """What --executor says: local; here (this process); ray (a running cluster), ray:HOST:PORT, or ray:local (one just
    for this run); slurm, or slurm:gpus=8,cpus=16,write (of a node; write: submit nothing). Raises SpecError."""
    name, _, rest = text.partition(":")
    if text == "local":
        return Local(str(root), num_workers)
    if text == "here":
        return Here(str(root))
    if name == "ray":
        return Ray(str(root), rest, num_cpus=num_workers)
    if name == "slurm":
        return _slurm(text, root, [part for part in rest.split(",") if part])
    raise SpecError(
        f"--executor {text}: there is local, here, ray, ray:HOST:PORT, ray:local, slurm, slurm:gpus=8,write"
    )


def _slurm(text: str, root: Path, parts: list[str]) -> Slurm:
    given = {name: value for name, _, value in (part.partition("=") for part in parts)}
    numbers = {name: value for name, value in given.items() if name in ("gpus", "cpus") and value.isdecimal()}
    if len(numbers) + ("write" in parts) < len(parts):
        raise SpecError(
            f"--executor {text}: behind slurm: stands gpus=N, cpus=N (of a node) or write, joined by commas"
        )
    counted = {f"num_{name}": int(value) for name, value in numbers.items()}
    return Slurm(str(root), writes_only="write" in parts, **counted)


def execute(study: Study, root: Path, console: Console, num_workers: int, executor: str = "local") -> Outcome:
    """Run what is missing of a study, with its progress on the console."""
    store, where = Store(root), executor_of(executor, root, num_workers)
    missing = plan(study, store).missing
    with going_on(console), ProgressBars(console, missing, num_workers, root) as on_event:
        outcome = run(study, store, where, on_event)
    _print_outcome(outcome, console)
    return outcome


def build(stage: StageSpec, root: Path, console: Console, num_workers: int, executor: str = "local") -> Path:
    """Run what is missing of one artifact and of those that it is made from, with progress; returns its folder."""
    return build_all([stage], root, console, num_workers, executor)[0]


def build_all(
    stages: Sequence[StageSpec], root: Path, console: Console, num_workers: int, executor: str = "local"
) -> list[Path]:
    """The same of several artifacts, side by side as far as they do not need one another."""
    store, where = Store(root), executor_of(executor, root, num_workers)
    missing = [stage for stage in in_order(stages, store.resolver) if not store.is_done(stage)]
    if missing:
        with going_on(console), ProgressBars(console, missing, num_workers, root) as on_event:
            where.run(missing, on_event)
    return [store.path(stage) for stage in stages]


@contextmanager
def going_on(console: Console) -> Generator[None, None, None]:
    """Tells, at Ctrl-C, that nothing is lost."""
    try:
        yield
    except KeyboardInterrupt:
        console.print("interrupted; the same command goes on where this one stopped")
        raise


def _print_outcome(outcome: Outcome, console: Console) -> None:
    if outcome.num_run:
        table = Table("artifacts", "worker time", box=None)
        for kind, seconds in outcome.seconds_by_kind.items():
            table.add_row(kind, minutes(seconds))
        console.print(table)
        memory = outcome.peak_memory_bytes / 2**30
        console.print(f"{outcome.num_run} of {outcome.num_stages} stages run, peak memory {memory:.2f} GiB")
    else:
        console.print(f"all {outcome.num_stages} stages were there already")
    console.print(f"{minutes(outcome.wall_seconds)} min. Report: {outcome.report}", highlight=False, soft_wrap=True)


def run_stage(
    verb: str, spec: Path, root: Path, *, num_workers: int = 1, executor: str = "local", quiet: bool = False
) -> Path:
    """Run one stage from its spec file, and the stages nested in it that are missing.

    A stage with a mesh runs in all processes that the environment tells of (`parallel.launch`), each of which is here.
    """
    launch, stage = launch_of(), read_stage(spec, verb)
    if not launch.is_alone and getattr(stage, "mesh", ""):
        return build_part(Store(root), stage, is_first=launch.rank == 0)
    return build(stage, root, Console(stderr=True, quiet=quiet), num_workers, executor)


def verify_root(root: Path) -> dict[str, int]:
    """Re-hash all artifacts under a root. Raises ArtifactError naming the first file that differs."""
    if not root.is_dir():
        raise SpecError(f"there is no folder {root}; give the root of the artifacts with --root")
    folders = sorted(done.parent for done in root.glob("*/*/DONE"))
    return {"num_artifacts": len(folders), "num_files": sum(verify(folder) for folder in folders)}
