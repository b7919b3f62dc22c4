"""What `epigone trace` does: candidates, suspects and known models are lined up, and it is said whom the suspects
imitate.

In: parsed arguments. Out: the page's folder, verdicts, what they are worth on known models; on standard error progress
and two tables.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from rich.console import Console
from rich.table import Table

from epigone.commands.run import build
from epigone.errors import DataError, SpecError
from epigone.rows import read_array_or_rows
from epigone.spec import Input
from epigone.stages.read_answers import ReadAnswers
from epigone.stages.trace import ROLES, Trace, TracedModel
from epigone.studies.audit import named_path


@dataclass(frozen=True)
class Wanted:
    """The arguments of `epigone trace`."""

    suspects: Sequence[str] = ()
    teachers: Sequence[str] = ()
    unrelated: Sequence[str] = ()
    known: Sequence[str] = ()
    base: str = ""
    models: str = ""
    data: str = ""
    answers: str = ""
    false_positive_rate: float = 0.1
    minimum_coverage: float = 0.8
    title: str = ""


def run_trace(
    wanted: Wanted, root: Path, *, num_workers: int = 1, executor: str = "local", quiet: bool
) -> dict[str, object]:
    """Trace, and draw; returns the object of trace.json and the page's folder. Raises EpigoneError."""
    console = Console(stderr=True, quiet=quiet, highlight=False)
    folder = build(stage_of(wanted), root, console, num_workers, executor)
    found = cast(dict[str, object], json.loads((folder / "trace.json").read_text(encoding="utf-8")))
    for table in (_suspects(found), _by_rate(found)):
        if table.row_count:
            console.print(table)
            console.print()
    for note in cast(list[str], found["notes"]):
        console.print(note, soft_wrap=True, markup=False)
    console.print(f"{folder / 'report.html'}", soft_wrap=True)
    return {"artifact": str(folder), **found}


def stage_of(wanted: Wanted) -> Trace:
    """What was asked for. Raises SpecError for whatever is not there or cannot be."""
    models = [*(_rows(wanted) if wanted.models else ()), *_given(wanted)]
    if wanted.answers and not Path(wanted.answers).is_file():
        raise SpecError(f"--answers: there is no file {wanted.answers}")
    suspects = [model.name for model in models if model.role == "suspect"]
    stage = Trace(
        models=tuple(models),
        answers=Input(wanted.answers) if wanted.answers else None,
        false_positive_rate=wanted.false_positive_rate,
        minimum_coverage=wanted.minimum_coverage,
    )
    title = wanted.title or (f"Whom does {suspects[0]} imitate?" if len(suspects) == 1 else stage.title)
    return replace(stage, title=title)


def _given(wanted: Wanted) -> Iterator[TracedModel]:
    for source in wanted.teachers:
        yield _model(source, "teacher")
    for source in wanted.suspects:
        yield _model(source, "suspect")
    for source in wanted.unrelated:
        yield _model(source, "unrelated")
    for text in wanted.known:
        teachers, colon, source = text.partition(":")
        if not colon:
            raise SpecError(f"--known {text}: write TEACHER:PATH, the candidate's name before the student's answers")
        yield _model(source, "known", tuple(teachers.split("+")))
    if wanted.base:
        yield _model(wanted.base, "base")


def _model(source: str, role: str, imitates: tuple[str, ...] = ()) -> TracedModel:
    name, path = named_path(source)
    return _read(path, name, role, imitates)


def _read(path: Path, name: str, role: str, imitates: tuple[str, ...] = (), family: str = "") -> TracedModel:
    plain = path.name.partition(".json")[0].removeprefix("answer_")
    shown = name or (path.absolute().parent.name if plain in ("model_outputs", "records") else plain)
    return TracedModel(shown, role, ReadAnswers(Input(str(path)), shown), imitates, family)


def _rows(wanted: Wanted) -> Iterator[TracedModel]:
    """The models of a file, one a row. Raises DataError naming the row."""
    roster = Path(wanted.models)
    if not roster.is_file():
        raise SpecError(f"--models: there is no file {roster}")
    folder = Path(wanted.data) if wanted.data else roster.parent
    for number, row in read_array_or_rows(roster):
        where = f"{roster}: row {number}"
        path, role, imitates = row.get("path"), row.get("role"), row.get("imitates", [])
        if not isinstance(path, str) or role not in ROLES:
            raise DataError(f"{where} needs a path and a role of {', '.join(ROLES)}; it has {path!r} and {role!r}")
        if not isinstance(imitates, list) or not all(isinstance(name, str) for name in imitates):
            raise DataError(f"{where}: imitates is a list of candidates' names, not {imitates!r}")
        if not (folder / path).exists():
            raise SpecError(
                f"{where}: there is no file {folder / path}; give the folder that its paths start from as --data"
            )
        name, family = (str(row.get(field, "")) for field in ("name", "family"))
        yield _read(folder / path, name, str(role), tuple(map(str, imitates)), family)


def _suspects(found: dict[str, object]) -> Table:
    table = Table("suspect", "verdict", "most probable", "probability", "none of them", "as much, by chance", box=None)
    for one in cast(list[dict[str, object]], found["suspects"]):
        told = cast(dict[str, dict[str, float]], one["probabilities"])
        best = str(one["most_probable"])
        chance = f"{100 * cast(float, one['p_named']):.0f} %"
        table.add_row(str(one["model"]), str(one["verdict"]), best, _share(told[best]), _share(told["none"]), chance)
    return table


def _by_rate(found: dict[str, object]) -> Table:
    table = Table("rate", "independent, yet named", "teacher named", "another named", "cannot tell", box=None)
    for rate, shares in cast(dict[str, dict[str, dict[str, float] | None]], found["by_rate"]).items():
        if shares["abstention"]:
            names = ("false_positives", "found", "wrong_teacher", "abstention")
            table.add_row(rate, *(_share(shares[name]) for name in names))
    return table


def _share(found: dict[str, float] | None) -> str:
    if found is None:
        return "not measured"
    return f"{100 * found['value']:.0f} % [{100 * found['low']:.0f}, {100 * found['high']:.0f}]"
