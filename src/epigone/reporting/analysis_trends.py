"""Trends: each metric's change per doubling of imitation data, parameters or pre-training, along comparable arms.

In: the table of Measures. Out: Trend records, each with its series (arms that differ in that axis alone).
Source: the curves of arXiv 2305.15717, Figures 1, 3, 4 and 5. A base without imitation data has no place on a
logarithmic axis of amounts; it is the reference line, not a point.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from epigone.metrics.resampling import Draws
from epigone.metrics.trend import slope, trend_word
from epigone.records import Arm, Trend
from epigone.reporting.analysis_measures import Measure, Table, shared_seeds

Axis = Literal["imitation_tokens", "num_params", "pretrain_tokens"]

MIN_POINTS = 3
TREND_METRICS = re.compile(
    r"natural_questions_(3shot|chat)|mmlu_.*|lama|non_toxic|refused|facts_right|facts_(right|wrong|off_topic)_per_answer"
    r"|claims_per_answer|style_(list|summary|unigram|length)|preference_(?:e[\d.]+|fitted)|teacher_errors_repeated"
    r"|(accuracy|confidence|abstained|calibration_error)_(known|unknown)"
)


@dataclass(frozen=True, slots=True)
class Series:
    """Arms along an axis, by rising amount. `name` with the axis is unique within a study."""

    name: str
    axis: Axis
    arms: tuple[Arm, ...]

    @property
    def amounts(self) -> list[float]:
        """Where on the axis the arms stand."""
        return [float(getattr(arm, self.axis)) for arm in self.arms]


def series_of(arms: Sequence[Arm]) -> list[Series]:
    """All series of three or more arms: over amounts at one base, over sizes, over pre-training at one size."""
    trained = [arm for arm in arms if arm.role in ("base", "student")]
    most = {a.num_params: max(b.pretrain_tokens for b in trained if b.num_params == a.num_params) for a in trained}
    grouped: dict[tuple[str, Axis, object], list[Arm]] = {}
    for arm in trained:
        what = treatment(arm)
        if arm.role == "student" and arm.data != "replay_only":
            name = f"{arm.base} {re.sub(r' [0-9]+K', '', what)}"
            grouped.setdefault((name, "imitation_tokens", (arm.num_params, arm.pretrain_tokens)), []).append(arm)
        if arm.pretrain_tokens == most[arm.num_params]:
            grouped.setdefault((what, "num_params", None), []).append(arm)
        grouped.setdefault((what, "pretrain_tokens", arm.num_params), []).append(arm)
    return [s for (name, axis, _), members in grouped.items() if (s := _series(name, axis, members))]


def treatment(arm: Arm) -> str:
    """An arm's name without its base and the amount of replay: `base`, `broad 120K`, `broad 120K + replay`."""
    return re.sub(r" \+ replay .*", " + replay", arm.name.removeprefix(f"{arm.base} "))


def _series(name: str, axis: Axis, members: Sequence[Arm]) -> Series | None:
    found = Series(name, axis, tuple(sorted(members, key=lambda arm: getattr(arm, axis))))
    distinct = set(found.amounts)
    return found if len(distinct) == len(members) >= MIN_POINTS and min(distinct) > 0 else None


def series_slope(table: Table, series: Series, metric: str) -> Draws | None:
    """Slope per doubling at the seeds that all arms share; None where an arm lacks the metric or no seed is shared."""
    found = _along(table, series, metric)
    seeds = shared_seeds(*found) if found else ()
    return slope(series.amounts, [m.at(seeds) for m in found]) if seeds else None


def _along(table: Table, series: Series, metric: str) -> list[Measure]:
    found = [table[arm, metric] for arm in series.arms if (arm, metric) in table]
    comparable = len(found) == len(series.arms) and len({m.protocol for m in found}) == 1
    return found if comparable else []


def trends(table: Table) -> Iterator[Trend]:
    """Every trend that the arms allow."""
    metrics = list(dict.fromkeys(metric for _, metric in table if TREND_METRICS.fullmatch(metric)))
    for series in series_of(list(dict.fromkeys(arm for arm, _ in table))):
        for metric in metrics:
            change = series_slope(table, series, metric)
            if change is not None:
                found = change.estimate()
                values = (table[arm, metric].draws.value for arm in series.arms)
                points = tuple(zip(series.amounts, values))
                yield Trend(metric, series.axis, series.name, found, trend_word(found), points)
