"""Tests beside the intervals: p-values from resamples and signs, and their correction where many are read.

In: p-values, Draws, counts of wins and losses. Out: p-values. McNemar's test is in `intervals`.
Source: Holm (1979), https://www.jstor.org/stable/4615733; Davison & Hinkley (1997), ch. 4, for p-values of resamples.
"""

import numpy as np
from scipy.special import bdtr

from epigone.errors import DataError
from epigone.metrics.resampling import Array, Draws, Values


def holm(p_values: Values) -> Array:
    """P-values (n,) corrected for reading all of them, in the same order: the chance of any false alarm stays 5 %."""
    p = np.asarray(p_values, dtype=np.float64)
    if not np.all((p >= 0) & (p <= 1)):
        raise DataError("a p-value lies between 0 and 1; leave out the tests that could not be made")
    order = np.argsort(p, kind="stable")
    raised = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1.0)
    corrected = np.empty_like(p)
    corrected[order] = raised
    return corrected


def bootstrap_p(draws: Draws) -> float:
    """Two-sided p that the pooled difference is 0: below 0.05 where its percentile interval leaves 0 out.

    The measured difference counts as one more resample on each side, so p is never 0. NaN for what was not measured.
    """
    pooled = draws.pooled()
    if not np.isfinite(pooled).all():
        return float("nan")
    fewer = min(int((pooled <= 0).sum()), int((pooled >= 0).sum()))
    return min(1.0, 2 * (fewer + 1) / (len(pooled) + 1))


def sign_test(wins: int, losses: int) -> float:
    """Exact two-sided binomial p that wins and losses are equally likely; ties are left out of both."""
    if min(wins, losses) < 0:
        raise DataError(f"wins and losses are counts, got {wins} and {losses}")
    return min(1.0, 2 * float(bdtr(min(wins, losses), wins + losses, 0.5)))
