"""What each student got, in a word, a sentence, and numbers by axis; and what of it was not measured.

In: standings, roles, the ceiling. Out: StudentVerdicts. Capability is measured against the teacher; style against the
ceiling (the teacher's second sample), since the teacher's own answers agree with themselves by definition; preference
on the scale of fitted strengths, where the teacher stands for itself. A gap needs base, student and goal; without one
it is left out, and style is judged by whether the student moved from its base.

The word is `metrics.gap.arm_word` where some benchmark shows a gap between base and teacher. Where capability was not
measured at all no word for it is said: "style gained, capability not measured" at most.
Source: arXiv 2305.15717, sections 4.2 to 4.4.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from epigone.metrics.gap import AxisWord, GapClosed, arm_word, gap_closed, moved
from epigone.metrics.likeness import TABLE_2
from epigone.metrics.resampling import Draws
from epigone.records import ArmRole, AxisVerdict, Estimate
from epigone.reporting.audit.findings import CeilingIs, StudentVerdict
from epigone.reporting.audit.standings import Standing
from epigone.reporting.wording import number

SHOWN_STYLE = (*TABLE_2, "distance", "told_apart")
UNMEASURED = "capability not measured"


@dataclass(frozen=True)
class Roles:
    """Who is what. `ceiling` is the teacher's second sample or another version of it, "" where there is none."""

    teacher: str
    base: str = ""
    ceiling: str = ""
    ceiling_is: CeilingIs = ""

    def of(self, model: str) -> ArmRole:
        """The role of a model of the audit."""
        if model == self.teacher:
            return "teacher"
        if model == self.base:
            return "base"
        return "second_sample" if model == self.ceiling else "student"


def verdict(student: str, standings: Sequence[Standing], roles: Roles, rates: Mapping[str, Estimate]) -> StudentVerdict:
    """One student's verdict. `rates`: how often each model is found equal to the teacher or better, as it is shown."""
    found = [_Axis(standing, student, roles) for standing in standings if student in standing.draws]
    capability = [a for a in found if a.standing.axis == "capability" and a.standing.primary]
    style = [a for a in found if a.standing.axis == "style" and a.standing.metric in SHOWN_STYLE]
    preference = [a for a in found if a.standing.axis == "preference"]
    testable = [a for a in capability if a.gap and a.gap.has_gap]
    table_2 = [a for a in style if a.standing.metric in TABLE_2]
    word = _word(testable, table_2, measured=bool(capability))
    sentence = _sentence(capability, table_2, preference, roles, rates.get(student))
    shown = [a.record() for a in (*capability, *style)] + [a.record(rates) for a in preference]
    return StudentVerdict(student, word, sentence, tuple(shown))


class _Axis:
    """One student on one metric, beside base, teacher and ceiling."""

    def __init__(self, standing: Standing, student: str, roles: Roles) -> None:
        self.standing, self.student, self.roles = standing, student, roles
        goal = roles.ceiling if standing.axis == "style" else roles.teacher
        base = self._nearness(roles.base)
        target = self._nearness(goal)
        mine = standing.nearness(student)
        self.gap: GapClosed | None = gap_closed(base, mine, target) if base and target else None
        self.word: AxisWord = self.gap.word if self.gap else moved(base, mine) if base else "undecided"

    def _nearness(self, model: str) -> Draws | None:
        return self.standing.nearness(model) if model and model in self.standing.draws else None

    def _estimate(self, model: str, rates: Mapping[str, Estimate] | None) -> Estimate | None:
        if rates is not None:
            return rates.get(model)
        return self.standing.draws[model].estimate() if model and model in self.standing.draws else None

    def record(self, rates: Mapping[str, Estimate] | None = None) -> AxisVerdict:
        """As it is shown; `rates` stand in for fitted strengths, whose own scale nobody reads."""
        student = self._estimate(self.student, rates)
        return AxisVerdict(
            axis=self.standing.axis,
            metric=self.standing.metric,
            base=self._estimate(self.roles.base, rates),
            student=student or self.standing.draws[self.student].estimate(),
            teacher=self._estimate(self.roles.teacher, rates) if self.standing.axis == "capability" else None,
            gap_closed=self.gap.closed if self.gap else None,
            word=self.word,
            ceiling=self._estimate(self.roles.ceiling, rates) if self.standing.axis == "style" else None,
        )


def _word(testable: Sequence[_Axis], style: Sequence[_Axis], *, measured: bool) -> str:
    words: list[AxisWord] = [a.word for a in style]
    if testable:
        return arm_word([a.word for a in testable], words, forgot=False)
    tail = "capability undecided" if measured else UNMEASURED
    if words and 2 * words.count("gain") > len(words):
        return f"style gained, {tail}"
    return f"undecided, {tail}"


def _sentence(
    capability: Sequence[_Axis],
    style: Sequence[_Axis],
    preference: Sequence[_Axis],
    roles: Roles,
    rate: Estimate | None,
) -> str:
    parts = [
        *_said_of_capability(capability),
        *_said_of_style(style, roles),
        *_said_of_preference(preference, roles, rate),
    ]
    sentence = "; ".join(parts) or "nothing could be measured"
    return f"{sentence[0].upper()}{sentence[1:]}."


def _said_of_capability(axes: Sequence[_Axis]) -> Iterator[str]:
    said = {"gain": "gained on", "no gain": "no gain on", "regression": "fell on", "undecided": "undecided on"}
    for word, beginning in said.items():
        names = [a.standing.metric + _share(a) for a in axes if a.word == word and a.gap and a.gap.has_gap]
        if names:
            yield f"{beginning} {' and '.join(names)}"
    alone = [a for a in axes if not a.gap]  # of base and student only: how it moved is all that can be said
    moves = {"gain": "better than the base on", "regression": "worse than the base on"}
    for word, beginning in moves.items():
        names = [a.standing.metric for a in alone if a.word == word]
        if names:
            yield f"{beginning} {' and '.join(names)}, where the teacher was not measured"
    without = [
        a.standing.metric for a in axes if not (a.gap and a.gap.has_gap) and not (a in alone and a.word in moves)
    ]
    if without:
        yield f"no gap between base and teacher to be judged on {' and '.join(without)}"
    if not axes:
        yield UNMEASURED


def _said_of_style(axes: Sequence[_Axis], roles: Roles) -> Iterator[str]:
    if not axes:
        return
    if not roles.base:
        yield "how far style moved cannot be told without a base"
        return
    gained = [a.standing.metric for a in axes if a.word == "gain"]
    named = f" ({', '.join(gained)})" if gained else ""
    yield f"style nearer to the teacher's than the base's on {len(gained)} of {len(axes)} measures{named}"


def _said_of_preference(axes: Sequence[_Axis], roles: Roles, rate: Estimate | None) -> Iterator[str]:
    if rate:
        yield (
            f"found equal to {roles.teacher} or better in {number(rate.value)} "
            f"[{number(rate.low)} to {number(rate.high)}]{_closed(axes)}"
        )


def _closed(axes: Sequence[_Axis]) -> str:
    gaps = [a.gap.closed for a in axes if a.gap and a.gap.closed]
    return f", {number(gaps[0].value)} of the way from base to teacher in fitted strength" if gaps else ""


def _share(axis: _Axis) -> str:
    closed = axis.gap.closed if axis.gap else None
    return f" ({number(closed.value)} of the gap)" if closed else ""
