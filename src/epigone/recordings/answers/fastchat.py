"""FastChat's answer files, the first form {"question_id", "answer_id", "text"} and the later one with "choices".

In: JSON lines; the questions' texts from a question.jsonl beside the file or up to two folders up. Out: Generation or
Drop. The first form is named after its file (answer_gpt35.jsonl: gpt35), as FastChat's own scripts name it; the later
one ({"choices": [{"turns": [...]}]}) after its model_id, and only the first turn of its first choice is read.
Source: https://github.com/lm-sys/FastChat (fastchat/eval/table of June 2023; fastchat/llm_judge).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from epigone.records import Drop, Generation, Message
from epigone.rows import answered_once, bare_name, beginning, identity, nearby, read_array_or_rows, shown


@dataclass(frozen=True)
class FastChat:
    """Reads both forms; judgments refer to these answers by `answer_id`."""

    def fits(self, path: Path) -> bool:
        """Rows with question_id, and text with answer_id, or choices."""
        names = beginning(path).keys()
        return "question_id" in names and ({"answer_id", "text"} <= names or "choices" in names)

    def read(self, path: Path) -> Iterator[Generation | Drop]:
        """One Generation or Drop a row, in file order. Raises DataError where a line is no JSON object."""
        return answered_once(_generations(path, _questions(path)))


def _generations(path: Path, questions: dict[str, str]) -> Iterator[Generation | Drop]:
    stem = bare_name(path)
    for number, row in read_array_or_rows(path):
        prompt_id, text = identity(row.get("question_id")), _text(row)
        model = stem.removeprefix("answer_")
        if "choices" in row or not stem.startswith("answer_"):
            model = identity(row.get("model_id")) or model
        if not prompt_id:
            yield Drop(f"row-{number}", "no question_id", shown(row.get("question_id")))
        elif not isinstance(text, str):
            yield Drop(prompt_id, "no answer text", f"row {number}: {shown(text)}; a string is needed")
        else:
            messages = (Message("user", questions[prompt_id]),) if prompt_id in questions else ()
            answer_id = identity(row.get("answer_id"))
            yield Generation(prompt_id, messages, text, "unknown", model, answer_id)


def _text(row: dict[str, object]) -> object:
    if "choices" not in row:
        return row.get("text")
    choices = row["choices"]
    first = choices[0] if isinstance(choices, list) and choices else None
    turns = first.get("turns") if isinstance(first, dict) else None
    return turns[0] if isinstance(turns, list) and turns else turns


def _questions(path: Path) -> dict[str, str]:
    """Texts by question_id; a question without a text is left out, its answers then have no messages."""
    file = nearby(path, "question.jsonl", 2)
    questions: dict[str, str] = {}
    for _, row in read_array_or_rows(file) if file else ():
        turns = row.get("turns")
        text = turns[0] if isinstance(turns, list) and turns else row.get("text")
        if isinstance(text, str):
            questions[identity(row.get("question_id"))] = text
    return questions
