"""What `epigone prompts` does: many examples out of a few, and what a person sees of it: the yield as a table.

In: parsed arguments. Out: the dataset's folder and its counts; on standard error the progress, the yield, warnings.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from rich.console import Console
from rich.table import Table

from epigone.commands.run import build
from epigone.component_text import component
from epigone.errors import SpecError
from epigone.interfaces import Rounds
from epigone.reporting.provenance import lineage, warnings
from epigone.spec import Component, Input
from epigone.stages.synthesise import Synthesise
from epigone.store import read_summary

LEAK_THRESHOLD = 60
"""BLEU in percent with an evaluation question, in either direction, above which an example is a leak."""
_COUNTS = {
    "num_asked": "prompts asked",
    "num_failed": "without an answer",
    "num_parsed": "examples read",
    "num_malformed": "malformed",
    "num_leaked": "leaked",
    "num_duplicates": "duplicates",
    "num_surplus": "beyond what was wanted",
    "num_kept": "kept",
}


@dataclass(frozen=True)
class Wanted:
    """The arguments of `epigone prompts`."""

    generator: str
    teacher: str
    rounds: Rounds
    evaluation: Sequence[str] = ()
    leak_filter: bool = True
    name: str = ""
    teacher_name: str = ""
    terms: str = ""
    executor: str = "local"


def run_prompts(wanted: Wanted, root: Path, *, quiet: bool) -> dict[str, object]:
    """Make examples; returns the artifact's folder and counts. Raises EpigoneError."""
    console = Console(stderr=True, quiet=quiet)
    folder = build(stage_of(wanted), root, console, 1, wanted.executor)
    summary = read_summary(folder)
    _print_yield(summary, console)
    told = warnings(lineage([folder]), "own")
    for text in told:
        console.print(f"warning: {text}", style="yellow", highlight=False, soft_wrap=True, markup=False)
    console.print(str(folder), highlight=False, soft_wrap=True)
    counts = {key: summary[key] for key in (*_COUNTS, "dropped", "rounds", "ended")}
    return {"artifact": str(folder)} | counts | {"warnings": told}


def stage_of(wanted: Wanted) -> Synthesise:
    """The stage that was asked for. Raises SpecError for whatever is not there or cannot be."""
    head, colon, options = wanted.generator.partition(":")
    generator = component("prompts", head.replace("-", "_") + colon + options, first="seeds")
    teacher = backend(wanted.teacher)
    return Synthesise(
        generator,
        teacher,
        wanted.rounds,
        _leaks(wanted),
        name=wanted.name or generator.name.replace("_", "-"),
        teacher_name=wanted.teacher_name or called(teacher),
        terms=wanted.terms,
    )


def backend(text: str) -> Component:
    """Who is asked: `checkpoint:PATH`, `openai:url=ADDRESS,model=NAME` and the like. Raises SpecError."""
    return component("backends", text, first="path")


def called(teacher: Component) -> str:
    """What a teacher is called where nobody says: its model's name, or its path's, or the backend's."""
    options = dict(teacher.options)
    path = options.get("path")
    told = options.get("model") or (Path(path.path).name if isinstance(path, Input) else path)
    return str(told or teacher.name)


def _leaks(wanted: Wanted) -> Component | None:
    if not wanted.leak_filter:
        if wanted.evaluation:
            raise SpecError("--no-leak-filter and --evaluation contradict one another; give one of them")
        return None
    if not wanted.evaluation:
        raise SpecError(
            "examples that an evaluation asks must not be learnt: give its files with --evaluation (for nq-synthetic "
            "the NQ-open questions that students are scored by), or say --no-leak-filter"
        )
    for path in wanted.evaluation:
        if not Path(path).is_file():
            raise SpecError(f"there is no file {path}; --evaluation takes JSON lines of questions")
    options = {"threshold": LEAK_THRESHOLD, "hypothesis": "either", "lowercase": True}
    return Component.of("curation", "contamination", paths=tuple(map(Input, wanted.evaluation)), **options)


def _print_yield(summary: Mapping[str, object], console: Console) -> None:
    table = Table("", "", "", box=None, show_header=False)
    reasons = cast(dict[str, int], summary["dropped"])
    filters = {"num_malformed": "parser", "num_leaked": "leaks", "num_duplicates": "duplicates"}
    for key, what in _COUNTS.items():
        found = {k.partition(": ")[2]: n for k, n in reasons.items() if k.partition(": ")[0] == filters.get(key)}
        told = ", ".join(f"{number:,} {reason}" for reason, number in found.items())
        table.add_row(what, f"{summary[key]:,}", told, style="bold" if key == "num_kept" else None)
    table.columns[1].justify = "right"
    console.print(table)
    num_rounds = len(cast(list[object], summary["rounds"]))
    console.print(f"{num_rounds} rounds; ended: {summary['ended']}", highlight=False)
