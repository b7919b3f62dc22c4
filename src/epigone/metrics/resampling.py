"""Bootstrap draws as matrix products: the machinery under every interval.

In: numerators and denominators, items by seeds. Out: Draws, a statistic per seed with its bootstrap samples, of which
differences and slopes are Draws again.

Items are drawn as multinomial counts, one fixed matrix a number of items, so a mean over all resamples is one matrix
product, and two statistics over the same items are paired by construction (they see the same draws). Seeds are drawn
on top, crossed with the items because all seeds answer the same ones. A bootstrap over S seeds shows (S-1)/S of the
variance between seeds, half of it at two: deviations of the seed weights are stretched by sqrt(S/(S-1)). Two
or three seeds tell little of their own spread all the same; hence the rule of three seeds for claims.
Source: Efron & Tibshirani (1993), ch. 6; the stretching: Rao & Wu (1988), https://doi.org/10.1080/01621459.1988.10478591
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from epigone.errors import DataError
from epigone.records import Estimate

Array = NDArray[np.float64]
Values = Sequence[float | int] | NDArray[np.generic]

NUM_RESAMPLES = 2000
SMALLEST_GAP_DRAWN = 1e-6
"""A resample in which two statistics are equal has no ratio to their difference."""


@functools.lru_cache(maxsize=12)
def item_weights(n: int, seed: int = 0, num_resamples: int = NUM_RESAMPLES) -> NDArray[np.float32]:
    """How often each of n items occurs in each resample, (num_resamples, n)."""
    rng = np.random.default_rng([seed, n, 1])
    drawn = rng.integers(n, size=(num_resamples, n)) + np.arange(num_resamples)[:, None] * n
    return np.bincount(drawn.ravel(), minlength=num_resamples * n).reshape(num_resamples, n).astype(np.float32)


@functools.lru_cache(maxsize=12)
def seed_weights(num_seeds: int, seed: int = 0, num_resamples: int = NUM_RESAMPLES) -> Array:
    """Weights of the seeds in each resample, stretched as above, (num_resamples, num_seeds); rows sum to 1."""
    rng = np.random.default_rng([seed, num_seeds, 2])
    drawn = rng.multinomial(num_seeds, np.full(num_seeds, 1 / num_seeds), size=num_resamples) / num_seeds
    stretch = np.sqrt(num_seeds / max(num_seeds - 1, 1))
    return 1 / num_seeds + stretch * (drawn - 1 / num_seeds)


@dataclass(frozen=True, slots=True, eq=False)
class Draws:
    """A statistic: `points` (num_seeds,) as measured, `samples` (num_resamples, num_seeds) as resampled over items."""

    points: Array
    samples: Array
    n: int
    share: bool = False
    """A share of items, each right or wrong."""
    seed: int = 0
    bounded: bool = False
    """Between 0 and 1 by its nature, as shares and means of probabilities are."""

    @property
    def num_seeds(self) -> int:
        """How many seeds it was measured at."""
        return len(self.points)

    @property
    def value(self) -> float:
        """Mean over the seeds."""
        return float(self.points.mean())

    def pooled(self) -> Array:
        """The mean over seeds in every resample, (num_resamples,)."""
        return (self.samples * seed_weights(self.num_seeds, self.seed, len(self.samples))).sum(axis=1)

    def select(self, columns: Sequence[int]) -> "Draws":
        """The same statistic at some of its seeds."""
        points, samples = self.points[list(columns)], self.samples[:, list(columns)]
        return Draws(points, samples, self.n, self.share, self.seed, self.bounded)

    def __sub__(self, other: "Draws") -> "Draws":
        """Paired difference; a statistic at one seed (the teacher's) is set against every seed of the other."""
        n = min(self.n, other.n)
        return Draws(self.points - other.points, self.samples - other.samples, n, seed=self.seed)

    def estimate(self) -> Estimate:
        """Mean over seeds with its 95 % percentile interval."""
        method = "bootstrap over items" if self.num_seeds == 1 else "bootstrap over seeds and items"
        low, high = (float(x) for x in np.percentile(self.pooled(), [2.5, 97.5]))
        if self.bounded:
            low, high = max(low, 0.0), min(high, 1.0)
        # All right or all wrong: resampling shows no spread, the exact binomial (Clopper-Pearson) bound does.
        if self.share and low == high and self.value in (0.0, 1.0):
            edge = 0.025 ** (1 / self.n)
            low, high, method = (edge, 1.0, "exact binomial") if self.value else (0.0, 1 - edge, "exact binomial")
        return Estimate(self.value, low, high, self.n, method, self.num_seeds)


def ratios(numerators: Array, denominators: Array, *, seed: int = 0, num_resamples: int = NUM_RESAMPLES) -> Draws:
    """Sum of numerators over sum of denominators, each (n, num_seeds); items with denominator 0 do not count.

    A seed without any denominator gets NaN. A mean is the ratio with denominators of 1.
    """
    weights = item_weights(len(numerators), seed, num_resamples)
    totals = denominators.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        points = numerators.sum(axis=0) / totals
        samples = weighted_sums(weights, numerators) / weighted_sums(weights, denominators)
    # A resample that holds no item with a denominator says nothing: it repeats the point.
    samples = np.where(np.isfinite(samples), samples, points)
    used = denominators > 0
    share = bool(np.isin(numerators, (0, 1)).all() and np.isin(denominators, (0, 1)).all())
    bounded = bool((numerators >= 0).all() and (numerators <= denominators).all())
    return Draws(points, samples, int(used.any(axis=1).sum()), share, seed, bounded)


def weighted_sums(weights: NDArray[np.float32], values: Array) -> Array:
    """Sums of values (n, num_seeds) in every resample, (num_resamples, num_seeds).

    einsum and not `@`: BLAS starts threads for a product this small, which costs thirty times as much where several
    workers share the cores.
    """
    columns = [np.einsum("rn,n->r", weights, np.ascontiguousarray(column, dtype=np.float32)) for column in values.T]
    return np.stack(columns, axis=1).astype(np.float64)


def means(values_by_seed: Sequence[Values], *, seed: int = 0, num_resamples: int = NUM_RESAMPLES) -> Draws:
    """The mean of each seed's values; equally long seeds are taken to hold the same items in the same order.

    Raises DataError where a seed has no values or one that is not finite: what is missing must be left out before.
    """
    columns = [np.asarray(values, dtype=np.float64) for values in values_by_seed]
    if not columns or any(not len(c) or not np.isfinite(c).all() for c in columns):
        raise DataError("a mean needs at least one finite value a seed; leave missing values out, do not score them")
    if len({len(c) for c in columns}) == 1:
        stacked = np.stack(columns, axis=1)
        return ratios(stacked, np.ones_like(stacked), seed=seed, num_resamples=num_resamples)
    parts = [ratios(c[:, None], np.ones((len(c), 1)), seed=seed, num_resamples=num_resamples) for c in columns]
    return Draws(
        np.concatenate([p.points for p in parts]),
        np.concatenate([p.samples for p in parts], axis=1),
        max(len(c) for c in columns),
        all(p.share for p in parts),
        seed,
        all(p.bounded for p in parts),
    )


def mean_of(parts: Sequence[Draws]) -> Draws:
    """The mean of several statistics at the same seeds; n is that of all together, shared items counted each time.

    Statistics over equally many items share their draws, others are drawn apart. Raises DataError for none.
    """
    if not parts:
        raise DataError("there is no statistic to take the mean of")
    points, samples = np.mean([p.points for p in parts], axis=0), np.mean([p.samples for p in parts], axis=0)
    return Draws(points, samples, sum(p.n for p in parts), seed=parts[0].seed)


def correlations(x: Array, y: Array, used: Array, *, seed: int = 0, num_resamples: int = NUM_RESAMPLES) -> Draws:
    """Pearson's r of x and y over the items where `used` is 1; all (n, num_seeds). NaN where either is constant."""
    center_x, center_y = (np.sum(z * used, axis=0) / np.maximum(used.sum(axis=0), 1) for z in (x, y))
    dx, dy = (x - center_x) * used, (y - center_y) * used  # centred, so that float32 sums keep their digits
    weights = item_weights(len(x), seed, num_resamples)
    moments = [used, dx, dy, dx * dx, dy * dy, dx * dy]
    sampled = [weighted_sums(weights, m) for m in moments]
    points = _pearson([m.sum(axis=0) for m in moments])
    samples = _pearson(sampled)
    return Draws(points, np.where(np.isfinite(samples), samples, points), int(used.any(axis=1).sum()), seed=seed)


def _pearson(moments: Sequence[Array]) -> Array:
    count, x, y, xx, yy, xy = moments
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = np.maximum(count * xx - x * x, 0) * np.maximum(count * yy - y * y, 0)
        return np.where(spread > 1e-9, (count * xy - x * y) / np.sqrt(spread), np.nan)
