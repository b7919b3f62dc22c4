"""A figure with what it rests on: bootstrap intervals, paired differences, McNemar, the difference that n could show.

A preference is tested as a mean: a comparison scores 1 for a win, 0.5 for a tie, 0 for a loss, so with ties in a share
t of comparisons and a mean of m the variance of the scores is m(1-m) - t/4.

In: values of items, one array a seed. Out: Estimate records. The draws themselves are in `resampling`.
Source: McNemar (1947), https://doi.org/10.1007/BF02295996; sample sizes as in Fleiss, Statistical Methods for Rates
and Proportions, ch. 4.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from statistics import NormalDist

import numpy as np

from epigone.errors import DataError
from epigone.metrics.resampling import NUM_RESAMPLES, Values, correlations, means
from epigone.records import Estimate

Z_TWO_SIDED, Z_POWER = 1.959964, 0.841621  # 5 % two-sided, 80 % power


def estimate(values_by_seed: Sequence[Values], *, seed: int = 0, num_resamples: int = NUM_RESAMPLES) -> Estimate:
    """Mean over items, then seeds, with its 95 % interval. Raises DataError where a seed has no values."""
    return means(values_by_seed, seed=seed, num_resamples=num_resamples).estimate()


def summary_of_items(metrics: Sequence[Mapping[str, float]]) -> dict[str, object]:
    """Counts of scored items, and each metric's mean with its interval, over the n items that have it.

    The items are taken as a sample of all that might have been asked: a limit widens the interval, and that the items
    left out are few narrows nothing.
    """
    names = sorted({name for each in metrics for name in each})
    found = {name: estimate([[each[name] for each in metrics if name in each]]) for name in names}
    return {
        "num_items": len(metrics),
        "means": {name: round(each.value, 4) for name, each in found.items()},
        "estimates": {name: asdict(each) for name, each in found.items()},
    }


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


def comparisons_needed(difference: float, share: float = 0.5, *, tie_share: float = 0.0, power: float = 0.8) -> int:
    """How many comparisons show that a win share (ties as halves) is not `share` but `difference` away from it.

    One comparison a prompt, two-sided 5 %, ties in `tie_share` of all. Raises DataError for shares that cannot be.
    """
    if difference == 0:
        raise DataError("no number of comparisons shows a difference of 0")
    spreads = [_sd_of_scores(mean, tie_share) for mean in (share, share + difference)]
    return math.ceil(((Z_TWO_SIDED * spreads[0] + NormalDist().inv_cdf(power) * spreads[1]) / difference) ** 2)


def _sd_of_scores(mean: float, tie_share: float) -> float:
    if not 0 <= tie_share <= 2 * min(mean, 1 - mean) + 1e-12:
        raise DataError(f"ties in {tie_share:g} of comparisons and a win share of {mean:g} cannot both be")
    return max(mean * (1 - mean) - tie_share / 4, 0.0) ** 0.5


def minimum_difference_of_preference(n: int, tie_share: float = 0.0, *, power: float = 0.8) -> float:
    """The smallest distance of a win share from 0.5 that n comparisons show, as `comparisons_needed` counts them.

    Infinite where n is so small that not even a model that never loses would be told from an equal one.
    """
    if n < 1:
        raise DataError("no comparisons show no difference: n must be at least 1")
    spread, z, z_power = _sd_of_scores(0.5, tie_share), Z_TWO_SIDED, NormalDist().inv_cdf(power)
    # sqrt(n) d = z sd0 + z_power sqrt(sd0^2 - d^2), solved for d
    inside = n - z**2 + z_power**2
    if inside < 0:
        return math.inf
    found = spread * (n**0.5 * z + z_power * inside**0.5) / (n + z_power**2)
    return found if found <= (1 - tie_share) / 2 else math.inf
