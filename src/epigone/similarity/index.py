"""The nearest-neighbour index, and the two searches that do without one because one side is small.

In: texts and Settings. Out: Neighbours, or all pairs above a threshold. Every text is a query at most once at a time,
so queries can be shared out (`rows`) and the parts put together give the same result.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import islice
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from epigone.errors import SpecError
from epigone.similarity.bleu import Neighbours, Settings
from epigone.similarity.grams import Grams, Postings, Texts, postings, shared_grams
from epigone.similarity.matching import Matcher
from epigone.similarity.tokens import Tokens, Vocabulary

Pairs = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]
"""Query numbers, partners, scores; sorted by query, then by partner."""
DEFAULT = Settings()
TEXTS_AT_ONCE = 20_000


class BleuIndex:
    """Texts that can be searched for the neighbours of one another and of other texts."""

    def __init__(self, settings: Settings, vocabulary: Vocabulary, tokens: Tokens) -> None:
        self.settings = settings
        self._vocabulary = vocabulary
        self._tokens = tokens

    @classmethod
    def build(cls, texts: Sequence[str], settings: Settings = DEFAULT) -> "BleuIndex":
        """Tokenise the texts; their n-grams are counted when they are first compared with one another."""
        vocabulary = Vocabulary(settings)
        tokens = vocabulary.tokenise(texts)
        vocabulary.close()
        return cls(settings, vocabulary, tokens)

    def __len__(self) -> int:
        return len(self._tokens.starts) - 1

    @cached_property
    def _shared(self) -> tuple[Texts, Postings]:
        return shared_grams(self._tokens, len(self._vocabulary))

    def nearest(
        self,
        queries: Sequence[str] | None = None,
        *,
        hypothesis: Literal["query", "indexed"] = "query",
        rows: range | None = None,
    ) -> Neighbours:
        """The most similar indexed text of each query; without queries, of each indexed text among the others.

        `hypothesis` says which side BLEU takes as the hypothesis. `rows` picks the queries to answer. Of equally
        similar texts the first counts.
        """
        matcher, span = self._matcher(queries, hypothesis, rows)
        return matcher.best(span)

    def pairs_above(
        self,
        threshold: float | int,
        queries: Sequence[str] | None = None,
        *,
        hypothesis: Literal["query", "indexed"] = "query",
        rows: range | None = None,
    ) -> Pairs:
        """All pairs of a query and an indexed text that score more than the threshold, in percent.

        Without queries both (a, b) and (b, a) are asked, since BLEU depends on which is the hypothesis.
        """
        if threshold < 0:
            raise SpecError(f"BLEU threshold {threshold}: scores are never below 0, give a number from 0 to 100")
        matcher, span = self._matcher(queries, hypothesis, rows)
        return matcher.above(threshold, span)

    def _matcher(
        self, queries: Sequence[str] | None, hypothesis: Literal["query", "indexed"], rows: range | None
    ) -> tuple[Matcher, range]:
        if hypothesis not in ("query", "indexed"):
            raise SpecError(f"BLEU hypothesis={hypothesis!r} is not known: choose query or indexed")
        forward = hypothesis == "query"
        if queries is None:
            texts, held = self._shared
            matcher = Matcher(self.settings, texts, texts, held, query_is_hypothesis=forward, same=True)
        else:
            matcher = self._matcher_of(queries, forward)
        num_queries = len(matcher.queries.lengths)
        span = range(num_queries) if rows is None else rows
        if span.step != 1 or not 0 <= span.start <= max(span.stop, span.start) <= num_queries:
            raise SpecError(f"rows={rows}: there are {num_queries} queries; give a range inside with step 1")
        return matcher, span

    def _matcher_of(self, queries: Sequence[str], forward: bool) -> Matcher:
        grams = Grams.of(self._vocabulary.tokenise(queries), len(self._vocabulary))
        texts = grams.look_up(self._tokens)
        held = postings(texts, grams.num_grams)
        return Matcher(self.settings, grams.texts, texts, held, query_is_hypothesis=forward)


def _closed_on(texts: Sequence[str], settings: Settings) -> tuple[Vocabulary, Grams]:
    vocabulary = Vocabulary(settings)
    tokens = vocabulary.tokenise(texts)
    vocabulary.close()
    return vocabulary, Grams.of(tokens, len(vocabulary))


def _batches(texts: Iterable[str]) -> Iterator[list[str]]:
    stream = iter(texts)
    while batch := list(islice(stream, TEXTS_AT_ONCE)):
        yield batch


def nearest_without_index(
    queries: Sequence[str],
    texts: Iterable[str],
    settings: Settings,
    *,
    hypothesis: Literal["query", "text"] = "query",
) -> Neighbours:
    """The most similar text of each query, for few queries: the texts stream by and are not kept."""
    if hypothesis not in ("query", "text"):
        raise SpecError(f"BLEU hypothesis={hypothesis!r} is not known: choose query or text")
    vocabulary, grams = _closed_on(queries, settings)
    best = Neighbours(np.zeros(len(queries)), np.full(len(queries), -1, dtype=np.int64))
    num_read = 0
    for batch in _batches(texts):
        here = grams.look_up(vocabulary.tokenise(batch))
        held = postings(here, grams.num_grams)
        matcher = Matcher(settings, grams.texts, here, held, query_is_hypothesis=hypothesis == "query")
        found = matcher.best(range(len(queries)), best.scores)
        better = found.partners >= 0
        best = Neighbours(found.scores, np.where(better, found.partners + num_read, best.partners))
        num_read += len(batch)
    return best


def nearest_of_each(
    texts: Iterable[str],
    prompts: Sequence[str],
    settings: Settings,
    *,
    hypothesis: Literal["text", "prompt"] = "text",
) -> Neighbours:
    """The most similar prompt of each text, for few prompts: the texts stream by and are not kept."""
    if hypothesis not in ("text", "prompt"):
        raise SpecError(f"BLEU hypothesis={hypothesis!r} is not known: choose text or prompt")
    vocabulary, grams = _closed_on(prompts, settings)
    held = postings(grams.texts, grams.num_grams)
    found = []
    for batch in _batches(texts):
        asked = grams.look_up(vocabulary.tokenise(batch))
        matcher = Matcher(settings, asked, grams.texts, held, query_is_hypothesis=hypothesis == "text")
        found.append(matcher.best(range(len(batch))))
    if not found:
        return Neighbours(np.zeros(0), np.zeros(0, dtype=np.int64))
    return Neighbours(np.concatenate([f.scores for f in found]), np.concatenate([f.partners for f in found]))
