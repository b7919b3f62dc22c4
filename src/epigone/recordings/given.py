"""What a judge or a fact checker is given of answers: an artifact's answers, what was asked, references.

In: an artifact's folder of generations or responses, a file of references. Out: answers and references by prompt id.
"""

from collections.abc import Sequence
from pathlib import Path

from epigone.errors import DataError
from epigone.records import Generation, Message, Response
from epigone.rows import read_rows
from epigone.store import read_records


def answers_in(folder: Path) -> dict[str, Generation | Response]:
    """The answers of an artifact by prompt id."""
    cls = Response if "responses" in folder.parts else Generation
    return {row.prompt_id: row for row in read_records(folder / "records.jsonl", cls)}


def text_asked(*answers: Generation | Response) -> str:
    """The prompt's text; of a conversation every turn with who speaks. Raises DataError where it is not recorded."""
    turns: Sequence[Message] = next((answer.messages for answer in answers if answer.messages), ())
    if not turns:
        raise DataError(
            f"the text of prompt {answers[0].prompt_id!r} is not recorded: a judge cannot be asked about it"
        )
    return turns[0].content if len(turns) == 1 else "\n\n".join(f"[{turn.role}] {turn.content}" for turn in turns)


def references_in(path: Path) -> dict[str, str]:
    """Right answers by prompt id, out of JSON lines of prompt_id and reference. Raises DataError naming the row."""
    found: dict[str, str] = {}
    for number, row in read_rows(path):
        prompt_id, reference = row.get("prompt_id"), row.get("reference")
        if not isinstance(prompt_id, str | int) or not isinstance(reference, str) or not reference.strip():
            raise DataError(f"{path}: row {number} needs prompt_id and reference, both texts; it has {sorted(row)}")
        found[str(prompt_id)] = reference
    return found
