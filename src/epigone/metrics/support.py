"""Support of an item: how similar the nearest training example is, and what a student gained as a function of it.

In: by item the support (0-1), the base model's and the student's metric. Out: `SupportMap`: bins with the gain in each,
slopes, a rank correlation, and a word.

- gain: student minus base by item; its slope is the change of the mean gain for each STEP of support.
- learnt: the student's metric on items that the base has wrong; kept: on those that it has right. Only these two are
  free of how good the base was at well-supported items. Both need a metric of 0 and 1.
- base: the base model's own metric: whether well-supported items are easier for a model that never saw the data.
- odds: of items on which the two differ, the log-odds for each STEP that it is the student that is right (McNemar's
  test with support as its covariate).
- rank: Spearman's correlation of support and gain, for a relation that is no line.

All intervals are a bootstrap over items, the same resamples for base and student.
Source: section 4.3 of arXiv 2305.15717 ("improve on evaluation tasks that are heavily supported in the imitation
training data"), which shows it for whole benchmarks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from epigone.errors import DataError
from epigone.metrics.controlled import logistic_fits
from epigone.metrics.intervals import estimate as mean_of
from epigone.metrics.intervals import minimum_difference, paired_difference
from epigone.metrics.resampling import Array, Draws, Values, correlations, item_weights, weighted_sums
from epigone.records import Estimate

STEP = 0.1
"""Of support: ten points of BLEU."""
FLAT_WITHIN = 0.02
"""A change of up to two points for each STEP is called flat."""
NUM_BINS = 5
RIDGE = 0.1
NUM_RESAMPLES = 1000
FEWEST = 10
"""Items below which a slope is not fitted."""


@dataclass(frozen=True, slots=True)
class Bin:
    """Items of like support: between `low` and `high`, both held, `support` on average."""

    low: float
    high: float
    support: float
    base: Estimate
    student: Estimate
    gain: Estimate
    minimum_difference: float | None
    """The least gain that so many items could show (80 % power); None of a metric that is no share."""


@dataclass(frozen=True, slots=True)
class SupportMap:
    """What one student gained, by support."""

    bins: tuple[Bin, ...]
    overall: Estimate
    """The mean gain."""
    slopes: Mapping[str, Estimate]
    """gain, learnt, kept, base: change for each STEP."""
    rank: Estimate | None
    odds: Estimate | None
    word: str
    """rising, falling, flat or undecided, of the gain with support; not measured where support does not vary."""
    not_measured: Mapping[str, str]


def support_map(
    support: Values, base: Values, student: Values, *, num_bins: int = NUM_BINS, seed: int = 0
) -> SupportMap:
    """All (n,), of the same items in the same order. Raises DataError for other shapes, or values that are missing."""
    x, before, after = (np.asarray(values, dtype=np.float64) for values in (support, base, student))
    if not len(x) or {len(x)} != {len(before), len(after)}:
        raise DataError(f"support, base and student are of the same items, got {len(x)}, {len(before)}, {len(after)}")
    if not all(np.isfinite(values).all() for values in (x, before, after)) or x.min() < 0 or x.max() > 1:
        raise DataError("support lies between 0 and 1 and scores are finite; leave other items out")
    is_binary = bool(np.isin(before, (0, 1)).all() and np.isin(after, (0, 1)).all())
    gain, ones = after - before, np.ones(len(x))
    asked: dict[str, tuple[Array, Array]] = {"gain": (gain, ones), "base": (before, ones)}
    if is_binary:
        asked |= {"learnt": (after, 1 - before), "kept": (after, before)}
    slopes: dict[str, Estimate] = {}
    why = {} if is_binary else {name: "the metric is not 0 or 1 an item" for name in ("learnt", "kept", "odds")}
    for name, (y, used) in asked.items():
        rows = used > 0
        if rows.sum() < FEWEST or np.ptp(x[rows]) < 1e-12:
            why[name] = f"{int(rows.sum())} items, or all of the same support"
        else:
            slopes[name] = _slope(x, y, used, seed)
    rank = None
    if np.ptp(x) > 1e-12 and np.ptp(gain) > 1e-12:
        ranks, ranked = rankdata(x)[:, None], rankdata(gain)[:, None]
        rank = correlations(ranks, ranked, np.ones((len(x), 1)), seed=seed).estimate()
    else:
        why["rank"] = "support or gain is the same of all items"
    odds = _odds(x, before, after, seed) if is_binary else None
    if is_binary and odds is None:
        why["odds"] = f"{int((before != after).sum())} items on which the two differ, or all of the same support"
    return SupportMap(
        tuple(_bin(x, before, after, members, is_binary) for members in _members(x, num_bins)),
        paired_difference([after], [before], seed=seed),
        slopes,
        rank,
        odds,
        _word(slopes.get("gain")),
        why,
    )


def _slope(x: Array, y: Array, used: Array, seed: int) -> Estimate:
    """Least squares over the items where `used` is 1, a STEP as the unit of x."""
    steps = (x - (x * used).sum() / used.sum()) / STEP  # centred, so that float32 sums keep their digits
    moments = [m * used for m in (np.ones(len(x)), steps, y, steps * steps, steps * y)]
    weights = item_weights(len(x), seed)
    sampled = [weighted_sums(weights, m[:, None])[:, 0] for m in moments]
    point = _least_squares([np.array([m.sum()]) for m in moments])
    samples = _least_squares(sampled)
    samples = np.where(np.isfinite(samples), samples, point)
    found = Draws(point, samples[:, None], int((used > 0).sum()), seed=seed).estimate()
    return replace(found, method="least squares, bootstrap over items")


def _least_squares(moments: Sequence[Array]) -> Array:
    count, x, y, xx, xy = moments
    spread = count * xx - x * x
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(spread > 1e-6, (count * xy - x * y) / spread, np.nan)


def _odds(x: Array, before: Array, after: Array, seed: int) -> Estimate | None:
    """Of the items on which base and student differ: slope of the log-odds that the student is right."""
    differ = before != after
    if differ.sum() < FEWEST or np.ptp(x[differ]) < 1e-12:
        return None
    columns = np.column_stack([np.ones(int(differ.sum())), (x[differ] - x[differ].mean()) / STEP])
    weights = item_weights(len(columns), seed, NUM_RESAMPLES).astype(np.float64)
    penalties = np.array([1e-4, RIDGE])
    won = after[differ]
    point = logistic_fits(columns, won, np.ones((1, len(won))), penalties)
    sampled = logistic_fits(columns, won, weights, penalties, start=point[0])
    found = Draws(point[:, 1], sampled[:, 1:], len(won), seed=seed).estimate()
    return replace(found, method="logistic regression on items that changed, bootstrap over them")


def _members(x: Array, num_bins: int) -> list[NDArray[np.bool_]]:
    """Masks of items of like support: quantiles, of which those with the same edge are one."""
    edges = np.unique(np.quantile(x, np.linspace(0, 1, num_bins + 1)[1:-1]))
    place = np.searchsorted(edges, x, side="left")
    return [place == number for number in range(len(edges) + 1) if (place == number).any()]


def _bin(x: Array, before: Array, after: Array, members: NDArray[np.bool_], is_binary: bool) -> Bin:
    one, two, mine = before[members], after[members], x[members]
    least = minimum_difference(len(mine), float((one.mean() + two.mean()) / 2)) if is_binary else None
    return Bin(
        low=float(mine.min()),
        high=float(mine.max()),
        support=float(mine.mean()),
        base=mean_of([one]),
        student=mean_of([two]),
        gain=paired_difference([two], [one]),
        minimum_difference=least,
    )


def _word(slope: Estimate | None) -> str:
    if slope is None:
        return "not measured"
    if slope.low > -FLAT_WITHIN and slope.high < FLAT_WITHIN:
        return "flat"
    if slope.low > 0:
        return "rising"
    return "falling" if slope.high < 0 else "undecided"


def own_parts(prompts: Sequence[str]) -> list[str]:
    """What each prompt asks: without the lines, or the `Q: `, that all of them begin with, and those that all end with.

    A few-shot prompt is its question then. One prompt alone, or prompts that share nothing, stay as they are.
    """
    different = list(dict.fromkeys(prompts))
    if len(different) < 2:
        return list(prompts)
    start = _shared(different)
    start = max(start.rfind("\n"), start.rfind(": ") + 1 if ": " in start else -1) + 1
    end = _shared([text[start:][::-1] for text in different])[::-1]
    cut = end.find("\n")
    length = len(end) - cut if cut >= 0 else 0
    return [text[start : len(text) - length].strip() for text in prompts]


def _shared(texts: Sequence[str]) -> str:
    """What all of them begin with."""
    first, last = min(texts), max(texts)
    place = next((i for i, (a, b) in enumerate(zip(first, last)) if a != b), min(len(first), len(last)))
    return first[:place]
