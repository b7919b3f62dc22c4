"""Our own answers: the records.jsonl of Generations or Responses.

In: such a file, e.g. out of an artifact. Out: Generation or Drop.
Source: Generation and Response in epigone.records.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeGuard

from epigone.records import Drop, Generation, Message
from epigone.rows import answered_once, beginning, identity, read_array_or_rows, role_of, shown

_STRINGS = ("prompt_id", "text", "finish_reason", "model")


@dataclass(frozen=True)
class Generations:
    """Reads the answers of one sample."""

    sample: int = 0
    """Which of a teacher's independent answers to take; the others are dropped."""

    def fits(self, path: Path) -> bool:
        """Rows with prompt_id, text and finish_reason."""
        return {"prompt_id", "text", "finish_reason"} <= beginning(path).keys()

    def read(self, path: Path) -> Iterator[Generation | Drop]:
        """One Generation or Drop a row, in file order. Raises DataError where a line is no JSON object."""
        return answered_once(self._generations(path))

    def _generations(self, path: Path) -> Iterator[Generation | Drop]:
        for number, row in read_array_or_rows(path):
            strings = {name: row.get(name) for name in _STRINGS}
            row_id = identity(row.get("prompt_id")) or f"row-{number}"
            messages = _messages(row.get("messages"))
            if row.get("sample", 0) != self.sample:
                yield Drop(row_id, "another sample", f"sample {shown(row.get('sample'))}, wanted {self.sample}")
            elif not _all_strings(strings) or not strings["prompt_id"] or not strings["model"]:
                wrong = next(n for n, v in strings.items() if not isinstance(v, str) or (not v and n != "text"))
                yield Drop(row_id, "not an answer", f"row {number}: {wrong} is {shown(row.get(wrong))}")
            elif messages is None:
                yield Drop(row_id, "not an answer", f"row {number}: messages must be a list of role and content")
            else:
                answer_id = identity(row.get("answer_id"))
                yield Generation(messages=messages, answer_id=answer_id, **strings)


def _all_strings(values: dict[str, object]) -> TypeGuard[dict[str, str]]:
    return all(isinstance(value, str) for value in values.values())


def _messages(value: object) -> tuple[Message, ...] | None:
    """The messages as they were recorded; none is an empty list."""
    messages: list[Message] = []
    for turn in value if isinstance(value, list) else [None]:
        role, content = (turn.get("role"), turn.get("content")) if isinstance(turn, dict) else (None, None)
        known = role_of(role)
        if known is None or not isinstance(content, str):
            return None
        messages.append(Message(known, content))
    return tuple(messages)
