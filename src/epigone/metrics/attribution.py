"""Which candidate a model was imitated from, or none: probabilities out of evidence, and when to say nothing.

In: `Evidence`, and models of which it is known what they imitate (a teacher, or several) or that they imitate none of
the candidates. Out: for every model a probability for each candidate and for none, and a verdict that may be "cannot
tell".

Each signal's mean over prompts is centred on what models that imitate none have beside the same candidate, and divided
by its spread over models; without such models it is centred on the other candidates. The utility of a candidate is the
weighted sum of its signals, that of none is a constant plus a share of the candidates' mean utility; probabilities are
their softmax (a conditional logit: McFadden 1974), fitted by penalised likelihood, families of models weighing the
same, and those that imitate a candidate as much as those that do not.

Held out: a model's utilities come from weights that no model of its family had part in, and that were fitted on the
other half of the prompts. With p the share of independent models of other families (and the model itself) whose best
candidate beats none by as much, a candidate is named where p is at most the false-positive rate that was asked for and
half of the candidates' probability or more is its own. "None" is said where the like holds of known students of which
none is as probable, and no candidate can be named. Everything else is "cannot tell".
Source: section 6 of arXiv 2305.15717; the rank as p-value: Vovk, Gammerman & Shafer (2005), conformal prediction.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax, logsumexp, softmax

from epigone.errors import DataError
from epigone.metrics.fingerprints import Evidence
from epigone.metrics.resampling import Array, item_weights
from epigone.records import Estimate

NONE = "none"
CANNOT_TELL = "cannot tell"
FALSE_POSITIVE_RATE = 0.1
LEAST_LEAD = 0.5
"""Probability among the candidates from which on one of them is named."""
PRIOR_WEIGHT, PRIOR_CONSTANT, PRIOR_SHARE = 0.5, 1.0, 0.5
"""What is believed before any known model is seen: all signals count alike."""
PENALTY = 0.5
"""Of a squared deviation from it, beside a family's log-likelihood."""
FEWEST_PROMPTS = 3
FARTHEST = 4.0
NUM_RESAMPLES = 400
SMALLEST_UNIT = {"naming": 0.005}
LEAST_UNIT = 1e-3


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a model: the candidates that it imitates, none of them where empty; models of one family, such
    as sizes of one recipe, are held out together."""

    name: str
    imitates: tuple[str, ...] = ()
    family: str = ""

    @property
    def group(self) -> str:
        """Its family, or itself."""
        return self.family or self.name


@dataclass(frozen=True, slots=True)
class Traced:
    """One model: probabilities of the candidates and of none, and what may be said of it."""

    name: str
    probabilities: Mapping[str, Estimate]
    p_named: float
    """Share of independent models, and itself, whose best candidate is as probable; 1 where there is none."""
    p_none: float
    """Share of known students, and itself, of which none is as probable; 1 where there is none."""
    truth: tuple[str, ...] | None
    """What it is known to imitate, () none; None where that is the question."""
    signals: Mapping[str, Mapping[str, float]]
    """By candidate and signal: how far it stands above independent models, in spreads."""

    @property
    def best(self) -> str:
        """The most probable candidate."""
        return max((n for n in self.probabilities if n != NONE), key=lambda n: self.probabilities[n].value)

    @property
    def lead(self) -> float:
        """Its probability among the candidates alone."""
        return self.probabilities[self.best].value / max(1 - self.probabilities[NONE].value, 1e-12)

    def verdict(self, rate: float | int = FALSE_POSITIVE_RATE) -> str:
        """A candidate, `none`, or `cannot tell`, at a false-positive rate."""
        if self.p_named <= rate:
            return self.best if self.lead >= LEAST_LEAD else CANNOT_TELL
        return NONE if self.p_none <= rate else CANNOT_TELL

    def is_right(self, verdict: str) -> bool:
        """Whether a verdict is true of a known model."""
        return verdict in self.truth if self.truth else verdict == NONE


def trace(
    found: Evidence, known: Sequence[Known], suspects: Sequence[str], *, seed: int = 0
) -> tuple[tuple[Traced, ...], tuple[Traced, ...]]:
    """The suspects, and the known models as they look when their family is held out. Raises DataError."""
    _check(found, known, suspects)
    fits = {group: _Fit(found, [k for k in known if k.group != group]) for group in {one.group for one in known}}
    scored = {one.name: fits[one.group].score(one.name, seed) for one in known}

    def traced(name: str, mine: _Score, group: str, truth: tuple[str, ...] | None) -> Traced:
        others = [one for one in known if one.group != group]
        p_named = _rank(mine.top, [scored[one.name].top for one in others if not one.imitates])
        p_none = _rank(mine.none, [scored[one.name].none for one in others if one.imitates])
        return Traced(name, mine.estimates(), p_named, p_none, truth, mine.signals())

    held_out = tuple(traced(one.name, scored[one.name], one.group, one.imitates) for one in known)
    every = _Fit(found, known) if suspects else None
    asked = tuple(traced(name, every.score(name, seed), "", None) for name in suspects if every)
    return asked, held_out


def _check(found: Evidence, known: Sequence[Known], suspects: Sequence[str]) -> None:
    for one in known:
        if strange := [name for name in one.imitates if name not in found.teachers]:
            raise DataError(f"{one.name} imitates {strange[0]}, which is no candidate: {', '.join(found.teachers)}")
    names = Counter([*suspects, *(one.name for one in known), *found.teachers])
    if twice := [name for name, count in names.items() if count > 1]:
        raise DataError(f"{twice[0]} is given twice: a model is a candidate, a known one or a suspect")


def _rank(score: float, others: Sequence[float]) -> float:
    """Share of the others and itself that score as high: a p-value, at least 1 / (others + 1)."""
    return (1 + sum(other >= score - 1e-12 for other in others)) / (len(others) + 1)


class _Fit:
    """What was learnt from some known models, on each half of the prompts."""

    def __init__(self, found: Evidence, used: Sequence[Known]) -> None:
        self.found = found
        self.scales = [_Scale(found, used, found.half != half) for half in (0, 1)]
        self.thetas = [_fitted(scale, used) for scale in self.scales]

    def score(self, name: str, seed: int) -> "_Score":
        """A model by the half of the prompts on which nothing was learnt, both ways."""
        place = self.found.models.index(name)
        num_teachers = len(self.found.teachers)
        told, samples = np.zeros(num_teachers + 1), np.zeros((NUM_RESAMPLES, num_teachers + 1))
        stands = np.zeros((num_teachers, len(self.found.values)))
        for half, (scale, theta) in enumerate(zip(self.scales, self.thetas)):
            tried = self.found.half == half
            measured = scale.standing(*_means(self.found, place, tried))
            drawn = item_weights(int(tried.sum()), seed + half, NUM_RESAMPLES).astype(np.float64)
            resampled = scale.standing(*_means(self.found, place, tried, drawn))
            told += utilities(theta, measured)[0] / 2
            samples += utilities(theta, resampled) / 2
            stands += measured[0] / 2
        return _Score(self.found, told, samples, stands)


@dataclass(frozen=True, slots=True, eq=False)
class _Score:
    """One model's utilities, those of candidates before that of none."""

    found: Evidence
    told: Array
    samples: Array
    stands: Array

    @property
    def top(self) -> float:
        """How much better the best candidate is than none, in log-odds."""
        return float(self.told[:-1].max() - self.told[-1])

    @property
    def none(self) -> float:
        """How much better none is than all candidates together, in log-odds."""
        return float(self.told[-1] - logsumexp(self.told[:-1]))

    def estimates(self) -> dict[str, Estimate]:
        """Probabilities of the candidates and of none."""
        low, high = np.percentile(softmax(self.samples, axis=1), [2.5, 97.5], axis=0)
        rows = zip((*self.found.teachers, NONE), softmax(self.told), low, high)
        n, method = len(self.found.half), "bootstrap over prompts"
        return {
            name: Estimate(float(p), min(float(a), float(p)), max(float(b), float(p)), n, method)
            for name, p, a, b in rows
        }

    def signals(self) -> dict[str, dict[str, float]]:
        """By candidate and signal."""
        rows = zip(self.found.teachers, self.stands)
        return {teacher: dict(zip(self.found.values, map(float, row))) for teacher, row in rows}


def _means(found: Evidence, place: int, mask: NDArray[np.bool_], weights: Array | None = None) -> tuple[Array, Array]:
    """Means of each signal over some prompts and how many speak, both (resamples, teachers, signals)."""
    rows = np.stack([found.values[name][place][:, mask] for name in found.values])  # (signals, teachers, prompts)
    drawn = np.ones((1, int(mask.sum()))) if weights is None else weights
    counts = np.einsum("rn,ktn->rtk", drawn, np.isfinite(rows).astype(np.float64))
    sums = np.einsum("rn,ktn->rtk", drawn, np.nan_to_num(rows))
    return sums / np.maximum(counts, 1), counts


class _Scale:
    """Centre and unit of each signal beside each candidate, by the models that may be learnt from."""

    def __init__(self, found: Evidence, used: Sequence[Known], mask: NDArray[np.bool_]) -> None:
        self.found, self.mask = found, mask
        places = {name: place for place, name in enumerate(found.models)}
        groups = Counter(one.group for one in used)
        nulls = [(places[one.name], 1 / groups[one.group]) for one in used if not one.imitates]
        teachers = [places[name] for name in found.teachers]
        means = {place: self._mean(place) for place in {*teachers, *(places[one.name] for one in used)}}
        num_teachers, num_signals = len(teachers), len(found.values)
        self.centre = np.zeros((num_teachers, num_signals))
        for t in range(num_teachers):
            by = nulls or [(place, 1.0) for k, place in enumerate(teachers) if k != t]
            rows = np.array([means[place][t] for place, _ in by]).reshape(-1, num_signals)
            weight = np.isfinite(rows) * np.array([w for _, w in by])[:, None]
            self.centre[t] = (np.nan_to_num(rows) * weight).sum(axis=0) / np.maximum(weight.sum(axis=0), 1e-9)
        apart = [
            means[place][t] - self.centre[t] for place in means for t in range(num_teachers) if place != teachers[t]
        ]
        rows = np.array(apart).reshape(-1, num_signals)
        least = np.array([SMALLEST_UNIT.get(name, LEAST_UNIT) for name in found.values])
        squares = np.nansum(rows**2, axis=0) / np.maximum(np.isfinite(rows).sum(axis=0), 1)
        self.unit = np.maximum(np.sqrt(squares), least)

    def _mean(self, place: int) -> Array:
        means, counts = _means(self.found, place, self.mask)
        return np.where(counts >= FEWEST_PROMPTS, means, np.nan)[0]

    def standing(self, means: Array, counts: Array) -> Array:
        """How far means stand above the centre, in units, cut at FARTHEST; 0 where too few prompts speak."""
        far = np.clip((means - self.centre) / self.unit, -FARTHEST, FARTHEST)
        return np.where(counts >= FEWEST_PROMPTS, far, 0.0)

    def of(self, name: str) -> Array:
        """The standing of a model, (teachers, signals)."""
        return self.standing(*_means(self.found, self.found.models.index(name), self.mask))[0]


def utilities(theta: Array, standing: Array) -> Array:
    """Utilities (..., teachers + 1) of candidates and none: `standing` (..., teachers, signals), theta as fitted."""
    weights, constant, share = theta[:-2], theta[-2], theta[-1]
    candidates = standing @ weights
    none = constant + share * candidates.mean(axis=-1, keepdims=True)
    return np.concatenate([candidates, none], axis=-1)


def _fitted(scale: _Scale, used: Sequence[Known]) -> Array:
    """Weights of the signals, constant and share of none, by penalised likelihood; the prior where nothing is known."""
    num_signals = len(scale.found.values)
    prior = np.array([PRIOR_WEIGHT] * num_signals + [PRIOR_CONSTANT, PRIOR_SHARE])
    if not used:
        return prior
    rows = np.stack([scale.of(one.name) for one in used])
    teachers = scale.found.teachers
    truth = np.array([[t in one.imitates for t in teachers] + [not one.imitates] for one in used])
    weight = _balanced(used)

    def loss(theta: Array) -> float:
        logs = log_softmax(utilities(theta, rows), axis=1)
        told = logsumexp(np.where(truth, logs, -np.inf), axis=1)
        return float(-(weight * told).sum() + PENALTY * ((theta - prior) ** 2).sum())

    bounds = [(0.0, None)] * num_signals + [(None, None), (0.0, 1.0)]
    return np.asarray(minimize(loss, prior, method="L-BFGS-B", bounds=bounds).x, dtype=np.float64)


def _balanced(used: Sequence[Known]) -> Array:
    """A weight a model: families alike, and known students as much as independent models where there are both."""
    groups = Counter(one.group for one in used)
    weight = np.array([1 / groups[one.group] for one in used])
    imitating = np.array([bool(one.imitates) for one in used])
    total = weight.sum()
    for side in (imitating, ~imitating):
        if side.any() and (~side).any():
            weight[side] *= total / 2 / weight[side].sum()
    return weight
