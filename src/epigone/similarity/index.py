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
from epigone.similarity.grams import Corpus, Grams, shared_grams
from epigone.similarity.matching import Matcher, Pairs
from epigone.similarity.tokens import Tokens, Vocabulary

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
    def _corpus(self) -> Corpus:
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
        matcher, chosen, _ = self._matcher(queries, hypothesis, rows)
        return matcher.best(chosen)

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
        matcher, chosen, first = self._matcher(queries, hypothesis, rows)
        places, partners, scores = matcher.above(threshold, chosen)
        return places + first, partners, scores

    def _matcher(
        self, queries: Sequence[str] | None, hypothesis: Literal["query", "indexed"], rows: range | None
    ) -> tuple[Matcher, NDArray[np.int64], int]:
        """The search, the places of the queries to be answered, and the number of the first of them."""
        if hypothesis not in ("query", "indexed"):
            raise SpecError(f"BLEU hypothesis={hypothesis!r} is not known: choose query or indexed")
        forward, num_queries = hypothesis == "query", len(self if queries is None else queries)
        span = range(num_queries) if rows is None else rows
        if span.step != 1 or not 0 <= span.start <= max(span.stop, span.start) <= num_queries:
            raise SpecError(f"rows={rows}: there are {num_queries} queries; give a range inside with step 1")
        if queries is None:
            corpus = self._corpus
            matcher = Matcher(self.settings, corpus.texts, corpus, query_is_hypothesis=forward, same=True)
            return matcher, np.argsort(corpus.numbers)[span.start : span.stop], span.start
        grams = Grams.of(self._vocabulary.tokenise(queries[span.start : span.stop]), len(self._vocabulary))
        matcher = Matcher(self.settings, grams.texts, grams.corpus(self._tokens), query_is_hypothesis=forward)
        return matcher, np.arange(len(span)), span.start


def _closed_on(texts: Sequence[str], settings: Settings) -> tuple[Vocabulary, Tokens]:
    vocabulary = Vocabulary(settings)
    tokens = vocabulary.tokenise(texts)
    vocabulary.close()
    return vocabulary, tokens


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
    vocabulary, tokens = _closed_on(queries, settings)
    grams = Grams.of(tokens, len(vocabulary))
    best = Neighbours(np.zeros(len(queries)), np.full(len(queries), -1, dtype=np.int64))
    num_read = 0
    for batch in _batches(texts):
        corpus = grams.corpus(vocabulary.tokenise(batch))
        matcher = Matcher(settings, grams.texts, corpus, query_is_hypothesis=hypothesis == "query")
        found = matcher.best(np.arange(len(queries)), best.scores)
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
    vocabulary, tokens = _closed_on(prompts, settings)
    grams = Grams.of(tokens, len(vocabulary))
    corpus = grams.corpus(tokens)
    found = []
    for batch in _batches(texts):
        asked = grams.look_up(vocabulary.tokenise(batch))
        matcher = Matcher(settings, asked, corpus, query_is_hypothesis=hypothesis == "text")
        found.append(matcher.best(np.arange(len(batch))))
    if not found:
        return Neighbours(np.zeros(0), np.zeros(0, dtype=np.int64))
    return Neighbours(np.concatenate([f.scores for f in found]), np.concatenate([f.partners for f in found]))
