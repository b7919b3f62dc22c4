"""Answers in message form: JSON lines {"messages": [{"role", "content"}, ...]} that end in the assistant's message.

In: such a file; `id` names the prompt, else the text of its last user message does. Out: Generation or Drop.
Source: the message form of https://platform.openai.com/docs/guides/fine-tuning.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from epigone.errors import DataError
from epigone.records import Drop, Generation
from epigone.rows import (
    answered_once,
    bare_name,
    beginning,
    identity,
    messages_field,
    prompt_id_of,
    read_array_or_rows,
    shown,
)


@dataclass(frozen=True)
class Messages:
    """Reads last answers; the model is a row's `model`, else the one that the file is named after."""

    def fits(self, path: Path) -> bool:
        """Rows with messages that are not epigone's own records."""
        names = beginning(path).keys()
        return "messages" in names and not {"prompt_id", "conversations", "channel", "version"} & names

    def read(self, path: Path) -> Iterator[Generation | Drop]:
        """One Generation or Drop a row, in file order. Raises DataError where a line is no JSON object."""
        return answered_once(_generations(path))


def _generations(path: Path) -> Iterator[Generation | Drop]:
    for number, row in read_array_or_rows(path):
        row_id = identity(row.get("id")) or f"row-{number}"
        try:
            yield _generation(row, bare_name(path), f"{path.name}: row {number}")
        except DataError as error:
            yield Drop(row_id, "not in message form", str(error))


def _generation(row: dict[str, object], named_after: str, where: str) -> Generation:
    turns = row.get("messages")
    last = turns[-1] if isinstance(turns, list) and turns else None
    if not isinstance(last, dict) or last.get("role") != "assistant" or not isinstance(last.get("content"), str):
        raise DataError(f"{where}: the last message must be the assistant's, with a text as its content")
    before = messages_field({"messages": turns[:-1] if isinstance(turns, list) else None}, where)
    model = named_after if row.get("model") is None else identity(row["model"])
    if before[-1].role != "user" or not model:
        raise DataError(f"{where}: asked by {before[-1].role!r}, model {shown(row.get('model'))}; user, a name needed")
    return Generation(
        prompt_id=identity(row.get("id")) or prompt_id_of(before[-1].content),
        messages=before,
        text=last["content"],
        finish_reason="unknown",
        model=model,
    )
