"""What `epigone select` does: choose which prompts a teacher is asked.

In: parsed arguments. Out: the artifact's folder and its counts; the file to give to a collection on standard error.
"""

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from epigone.commands.run import build
from epigone.component_text import component
from epigone.errors import SpecError
from epigone.spec import Component, Input
from epigone.stages.select import Select
from epigone.store import read_summary


@dataclass(frozen=True)
class Wanted:
    """The arguments of `epigone select`."""

    source: Path
    num: int
    by: str
    base: str = ""
    teacher: str = ""
    num_probes: int = 0
    max_tokens: int = 512
    seed: int = 0
    name: str = ""
    executor: str = "local"


def run_select(wanted: Wanted, root: Path, *, quiet: bool) -> dict[str, object]:
    """Choose prompts; returns the artifact's folder and counts. Raises EpigoneError."""
    console = Console(stderr=True, quiet=quiet)
    if not wanted.source.is_file():
        raise SpecError(f"there is no file {wanted.source}; give JSON lines of prompts")
    stage = Select(
        Input(str(wanted.source)),
        wanted.num,
        wanted.by,
        _backend(wanted.base),
        _backend(wanted.teacher),
        num_probes=wanted.num_probes,
        max_tokens=wanted.max_tokens,
        seed=wanted.seed,
        name=wanted.name or "selected",
    )
    folder = build(stage, root, console, 1, wanted.executor)
    summary = read_summary(folder)
    mean = summary["mean_disagreement"]
    if mean is not None:
        console.print(f"mean disagreement of {summary['num_probes']} probes: {mean:.3f}", highlight=False)
    told = f"{summary['num_kept']} of {summary['num_prompts']} prompts: {folder / 'records.jsonl'}"
    console.print(told, highlight=False, soft_wrap=True)
    counts = ("num_prompts", "num_kept", "num_probes", "mean_disagreement")
    return {"artifact": str(folder), "prompts": str(folder / "records.jsonl")} | {key: summary[key] for key in counts}


def _backend(text: str) -> Component | None:
    return component("backends", text, first="path") if text else None
