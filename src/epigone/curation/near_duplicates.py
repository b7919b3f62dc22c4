"""Near-duplicates: of conversations whose queries are nearly the same, only the first is kept.

In: conversations in order. Out: the same, later ones of similar queries as Drops that name the one kept and the score.
All queries must be known before the first verdict: their texts are held in memory, the conversations wait in a
compressed file that is deleted at the end.
Source: none in the paper (arXiv 2305.15717), which deduplicates on equal queries; BLEU as its measure of likeness is
the paper's (section 3.2, diversity). Greedy in order, as in MinHash deduplication (Lee et al., 2022, arXiv 2107.06499,
which clusters instead): a conversation goes only where one that was kept is near, so a chain of small changes may leave
its third link.
"""

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from epigone.curation import texts_of
from epigone.datasets import DatasetWriter, iterate_dataset
from epigone.errors import SpecError
from epigone.records import Conversation, Drop
from epigone.similarity import BleuIndex, Settings


@dataclass(frozen=True)
class NearDuplicates:
    """Drops a conversation whose query scores above the threshold against an earlier one that was kept.

    A query that is equal to an earlier one, letter by letter, goes the same way whatever its score; a conversation
    without a query goes as well.
    """

    threshold: float | int = 60
    """Sentence BLEU in percent above which two queries are near-duplicates."""
    query: Literal["first", "all"] = "first"
    """What is compared: the first user turn, or all of them, a line each."""
    hypothesis: Literal["later", "earlier"] = "later"
    """Which of two queries BLEU takes as the hypothesis; the other is the reference."""
    tokenize: Literal["13a", "whitespace"] = "13a"
    """BLEU's tokeniser."""
    smoothing: Literal["none", "exp", "floor"] = "none"
    """BLEU's smoothing."""
    lowercase: bool = True
    """Whether BLEU ignores case."""

    def __post_init__(self) -> None:
        if not 0 < self.threshold < 100:
            raise SpecError(f"threshold {self.threshold!r}: a BLEU above 0 and below 100 is needed, in percent")

    def apply(self, conversations: Iterable[Conversation]) -> Iterator[Conversation | Drop]:
        """Every conversation goes out once, in order, after the last has come in."""
        with tempfile.TemporaryDirectory(prefix="epigone-") as folder:
            waiting = Path(folder) / "waiting.parquet"
            ids, queries = self._set_aside(conversations, waiting)
            near = self._near(queries)
            for number, conversation in enumerate(iterate_dataset(waiting)):
                if number not in queries:
                    yield Drop(conversation.id, "no query")
                elif number in near:
                    other, score = near[number]
                    likeness = f"BLEU {score:.1f} with" if score else "same as"
                    yield Drop(conversation.id, "near-duplicate query", f"{likeness} {ids[other]}")
                else:
                    yield conversation

    def _set_aside(self, conversations: Iterable[Conversation], waiting: Path) -> tuple[list[str], dict[int, str]]:
        """All ids, and the query of each conversation that has one; the conversations themselves go to the file."""
        ids: list[str] = []
        queries: dict[int, str] = {}
        with DatasetWriter(waiting, Conversation) as writer:
            for conversation in conversations:
                texts = texts_of(conversation, "first" if self.query == "first" else "user")
                if texts:
                    queries[len(ids)] = "\n".join(texts)
                ids.append(conversation.id)
                writer.write(conversation)
        return ids, queries

    def _near(self, queries: dict[int, str]) -> dict[int, tuple[int, float]]:
        """For each conversation to be dropped: the kept one that it is nearest to, and the score; 0 for equal texts."""
        first: dict[str, int] = {}
        near: dict[int, tuple[int, float]] = {}
        for number, text in queries.items():
            first.setdefault(text, number)
        numbers = list(first.values())
        for later, earlier, score in self._pairs(list(first)):
            known = near.get(numbers[later], (0, 0.0))
            if numbers[earlier] not in near and score > known[1]:
                near[numbers[later]] = numbers[earlier], score
        for number, text in queries.items():
            if first[text] != number:
                near[number] = near.get(first[text], (first[text], 0.0))
        return near

    def _pairs(self, texts: list[str]) -> list[tuple[int, int, float]]:
        """(later, earlier, score) of all pairs above the threshold, by the later one: an earlier verdict stands."""
        if not texts:
            return []
        settings = Settings(smoothing=self.smoothing, tokenize=self.tokenize, lowercase=self.lowercase)
        side = "query" if self.hypothesis == "later" else "indexed"
        found = BleuIndex.build(texts, settings).pairs_above(self.threshold, hypothesis=side)
        pairs = zip(*(column.tolist() for column in found))
        return sorted((later, earlier, score) for later, earlier, score in pairs if earlier < later)
