"""The five most telling prompts, by a rule that looks at no text: where style and verdict part, both ways.

In: aligned answers, distances from the teacher, what the main panel found. Out: SideBySide records. Three where the
student sounds most like the teacher (least distance) and was found worse; two where it sounds least like the teacher
and was found equal or better. Where nothing was judged: three most alike, two least. Students take turns, those alone
that met the teacher where some did. A prompt is shown once, and only where teacher and student both answered.
Source: Figure 2 of arXiv 2305.15717 for answers side by side; the rule is ours.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from epigone.metrics.resampling import Array
from epigone.reporting.audit.alignment import Aligned
from epigone.reporting.audit.findings import SideBySide
from epigone.reporting.audit.verdicts import Roles

NUM_ALIKE, NUM_UNLIKE = 3, 2

Outcomes = Mapping[str, Mapping[str, str]]
"""Student -> prompt id -> win, tie or loss against the teacher."""


def examples(
    aligned: Aligned, distances: Mapping[str, Array], outcomes: Outcomes, students: Sequence[str], roles: Roles
) -> tuple[SideBySide, ...]:
    """Up to five examples, in the order of the rule."""
    students = [name for name in students if outcomes.get(name)] or list(students)
    shown: set[int] = set()
    found: list[SideBySide] = []
    for number in range(NUM_ALIKE + NUM_UNLIKE):
        alike = number < NUM_ALIKE
        student = students[number % len(students)]
        place = _next(aligned, distances[student], outcomes.get(student, {}), alike=alike, shown=shown)
        if place is None:
            continue
        shown.add(place)
        found.append(
            _example(aligned, place, student, outcomes.get(student, {}), float(distances[student][place]), roles)
        )
    return tuple(found)


def _next(
    aligned: Aligned, distance: Array, outcomes: Mapping[str, str], *, alike: bool, shown: set[int]
) -> int | None:
    wanted = ("loss",) if alike else ("win", "tie")
    order = np.argsort(distance if alike else -distance, kind="stable")
    for place in (int(p) for p in order):
        if place in shown or not np.isfinite(distance[place]):
            continue
        if not outcomes or outcomes.get(aligned.prompt_ids[place]) in wanted:
            return place
    return None


def _example(
    aligned: Aligned, place: int, student: str, outcomes: Mapping[str, str], distance: float, roles: Roles
) -> SideBySide:
    said = {"loss": "found worse than the teacher’s", "win": "found better than the teacher’s", "tie": "found equal"}
    judged = said.get(outcomes.get(aligned.prompt_ids[place], ""), "not judged")
    names = [name for name in (roles.teacher, student, roles.base) if name]
    answers = tuple((name, aligned.texts(name)[place]) for name in names)
    return SideBySide(aligned.prompts[place], student, f"style distance {distance:.2f}, {judged}", answers)
