"""How much of a preference form explains: the share at equal length, or at equal form altogether.

In: one outcome a prompt (1 the student preferred, 0.5 a tie, 0 the teacher; or "equal or better" as 0 and 1) and what
the two answers' forms differ in, student minus teacher. Out: the share as it is, the share predicted where the answers
do not differ in form, and how much of the outcome's deviance their form explains.

Logistic regression on features divided by their standard deviation, outcomes between 0 and 1 as they are (Papke &
Wooldridge 1996). Only slopes carry the ridge, which leaves them finite where form decides everything; it pulls them,
and so the share at equal form, a little towards form not mattering. The resamples of the deviance lie too high (a
regression explains some of any noise), so they are moved back onto the point.
Source: length-controlled AlpacaEval, arXiv 2404.04475; style control, https://lmsys.org/blog/2024-08-28-style-control/
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import expit, xlogy

from epigone.errors import DataError
from epigone.metrics.resampling import Array, Draws, Values, item_weights, means
from epigone.records import Estimate

RIDGE = 0.1
"""Beside the n/4 that n evenly split prompts say of a slope: 0.5 % at 80 prompts."""
INTERCEPT_RIDGE = 1e-4  # where every prompt of a resample has one outcome, nothing else keeps the intercept finite
NUM_RESAMPLES = 500
MAX_STEPS, LONGEST_STEP, SMALLEST_STEP = 60, 2.0, 1e-8


@dataclass(frozen=True, slots=True)
class Controlled:
    """A preference with and without form. `coefficients` are log-odds for a standard deviation of each difference."""

    raw: Estimate
    controlled: Estimate
    explained: Estimate
    coefficients: dict[str, Estimate]
    n: int
    left_out: dict[str, str]
    """Features that say nothing, each with the reason."""


def controlled(
    outcomes: Values,
    differences: Array,
    names: Sequence[str],
    *,
    ridge: float = RIDGE,
    seed: int = 0,
    num_resamples: int = NUM_RESAMPLES,
) -> Controlled:
    """`outcomes` (n,) between 0 and 1, `differences` (n, k) student minus teacher. Raises DataError for other shapes.

    Two calls over the same prompts, such as one with length alone and one with all features, see the same resamples.
    """
    y, x = np.asarray(outcomes, dtype=np.float64), np.asarray(differences, dtype=np.float64)
    _check(y, x, names)
    spread = x.std(axis=0)
    varies = spread > 1e-12 * np.maximum(1.0, np.abs(x).max(axis=0))
    kept = [name for name, varied in zip(names, varies) if varied]
    left_out = {name: "the same difference on every prompt" for name, varied in zip(names, varies) if not varied}
    columns = np.column_stack([np.ones(len(y)), x[:, varies] / spread[varies]])
    penalties = np.append(INTERCEPT_RIDGE, np.full(len(kept), ridge))
    weights = item_weights(len(y), seed, num_resamples).astype(np.float64)
    point = logistic_fits(columns, y, np.ones((1, len(y))), penalties)
    sampled = logistic_fits(columns, y, weights, penalties, start=point[0])
    method = f"logistic regression on {', '.join(kept) or 'nothing'}, bootstrap over items"

    def drawn(at: Array, resampled: Array, *, bounded: bool = True) -> Estimate:
        draws = Draws(at, resampled[:, None], len(y), seed=seed, bounded=bounded)
        return replace(draws.estimate(), method=method)

    share = explained_shares(columns, y, np.ones((1, len(y))), point)
    shares = explained_shares(columns, y, weights, sampled)
    return Controlled(
        raw=means([y], seed=seed, num_resamples=num_resamples).estimate(),
        controlled=drawn(expit(point[:, 0]), expit(sampled[:, 0])),
        explained=drawn(share, np.clip(shares - shares.mean() + share, 0, 1)),
        coefficients={k: drawn(point[:, i], sampled[:, i], bounded=False) for i, k in enumerate(kept, start=1)},
        n=len(y),
        left_out=left_out,
    )


def _check(y: Array, x: Array, names: Sequence[str]) -> None:
    if x.ndim != 2 or x.shape != (len(y), len(names)) or not len(y):
        raise DataError(f"{len(y)} prompts and {len(names)} features need differences of that shape, got {x.shape}")
    if not np.isfinite(x).all() or not (np.isfinite(y).all() and y.min() >= 0 and y.max() <= 1):
        raise DataError("outcomes lie between 0 and 1 and differences are finite; leave other prompts out")


def logistic_fits(columns: Array, y: Array, weights: Array, penalties: Array, start: Array | None = None) -> Array:
    """Coefficients (r, p) of r regressions at once: `columns` (n, p), `y` (n,), `weights` (r, n), `penalties` (p,).

    Newton's method for all of them together; steps are cut short, without which some overshoot and never come back.
    """
    squares = (columns[:, :, None] * columns[:, None, :]).reshape(len(columns), -1)
    found = np.zeros((len(weights), columns.shape[1])) + (0.0 if start is None else start)
    for _ in range(MAX_STEPS):
        predicted = expit(found @ columns.T)
        slopes = np.einsum("rn,np->rp", weights * (y - predicted), columns) - penalties * found
        bends = np.einsum("rn,nq->rq", weights * predicted * (1 - predicted), squares)
        step = _newton_steps(slopes, bends, penalties)
        found += step
        if np.abs(step).max() < SMALLEST_STEP:
            break
    return found


def _newton_steps(slopes: Array, bends: Array, penalties: Array) -> Array:
    p = len(penalties)
    steps = np.linalg.solve(bends.reshape(-1, p, p) + np.diag(penalties), slopes[:, :, None])[:, :, 0]
    longest = np.abs(steps).max(axis=1, keepdims=True)
    return steps * np.minimum(1.0, LONGEST_STEP / np.maximum(longest, SMALLEST_STEP))


def explained_shares(columns: Array, y: Array, weights: Array, coefficients: Array) -> Array:
    """Share of the deviance around the mean outcome that each fit explains, (r,); 0 where nothing deviates.

    For outcomes of 0 and 1 this is McFadden's R2; with ties the deviance that no prediction could explain is left out.
    """
    fitted = _deviances(y, weights, expit(coefficients @ columns.T))
    center = (weights @ y / weights.sum(axis=1))[:, None]
    whole = _deviances(y, weights, np.broadcast_to(center, weights.shape))
    return np.where(whole > 1e-9, np.clip(1 - fitted / np.maximum(whole, 1e-9), 0, 1), 0.0)


def _deviances(y: Array, weights: Array, predicted: Array) -> Array:
    best = xlogy(y, y) + xlogy(1 - y, 1 - y)
    tiny = np.finfo(np.float64).tiny
    logs = y * np.log(np.maximum(predicted, tiny)) + (1 - y) * np.log(np.maximum(1 - predicted, tiny))
    return 2 * (weights * (best - logs)).sum(axis=1)
