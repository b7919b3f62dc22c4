"""Diversity as the paper measures it: for each query, the BLEU of the other query that is most like it.

In: queries in a seeded order, and whoever finds nearest others. Out: mean and median over N, for nested amounts of
queries, since both rise with N: the more queries there are, the nearer the nearest one is. Two datasets are compared at
equal N. The intervals are those of the queries drawn, with what they are compared with held fixed.
Source: arXiv 2305.15717, section 3.2; order statistics: David & Nagaraja (2003), section 7.1.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from epigone.records import Estimate

SMALLEST = 250
"""Where the curve begins; it goes on by doubling."""
IDENTICAL = 100.0 - 1e-9
NearestScores = Callable[[Sequence[str]], NDArray[np.float64]]
"""Texts -> each one's highest BLEU with another of them, in percent (0-100)."""
_Z = 1.959964


@dataclass(frozen=True, slots=True)
class DiversityPoint:
    """Top-1 BLEU among N queries, as shares 0-1; `identical` is the share whose nearest other is the same text."""

    num_queries: int
    mean: Estimate
    median: Estimate
    identical: float


@dataclass(frozen=True, slots=True)
class Diversity:
    """A curve, and all that its numbers depend on."""

    queries: str
    """Which texts: first queries, or all user turns."""
    num_available: int
    """How many of them the dataset has."""
    tokenize: str
    smoothing: str
    lowercase: bool
    seed: int
    points: tuple[DiversityPoint, ...]

    def at(self, num_queries: int) -> DiversityPoint | None:
        """The point at exactly so many queries."""
        return next((p for p in self.points if p.num_queries == num_queries), None)


def amounts(available: Sequence[int], most: int) -> list[int]:
    """The N of all curves of a page: 250, 500, 1000 ... and what each dataset has, so that all meet somewhere."""
    tops = [min(num, most) for num in available]
    doubled = [SMALLEST * 2**k for k in range(64) if SMALLEST * 2**k < max(tops, default=0)]
    return sorted({n for n in (*doubled, *tops) if n > 1})


def curve(texts: Sequence[str], sizes: Sequence[int], nearest: NearestScores) -> tuple[DiversityPoint, ...]:
    """A point for every size that there are texts for; the smaller sets are beginnings of the larger ones."""
    return tuple(_point(nearest(texts[:size]) / 100) for size in sizes if 1 < size <= len(texts))


def _point(scores: NDArray[np.float64]) -> DiversityPoint:
    n, mean = len(scores), float(scores.mean())
    half = _Z * float(scores.std(ddof=1)) / n**0.5
    return DiversityPoint(
        num_queries=n,
        mean=Estimate(mean, max(mean - half, 0.0), min(mean + half, 1.0), n, "normal, over queries"),
        median=_median(np.sort(scores)),
        identical=float((scores * 100 >= IDENTICAL).mean()),
    )


def _median(ordered: NDArray[np.float64]) -> Estimate:
    n = len(ordered)
    half = _Z * n**0.5 / 2
    low, high = max(int(np.floor(n / 2 - half)), 0), min(int(np.ceil(n / 2 + half)), n - 1)
    return Estimate(
        float(np.median(ordered)), float(ordered[low]), float(ordered[high]), n, "order statistics, over queries"
    )
