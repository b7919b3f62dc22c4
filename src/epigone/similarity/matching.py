"""A search made ready: scratch space, length classes and threads around the compiled search.

In: the n-grams of two sides. Out: Neighbours, or all pairs above a threshold.
"""

import math

import numpy as np
from numpy.typing import NDArray

from epigone.similarity.bleu import Neighbours, Settings
from epigone.similarity.compiled import in_blocks
from epigone.similarity.grams import Corpus, Texts
from epigone.similarity.search import EXP, FLOOR, NONE, Rules, Scratch, Task, search_all, search_best

SMOOTHINGS = {"none": NONE, "exp": EXP, "floor": FLOOR}
CLASS_RATIO = 1.15
"""Texts in one class of lengths differ by this factor at most."""
QUERIES_AT_ONCE = 128
Pairs = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]
"""Query numbers, partners, scores; sorted by query, then by partner."""


def blocks(num_queries: int) -> list[slice]:
    """What a thread takes at a time."""
    return [slice(at, min(at + QUERIES_AT_ONCE, num_queries)) for at in range(0, num_queries, QUERIES_AT_ONCE)]


def length_classes(lengths: NDArray[np.int64]) -> tuple[NDArray[np.int64], ...]:
    """The shortest and the longest text of each class, and where classes start; texts without tokens are in none."""
    lows: list[int] = []
    highs: list[int] = []
    for length in np.unique(lengths[lengths > 0]).tolist():
        if lows and lows[-1] > 3 and length <= lows[-1] * CLASS_RATIO:
            highs[-1] = length
        else:
            lows.append(length)
            highs.append(length)
    starts = [*np.searchsorted(lengths, lows).tolist(), len(lengths)]
    return tuple(np.array(numbers, dtype=np.int64) for numbers in (lows, highs, starts))


class Matcher:
    """Searches texts, which stand by length, for the neighbours of queries."""

    def __init__(
        self,
        settings: Settings,
        queries: Texts,
        corpus: Corpus,
        *,
        query_is_hypothesis: bool,
        same: bool = False,
    ) -> None:
        texts = corpus.texts
        self.queries = queries
        self._settings = settings
        self._forward = query_is_hypothesis
        lows, highs, starts = length_classes(texts.lengths)
        self._task = Task(queries, texts, corpus.held, corpus.numbers, lows, highs, starts, same)
        longest = max(int(side.lengths.max(initial=0)) for side in (queries, texts))
        self._logs = np.log(np.maximum(np.arange(longest + 3, dtype=np.float64), 1))

    def best(self, chosen: NDArray[np.int64], to_beat: NDArray[np.float64] | None = None) -> Neighbours:
        """The best text of each chosen query; where no text beats the given score, that score and -1."""
        scores = np.zeros(len(chosen)) if to_beat is None else to_beat.copy()
        partners = np.full(len(chosen), -1, dtype=np.int64)
        rules = self._rules(collect=False)

        def work(block: slice, scratch: Scratch) -> None:
            search_best(chosen[block], self._task, rules, scratch, scores[block], partners[block])

        in_blocks(blocks(len(chosen)), self._scratch, work)
        return Neighbours(scores, partners)

    def above(self, threshold: float | int, chosen: NDArray[np.int64]) -> Pairs:
        """All pairs above the threshold: places in `chosen`, texts, scores."""
        rules = self._rules(collect=True)

        def work(block: slice, scratch: Scratch) -> Pairs:
            return search_all(chosen[block], float(threshold), self._task, rules, scratch)

        parts = in_blocks(blocks(len(chosen)), self._scratch, work)
        nothing = (np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros(0))
        nums, texts, scores = (np.concatenate(arrays) for arrays in zip(nothing, *parts))
        places = np.repeat(np.arange(len(chosen)), nums)
        order = np.lexsort((texts, places))
        return places, texts[order], scores[order]

    def _rules(self, *, collect: bool) -> Rules:
        smoothing = SMOOTHINGS[self._settings.smoothing]
        return Rules(smoothing, float(self._settings.smooth_value), self._forward, collect, self._logs)

    def _scratch(self) -> Scratch:
        num_texts = len(self._task.texts.lengths)
        sizes = self.queries.bounds[:, -1] - self.queries.bounds[:, 0]
        num_items = max(num_texts, int(sizes.max(initial=0)))
        num_slots = 1 << max(3, math.ceil(math.log2(6 * int(sizes.max(initial=1)) + 1)))
        return Scratch(
            keys=np.full(num_slots, -1, dtype=np.int32),
            counts=np.zeros(num_slots, dtype=np.int32),
            order_met=np.zeros(num_texts, dtype=np.int8),
            matches=np.zeros(num_texts, dtype=np.int32),
            met=np.zeros(num_texts, dtype=np.int32),
            heap_keys=np.zeros(num_items),
            heap_items=np.zeros(num_items, dtype=np.int64),
            found=np.zeros(num_texts, dtype=np.int32),
            found_scores=np.zeros(num_texts),
            pair=np.zeros(4, dtype=np.int64),
            best=np.array([0.0, math.inf]),
            state=np.zeros(7, dtype=np.int64),
        )
