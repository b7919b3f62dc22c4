"""FastChat's dumps: conversations of the arena and of LMSYS-Chat-1M, and its training data under names of their own.

In: JSON lines or an array of {"conversation_id", "model", "conversation": [{"role", "content"}]}, of arena battles with
conversation_a and conversation_b, or of {"id", "conversations": [{"from", "value"}]} whose ids NAME_K are no parts of a
whole (data/dummy_conversation.json). Out: Conversation or Drop; a battle is two, ID-a and ID-b.
Sources: https://github.com/lm-sys/FastChat; Zheng et al. 2023 (arXiv 2309.11998) for LMSYS-Chat-1M.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from epigone.entries import Notes
from epigone.records import Conversation, Drop
from epigone.rows import bare_name, beginning, first_rows, identity
from epigone.rows.chats import Fields, chat, dialogue, each_row, parts_join, speaker_turns


@dataclass(frozen=True)
class FastChat:
    """Reads all three; every row goes out once, a battle twice, kept or as a Drop."""

    model: str = ""
    """Only this model's conversations; empty for all. Others' are Drops."""
    salvage: bool = False
    """Go on with what is whole where the file is damaged; the loss is a Drop."""

    def fits(self, path: Path) -> bool:
        """Rows with conversation, with conversation_a and conversation_b, or with conversations under names."""
        names = beginning(path).keys()
        if "conversations" in names:
            return not parts_join((identity(row.get("id")), speaker_turns(row) or []) for row in first_rows(path))
        return "conversation" in names or {"conversation_a", "conversation_b"} <= names

    def read(self, path: Path, notes: Notes | None = None) -> Iterator[Conversation | Drop]:
        """Rows in file order. Raises DataError where the file is damaged or not JSON."""
        return each_row(path, partial(self._row, path), salvage=self.salvage, notes=notes)

    def _row(self, path: Path, number: int, row: Fields, notes: Notes) -> Iterator[Conversation | Drop]:
        names = ("conversation_id", "question_id", "id")
        row_id = next(filter(None, (identity(row.get(name)) for name in names)), f"{bare_name(path)}-{number}")
        where = f"{path.name}: row {number}"
        if "conversations" in row:
            turns = speaker_turns(row)
            found = dialogue(row_id, turns, path.name, notes) if turns is not None else None
            yield found or Drop(row_id, "not in FastChat's form", where)
        elif "conversation_a" in row or "conversation_b" in row:
            for side in "ab":
                turns, model = row.get(f"conversation_{side}"), row.get(f"model_{side}")
                yield self._of_model(f"{row_id}-{side}", turns, model, where, notes)
        else:
            yield self._of_model(row_id, row.get("conversation"), row.get("model"), where, notes)

    def _of_model(self, row_id: str, turns: object, model: object, where: str, notes: Notes) -> Conversation | Drop:
        if self.model and model != self.model:
            return Drop(row_id, "another model", f"{model!r}")
        return chat(row_id, turns, where.partition(": row ")[0], where, notes)
