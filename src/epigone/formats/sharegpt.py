"""ShareGPT dumps: [{"id", "conversations": [{"from", "value"}]}], as a JSON array or one entry a line.

In: such a file, gzipped or not. Out: Conversation or Drop. Long conversations lie in the file as parts `ID_K`, K being
the place of the part's first turn in the whole; a part often repeats the turn that the part before it ended with.
Sources: FastChat's data/split_long_conversation.py for the parts (https://github.com/lm-sys/FastChat); section 3.2 of
the paper (arXiv 2305.15717) for the use of it.
"""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from epigone.records import Conversation, Drop, Message, Role
from epigone.rows import read_array_or_rows, without_surrogates

USERS = ("human", "user")
ANSWERERS = ("gpt", "chatgpt", "assistant", "bing", "bard")
ROLES: dict[str, Role] = {
    "system": "system",
    **dict.fromkeys(USERS, "user"),
    **dict.fromkeys(ANSWERERS, "assistant"),
}
_PART = re.compile(r"(?P<base>.+)_(?P<start>\d+)")
_BANNER = re.compile(r"\*This (?:chat )?conversation is shared from")  # put in by sharing sites; no system prompt

Turn = tuple[str, str]


@dataclass(frozen=True)
class ShareGPT:
    """Joins the parts of each conversation, then keeps it or drops it with a reason.

    Ledger: every base id goes out once, as a Conversation or a Drop; a part or row that could not be joined goes out
    once more as a Drop under its own id. Repaired without a Drop: sites' banners, empty turns, an answer without a
    question at the start, two user turns in a row (joined by a blank line), lone surrogates (U+FFFD).
    """

    join_parts: bool = True
    """Join ids ID_0, ID_12, ... to the conversation ID; off where such ids are names of their own."""
    answered_by: tuple[str, ...] = ("gpt", "chatgpt", "assistant")
    """Speakers who are the teacher; a conversation that someone else answered (bing, bard) is dropped."""

    def read(self, path: Path) -> Iterator[Conversation | Drop]:
        """Conversations in order of their first part. Raises DataError where the file is cut off or not ShareGPT."""
        groups: dict[str, list[tuple[str, int, list[Turn]]]] = {}
        for number, row in read_array_or_rows(path):
            entry_id = str(row.get("id") or f"row-{number}")
            turns = _turns(row)
            if turns is None:
                yield Drop(entry_id, "not a ShareGPT entry", json.dumps(row)[:120])
                continue
            part = _PART.fullmatch(entry_id) if self.join_parts else None
            base, start = (part["base"], int(part["start"])) if part else (entry_id, 0)
            groups.setdefault(base, []).append((entry_id, start, turns))
        for base, parts in groups.items():
            turns, lost = _joined(parts)
            yield self._conversation(base, turns, path.name)
            yield from lost

    def _conversation(self, base: str, turns: list[Turn], source: str) -> Conversation | Drop:
        if not turns:
            return Drop(base, "empty conversation")
        strangers = [speaker for speaker, _ in turns if speaker not in ROLES]
        if strangers:
            return Drop(base, "unknown speaker", f"{strangers[0]!r}; known: {', '.join(ROLES)}")
        others = [s for s, _ in turns if ROLES[s] == "assistant" and s not in self.answered_by]
        if others:
            return Drop(base, "another teacher", others[0])
        messages = _messages(turns)
        if not any(message.role == "assistant" for message in messages):
            return Drop(base, "no answer to a question")
        for place, (one, two) in enumerate(pairwise(messages)):
            if one.role == two.role == "assistant":
                return Drop(base, "two answers in a row", f"messages {place} and {place + 1}: a question is missing")
        return Conversation(base, tuple(messages), source)


def _turns(row: dict[str, object]) -> list[Turn] | None:
    conversations = row.get("conversations")
    if not isinstance(conversations, list):
        return None
    turns: list[Turn] = []
    for turn in conversations:
        speaker, value = (turn.get("from"), turn.get("value")) if isinstance(turn, dict) else (None, None)
        if not isinstance(speaker, str) or not isinstance(value, str):
            return None
        turns.append((speaker, value))
    return turns


def _joined(parts: list[tuple[str, int, list[Turn]]]) -> tuple[list[Turn], list[Drop]]:
    """All turns that join up from the start, and a Drop for each part that does not."""
    filled = [part for part in parts if part[2]]
    lost = [Drop(entry_id, "empty part") for entry_id, _, turns in parts if not turns] if filled else []
    whole: list[Turn] = []
    for entry_id, start, turns in sorted(filled, key=lambda part: part[1]):
        overlap = len(whole) - start
        if overlap < 0 or whole[start : start + len(turns)] != turns[:overlap]:
            lost.append(Drop(entry_id, "part does not join", f"starts at turn {start}, {len(whole)} turns known"))
        else:
            whole += turns[overlap:]
    return whole, lost


def _messages(turns: Iterable[Turn]) -> list[Message]:
    messages: list[Message] = []
    for speaker, value in turns:
        role, content = ROLES[speaker], without_surrogates(value).strip()
        if not content or (role == "system" and _BANNER.match(content)):
            continue
        if role == "assistant" and not any(message.role == "user" for message in messages):
            continue
        if role != "assistant" and messages and messages[-1].role == role:
            messages[-1] = Message(role, f"{messages[-1].content}\n\n{content}")
        else:
            messages.append(Message(role, content))
    return messages
