"""The verdict: how much of the way from base to teacher a student went, and the word for it.

In: one statistic (Draws) of base, student and teacher over the same items. Out: the share of the gap closed with its
paired bootstrap interval, and a word; from the words of several tests, the word for the student.

One test, where gap closed = (student - base) / (teacher - base):
- undecided   where the 95 % interval of teacher - base does not lie above MIN_GAP (5 points): there is no gap to speak
              of, and the ratio would be noise over noise. So every interval with 0 in it, and a teacher below the base.
- gain        the 98 % interval of gap closed lies above 0.
- regression  the 98 % interval lies below 0. (98 %, so that the two wrong words at a true 0 together stay under 5 %.)
- no gain     the 95 % interval ends below MARGIN (15 % of the gap): a gain worth the name is ruled out.
- undecided   else.
MARGIN is a choice made before any study was run: smaller than the 20 % that one would hate to miss, larger than what
some 300 items leave open. A true gain of MARGIN or more is called "no gain" in at most 2.5 % of studies.
One seed does not see the noise between seeds: where that is 3 points, one seed calls a true 0 wrongly in some 9 % of
studies, two or more in under 1 %.

A student, from its capability tests that have a gap, its style tests, and whether stored knowledge fell:
- broad gain  a gain on every capability test, of at least two.
- local gain  a gain on some.
- style only  no gain on any, most of them decided, and a gain on most style tests.
- regression  no gain on any, a regression on some, and no gain in style.
- undecided   else.
", forgot" is appended where stored knowledge fell below the base's: a student that lost what its base knew did
something else than gain nothing.
Source: arXiv 2305.15717, sections 4.3 and 4.4, put into a rule here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from epigone.metrics.resampling import SMALLEST_GAP_DRAWN, Draws
from epigone.records import Estimate

AxisWord = Literal["gain", "no gain", "regression", "undecided"]

MIN_GAP = 0.05
MARGIN = 0.15


@dataclass(frozen=True, slots=True)
class GapClosed:
    """`gap` is teacher - base; `closed` the student's share of it, None where the gap may be 0 or negative."""

    gap: Estimate
    closed: Estimate | None
    word: AxisWord

    @property
    def has_gap(self) -> bool:
        """Whether there is a gap to be closed at all."""
        return self.gap.low > MIN_GAP


def gap_closed(base: Draws, student: Draws, teacher: Draws) -> GapClosed:
    """Share of the gap closed. Base and student at the same seeds (or one of them at one), all over the same items."""
    gap = (teacher - base).estimate()
    if gap.low <= 0:
        return GapClosed(gap, None, "undecided")
    moved, whole = student - base, teacher - base
    below, above = moved.pooled(), whole.pooled()
    draws = below / np.where(np.abs(above) < SMALLEST_GAP_DRAWN, SMALLEST_GAP_DRAWN, above)
    lowest, low, high, highest = (float(x) for x in np.percentile(draws, [1, 2.5, 97.5, 99]))
    method = f"ratio of differences, {moved.estimate().method}"
    closed = Estimate(moved.value / whole.value, low, high, student.n, method, moved.num_seeds)
    if gap.low <= MIN_GAP:
        return GapClosed(gap, closed, "undecided")
    return GapClosed(gap, closed, _axis_word(lowest, high, highest))


def moved(before: Draws, after: Draws) -> AxisWord:
    """Whether a student moved from its base, where no ceiling says how far it could: by the 98 % interval alone.

    Without a gap to measure by, "no gain" cannot be told from a small gain, so it is never said.
    """
    lowest, highest = (float(x) for x in np.percentile((after - before).pooled(), [1, 99]))
    if lowest > 0:
        return "gain"
    return "regression" if highest < 0 else "undecided"


def _axis_word(lowest: float, high: float, highest: float) -> AxisWord:
    if lowest > 0:
        return "gain"
    if highest < 0:
        return "regression"
    return "no gain" if high < MARGIN else "undecided"


def arm_word(capability: Sequence[AxisWord], style: Sequence[AxisWord], *, forgot: bool) -> str:
    """The word for a student. `capability` holds the tests that have a gap only."""
    word = _gain_word(capability) or _no_gain_word(capability, style)
    return f"{word}, forgot" if forgot else word


def _gain_word(capability: Sequence[AxisWord]) -> str:
    num_gains = sum(word == "gain" for word in capability)
    if num_gains == 0:
        return ""
    return "broad gain" if num_gains == len(capability) > 1 else "local gain"


def _no_gain_word(capability: Sequence[AxisWord], style: Sequence[AxisWord]) -> str:
    num_decided = sum(word != "undecided" for word in capability)
    if 2 * num_decided > len(capability) and 2 * sum(word == "gain" for word in style) > len(style):
        return "style only"
    return "regression" if "regression" in capability and "gain" not in style else "undecided"
