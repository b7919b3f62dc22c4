"""Outcomes: each prediction beside what was observed, with a word: holds, fails, undecided, not measured.

In: Predictions and the table of Measures. Out: Outcome records. The rule, by the 95 % interval of the contrast:
- a difference or slope whose expected range lies on one side of 0 predicts that sign: it holds where the interval lies
  on that side, fails where it lies on the other.
- a range with 0 inside, and every plain value, predicts the range: it holds where the interval lies within, fails where
  it lies outside.
- anything else is undecided, as is every claim about size, amount of data or base quality from fewer than three seeds.
Whether the size came out as expected (the observed value lies in the range) stands beside the word.
"""

from collections.abc import Iterator, Sequence

from epigone.metrics.resampling import Draws
from epigone.metrics.trend import MIN_SEEDS
from epigone.records import Arm, Estimate, Outcome, Prediction
from epigone.reporting.analysis_measures import Measure, Table, shared_seeds
from epigone.reporting.analysis_trends import series_of, series_slope

NEEDS_SEEDS = ("size", "amount", "base quality")


def outcomes(table: Table, predictions: Sequence[Prediction]) -> Iterator[Outcome]:
    """One Outcome a prediction, in order."""
    arms = {arm.name: arm for arm, _ in table}
    for prediction in predictions:
        observed, missing = _contrast(table, arms, prediction)
        yield _outcome(prediction, observed.estimate()) if observed else _not_measured(prediction, missing)


def _not_measured(prediction: Prediction, reason: str) -> Outcome:
    return Outcome(prediction, None, "not measured", False, reason)


def _contrast(table: Table, arms: dict[str, Arm], prediction: Prediction) -> tuple[Draws | None, str]:
    if prediction.slope_axis:
        return _slope(table, list(arms.values()), prediction)
    names = [name for name in (prediction.arm, prediction.against) if name]
    absent = [name for name in names if name not in arms]
    if absent:
        return None, f"no arm is called {absent[0]!r}"
    found = [table.get((arms[name], prediction.metric)) for name in names]
    measured = [m for m in found if m is not None]
    if len(measured) < len(names):
        return None, f"{prediction.metric} was not measured for {names[found.index(None)]}"
    return _difference(measured)


def _difference(measured: Sequence[Measure]) -> tuple[Draws | None, str]:
    if len({m.protocol for m in measured}) > 1:
        return None, "the two arms were measured by different protocols"
    seeds = shared_seeds(*measured)
    if not seeds:
        return None, "the two arms share no seed"
    draws = [m.at(seeds) for m in measured]
    return (draws[0] if len(draws) == 1 else draws[0] - draws[1]), ""


def _slope(table: Table, arms: Sequence[Arm], prediction: Prediction) -> tuple[Draws | None, str]:
    known = [s for s in series_of(arms) if s.axis == prediction.slope_axis]
    for series in known:
        if series.name == prediction.arm:
            change = series_slope(table, series, prediction.metric)
            return change, f"{prediction.metric} was not measured along all of {series.name} at a shared seed"
    named = ", ".join(repr(s.name) for s in known) or "none"
    return None, f"no series {prediction.arm!r} along {prediction.slope_axis}; there is: {named}"


def _outcome(prediction: Prediction, observed: Estimate) -> Outcome:
    as_expected = prediction.expected_low <= observed.value <= prediction.expected_high
    if prediction.about in NEEDS_SEEDS and observed.num_seeds < MIN_SEEDS:
        seeds = "seed" if observed.num_seeds == 1 else "seeds"
        reason = f"a claim about {prediction.about} needs {MIN_SEEDS} seeds, this rests on {observed.num_seeds} {seeds}"
        return Outcome(prediction, observed, "undecided", as_expected, reason)
    low, high = _predicted_region(prediction)
    if low < observed.low and observed.high < high:
        return Outcome(prediction, observed, "holds", as_expected)
    if observed.high < low or observed.low > high:
        return Outcome(prediction, observed, "fails", as_expected)
    return Outcome(
        prediction, observed, "undecided", as_expected, "the interval reaches over the edge of the prediction"
    )


def _predicted_region(prediction: Prediction) -> tuple[float, float]:
    """The side of 0 that is predicted, or the range where no sign is."""
    is_contrast = bool(prediction.against or prediction.slope_axis)
    if is_contrast and prediction.expected_low >= 0:
        return 0.0, float("inf")
    if is_contrast and prediction.expected_high <= 0:
        return float("-inf"), 0.0
    return prediction.expected_low, prediction.expected_high
