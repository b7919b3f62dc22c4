"""Query-level deduplication: of conversations that open with the same question, only the first is kept.

In: conversations in order. Out: the same, later ones of equal queries as Drops that name the one kept. It streams, and
remembers a hash of 16 bytes and an id a query, never the text.
Source: "we deduplicated on the query level", section 3.2 of the paper (arXiv 2305.15717). The paper does not say when
two queries are equal: here, when they have the same words in the same order, whatever their case and punctuation.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from epigone.curation import normalise_query, texts_of
from epigone.records import Conversation, Drop


@dataclass(frozen=True)
class Duplicates:
    """Drops conversations whose query was seen before, and those that hold no query at all."""

    query: Literal["first", "all"] = "first"
    """What is compared: the first user turn, as in the paper, or all of them in order (the safer choice where the first
    turn is often a mere "continue")."""

    def apply(self, conversations: Iterable[Conversation]) -> Iterator[Conversation | Drop]:
        """Every conversation goes out once, in order."""
        seen: dict[bytes, str] = {}
        for conversation in conversations:
            queries = texts_of(conversation, "first" if self.query == "first" else "user")
            key = _hash([normalise_query(text) for text in queries])
            if not queries:
                yield Drop(conversation.id, "no query")
            elif key in seen:
                yield Drop(conversation.id, "duplicate query", f"same as {seen[key]}")
            else:
                seen[key] = conversation.id
                yield conversation


def _hash(queries: list[str]) -> bytes:
    return hashlib.blake2b(json.dumps(queries).encode(), digest_size=16).digest()
