"""The queries of a category audit: a random sample of a dataset's first queries, the same for whoever sorts them.

In: conversations, one at a time. Out: SampledQuery in seeded order. What a filter leaves of a dataset keeps its order,
so the samples before and after share most of their queries and need not be sorted twice.
Source: Table 5 of arXiv 2305.15717, which draws 50 queries.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from epigone.metrics.corpus import queries_of
from epigone.metrics.ranks import Lowest
from epigone.records import Conversation
from epigone.rows import prompt_id_of


@dataclass(frozen=True, slots=True)
class SampledQuery:
    """A query that is to be sorted, known by its text, so that a label holds wherever the text occurs."""

    query_id: str
    text: str


class QuerySample:
    """Draws `size` first queries."""

    def __init__(self, size: int, seed: int) -> None:
        self._lowest = Lowest[SampledQuery](size, "categories", seed)

    def offer(self, conversation: Conversation) -> None:
        """Let a conversation's first query take part in the draw."""
        for query in queries_of(conversation, "first"):
            found = SampledQuery(prompt_id_of(query), query)
            self._lowest.offer(found, conversation.source, conversation.id, query)

    def queries(self) -> Sequence[SampledQuery]:
        """The sample."""
        return self._lowest.items()
