"""What `epigone facts` does: every sentence of some answers is checked, and what came out stands side by side.

In: parsed arguments. Out: the page's folder, shares with intervals; on standard error progress and two tables.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from rich.console import Console
from rich.table import Table

from epigone.commands.run import build
from epigone.component_text import backend_of, component
from epigone.errors import SpecError
from epigone.spec import Component, Input
from epigone.stages.check_facts import CheckFacts
from epigone.stages.read_answers import ReadAnswers
from epigone.stages.read_judgments import ReadJudgments
from epigone.stages.report_facts import CheckedModel, ReportFacts
from epigone.store import Store, read_summary
from epigone.studies.audit import named_path


@dataclass(frozen=True)
class Wanted:
    """The arguments of `epigone facts`."""

    answers: Sequence[str]
    model: str = ""
    served_as: str = ""
    by: str = ""
    rater: str = ""
    references: str = ""
    judgments: Sequence[str] = ()
    limit: int = 0
    examples: int = 8
    max_tokens: int = 1024
    minimum_coverage: float = 0.0


def run_facts(
    wanted: Wanted, root: Path, *, num_workers: int = 1, executor: str = "local", quiet: bool
) -> dict[str, object]:
    """Check, and draw; returns the page's folder, those of the scores, and the shares. Raises EpigoneError."""
    console = Console(stderr=True, quiet=quiet, highlight=False)
    stage = stage_of(wanted)
    folder = build(stage, root, console, num_workers, executor)
    summary = read_summary(folder)
    models = cast(Sequence[Mapping[str, object]], summary["models"])
    preferred = cast(Sequence[Mapping[str, object]], summary["preferred_though_wrong"])
    console.print(_factuality(models))
    if lost := sum(cast(int, each["num_unread"]) for each in models):
        total = sum(cast(int, each["num_sentences"]) for each in models)
        console.print(
            f"{lost} of {total} sentences were not read and are in no share; dropped.jsonl of the scores has them"
        )
    if preferred:
        console.print()
        console.print(_preferred(preferred))
    console.print(f"{folder / 'report.html'}", soft_wrap=True)
    store = Store(root)
    scores = [str(store.path(model.checked)) for model in stage.models]
    return {"artifact": str(folder), "scores": scores, "models": models, "preferred_though_wrong": preferred}


def stage_of(wanted: Wanted) -> ReportFacts:
    """What was asked for. Raises SpecError for whatever is not there or cannot be."""
    if bool(wanted.model) == bool(wanted.by):
        raise SpecError("who checks? Give --model, a judge that is asked, or --by, a rule such as claims:WORLD")
    models: list[CheckedModel] = []
    for source in wanted.answers:
        name, path = named_path(source)
        answers = ReadAnswers(Input(str(path)), name or path.stem)
        models.append(CheckedModel(answers, _check(wanted, answers, name), name))
    votes = tuple(
        ReadJudgments(Input(str(path)), name or path.stem) for name, path in map(named_path, wanted.judgments)
    )
    return ReportFacts(tuple(models), votes, num_examples=wanted.examples)


def _check(wanted: Wanted, answers: ReadAnswers, name: str) -> CheckFacts:
    model: Component | None = None
    if wanted.model and (model := backend_of(wanted.model, wanted.served_as)) is None:
        raise SpecError(f"--model {wanted.model}: give a checkpoint, MODEL@URL, hf://OWNER/NAME or a backend")
    return CheckFacts(
        answers,
        rater=wanted.rater or _called(wanted),
        model=model,
        checker=component("testbed", wanted.by, first="path") if wanted.by else None,
        called=name,
        references=Input(wanted.references) if wanted.references else None,
        max_tokens=wanted.max_tokens,
        limit=wanted.limit,
        minimum_coverage=wanted.minimum_coverage,
    )


def _called(wanted: Wanted) -> str:
    if wanted.by:
        return wanted.by.partition(":")[0]
    if wanted.served_as:
        return wanted.served_as
    before, at, _ = wanted.model.partition("@")
    return before if at else Path(wanted.model).stem


def _factuality(models: Sequence[Mapping[str, object]]) -> Table:
    table = Table("model", "wrong", "authoritative", "claiming", "answers", "not read", box=None)
    for found in models:
        counts = (f"{found[f'num_{each}']}" for each in ("claiming", "answers", "unread"))
        table.add_row(str(found["model"]), _share(found["wrong"]), _share(found["authoritative"]), *counts)
    return table


def _preferred(rows: Sequence[Mapping[str, object]]) -> Table:
    table = Table("judgments", "model", "against", "preferred though wrong", "n", "left out", box=None)
    for row in rows:
        named = (str(row[each]) for each in ("judgments", "model", "against"))
        n = cast(Mapping[str, object], row["share"])["n"]
        table.add_row(*named, _share(row["share"]), f"{n}", f"{row['num_unread']}")
    return table


def _share(found: object) -> str:
    """A share with its 95 % interval."""
    if found is None:
        return "not measured"
    each = cast(Mapping[str, float], found)
    return f"{each['value']:.1%} [{each['low']:.0%}, {each['high']:.0%}]"
