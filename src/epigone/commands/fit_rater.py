"""What `epigone fit-rater` does: a model of people's votes, for the judge `fitted_rater`.

In: recorded votes, the answers that were voted on, references. Out: a JSON file of coefficients with what they rest on;
on standard error what each feature is worth, and how well held-out votes are foretold.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from epigone.commands.rating_sources import read_models
from epigone.errors import SpecError
from epigone.metrics.known_answers import is_right
from epigone.metrics.rater_model import Comparison, RaterModel, features, fitted
from epigone.recordings.given import references_in, text_asked
from epigone.recordings.load import read_judgments
from epigone.records import Estimate, Judgment
from epigone.store import write_json


@dataclass(frozen=True)
class Wanted:
    """The arguments of `epigone fit-rater`."""

    votes: Path
    answers: Sequence[str]
    references: str = ""
    name: str = "rater"
    source: str = ""
    licence: str = ""


def run_fit_rater(wanted: Wanted, out: Path, *, quiet: bool) -> dict[str, object]:
    """Fit, and write `out`; returns what is in it. Raises EpigoneError."""
    if out.is_dir():
        raise SpecError(f"--out {out} is a folder; name the JSON file to write")
    votes = [judgment for judgment in read_judgments(wanted.votes).rows if judgment.is_person]
    if not votes:
        raise SpecError(f"{wanted.votes}: holds no votes of people; a rater is fitted to what people said")
    seen = _features(wanted)
    used = [vote for vote in votes if (vote.prompt_id, vote.a) in seen and (vote.prompt_id, vote.b) in seen]
    found = fitted(
        [_comparison(vote, seen) for vote in used], name=wanted.name, num_raters=len({vote.rater for vote in used})
    )
    found = replace(found, source=wanted.source, licence=wanted.licence)
    write_json(out, asdict(found))
    console = Console(stderr=True, quiet=quiet, highlight=False)
    _print(found, len(votes) - len(used), console)
    console.print(str(out), soft_wrap=True)
    return {"file": str(out), "num_left_out": len(votes) - len(used)} | asdict(found)


def _features(wanted: Wanted) -> dict[tuple[str, str], tuple[float, ...]]:
    """Features of every answer by (prompt id, model)."""
    references = references_in(Path(wanted.references)) if wanted.references else {}
    found: dict[tuple[str, str], tuple[float, ...]] = {}
    for model, rows in read_models(wanted.answers).items():
        for row in rows:
            reference = references.get(row.prompt_id)
            right = reference is not None and is_right(row.text, reference)
            found[row.prompt_id, model] = features(text_asked(row), row.text, right=right)
    return found


def _comparison(vote: Judgment, seen: Mapping[tuple[str, str], tuple[float, ...]]) -> Comparison:
    a, b = seen[vote.prompt_id, vote.a], seen[vote.prompt_id, vote.b]
    return Comparison(a, b, vote.first, vote.verdict, vote.prompt_id)


def _print(found: RaterModel, num_left_out: int, console: Console) -> None:
    table = Table("feature", "log-odds", "standard error", box=None)
    for name, slope in found.features.items():
        known = name not in found.left_out
        table.add_row(name, f"{slope:+.2f}" if known else "not known", f"{found.errors[name]:.2f}" if known else "")
    table.add_row("shown first", f"{found.first:+.2f}", f"{found.errors['first']:.2f}")
    console.print(table)
    console.print(
        f"{found.num_votes} votes of {found.num_raters} people on {found.num_prompts} prompts"
        + (f"; {num_left_out} left out, an answer is not at hand" if num_left_out else ""),
        soft_wrap=True,
    )
    held = found.held_out
    if held is None:
        return
    lines = Table("on prompts held out", "this rater", "by the shares of verdicts", box=None)
    lines.add_row("verdicts foretold", _percent(held.accuracy), _percent(held.usual_accuracy))
    lines.add_row("log loss", _number(held.log_loss), _number(held.usual_log_loss))
    console.print(lines)
    console.print(f"gain {_percent(held.gain)}; calibration error {_percent(held.calibration_error)}", soft_wrap=True)


def _percent(e: Estimate) -> str:
    return f"{100 * e.value:.1f} % [{100 * e.low:.1f}, {100 * e.high:.1f}]"


def _number(e: Estimate) -> str:
    return f"{e.value:.3f} [{e.low:.3f}, {e.high:.3f}]"
