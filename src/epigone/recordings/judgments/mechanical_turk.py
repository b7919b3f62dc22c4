"""Batch results of Mechanical Turk: CSV with HITId, AssignmentId, AssignmentStatus, Input.* and Answer.* columns.

In: the file as downloaded; each Answer column whose values are mostly a, b or equal asks for one criterion. Out: one
Judgment or Drop an assignment and criterion. Workers are named by a hash alone; where their ids were taken out, each
assignment is a rater of its own. System a was shown first. A batch of `epigone crowd` says that its texts are escaped,
and its attention checks, whose systems are `known:better` and `known:worse`, come back as Drops.
Sources: https://docs.aws.amazon.com/AWSMechTurk (batch results); DExperts' human_eval (arXiv 2105.03023), in which c
says that both are equal.
"""

import hashlib
import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from epigone.errors import DataError
from epigone.records import Drop, Judgment, Verdict
from epigone.rows import columns, prompt_id_of, read_table

_VERDICTS: dict[str, Verdict] = {
    **dict.fromkeys(("a", "model_a", "system_a", "modela"), "a"),
    **dict.fromkeys(("b", "model_b", "system_b", "modelb"), "b"),
    **dict.fromkeys(("c", "tie", "equal", "same", "both", "neither", "draw"), "tie"),
}
Row = dict[str, str]


@dataclass(frozen=True)
class MechanicalTurk:
    """Reads comparisons of two systems; the options name the columns where a batch has others."""

    input_a: str = ""
    """Column of system a's name; by default Input.sourcea or Input.model_a."""
    input_b: str = ""
    """Column of system b's name; by default Input.sourceb or Input.model_b."""
    prompt: str = ""
    """Column of the prompt's text; by default Input.sentprefix or Input.prompt, else the HIT itself is the prompt."""

    def fits(self, path: Path) -> bool:
        """A CSV file with AssignmentId or HITId and Answer columns."""
        names = columns(path)
        return bool({"AssignmentId", "HITId"} & set(names)) and any(name.startswith("Answer.") for name in names)

    def read(self, path: Path) -> Iterator[Judgment | Drop]:
        """One Judgment or Drop an assignment and criterion, in file order. Raises DataError where a column is missing.

        Only the words a, b, c, tie, equal, same and the like count; other answers come back as Drops.
        """
        rows = list(read_table(path))
        names = columns(path)
        a = _column(names, self.input_a, ("Input.sourcea", "Input.model_a"), f"{path}: option input_a")
        b = _column(names, self.input_b, ("Input.sourceb", "Input.model_b"), f"{path}: option input_b")
        asked = self.prompt or next((n for n in ("Input.sentprefix", "Input.prompt") if n in names), "HITId")
        if asked not in names:
            raise DataError(f"{path}: option prompt names no column: {asked!r}; there are: {', '.join(names)}")
        criteria = _criteria([row for _, row in rows], names)
        if rows and not criteria:
            answers = [name for name in names if name.startswith("Answer.")]
            raise DataError(f"{path}: no Answer column holds a, b or equal; there are: {', '.join(answers) or 'none'}")
        for number, row in rows:
            text = html.unescape(row[asked]) if row.get("Input.escaping") == "html" else row[asked]
            prompt_id = text if asked == "HITId" else prompt_id_of(text)
            for criterion in criteria:
                yield _judgment(row, (row[a], row[b]), prompt_id, criterion, number)


def _column(names: list[str], option: str, defaults: tuple[str, ...], where: str) -> str:
    wanted = (option,) if option else defaults
    found = next((name for name in wanted if name in names), None)
    if found is None:
        raise DataError(f"{where}: there is no column {' or '.join(wanted)}; there are: {', '.join(names)}")
    return found


def _criteria(rows: list[Row], names: list[str]) -> list[str]:
    """The Answer columns that mostly hold verdicts where they hold anything: a comment box does not."""
    found: list[str] = []
    for name in names:
        values = [row[name].strip().lower() for row in rows if row[name].strip()]
        if name.startswith("Answer.") and 2 * sum(value in _VERDICTS for value in values) > len(values):
            found.append(name)
    return found


def _judgment(row: Row, systems: tuple[str, str], prompt_id: str, column: str, number: int) -> Judgment | Drop:
    assignment = row.get("AssignmentId", "").strip() or f"row-{number}"
    criterion = re.sub(r"^q(?=[A-Z])", "", column.removeprefix("Answer."))  # qFluent asks for Fluent
    drop_id, answer = f"{assignment} {criterion}", row[column].strip()
    verdict = _VERDICTS.get(answer.lower())
    if row.get("AssignmentStatus", "").strip().lower() == "rejected":
        return Drop(drop_id, "rejected assignment")
    if not (systems[0].strip() and systems[1].strip() and prompt_id.strip()):
        return Drop(drop_id, "no ids", f"row {number} needs both systems' names and a prompt")
    if any(system.startswith("known:") for system in systems):
        return Drop(drop_id, "attention check", f"row {number}: {systems[0]} beside {systems[1]}")
    if verdict is None:
        return Drop(drop_id, "no verdict", f"row {number}: {column} is {answer[:80]!r}")
    return Judgment(
        prompt_id=prompt_id,
        a=systems[0].strip(),
        b=systems[1].strip(),
        verdict=verdict,
        rater=_rater(row.get("WorkerId", "").strip(), assignment),
        first="a",
        panel="crowd",
        is_person=True,
        criterion=criterion,
        seconds=_seconds(row.get("WorkTimeInSeconds", "")),
    )


def _rater(worker: str, assignment: str) -> str:
    kind, text = ("w", worker) if worker else ("assignment", assignment)
    return f"{kind}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def _seconds(text: str) -> float | None:
    return float(text) if text.strip().isascii() and text.strip().isdigit() and len(text) < 10 else None
