"""A search made ready: scratch space, length classes and threads around the compiled search.

In: the n-grams of two sides. Out: Neighbours, or all pairs above a threshold.
"""

import math

import numpy as np
from numpy.typing import NDArray

from epigone.similarity.bleu import Neighbours, Settings
from epigone.similarity.compiled import in_blocks
from epigone.similarity.grams import Postings, Texts
from epigone.similarity.search import EXP, FLOOR, NONE, Rules, Scratch, Task, search_all, search_best

SMOOTHINGS = {"none": NONE, "exp": EXP, "floor": FLOOR}
CLASS_RATIO = 1.15
"""Texts in one class of lengths differ by this factor at most."""
QUERIES_AT_ONCE = 128


def length_classes(lengths: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The shortest and the longest text of each class; texts without tokens are in none."""
    lows: list[int] = []
    highs: list[int] = []
    for length in np.unique(lengths[lengths > 0]).tolist():
        if lows and lows[-1] > 3 and length <= lows[-1] * CLASS_RATIO:
            highs[-1] = length
        else:
            lows.append(length)
            highs.append(length)
    return np.array(lows, dtype=np.int64), np.array(highs, dtype=np.int64)


class Matcher:
    """Searches one set of texts for the neighbours of a set of queries."""

    def __init__(
        self,
        settings: Settings,
        queries: Texts,
        texts: Texts,
        held: Postings,
        *,
        query_is_hypothesis: bool,
        same: bool = False,
    ) -> None:
        self.queries = queries
        self._settings = settings
        self._forward = query_is_hypothesis
        self._task = Task(queries, texts, held, *length_classes(texts.lengths), same)
        longest = max((int(side.lengths.max(initial=0)) for side in (queries, texts)), default=0)
        self._logs = np.log(np.maximum(np.arange(longest + 3, dtype=np.float64), 1))

    def best(self, span: range, to_beat: NDArray[np.float64] | None = None) -> Neighbours:
        """The best text of each query of the span; where no text beats the given score, that score and -1."""
        scores = np.zeros(len(span)) if to_beat is None else to_beat.copy()
        partners = np.full(len(span), -1, dtype=np.int64)
        rules = self._rules(collect=False)

        def work(block: range, scratch: Scratch) -> None:
            here = slice(block.start - span.start, block.stop - span.start)
            search_best(block.start, self._task, rules, scratch, scores[here], partners[here])

        in_blocks(self._blocks(span), self._scratch, work)
        return Neighbours(scores, partners)

    def above(
        self, threshold: float | int, span: range
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        """All pairs above the threshold: queries, texts, scores."""
        rules = self._rules(collect=True)

        def work(block: range, scratch: Scratch) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
            return search_all(block.start, block.stop, float(threshold), self._task, rules, scratch)

        parts = in_blocks(self._blocks(span), self._scratch, work)
        nothing = (np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros(0))
        queries, texts, scores = (np.concatenate(arrays) for arrays in zip(nothing, *parts))
        return queries, texts, scores

    def _blocks(self, span: range) -> list[range]:
        starts = range(span.start, span.stop, QUERIES_AT_ONCE)
        return [range(start, min(start + QUERIES_AT_ONCE, span.stop)) for start in starts]

    def _rules(self, *, collect: bool) -> Rules:
        smoothing = SMOOTHINGS[self._settings.smoothing]
        return Rules(smoothing, float(self._settings.smooth_value), self._forward, collect, self._logs)

    def _scratch(self) -> Scratch:
        num_texts = len(self._task.texts.lengths)
        sizes = self.queries.bounds[:, -1] - self.queries.bounds[:, 0]
        num_slots = 1 << max(3, math.ceil(math.log2(6 * int(sizes.max(initial=1)) + 1)))
        return Scratch(
            keys=np.full(num_slots, -1, dtype=np.int32),
            counts=np.zeros(num_slots, dtype=np.int32),
            order_met=np.zeros(num_texts, dtype=np.int8),
            matches=np.zeros(num_texts, dtype=np.int32),
            met=np.zeros(num_texts, dtype=np.int32),
            heap_bounds=np.zeros(num_texts),
            heap_texts=np.zeros(num_texts, dtype=np.int32),
            found=np.zeros(num_texts, dtype=np.int32),
            found_scores=np.zeros(num_texts),
            pair=np.zeros(4, dtype=np.int64),
            best=np.array([0.0, math.inf]),
            state=np.zeros(5, dtype=np.int64),
        )
