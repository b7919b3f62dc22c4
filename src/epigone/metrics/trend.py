"""Change of a metric per doubling of something (data, parameters, pre-training), and the word for it.

In: a statistic (Draws) at each amount, same seeds and items. Out: the least-squares slope on log2(amount) as Draws,
and a word. The slope is linear in the statistics, so seeds and items are resampled jointly over all points.
Source: the curves of arXiv 2305.15717, Figures 1, 3, 4 and 5, which are drawn there without a fit.
"""

from collections.abc import Sequence

import numpy as np

from epigone.errors import DataError
from epigone.metrics.resampling import Draws
from epigone.records import Estimate

FLAT_WITHIN = 0.02  # a change of up to two points per doubling is called flat
MIN_SEEDS = 3


def slope(amounts: Sequence[float | int], statistics: Sequence[Draws]) -> Draws:
    """Change per doubling of the amount. Raises DataError without two different positive amounts."""
    if len(set(amounts)) < 2 or min(amounts) <= 0 or len(amounts) != len(statistics):
        raise DataError(f"a slope per doubling needs a statistic at two or more positive amounts, got {list(amounts)}")
    x = np.log2(np.asarray(amounts, dtype=np.float64))
    weights = (x - x.mean()) / ((x - x.mean()) ** 2).sum()
    points = sum(w * s.points for w, s in zip(weights, statistics))
    samples = sum(w * s.samples for w, s in zip(weights, statistics))
    return Draws(np.asarray(points), np.asarray(samples), min(s.n for s in statistics), seed=statistics[0].seed)


def trend_word(change: Estimate, flat_within: float = FLAT_WITHIN) -> str:
    """rising, falling, flat (the whole interval within +-flat_within), or undecided; undecided below three seeds."""
    if change.num_seeds < MIN_SEEDS:
        return "undecided"
    if -flat_within < change.low and change.high < flat_within:
        return "flat"
    if change.low > 0:
        return "rising"
    return "falling" if change.high < 0 else "undecided"
