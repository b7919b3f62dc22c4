"""Plain chat data: {"id", "messages": [{"role", "content"}]}, JSON lines or an array, one conversation a row.

In: such a file, packed or not; prompts use it too, ending in a user turn. Out: Conversation or Drop. System prompts,
tool calls, tools' results and reasoning are kept apart, not flattened into text.
Source: the message form of https://platform.openai.com/docs/guides/fine-tuning and of Hugging Face chat templates.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from epigone.entries import Notes
from epigone.records import Conversation, Drop
from epigone.rows import bare_name, beginning, identity, read_prompts
from epigone.rows.chats import Fields, chat, each_row

__all__ = ["Messages", "read_prompts"]  # read_prompts: the same rows, asked strictly
TOOLS = "tool definitions left out"
_OTHERS = {"prompt_id", "conversations", "channel", "guild", "version", "eval"}


@dataclass(frozen=True)
class Messages:
    """Reads conversations in message form; every row goes out once, kept or as a Drop. Without an id: FILE-NUMBER."""

    salvage: bool = False
    """Go on with what is whole where the file is damaged; the loss is a Drop."""

    def fits(self, path: Path) -> bool:
        """Rows with messages that are neither epigone's own answers nor an export of Discord."""
        names = beginning(path).keys()
        return "messages" in names and not _OTHERS & names

    def read(self, path: Path, notes: Notes | None = None) -> Iterator[Conversation | Drop]:
        """Rows in file order. Raises DataError where the file is damaged or not JSON."""
        return each_row(path, partial(_dialogue, path), salvage=self.salvage, notes=notes)


def _dialogue(path: Path, number: int, row: Fields, notes: Notes) -> Iterator[Conversation | Drop]:
    notes[TOOLS] += bool(row.get("tools"))
    row_id = identity(row.get("id")) or f"{bare_name(path)}-{number}"
    yield chat(row_id, row.get("messages"), path.name, f"{path.name}: row {number}", notes)
