"""A rater fitted to real votes: how likely each verdict is, by what two answers look like and which was shown first.

In: two answers' features, votes of people. Out: a RaterModel of coefficients, and how well it foretells votes on
prompts that it was not fitted to. An ordered logit with one threshold on either side: u = slopes . (a - b) + first,
P(a) = s(u - tie), P(b) = s(-u - tie), the rest is a tie. Slopes are log-odds for one unit of a feature.
Source: McCullagh (1980), https://www.jstor.org/stable/2984952, for the ordered logit; Rao & Kupper (1967),
https://doi.org/10.1080/01621459.1967.10482901, for ties in comparisons; the features are ours.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from epigone.errors import DataError
from epigone.metrics.calibration import expected_calibration_error
from epigone.metrics.likeness import look
from epigone.metrics.resampling import Array, Draws, item_weights, weighted_sums
from epigone.metrics.style import FENCE, WORD
from epigone.records import Estimate

FEATURES = ("log words", "list", "summary", "bold", "headers", "code", "log sentence", "asked", "fresh", "refuses",
            "right")  # fmt: skip
"""log words and log sentence (words a sentence) in nats; asked, the share of the prompt's longer words that return, and
fresh, the share of word pairs that are no repetition, 0-1; the others yes or no. right: known to be."""
RIDGE = 1.0
"""On slopes of features divided by their typical difference (root mean square); little beside hundreds of votes."""
LETTERS = 4
SMALLEST_TIE = 1e-4
MOST_FOLDS = 20


class Comparison(NamedTuple):
    """One vote: features of both answers, which was shown first ("a", "b" or "unknown"), the verdict, the prompt."""

    a: Sequence[float]
    b: Sequence[float]
    first: str
    verdict: str
    prompt_id: str


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Verdicts foretold on prompts left out of the fit; `usual`: by the shares of verdicts in the rest alone.

    Intervals are a bootstrap over prompts, of `calibration_error` over votes.
    """

    accuracy: Estimate
    usual_accuracy: Estimate
    gain: Estimate
    log_loss: Estimate
    usual_log_loss: Estimate
    calibration_error: Estimate
    num_folds: int


@dataclass(frozen=True, slots=True)
class RaterModel:
    """What was fitted, and to what. `tie` is half the width of the stretch of u in which two answers look equal."""

    name: str
    features: dict[str, float | int]
    first: float | int
    tie: float | int
    num_votes: int
    num_raters: int
    num_prompts: int
    source: str = ""
    licence: str = ""
    held_out: HeldOut | None = None
    left_out: tuple[str, ...] = ()
    """Features in which no two answers differed: nothing is known of them."""
    errors: dict[str, float | int] = field(default_factory=dict[str, float | int])
    """Standard error of each slope, and of `first` and `tie`: a jackknife over the prompts, or groups of them."""

    def probabilities(self, a: Sequence[float], b: Sequence[float], first: str) -> tuple[float, float, float]:
        """Of a, tie and b, for features in the order of FEATURES."""
        slopes = np.asarray([self.features.get(name, 0.0) for name in FEATURES])
        u = slopes @ (np.asarray(a, dtype=np.float64) - np.asarray(b, dtype=np.float64)) + self.first * _SHOWN[first]
        one, _, two = (float(x) for x in _probabilities(np.asarray([u]), self.tie)[0])
        return one, max(0.0, 1 - one - two), two


_SHOWN = {"a": 1.0, "b": -1.0, "unknown": 0.0}
_VERDICTS = ("a", "tie", "b")


def features(asked: str, answer: str, *, right: bool = False) -> tuple[float, ...]:
    """FEATURES of one answer; `right` where it is known to be."""
    seen, words = look(answer), WORD.findall(answer.lower())
    topic = {word for word in WORD.findall(asked.lower()) if len(word) >= LETTERS}
    pairs = list(itertools.pairwise(words))
    return (
        float(np.log1p(seen.table.num_words)),
        float(seen.table.has_list),
        float(seen.table.has_summary),
        float(seen.seen.bold),
        float(seen.seen.headers),
        float(bool(FENCE.search(answer))),
        float(np.log1p(seen.table.words_per_sentence)),
        len(topic & seen.table.words.keys()) / len(topic) if topic else 1.0,
        len(set(pairs)) / len(pairs) if pairs else 1.0,
        float(seen.seen.refuses),
        float(right),
    )


def fitted(votes: Sequence[Comparison], *, name: str, num_raters: int, ridge: float | int = RIDGE) -> RaterModel:
    """The model of all votes, with its held-out figures. Raises DataError for votes on fewer than two prompts."""
    x, first, outcome, prompts = _arrays(votes)
    if len(set(prompts)) < 2:
        raise DataError(f"votes on {len(set(prompts))} prompts; at least 2 are needed to hold one out")
    slopes, position, tie = _fit(x, first, outcome, ridge)
    place = _groups(prompts)
    refits = [_fit(x[place != k], first[place != k], outcome[place != k], ridge) for k in range(int(place.max()) + 1)]
    return RaterModel(
        name=name,
        features={each: round(float(slope), 6) for each, slope in zip(FEATURES, slopes, strict=True)},
        first=round(position, 6),
        tie=round(tie, 6),
        num_votes=len(votes),
        num_raters=num_raters,
        num_prompts=len(set(prompts)),
        held_out=_held_out(x, first, outcome, prompts, refits),
        left_out=tuple(each for each, column in zip(FEATURES, x.T, strict=True) if not column.any()),
        errors=_errors(refits),
    )


def _groups(prompts: Sequence[str]) -> NDArray[np.int64]:
    """The group of every vote that is held out at once: its prompt, or several where there are many."""
    order = {prompt: place for place, prompt in enumerate(sorted(set(prompts)))}
    return np.asarray([order[prompt] % MOST_FOLDS for prompt in prompts])


def _errors(refits: Sequence[tuple[Array, float, float]]) -> dict[str, float | int]:
    values = np.asarray([[*slopes, position, tie] for slopes, position, tie in refits])
    spread = np.sqrt((len(values) - 1) / len(values) * ((values - values.mean(axis=0)) ** 2).sum(axis=0))
    return {name: round(float(value), 6) for name, value in zip((*FEATURES, "first", "tie"), spread, strict=True)}


def _arrays(votes: Sequence[Comparison]) -> tuple[Array, Array, Array, list[str]]:
    """Differences (n, k), places (n,), columns of verdicts (n, 3), prompts."""
    if not votes:
        raise DataError("no vote whose two answers are at hand: give the answers that were voted on")
    x = np.asarray([np.subtract(vote.a, vote.b) for vote in votes], dtype=np.float64)
    if x.shape[1] != len(FEATURES) or not np.isfinite(x).all():
        raise DataError(f"a vote needs {len(FEATURES)} finite features of either answer, got {x.shape[1]}")
    first = np.asarray([_SHOWN[vote.first] for vote in votes])
    outcome = np.asarray([[float(vote.verdict == word) for word in _VERDICTS] for vote in votes])
    return x, first, outcome, [vote.prompt_id for vote in votes]


def _probabilities(u: Array, tie: float | int) -> Array:
    """(n, 3) of a, tie and b."""
    one, two = expit(u - tie), expit(-u - tie)
    return np.stack([one, np.maximum(1 - one - two, np.finfo(np.float64).tiny), two], axis=1)


def _fit(x: Array, first: Array, outcome: Array, ridge: float | int) -> tuple[Array, float, float]:
    """Slopes (k,), what being shown first is worth, half the width of a tie."""
    size = np.sqrt((x**2).mean(axis=0))  # around 0, where answers do not differ: which of them is `a` means nothing
    spread = np.where(size > 0, size, 1.0)
    design = np.column_stack([x / spread, first])
    penalties = np.append(np.full(x.shape[1], float(ridge)), 1e-6)

    def loss(parameters: Array) -> tuple[float, Array]:
        slopes, tie = parameters[:-1], float(np.exp(parameters[-1]))
        p = _probabilities(u := design @ slopes, tie)
        low, high = expit(u - tie), expit(u + tie)
        bend_low, bend_high = low * (1 - low), high * (1 - high)
        by_u = outcome[:, 0] * (1 - p[:, 0]) - outcome[:, 2] * (1 - p[:, 2])
        by_u += outcome[:, 1] * (bend_high - bend_low) / p[:, 1]
        by_tie = -outcome[:, 0] * (1 - p[:, 0]) - outcome[:, 2] * (1 - p[:, 2])
        by_tie += outcome[:, 1] * (bend_high + bend_low) / p[:, 1]
        value = -(outcome * np.log(np.maximum(p, np.finfo(np.float64).tiny))).sum() + (penalties * slopes**2).sum() / 2
        return float(value), np.append(-(by_u @ design) + penalties * slopes, -by_tie.sum() * tie)

    start = np.append(np.zeros(design.shape[1]), np.log(0.5))
    bounds = [(None, None)] * design.shape[1] + [(np.log(SMALLEST_TIE), None)]
    options: Any = {"maxiter": 2000, "ftol": 1e-13, "gtol": 1e-8}
    solved: Any = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
    found: Array = solved.x
    return found[:-2] / spread, float(found[-2]), float(np.exp(found[-1]))


def _held_out(
    x: Array, first: Array, outcome: Array, prompts: Sequence[str], refits: Sequence[tuple[Array, float, float]]
) -> HeldOut:
    """Every vote foretold by the fit to the votes on other prompts."""
    group = _groups(prompts)
    told, usual = np.zeros_like(outcome), np.zeros_like(outcome)
    for fold, (slopes, position, tie) in enumerate(refits):
        out = group == fold
        told[out] = _probabilities(x[out] @ slopes + position * first[out], tie)
        usual[out] = np.maximum(outcome[~out].mean(axis=0), 1e-6)
    place = np.unique(prompts, return_inverse=True)[1]
    right, by_usual = ((outcome * (p == p.max(axis=1, keepdims=True))).sum(axis=1) for p in (told, usual))
    losses, usual_losses = (-(outcome * np.log(p)).sum(axis=1) for p in (told, usual))
    return HeldOut(
        accuracy=_by_prompt(right, place, bounded=True),
        usual_accuracy=_by_prompt(by_usual, place, bounded=True),
        gain=_by_prompt(right - by_usual, place),
        log_loss=_by_prompt(losses, place),
        usual_log_loss=_by_prompt(usual_losses, place),
        calibration_error=expected_calibration_error(np.minimum(told.max(axis=1), 1.0), right),
        num_folds=len(refits),
    )


def _by_prompt(values: Array, place: NDArray[np.int64], *, bounded: bool = False) -> Estimate:
    """Mean over votes, resampled by prompts: votes on one prompt are no independent ones."""
    counted = [np.bincount(place, weights=each) for each in (values, np.ones_like(values))]
    sums = np.stack(counted, axis=1).astype(np.float64)
    drawn = weighted_sums(item_weights(len(sums)), sums)
    draws = Draws(np.asarray([values.mean()]), drawn[:, :1] / drawn[:, 1:], len(values), bounded=bounded)
    return replace(draws.estimate(), method=f"bootstrap over {len(sums)} prompts")
