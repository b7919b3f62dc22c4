"""What `epigone judge` does: a language model compares two models' answers, and how far it may be believed.

In: parsed arguments. Out: the artifact's folder, counts and rates as plain values; on standard error the price,
progress, and a table of what the judge said, could not be read, said differently in the other order.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

from rich.console import Console
from rich.table import Table

from epigone.commands.run import build
from epigone.component_text import backend_of, component
from epigone.errors import SpecError
from epigone.metrics.preference import win_or_tie_rate
from epigone.records import Judgment
from epigone.spec import Input
from epigone.stages.ask_judge import AskJudge
from epigone.stages.read_answers import ReadAnswers
from epigone.store import read_records, read_summary
from epigone.studies.audit import named_path


@dataclass(frozen=True)
class Wanted:
    """The arguments of `epigone judge`."""

    answers: tuple[str, str]
    judge: str
    model: str
    served_as: str = ""
    rater: str = ""
    repeats: int = 1
    temperature: float = 0.0
    retries: int = 1
    limit: int = 0
    references: str = ""
    minimum_coverage: float = 0.0


def run_judge(wanted: Wanted, root: Path, *, executor: str = "local", quiet: bool) -> dict[str, object]:
    """Judge; returns the artifact's folder and what came out by criterion. Raises EpigoneError."""
    console = Console(stderr=True, quiet=quiet, highlight=False)
    folder = build(_stage(wanted), root, console, 1, executor)
    summary = read_summary(folder)
    judgments = read_records(folder / "records.jsonl", Judgment)
    a, b = cast(Sequence[str], summary["models"])
    rates = rates_of(judgments, b)
    _print(summary, rates, (a, b), console)
    console.print(str(folder), soft_wrap=True)
    counts = {
        key: summary[key] for key in ("protocol", "models", "num_pairs", "num_left_out", "num_judgments", "num_unread")
    }
    return {"artifact": str(folder)} | counts | {"criteria": summary["criteria"], "rates": rates}


def rates_of(judgments: Sequence[Judgment], model: str) -> dict[str, dict[str, object]]:
    """Wins, ties, losses and the share equal or better of one model, by criterion."""
    criteria = sorted({judgment.criterion for judgment in judgments})
    found: dict[str, dict[str, object]] = {}
    for criterion in criteria:
        rate = win_or_tie_rate([j for j in judgments if j.criterion == criterion], model)
        found[criterion or "better"] = asdict(rate)
    return found


def _stage(wanted: Wanted) -> AskJudge:
    model = backend_of(wanted.model, wanted.served_as)
    if model is None:
        raise SpecError(f"--model {wanted.model}: give a checkpoint, MODEL@URL, hf://OWNER/NAME or a backend")
    first, second = (_answers(source) for source in wanted.answers)
    return AskJudge(
        a=first[0],
        b=second[0],
        judge=component("judges", wanted.judge),
        model=model,
        rater=wanted.rater or _called(wanted),
        names=(first[1], second[1]),
        num_repeats=wanted.repeats,
        temperature=wanted.temperature,
        num_retries=wanted.retries,
        limit=wanted.limit,
        references=Input(wanted.references) if wanted.references else None,
        minimum_coverage=wanted.minimum_coverage,
    )


def _answers(source: str) -> tuple[ReadAnswers, str]:
    name, path = named_path(source)
    return ReadAnswers(Input(str(path)), name or path.stem), name


def _called(wanted: Wanted) -> str:
    if wanted.served_as:
        return wanted.served_as
    before, at, _ = wanted.model.partition("@")
    return before if at else Path(wanted.model).stem


def _print(
    summary: Mapping[str, object], rates: Mapping[str, Mapping[str, object]], models: tuple[str, str], console: Console
) -> None:
    table = Table("criterion", f"{models[1]} wins", "ties", "losses", "equal or better", "95 %", box=None)
    trust = Table("criterion", "looks", "unread", "flips", "first place wins", box=None)
    for criterion, tally in cast(Mapping[str, Mapping[str, float | None]], summary["criteria"]).items():
        if criterion in rates:
            rate = rates[criterion]
            estimate = cast(Mapping[str, float], rate["win_or_tie"])
            counts = (f"{rate[each]}" for each in ("wins", "ties", "losses"))
            table.add_row(
                criterion, *counts, f"{estimate['value']:.1%}", f"{estimate['low']:.1%} to {estimate['high']:.1%}"
            )
        flips = "" if tally["flip_rate"] is None else f"{tally['num_flips']} of {tally['num_both_orders']}"
        place = "" if tally["first_place_share"] is None else f"{tally['first_place_share']:.0%}"
        trust.add_row(criterion, f"{tally['num_looks']}", f"{tally['num_unread']}", flips, place)
    console.print(table)
    console.print()
    console.print(trust)
    console.print(f"protocol {summary['protocol']}", soft_wrap=True)
