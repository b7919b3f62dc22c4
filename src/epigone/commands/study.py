"""What `epigone study` does: run a study, or some of its stages, and say where its report is.

In: a study. Out: plain values for `--json`; on standard error progress, and what came of it. It knows every stage there
is, which takes two seconds to load: no other verb need wait for that.
"""

from pathlib import Path

from rich.console import Console

from epigone.commands.run import build_all, execute
from epigone.store import Store
from epigone.study import Study
from epigone.study_plan import chosen, needed


def run_study(study: Study, root: Path, *, num_workers: int, executor: str = "local", quiet: bool) -> dict[str, object]:
    """Run a study and say where its report is. Raises EpigoneError."""
    outcome = execute(study, root, Console(stderr=True, quiet=quiet), num_workers, executor)
    return {
        "report": str(outcome.report),
        "num_stages": outcome.num_stages,
        "num_run": outcome.num_run,
        "wall_seconds": round(outcome.wall_seconds, 1),
        "peak_memory_bytes": int(outcome.peak_memory_bytes),
        "seconds_by_kind": {kind: round(seconds, 1) for kind, seconds in outcome.seconds_by_kind.items()},
    }


def run_some(
    study: Study, only: str, root: Path, *, num_workers: int, executor: str = "local", quiet: bool
) -> dict[str, object]:
    """Run the stages of a study whose id a glob fits, and what they need; says where they are. Raises EpigoneError."""
    resolver, stages = Store(root).resolver, needed([study.report])
    wanted = chosen(study, only, {id(stage): resolver.id(stage) for stage in stages})
    console = Console(stderr=True, quiet=quiet)
    folders = build_all(wanted, root, console, num_workers, executor)
    for folder in folders:
        console.print(str(folder), highlight=False, soft_wrap=True)
    return {"artifacts": [str(folder) for folder in folders]}
