"""Query-level deduplication: of conversations that open with the same question, only the first is kept.

In: conversations in order. Out: the same, later ones of equal queries as Drops that name the one kept.
Source: "we deduplicated on the query level", section 3.2 of the paper (arXiv 2305.15717). The paper does not say when
two queries are equal: here, when they have the same words in the same order, whatever their case and punctuation.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from epigone.records import Conversation, Drop


@dataclass(frozen=True)
class Duplicates:
    """Drops conversations whose query was seen before, and those that hold no query at all."""

    query: Literal["first", "all"] = "first"
    """What is compared: the first user turn, as in the paper, or all of them in order."""

    def apply(self, conversations: Iterable[Conversation]) -> Iterator[Conversation | Drop]:
        """Every conversation goes out once, in order."""
        seen: dict[tuple[str, ...], str] = {}
        for conversation in conversations:
            queries = [normalise_query(m.content) for m in conversation.messages if m.role == "user"]
            key = tuple(queries[:1] if self.query == "first" else queries)
            if not key:
                yield Drop(conversation.id, "no query")
            elif key in seen:
                yield Drop(conversation.id, "duplicate query", f"same as {seen[key]}")
            else:
                seen[key] = conversation.id
                yield conversation


def normalise_query(text: str) -> str:
    """The words in lower case, one blank between; a text without words (such as "?") stays, its ends stripped."""
    return " ".join(re.findall(r"\w+", text.casefold())) or text.strip()
