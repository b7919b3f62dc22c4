"""How a preference changes with the raters' expertise, which is estimated from comparisons with a known answer.

In: one model's judgments against another, how many known ones each rater answered and rightly. Out: the slope of
"equal or better" over expertise, and the rate among the lowest, middle and highest third of the votes.

Expertise is the share of known ones that a rater would answer rightly, 0-1. From a handful of them it is known badly,
and a slope over raw shares would be too flat: shares are drawn towards the mean of all raters by a beta-binomial model
(regression calibration). Intervals resample raters and prompts at once, as votes of either hang together, and
estimate the expertise anew in each resample.
Sources: Carroll et al., Measurement Error in Nonlinear Models (2006), ch. 4; Kleinman (1973),
https://doi.org/10.1080/01621459.1973.10481332, for the moments; Owen (2007), arXiv 0712.1111, for the resampling.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from epigone.errors import DataError
from epigone.metrics.controlled import logistic_fits
from epigone.metrics.known_answers import Known
from epigone.metrics.resampling import Array, Draws, item_weights
from epigone.records import Estimate, Judgment

FEWEST_RATERS, FEWEST_JUDGMENTS = 6, 30
STEP = 0.1
"""The slope is told for so much more expertise: ten points."""
THIRDS = ("lowest third", "middle third", "highest third")
NUM_RESAMPLES = 500
RIDGE = 1e-4
SMALLEST_RELIABILITY = 0.05


@dataclass(frozen=True, slots=True)
class Third:
    """A third of the votes, by their raters' expertise (its mean)."""

    name: str
    expertise: float
    num_raters: int
    rate: Estimate


@dataclass(frozen=True, slots=True)
class ByExpertise:
    """What was found. `slope` is log-odds of equal or better for ten points more; None where `why` says."""

    num_raters: int
    num_known: int
    num_judgments: int
    mean: float
    """Share of known ones that all raters answered rightly."""
    reliability: float
    """Share of the spread in raters' shares that is no luck, 0-1."""
    slope: Estimate | None
    thirds: tuple[Third, ...]
    word: str
    why: str = ""


def shrunk(known: Mapping[str, Known]) -> tuple[dict[str, float], float, float]:
    """Expertise by rater, the mean of all, and the reliability of raw shares. Raises DataError without a known one."""
    raters = [rater for rater, each in known.items() if each.num_known]
    if not raters:
        raise DataError("no rater answered a comparison with a known answer: expertise is not known")
    counts, shares = _counted(known, raters)
    found, mean, reliability = _drawn_in(counts, shares, np.ones(len(raters)), floor=0.0)
    return dict(zip(raters, found.tolist(), strict=True)), mean, reliability


def _counted(known: Mapping[str, Known], raters: Sequence[str]) -> tuple[Array, Array]:
    counts = np.asarray([known[rater].num_known for rater in raters], dtype=np.float64)
    return counts, np.asarray([known[rater].num_right for rater in raters]) / counts


def _drawn_in(counts: Array, shares: Array, times: Array, *, floor: float) -> tuple[Array, float, float]:
    """Shares (n,) drawn towards their mean, the mean, the reliability; each rater `times` over.

    The between-rater variance is that of the moments: what shares vary more than so many coins would. `floor` is the
    least reliability, for resamples in which hardly a rater differs.
    """
    total, num_raters = float(times @ counts), float(times.sum())
    mean = float(times @ (counts * shares) / total)
    chance = mean * (1 - mean)
    between = float(times @ (counts * (shares - mean) ** 2)) - (num_raters - 1) * chance
    scale = total - float(times @ counts**2) / total - (num_raters - 1)
    spread = max(between / scale, 0.0) if scale > 0 else 0.0
    alike = min(spread / chance, 1.0) if chance > 0 else 0.0
    alike = max(alike, floor * num_raters / total)
    weights = counts * alike / (1 + (counts - 1) * alike)
    return mean + weights * (shares - mean), mean, float(times @ (counts * weights) / total)


def by_expertise(
    judgments: Sequence[Judgment],
    model: str,
    known: Mapping[str, Known],
    *,
    ridge: float | int = RIDGE,
    seed: int = 0,
    num_resamples: int = NUM_RESAMPLES,
) -> ByExpertise:
    """`judgments` compare `model` with one other; those with a known answer are to be left out before.

    Raises DataError where no rater answered a known one, or a judgment is not on the model.
    """
    expertise, mean, reliability = shrunk(known)
    used = [judgment for judgment in judgments if judgment.rater in expertise]
    raters = sorted({judgment.rater for judgment in used})
    num_known = sum(known[rater].num_known for rater in raters)
    found = ByExpertise(len(raters), num_known, len(used), mean, reliability, None, (), "not measured")
    if len(raters) < FEWEST_RATERS or len(used) < FEWEST_JUDGMENTS:
        told = f"{len(used)} judgments of {len(raters)} raters whose expertise is known"
        return replace(found, why=f"{told}; at least {FEWEST_JUDGMENTS} of {FEWEST_RATERS} are needed")
    if reliability < SMALLEST_RELIABILITY:
        told = f"raters differ on {num_known} known answers no more than by luck (reliability {reliability:.2f})"
        return replace(found, why=told)
    y = np.asarray([_equal_or_better(judgment, model) for judgment in used])
    x = np.asarray([expertise[judgment.rater] for judgment in used])
    weights = _pigeonhole(used, seed, num_resamples)
    votes = _ByRater(*_counted(known, raters), np.unique([j.rater for j in used], return_inverse=True)[1], y)
    point = votes.slope(expertise_of=np.asarray([expertise[rater] for rater in raters]), ridge=ridge)
    times = item_weights(len(raters), seed, num_resamples).astype(np.float64)
    sampled = np.asarray([votes.resampled(times[k], weights[k], ridge) for k in range(num_resamples)])
    method = "logistic regression, bootstrap over raters and prompts"
    draws = Draws(np.asarray([point]), sampled[:, None], len(y), seed=seed)
    slope = replace(draws.estimate(), method=method)
    word = "rises with expertise" if slope.low > 0 else "falls with expertise" if slope.high < 0 else "undecided"
    return replace(found, slope=slope, thirds=tuple(_thirds(used, x, y, weights)), word=word)


def _equal_or_better(judgment: Judgment, model: str) -> float:
    if model not in (judgment.a, judgment.b):
        raise DataError(f"judgment on {judgment.prompt_id!r} compares {judgment.a!r} and {judgment.b!r}, not {model!r}")
    return float(judgment.verdict in ("tie", "a" if judgment.a == model else "b"))


@dataclass(frozen=True, slots=True)
class _ByRater:
    """Votes summed by rater, which is all that a regression on the raters' expertise looks at."""

    counts: Array
    shares: Array
    """Of known ones, (num_raters,)."""
    place: NDArray[np.int64]
    """Of each vote's rater, (n,)."""
    outcomes: Array
    """(n,)."""

    def slope(self, expertise_of: Array, ridge: float | int, weights: Array | None = None) -> float:
        """For STEP of expertise more."""
        num, each = len(self.counts), np.ones(len(self.place)) if weights is None else weights
        votes = np.bincount(self.place, weights=each, minlength=num).astype(np.float64)
        wins = np.bincount(self.place, weights=each * self.outcomes, minlength=num)
        columns = np.column_stack([np.ones(num), (expertise_of - expertise_of.mean()) / STEP])
        rates = wins / np.maximum(votes, 1)
        return float(logistic_fits(columns, rates, votes[None], np.asarray([RIDGE, float(ridge)]))[0, 1])

    def resampled(self, times: Array, weights: Array, ridge: float | int) -> float:
        """The same with raters drawn `times` over, their expertise estimated anew."""
        expertise, _, _ = _drawn_in(self.counts, self.shares, times, floor=SMALLEST_RELIABILITY)
        return self.slope(expertise, ridge, weights)


def _pigeonhole(used: Sequence[Judgment], seed: int, num_resamples: int) -> Array:
    """(num_resamples, n): how often a vote's rater was drawn times how often its prompt was."""
    drawn = np.ones((num_resamples, len(used)))
    for number, names in enumerate(([j.rater for j in used], [j.prompt_id for j in used])):
        levels, place = np.unique(names, return_inverse=True)
        drawn *= item_weights(len(levels), seed + number, num_resamples)[:, place]
    return drawn


def _thirds(used: Sequence[Judgment], x: Array, y: Array, weights: Array) -> list[Third]:
    """Votes in the order of expertise, a rater's own kept together, cut where thirds of them are reached."""
    order = np.unique(x)
    votes = np.asarray([(x == level).sum() for level in order]).cumsum()
    third_of = dict(zip(order.tolist(), np.minimum(3 * (votes - 1) // len(x), 2).tolist(), strict=True))
    part: NDArray[np.int64] = np.asarray([third_of[value] for value in x.tolist()])
    found: list[Third] = []
    for number, name in enumerate(THIRDS):
        inside = part == number
        if not inside.any():
            continue
        own = weights[:, inside]
        sums, rate = own.sum(axis=1), float(y[inside].mean())
        samples = np.where(sums > 0, own @ y[inside] / np.maximum(sums, 1), rate)
        draws = Draws(np.asarray([rate]), samples[:, None], int(inside.sum()), share=True, bounded=True)
        method = "bootstrap over raters and prompts"
        estimate = draws.estimate()
        estimate = replace(estimate, method=method) if estimate.method.startswith("bootstrap") else estimate
        raters = {judgment.rater for judgment, here in zip(used, inside.tolist(), strict=True) if here}
        found.append(Third(name, float(x[inside].mean()), len(raters), estimate))
    return found
