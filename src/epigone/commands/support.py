"""What `epigone support` does: scores of a base and its students, joined with the data that the students learnt from.

In: parsed arguments. Out: the page's folder and the object of support.json; on standard error progress and a table.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from rich.console import Console
from rich.table import Table

from epigone.commands.run import build
from epigone.component_text import component
from epigone.errors import SpecError
from epigone.spec import Input
from epigone.stages.read_scores import ReadScores
from epigone.stages.support import ScoredModel, Support
from epigone.studies.audit import named_path

RECORDS = "records.parquet"


@dataclass(frozen=True)
class Wanted:
    """The arguments of `epigone support`."""

    dataset: str
    base: str
    scores: Sequence[str]
    benchmark: str = ""
    metric: str = ""
    items: str = ""
    turns: str = "user"
    bins: int = 5
    title: str = ""


def run_support(
    wanted: Wanted, root: Path, *, num_workers: int = 1, executor: str = "local", quiet: bool
) -> dict[str, object]:
    """Search, join, draw; returns the object of support.json and the page's folder. Raises EpigoneError."""
    console = Console(stderr=True, quiet=quiet, highlight=False)
    folder = build(stage_of(wanted), root, console, num_workers, executor)
    found = cast(dict[str, object], json.loads((folder / "support.json").read_text(encoding="utf-8")))
    console.print(_table(found))
    console.print(f"{folder / 'report.html'}", soft_wrap=True)
    return {"artifact": str(folder), **found}


def stage_of(wanted: Wanted) -> Support:
    """What was asked for. Raises SpecError for whatever is not there or cannot be."""
    path = Path(wanted.dataset)
    file = path / RECORDS if path.is_dir() else path
    if not file.is_file() or file.suffix != ".parquet":
        raise SpecError(f"{wanted.dataset}: a dataset is needed; make one of a dump by epigone curate {wanted.dataset}")
    base, students = _scored(wanted.base), tuple(map(_scored, wanted.scores))
    name = f"support-{path.name.partition('--')[0]}" if path.is_dir() else "support"
    return Support(
        Input(str(file)),
        base,
        students,
        benchmark=wanted.benchmark,
        metric=wanted.metric,
        items=component("benchmarks", wanted.items, first="path") if wanted.items else None,
        turns=wanted.turns,
        num_bins=wanted.bins,
        name=name,
        title=wanted.title or "Where did imitation help?",
    )


def _scored(source: str) -> ScoredModel:
    name, path = named_path(source)
    shown = name or path.name.partition("--")[0].partition(".json")[0]
    return ScoredModel(shown, ReadScores(Input(str(path)), shown))


def _table(found: dict[str, object]) -> Table:
    table = Table("student", "with support", "gain for 10 points", "learnt", "kept", "base model", "n", box=None)
    for name, each in cast(dict[str, dict[str, object]], found["students"]).items():
        slopes = cast(dict[str, dict[str, float]], each["slopes"])
        cells = [_points(slopes.get(kind)) for kind in ("gain", "learnt", "kept", "base")]
        table.add_row(name, str(each["word"]), *cells, str(found["num_items"]))
    return table


def _points(found: dict[str, float] | None) -> str:
    if found is None:
        return "not measured"
    return f"{100 * found['value']:+.1f} [{100 * found['low']:.1f}, {100 * found['high']:.1f}]"
