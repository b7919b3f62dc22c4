"""Plain chat data: JSON lines {"id", "messages": [{"role", "content"}]}, one conversation a line.

In: such a file, gzipped or not; prompts use it too, ending in a user turn. Out: Conversation or Drop.
Source: the message form of https://platform.openai.com/docs/guides/fine-tuning and of Hugging Face chat templates.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from epigone.errors import DataError
from epigone.records import Conversation, Drop
from epigone.rows import messages_field, read_prompts, read_rows, text_field

__all__ = ["Messages", "read_prompts"]  # read_prompts: the same rows, asked strictly


@dataclass(frozen=True)
class Messages:
    """Reads conversations in message form; every row goes out once, kept or as a Drop."""

    def read(self, path: Path) -> Iterator[Conversation | Drop]:
        """Rows in file order. Raises DataError where a line is no JSON object."""
        for number, row in read_rows(path):
            where = f"{path.name}: row {number}"
            try:
                yield Conversation(text_field(row, "id", where), messages_field(row, where), source=path.name)
            except DataError as error:
                yield Drop(str(row.get("id") or f"row-{number}"), "not in message form", str(error))
