"""Exact-match decontamination: conversations that ask an evaluation prompt are dropped.

In: conversations, and evaluation files as JSON lines with a question, text, prompt, instruction or messages field.
Out: the conversations, contaminated ones as Drops that name file and row.
Source: the leak filter of the paper (arXiv 2305.15717, section 4.1), here for equal words only: near matches pass.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from epigone.errors import DataError
from epigone.records import Conversation, Drop
from epigone.rows import messages_field, read_rows, text_field

FIELDS = ("question", "text", "prompt", "instruction")


@dataclass(frozen=True)
class Contamination:
    """Drops a conversation when any of its user turns has the words of an evaluation prompt, in the same order."""

    paths: tuple[str | Path, ...]
    """Evaluation files whose prompts must not be trained on."""

    def apply(self, conversations: Iterable[Conversation]) -> Iterator[Conversation | Drop]:
        """Every conversation goes out once, in order. Raises DataError for a row without a prompt."""
        known: dict[str, str] = {}
        for path in map(Path, self.paths):
            for number, row in read_rows(path):
                known.setdefault(_words(_prompt(row, f"{path}: row {number}")), f"{path.name} row {number}")
        for conversation in conversations:
            queries = (_words(message.content) for message in conversation.messages if message.role == "user")
            found = next((known[query] for query in queries if query in known), None)
            yield Drop(conversation.id, "contaminated", f"asks {found}") if found else conversation


def _prompt(row: dict[str, object], where: str) -> str:
    for name in FIELDS:
        if isinstance(row.get(name), str):
            return text_field(row, name, where)
    if "messages" in row:
        return messages_field(row, where)[-1].content
    raise DataError(f"{where}: holds no prompt; one of these fields is needed: {', '.join(FIELDS)}, messages")


def _words(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold())) or text.strip()
