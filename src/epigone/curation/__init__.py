"""Keep, or drop with a reason: one file a filter. Here: what several filters ask of a conversation.

In: conversations, and files of evaluation prompts. Out: the texts of the turns that count, normalised queries, prompts.
Source: section 3.2 of the paper (arXiv 2305.15717) for queries; the published evaluation files for the prompts' fields.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from epigone.errors import DataError
from epigone.records import Conversation, Message
from epigone.rows import instruction_of, messages_field, read_array_or_rows, text_field

Turns = Literal["first", "user", "all"]
"""Which turns a filter looks at: the first query, every query, or every turn but the system prompt."""
PROMPT_FIELDS = ("question", "text", "prompt", "instruction", "turns", "messages")
"""The fields of an evaluation file that hold what is asked, the first that is there counting."""
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class PromptOrigin:
    """Where a prompt was published: the file, and what it says that the prompt is about, if anything."""

    prompt_id: str
    source: str
    category: str = ""


def texts_of(conversation: Conversation, turns: Turns) -> list[str]:
    """The texts of the turns that count, in order."""
    roles = ("user", "assistant") if turns == "all" else ("user",)
    texts = [message.content for message in conversation.messages if message.role in roles]
    return texts[:1] if turns == "first" else texts


def normalise_query(text: str) -> str:
    """The words in lower case, one blank between; a text without words (such as "?") stays, its ends stripped."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(_WORD.findall(plain)) or text.strip()


def evaluation_prompts(path: Path) -> Iterator[tuple[int, tuple[Message, ...], dict[str, object]]]:
    """(row number, what is asked as messages, the row) of an evaluation file, JSON lines or a JSON array.

    An Alpaca row asks its instruction and input; MT-bench's `turns` are that many user messages. Raises DataError for a
    row without a prompt.
    """
    for number, row in read_array_or_rows(path):
        yield number, _asked(row, f"{path}: row {number}"), row


def _asked(row: dict[str, object], where: str) -> tuple[Message, ...]:
    name = next((name for name in PROMPT_FIELDS if name in row), None)
    if name is None:
        raise DataError(f"{where}: holds no prompt; one of these fields is needed: {', '.join(PROMPT_FIELDS)}")
    if name == "messages":
        return messages_field(row, where)
    if name == "turns":
        return tuple(Message("user", text) for text in _turns(row["turns"], where))
    whole = instruction_of(row) if name == "instruction" else ""
    return (Message("user", whole or text_field(row, name, where)),)


def _turns(turns: object, where: str) -> list[str]:
    texts = [turn for turn in turns if isinstance(turn, str) and turn.strip()] if isinstance(turns, list) else []
    if not isinstance(turns, list) or not turns or len(texts) != len(turns):
        raise DataError(f"{where}: field 'turns' is {str(turns)[:80]!r}; a list of non-empty strings is needed")
    return texts
