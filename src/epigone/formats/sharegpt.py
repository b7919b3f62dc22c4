"""ShareGPT dumps: [{"id", "conversations": [{"from", "value"}]}], as a JSON array or one entry a line.

In: such a file, packed or not. Out: Conversation or Drop. Long conversations lie in the file as parts `ID_K`, K being
the place of the part's first turn in the whole; a part often repeats the turn that the part before it ended with.
Sources: FastChat's data/split_long_conversation.py for the parts (https://github.com/lm-sys/FastChat); section 3.2 of
the paper (arXiv 2305.15717) for the use of it.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from epigone.entries import Notes
from epigone.records import Conversation, Drop
from epigone.rows import beginning, first_rows, identity, rows_or_drops
from epigone.rows.chats import PART, Turn, dialogue, parts_join, speaker_turns

REPEATED = "parts that repeat others"
Part = tuple[str, int, list[Turn]]
"""Id, place of the first turn in the whole, turns."""


@dataclass(frozen=True)
class ShareGPT:
    """Joins the parts of each conversation, then keeps it or drops it with a reason.

    The file is read twice, so that only conversations whose last part has not come yet are held. Ledger: every base
    id goes out once, as a Conversation or a Drop; a part or row that could not be joined goes out once more as a Drop
    under its own id. Repaired without a Drop: sites' banners, empty turns, an answer without a question at the start,
    two user turns in a row (joined by a blank line), lone surrogates (U+FFFD), HTML (Markdown), error replies (taken
    out with their questions where other answers remain).
    """

    join_parts: bool = True
    """Join ids ID_0, ID_12, ... to the conversation ID; off where such ids are names of their own."""
    answered_by: tuple[str, ...] = ("gpt", "chatgpt", "assistant")
    """Speakers who are the teacher; a conversation that someone else answered (bing, bard) is dropped."""
    salvage: bool = False
    """Go on with what is whole where the file is damaged; the loss is a Drop."""

    def fits(self, path: Path) -> bool:
        """Rows with conversations, whose ids ID_K are parts rather than names."""
        return "conversations" in beginning(path) and parts_join(_first(path))

    def read(self, path: Path, notes: Notes | None = None) -> Iterator[Conversation | Drop]:
        """Conversations in order of their last part. Raises DataError where the file is damaged or not JSON."""
        notes = Counter() if notes is None else notes
        last_rows = self._last_rows(path) if self.join_parts else {}
        held: dict[str, list[Part]] = {}
        for found in rows_or_drops(path, salvage=self.salvage, notes=notes):
            if isinstance(found, Drop):
                yield found
                continue
            number, row = found
            base, part = self._part(number, row)
            if part:
                held.setdefault(base, []).append(part)
            else:
                yield Drop(identity(row.get("id")) or f"row-{number}", "not a ShareGPT entry", str(row)[:120])
            if last_rows.get(base, number) == number and base in held:
                yield from self._whole(base, held.pop(base), path.name, notes)

    def _last_rows(self, path: Path) -> dict[str, int]:
        """The row at which each conversation is whole, of those that have several."""
        first: dict[int, int] = {}
        last: dict[str, int] = {}
        for found in rows_or_drops(path, salvage=self.salvage, notes=None):
            if not isinstance(found, Drop):
                number, row = found
                base, _ = self._base(number, row)
                if first.setdefault(hash(base), number) != number:
                    last[base] = number
        return last

    def _base(self, number: int, row: dict[str, object]) -> tuple[str, int]:
        """The conversation's id, and the place in it."""
        entry_id = identity(row.get("id")) or f"row-{number}"
        part = PART.fullmatch(entry_id) if self.join_parts else None
        return (part["base"], int(part["start"])) if part else (entry_id, 0)

    def _part(self, number: int, row: dict[str, object]) -> tuple[str, Part | None]:
        base, start = self._base(number, row)
        turns = speaker_turns(row)
        return base, None if turns is None else (identity(row.get("id")) or f"row-{number}", start, turns)

    def _whole(self, base: str, parts: list[Part], source: str, notes: Notes) -> Iterator[Conversation | Drop]:
        turns, lost = _joined(parts, notes)
        yield dialogue(base, turns, source, notes, answered_by=self.answered_by)
        yield from lost


def _first(path: Path) -> list[tuple[str, list[Turn]]]:
    return [(identity(row.get("id")), speaker_turns(row) or []) for row in first_rows(path)]


def _joined(parts: list[Part], notes: Notes) -> tuple[list[Turn], list[Drop]]:
    """All turns that join up from the start, and a Drop for each part that does not."""
    filled = [part for part in parts if part[2]]
    lost = [Drop(entry_id, "empty part") for entry_id, _, turns in parts if not turns] if filled else []
    whole: list[Turn] = []
    for entry_id, start, turns in sorted(filled, key=lambda part: part[1]):
        overlap = len(whole) - start
        if overlap < 0 or whole[start : start + len(turns)] != turns[:overlap]:
            lost.append(Drop(entry_id, "part does not join", f"starts at turn {start}, {len(whole)} turns known"))
        else:
            notes[REPEATED] += len(turns) <= overlap
            whole += turns[overlap:]
    return whole, lost
