"""Trade-offs: what each treated arm gained in style and lost or gained in capability, and which arms nobody beats.

In: the table of Measures. Out: Results of three metrics, for the students of a base of which one at least was treated:
- style_gained        share of the way from the base to the teacher's second sample, over the four measures of Table 2
                      together: sum of (student - base) over sum of (second sample - base).
- capability_change   mean over three tests of student - base: Natural Questions 3-shot, MMLU by option text, stored
                      knowledge. None of them asks in the form that imitation teaches.
- frontier_share      share of the resamples in which no other arm, nor the base itself, has as much of both and more of
                      one (the Pareto frontier); seeds and items are drawn for all arms alike.
Source: section 4.3 of arXiv 2305.15717 asks for such a trade-off; the measure of it is ours.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from epigone.metrics.intervals import Z_POWER, Z_TWO_SIDED
from epigone.metrics.resampling import SMALLEST_GAP_DRAWN, Array, Draws, mean_of
from epigone.records import Arm, Estimate, Result
from epigone.reporting.analysis_measures import Measure, Table, shared_seeds
from epigone.reporting.analysis_verdicts import STORED_KNOWLEDGE, STYLE
from epigone.reporting.evaluated import base_arm

CAPABILITY = ("natural_questions_3shot", "mmlu_option_text", STORED_KNOWLEDGE)
PROTOCOLS = {
    "style_gained": f"sum over {', '.join(STYLE)} of student - base, over that of second sample - base",
    "capability_change": f"mean over {', '.join(CAPABILITY)} of student - base",
    "frontier_share": "share of the resamples in which no other arm nor the base has as much of both and more of one",
}


@dataclass(frozen=True, slots=True, eq=False)
class _Moved:
    """How far one arm went: the estimates, and both axes in every resample."""

    arm: Arm
    style: Estimate
    capability: Estimate
    minimum_difference: float
    per_seed: tuple[tuple[float, ...], tuple[float, ...]]
    drawn: tuple[Array, Array]


def trade_offs(table: Table) -> Iterator[Result]:
    """Three Results an arm, base after base; none where no arm of a base was treated or a metric is missing."""
    students = list(dict.fromkeys(arm for arm, _ in table if arm.role == "student"))
    second = next((arm for arm, _ in table if arm.role == "second_sample"), None)
    for base in dict.fromkeys(base_arm(arm) for arm in students if arm.treatment):
        own = [arm for arm in students if base_arm(arm) == base]
        found = [moved for arm in own if second and (moved := _moved(table, arm, base, second))]
        for moved, share in zip(found, frontier_shares([moved.drawn for moved in found]), strict=True):
            yield from _results(moved, share)


def unplaced(table: Table) -> str:
    """Why treated arms, their plain ones or their base stand nowhere between style and capability; "" where all do."""
    treated = {base_arm(arm) for arm, _ in table if arm.treatment}
    own = [arm for arm in dict.fromkeys(arm for arm, _ in table) if arm.role == "student" and base_arm(arm) in treated]
    lacking = {
        arm.name: missing
        for arm in (*sorted(treated, key=lambda base: base.name), *own)
        if (missing := [metric for metric in (*STYLE, *CAPABILITY) if (arm, metric) not in table])
    }
    return "; ".join(f"{name} has no {' and no '.join(missing)}" for name, missing in lacking.items())


def _moved(table: Table, arm: Arm, base: Arm, second: Arm) -> _Moved | None:
    """None unless student and base were measured by all metrics, under the same protocols and at a shared seed."""
    students, bases = ([table.get((who, m)) for m in (*STYLE, *CAPABILITY)] for who in (arm, base))
    goals = [table.get((second, metric)) for metric in STYLE]
    present = [m for m in (*students, *bases, *goals) if m is not None]
    if len(present) < 2 * len(students) + len(goals):
        return None
    before, after, goal = present[len(students) : 2 * len(students)], present[: len(students)], present[-len(goals) :]
    pairs = [*zip(after, before, strict=True), *zip(goal, before, strict=False)]
    seeds = shared_seeds(*before, *after)
    if not seeds or any(one.protocol != other.protocol for one, other in pairs):
        return None
    num = len(STYLE)
    gained = _mean_change(after[:num], before[:num], seeds)
    whole = _mean_change(goal, before[:num], seeds)
    changed = _mean_change(after[num:], before[num:], seeds)
    drawn = gained.pooled() / _away_from_zero(whole.pooled())
    low, high = (float(x) for x in np.percentile(drawn, [2.5, 97.5]))
    method = f"ratio of differences, {gained.estimate().method}"
    style = Estimate(gained.value / whole.value, low, high, gained.n, method, gained.num_seeds)
    per_seed = tuple((gained.points / whole.points).tolist()), tuple(changed.points.tolist())
    smallest = (Z_TWO_SIDED + Z_POWER) * float(np.std(changed.pooled()))
    return _Moved(arm, style, changed.estimate(), smallest, per_seed, (drawn, changed.pooled()))


def _mean_change(after: Sequence[Measure], before: Sequence[Measure], seeds: Sequence[int]) -> Draws:
    return mean_of([a.at(seeds) - b.at(seeds) for a, b in zip(after, before, strict=True)])


def _away_from_zero(drawn: Array) -> Array:
    return np.where(np.abs(drawn) < SMALLEST_GAP_DRAWN, SMALLEST_GAP_DRAWN, drawn)


def frontier_shares(drawn: Sequence[tuple[Array, Array]]) -> list[float]:
    """Of every arm, the share of the resamples in which it is on the frontier; (0, 0) is the base."""
    if not drawn:
        return []
    zero = np.zeros_like(drawn[0][0])
    styles, capabilities = (np.stack([zero, *(d[axis] for d in drawn)], axis=1) for axis in (0, 1))
    shares: list[float] = []
    for place in range(1, styles.shape[1]):
        style, capability = styles[:, [place]], capabilities[:, [place]]
        no_less = (styles >= style) & (capabilities >= capability)
        more = (styles > style) | (capabilities > capability)
        shares.append(1 - float(np.mean(np.any(no_less & more, axis=1))))
    return shares


def _results(moved: _Moved, share: float) -> Iterator[Result]:
    style, change = moved.style, moved.capability
    yield Result(moved.arm, "style_gained", style, PROTOCOLS["style_gained"], moved.per_seed[0])
    yield Result(
        moved.arm, "capability_change", change, PROTOCOLS["capability_change"], moved.per_seed[1],
        moved.minimum_difference,
    )  # fmt: skip
    counted = Estimate(share, share, share, change.n, "counted over resamples", change.num_seeds)
    yield Result(moved.arm, "frontier_share", counted, PROTOCOLS["frontier_share"])
