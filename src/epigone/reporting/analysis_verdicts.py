"""Verdicts: for every student where base, student and teacher stand, the share of the gap closed, a word, a sentence.

In: the table of Measures. Out: ArmVerdict records. The rule for the words stands in `metrics.gap`.
On capability the teacher is the goal; on style and preference, where it would be set against itself, its second sample
is. Base and student are paired seed by seed and item by item.
Source: arXiv 2305.15717, sections 4.3 and 4.4.
"""

from collections.abc import Iterator, Sequence
from typing import Literal

from epigone.metrics.gap import GapClosed, arm_word, gap_closed
from epigone.records import Arm, ArmVerdict, AxisVerdict, Estimate
from epigone.reporting.analysis_measures import Measure, Table, shared_seeds
from epigone.reporting.evaluated import base_arm
from epigone.reporting.wording import metric_of, number

AxisName = Literal["capability", "style", "preference"]

CAPABILITY = ("natural_questions_3shot", "natural_questions_chat", "mmlu_option_text")
STYLE = ("style_list", "style_summary", "style_unigram", "style_length")
STORED_KNOWLEDGE = "lama"


def verdicts(table: Table) -> Iterator[ArmVerdict]:
    """One verdict a student arm, in the table's order."""
    for arm in dict.fromkeys(arm for arm, _ in table if arm.role == "student"):
        yield _Student(table, arm).verdict()


class _Student:
    """One student beside its base, the teacher and the teacher's second sample."""

    def __init__(self, table: Table, arm: Arm) -> None:
        self._table, self._arm = table, arm
        roles = {a.role: a for a, _ in table if a.role in ("teacher", "second_sample")}
        self._teacher, self._second = roles.get("teacher"), roles.get("second_sample")
        self._gaps: dict[str, GapClosed] = {}

    def verdict(self) -> ArmVerdict:
        raters = ("preference_e", "preference_fitted")
        levels = sorted({m for _, m in self._table if m.startswith(raters) and not m.endswith("_win")})
        capability = [a for metric in CAPABILITY if (a := self._axis("capability", metric))]
        style = [a for metric in STYLE if (a := self._axis("style", metric))]
        preference = [a for metric in levels if (a := self._axis("preference", metric))]
        testable = [a for a in capability if a.metric in self._gaps and self._gaps[a.metric].has_gap]
        lost = self._lost()
        forgot = lost is not None and lost[2].high < 0
        word = arm_word([a.word for a in testable], [a.word for a in style], forgot=forgot)
        sentence = _sentence(testable, capability, style, lost if forgot else None)
        return ArmVerdict(self._arm, word, sentence, (*capability, *style, *preference))

    def _measure(self, arm: Arm | None, metric: str, protocol: str) -> Measure | None:
        """The measure of another arm, if it was taken by the same protocol: others are never compared."""
        found = self._table.get((arm, metric)) if arm else None
        return found if found and found.protocol == protocol else None

    def _axis(self, axis: AxisName, metric: str) -> AxisVerdict | None:
        student = self._table.get((self._arm, metric))
        if student is None:
            return None
        base = self._measure(base_arm(self._arm), metric, student.protocol)
        second = self._measure(self._second, metric, student.protocol)
        teacher = self._measure(self._teacher, metric, student.protocol) if axis == "capability" else None
        goal = teacher if axis == "capability" else second
        found = _gap(base, student, goal)
        if found:
            self._gaps[metric] = found
        return AxisVerdict(
            axis=axis,
            metric=metric,
            base=_estimate(base),
            student=student.draws.estimate(),
            teacher=_estimate(teacher),
            gap_closed=found.closed if found else None,
            word=found.word if found else "undecided",
            ceiling=_estimate(second),
        )

    def _lost(self) -> tuple[float, float, Estimate] | None:
        """Stored knowledge of base and student at their shared seeds, and the difference."""
        student = self._table.get((self._arm, STORED_KNOWLEDGE))
        base = self._measure(base_arm(self._arm), STORED_KNOWLEDGE, student.protocol) if student else None
        seeds = shared_seeds(base, student) if base and student else ()
        if not base or not student or not seeds:
            return None
        before, after = base.at(seeds), student.at(seeds)
        return before.value, after.value, (after - before).estimate()


def _gap(base: Measure | None, student: Measure, goal: Measure | None) -> GapClosed | None:
    seeds = shared_seeds(base, student, goal) if base and goal else ()
    return gap_closed(base.at(seeds), student.at(seeds), goal.at(seeds)) if base and goal and seeds else None


def _estimate(measure: Measure | None) -> Estimate | None:
    return measure.draws.estimate() if measure else None


def _sentence(
    testable: Sequence[AxisVerdict],
    capability: Sequence[AxisVerdict],
    style: Sequence[AxisVerdict],
    lost: tuple[float, float, Estimate] | None,
) -> str:
    words = {"gain": "gained on", "no gain": "no gain on", "regression": "fell on", "undecided": "undecided on"}
    parts = [f"{said} {_names(testable, word)}" for word, said in words.items() if _names(testable, word)]
    without = [metric_of(a.metric).label for a in capability if a not in testable]
    if without:
        parts.append(f"no gap to a teacher to be judged on {' and '.join(without)}")
    if style:
        parts.append(f"style gained on {sum(a.word == 'gain' for a in style)} of {len(style)} measures")
    if lost:
        parts.append(f"forgot: stored knowledge fell from {number(lost[0])} to {number(lost[1])}")
    sentence = "; ".join(parts) or "nothing measured beside its base"
    return f"{sentence[0].upper()}{sentence[1:]}."


def _names(axes: Sequence[AxisVerdict], word: str) -> str:
    named = [metric_of(a.metric).label + _share(a) for a in axes if a.word == word]
    return " and ".join(named)


def _share(axis: AxisVerdict) -> str:
    return f" ({number(axis.gap_closed.value)} of the gap)" if axis.gap_closed else ""
