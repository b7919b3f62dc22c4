"""A figure with what it rests on: bootstrap intervals, paired differences, McNemar, the difference that n could show.

In: values of items, one array a seed. Out: Estimate records. The draws themselves are in `resampling`.
Source: McNemar (1947), https://doi.org/10.1007/BF02295996; sample sizes as in Fleiss, Statistical Methods for Rates
and Proportions, ch. 4.
"""

import math
from collections.abc import Sequence

import numpy as np

from epigone.errors import DataError
from epigone.metrics.resampling import NUM_RESAMPLES, Values, correlations, means
from epigone.records import Estimate

Z_TWO_SIDED, Z_POWER = 1.959964, 0.841621  # 5 % two-sided, 80 % power


def estimate(values_by_seed: Sequence[Values], *, seed: int = 0, num_resamples: int = NUM_RESAMPLES) -> Estimate:
    """Mean over items, then seeds, with its 95 % interval. Raises DataError where a seed has no values."""
    return means(values_by_seed, seed=seed, num_resamples=num_resamples).estimate()


def paired_difference(
    a_by_seed: Sequence[Values], b_by_seed: Sequence[Values], *, seed: int = 0, num_resamples: int = NUM_RESAMPLES
) -> Estimate:
    """Mean of a minus mean of b, on the same items in the same order. Raises DataError where lengths differ."""
    lengths = {len(values) for values in (*a_by_seed, *b_by_seed)}
    if len(lengths) != 1:
        raise DataError(f"a paired difference needs the same items on both sides, got lengths {sorted(lengths)}")
    a = means(a_by_seed, seed=seed, num_resamples=num_resamples)
    return (a - means(b_by_seed, seed=seed, num_resamples=num_resamples)).estimate()


def correlation(x: Values, y: Values, *, seed: int = 0, num_resamples: int = NUM_RESAMPLES) -> Estimate:
    """Pearson's r with its 95 % interval; x and y (n,). NaN where either is constant."""
    columns = [np.asarray(values, dtype=np.float64)[:, None] for values in (x, y)]
    used = np.ones_like(columns[0])
    return correlations(columns[0], columns[1], used, seed=seed, num_resamples=num_resamples).estimate()


def mcnemar(a: Values, b: Values) -> float:
    """Exact two-sided p that two models answer the same items (0 or 1 each) equally well."""
    right_a, right_b = np.asarray(a, dtype=np.bool_), np.asarray(b, dtype=np.bool_)
    if right_a.shape != right_b.shape:
        raise DataError(f"McNemar's test needs the same items on both sides, got {len(right_a)} and {len(right_b)}")
    only_a, only_b = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
    num_differ = only_a + only_b
    tail = sum(math.comb(num_differ, k) for k in range(min(only_a, only_b) + 1))
    return min(1.0, 2 * tail / 2**num_differ)


def minimum_difference(n: int, share: float, correlation_of_items: float = 0.0) -> float:
    """The smallest difference of two shares near `share` that n items show with 80 % power, two-sided 5 %.

    With `correlation_of_items` 0 the two models are compared as if on different items, which is the cautious figure;
    two models that answer the same items with correlation r show sqrt(1 - r) of it.
    """
    if n < 1:
        raise DataError("no items show no difference: n must be at least 1")
    # At 0 or 1 the variance vanishes; half an item away from the edge it is what n items could still have hidden.
    near = min(max(share, 0.5 / n), 1 - 0.5 / n)
    return (Z_TWO_SIDED + Z_POWER) * (2 * near * (1 - near) * (1 - correlation_of_items) / n) ** 0.5
