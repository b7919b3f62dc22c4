"""Lines for panels: one metric over the amount of imitation data, the size of the base, or its pre-training.

In: `Evidence` and a metric id. Out: `Panel`s whose x is tokens or parameters (log scale), with teacher and base as
reference lines where x is the amount. Arms that lack the metric leave no point.
Source: the axes of Figures 1, 3, 4 and 5 of arXiv 2305.15717.
"""

from collections.abc import Callable, Iterable

from epigone.records import Arm
from epigone.reporting.evidence import Evidence
from epigone.reporting.panels import Panel, Point, Series
from epigone.reporting.theme import EXPERTISE, STYLES, Style
from epigone.reporting.wording import amount

AMOUNT_LABEL = "Imitation data (tokens)"
SIZE_LABEL = "Size of the base model (parameters)"
PRETRAIN_LABEL = "Pre-training of the base model (tokens)"
EXPERTISE_METRICS = tuple(f"preference_e{e:g}" for e in (0, 0.25, 0.5, 0.75, 1))

Along = Callable[[Arm], float]


def points(evidence: Evidence, arms: Iterable[Arm], metric: str, along: Along) -> tuple[Point, ...]:
    """A point an arm that has the metric and a place above 0 on the axis, from left to right."""
    found = [
        Point(along(arm), result.estimate, evidence.label(arm))
        for arm in arms
        if along(arm) > 0 and (result := evidence.result(arm, metric))
    ]
    return tuple(sorted(found, key=lambda point: point.x))


def reference(evidence: Evidence, arm: Arm | None, metric: str, kind: str, name: str) -> Series:
    """A reference line; without points where the arm or its metric is missing."""
    result = evidence.result(arm, metric)
    found = (Point(0.0, result.estimate, evidence.label(arm)),) if arm and result else ()
    return Series(name, STYLES[kind], found)


def tops(evidence: Evidence, metric: str) -> tuple[Series, ...]:
    """The teacher's line; the second sample's where the teacher cannot have the metric (it is not its own rival)."""
    teacher = reference(evidence, evidence.teacher, metric, "teacher", evidence.teacher_word)
    if teacher.points:
        return (teacher,)
    second = f"{evidence.teacher_word}’s second sample"
    return (reference(evidence, evidence.second_sample, metric, "second_sample", second),)


def imitation(arm: Arm) -> float:
    """Place of an arm on the amount axis."""
    return float(arm.imitation_tokens)


def by_amount(evidence: Evidence, metric: str, *, title: str = "") -> Panel:
    """The middle base's broad arms, with and without replay, over the amount of imitation data."""
    base = evidence.middle
    lines = tuple(
        Series(name, STYLES[kind], points(evidence, evidence.students(base, "broad", replay=replay), metric, imitation))
        for kind, name, replay in (("broad", "broad imitation", False), ("broad_replay", "broad + replay", True))
    )
    references = (*tops(evidence, metric), reference(evidence, base, metric, "base", "base model"))
    return Panel(metric, AMOUNT_LABEL, lines, references, title=title)


def by_base(evidence: Evidence, metric: str, *, title: str = "", pretraining: bool = False) -> Panel:
    """Bases and their broad students at the common amount, over size (or pre-training at the middle size)."""
    middle = evidence.middle
    if pretraining:
        bases = [b for b in evidence.bases if middle and b.num_params == middle.num_params]
    else:
        bases = list(evidence.full_bases)
    size = evidence.common_amount
    lines = [Series("base model", STYLES["base"], points(evidence, bases, metric, _place(pretraining)))]
    for kind, name, replay in (("broad", "broad imitation", False), ("broad_replay", "broad + replay", True)):
        arms = [a for b in bases for a in evidence.students(b, "broad", replay=replay) if a.imitation_tokens == size]
        found = points(evidence, arms, metric, _place(pretraining, evidence))
        lines.append(Series(name, STYLES[kind], found))
    label = PRETRAIN_LABEL if pretraining else SIZE_LABEL
    return Panel(metric, label, tuple(lines), tops(evidence, metric), title=title)


def _place(pretraining: bool, evidence: Evidence | None = None) -> Along:
    def place(arm: Arm) -> float:
        base = (evidence.base_of(arm) if evidence else None) or arm
        return float(base.pretrain_tokens if pretraining else base.num_params)

    return place


def by_expertise(evidence: Evidence) -> Panel:
    """Win or tie of the main arms of the middle base over the expertise of the simulated rater."""
    base = evidence.middle
    chosen: list[tuple[str, str, Arm | None]] = [
        ("second_sample", f"{evidence.teacher_word}’s second sample", evidence.second_sample)
    ]
    for kind, name, replay in (("broad", "broad", False), ("broad_replay", "broad + replay", True)):
        arms = evidence.students(base, "broad", replay=replay)
        chosen += [(kind, f"{name} {amount(arms[-1].imitation_tokens)}", arms[-1])] if arms else []
    chosen.append(("base", "base model", base))
    lines = []
    for kind, name, arm in chosen:
        look = STYLES[kind]
        style = Style(look.colour, look.mark or "square", look.dash, look.hollow)
        lines.append(Series(name, style, _over_expertise(evidence, arm)))
    return Panel(
        "preference_e0",
        "Expertise of the simulated rater",
        tuple(lines),
        title="Win or tie by expertise",
        x_scale="linear",
    )


def _over_expertise(evidence: Evidence, arm: Arm | None) -> tuple[Point, ...]:
    results = [(float(m.removeprefix("preference_e")), evidence.result(arm, m)) for m in EXPERTISE_METRICS]
    return tuple(Point(x, r.estimate, f"{evidence.label(r.arm)}, expertise {x:g}") for x, r in results if r)


def rater_lines(evidence: Evidence, arms: Iterable[Arm], along: Along) -> tuple[Series, ...]:
    """One line a level of expertise over the given arms."""
    chosen = tuple(arms)
    return tuple(
        Series(
            f"expertise {metric.removeprefix('preference_e')}", style, points(evidence, chosen, metric, along), metric
        )
        for metric, style in zip(EXPERTISE_METRICS, EXPERTISE, strict=True)
    )


def raters_by_amount(evidence: Evidence) -> Panel:
    """Figure 3, left: every level of expertise over the amount of broad imitation data."""
    lines = rater_lines(evidence, evidence.students(evidence.middle, "broad", replay=False), imitation)
    return Panel("preference_e1", AMOUNT_LABEL, lines, title="Simulated raters: win or tie, by data")


def raters_by_base(evidence: Evidence) -> Panel:
    """Figure 3, right: every level of expertise over the size of the base, at the common amount."""
    size = evidence.common_amount
    arms = [
        arm
        for base in evidence.full_bases
        for arm in evidence.students(base, "broad", replay=False)
        if arm.imitation_tokens == size
    ]
    lines = rater_lines(evidence, arms, _place(False, evidence))
    return Panel("preference_e1", SIZE_LABEL, lines, title="Simulated raters: win or tie, by base")
