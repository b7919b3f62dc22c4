"""Does a model know what it knows: expected calibration error, Brier score, abstentions.

In: confidence (0-1) and correctness (0 or 1) of answers. Out: Estimates, or Draws where seeds are to be pooled.
Source: Naeini et al. (2015), with bins of equal mass as in Nguyen & O'Connor, arXiv 1508.05154; Brier (1950).
"""

import numpy as np
from numpy.typing import NDArray

from epigone.errors import DataError
from epigone.metrics.intervals import estimate
from epigone.metrics.resampling import NUM_RESAMPLES, Array, Draws, Values, item_weights, weighted_sums
from epigone.records import Estimate

NUM_BINS = 10


def calibration_draws(
    confidence: Array, correct: Array, used: Array, *, seed: int = 0, num_resamples: int = NUM_RESAMPLES
) -> Draws:
    """Expected calibration error of each seed over the items where `used` is 1; all (n, num_seeds). NaN without items.

    Ten bins of equal mass, their edges kept in the resamples. Noise in a bin only ever adds to its absolute gap, so
    resamples lie too high: they are moved back onto the point.
    """
    weights = item_weights(len(confidence), seed, num_resamples)
    columns = [_one_seed(confidence[:, s], correct[:, s], used[:, s], weights) for s in range(confidence.shape[1])]
    points = np.asarray([point for point, _ in columns])
    return Draws(points, np.stack([samples for _, samples in columns], axis=1), int(used.any(axis=1).sum()), seed=seed)


def _one_seed(confidence: Array, correct: Array, used: Array, weights: NDArray[np.float32]) -> tuple[float, Array]:
    rows = np.flatnonzero(used)
    if not len(rows):
        return float("nan"), np.full(len(weights), np.nan)
    ranked = rows[np.argsort(confidence[rows], kind="stable")]
    gap = confidence - correct
    bins = np.array_split(ranked, NUM_BINS)
    point = float(sum(abs(gap[members].sum()) for members in bins) / len(rows))
    sums = np.hstack([weighted_sums(weights[:, members], gap[members, None]) for members in bins if len(members)])
    samples = np.abs(sums).sum(axis=1) / np.maximum(weights[:, rows].sum(axis=1), 1)
    return point, np.clip(samples - samples.mean() + point, 0, 1)


def expected_calibration_error(confidence: Values, correct: Values) -> Estimate:
    """Mean gap between confidence and share right over ten bins of equal mass; both (n,)."""
    columns = _checked(confidence, correct)
    return calibration_draws(*columns, np.ones_like(columns[0])).estimate()


def brier(confidence: Values, correct: Values) -> Estimate:
    """Mean squared difference of confidence and correctness; both (n,)."""
    told, right = _checked(confidence, correct)
    return estimate([((told - right) ** 2)[:, 0]])


def _checked(confidence: Values, correct: Values) -> tuple[Array, Array]:
    told, right = (np.asarray(values, dtype=np.float64)[:, None] for values in (confidence, correct))
    if told.shape != right.shape or not len(told):
        raise DataError(f"calibration needs one confidence an answer, got {len(told)} for {len(right)} answers")
    if told.min() < 0 or told.max() > 1:
        raise DataError(f"a confidence is a probability 0-1, got {told.min():g} to {told.max():g}")
    return told, right


def abstention_shares(abstained: Values, known: Values) -> tuple[Estimate | None, Estimate | None]:
    """Share abstained on known and on unknown facts (both arrays (n,) of 0 and 1); None where there is none."""
    left_out, knows = np.asarray(abstained, dtype=np.float64), np.asarray(known, dtype=np.bool_)
    on_known, on_unknown = left_out[knows], left_out[~knows]
    return (estimate([on_known]) if len(on_known) else None, estimate([on_unknown]) if len(on_unknown) else None)
