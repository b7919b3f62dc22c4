"""The verdict in words: which arm leads, how the others are grouped, and what has to be said before any number.

In: `Evidence`. Out: a `Headline` for the template. The lead is broad imitation at the largest amount on the middle
base, without replay. Source: "What a result must carry" in ARCHITECTURE.md.
"""

from dataclasses import dataclass

from epigone.records import ArmVerdict, AxisVerdict, Estimate
from epigone.reporting.evidence import Evidence
from epigone.reporting.wording import chip, interval, metric_of, number, plural

_AXES = {"capability": "Capability", "style": "Style", "preference": "Preference"}


@dataclass(frozen=True, slots=True)
class Measured:
    """One metric of an axis in words and numbers."""

    metric: str
    word: str
    chip: str
    steps: tuple[tuple[str, str], ...]
    gap: str
    href: str = ""
    """Where the items behind it are."""


@dataclass(frozen=True, slots=True)
class Axis:
    """Capability, style or preference with its metrics."""

    name: str
    metrics: tuple[Measured, ...]


@dataclass(frozen=True, slots=True)
class Line:
    """One arm: its name, its word with chip, the sentence of why, its axes."""

    label: str
    word: str
    chip: str
    sentence: str
    axes: tuple[Axis, ...]


@dataclass(frozen=True, slots=True)
class Headline:
    """The lead, the other arms by group, and the notices."""

    lead: Line | None
    groups: tuple[tuple[str, tuple[Line, ...]], ...]
    notices: tuple[str, ...]


def headline(evidence: Evidence) -> Headline:
    """The verdicts in the order of the report."""
    lead = _lead(evidence)
    groups: dict[str, list[Line]] = {name: [] for name in _GROUPS}
    for verdict in evidence.findings.verdicts:
        if verdict is not lead:
            groups[_group(evidence, verdict)].append(_line(evidence, verdict))
    kept = tuple((name, tuple(lines)) for name, lines in groups.items() if lines)
    return Headline(_line(evidence, lead) if lead else None, kept, _notices(evidence))


_GROUPS = (
    "Broad imitation, other amounts",
    "Broad imitation with replay",
    "Broad imitation with another treatment",
    "Local imitation",
    "Replay without imitation (control)",
    "Other sizes of the base",
    "Bases with less pre-training",
)


def _lead(evidence: Evidence) -> ArmVerdict | None:
    verdicts = evidence.findings.verdicts
    main = [v for v in verdicts if v.arm in evidence.students(evidence.middle, "broad", replay=False)]
    return max(main or verdicts[:1], key=lambda v: v.arm.imitation_tokens, default=None)


def _group(evidence: Evidence, verdict: ArmVerdict) -> str:
    arm, base = verdict.arm, evidence.base_of(verdict.arm)
    if base != evidence.middle and base in evidence.bases:
        return _GROUPS[5] if base in evidence.full_bases else _GROUPS[6]
    if arm.treatment:
        return _GROUPS[2]
    if arm.data == "broad":
        return _GROUPS[1] if arm.replay_tokens else _GROUPS[0]
    return _GROUPS[4] if arm.data == "replay_only" else _GROUPS[3]


def _line(evidence: Evidence, verdict: ArmVerdict) -> Line:
    kinds = {
        kind: tuple(_measured(evidence, verdict, axis) for axis in verdict.axes if axis.axis == kind) for kind in _AXES
    }
    axes = tuple(Axis(_AXES[kind], metrics) for kind, metrics in kinds.items() if metrics)
    return Line(evidence.label(verdict.arm), verdict.word, chip(verdict.word), verdict.sentence, axes)


def _measured(evidence: Evidence, verdict: ArmVerdict, axis: AxisVerdict) -> Measured:
    metric = metric_of(axis.metric)
    stands: tuple[tuple[str, Estimate | None], ...] = (
        ("base", axis.base), ("student", axis.student), ("teacher", axis.teacher), ("second sample", axis.ceiling),
    )  # fmt: skip
    if axis.teacher:
        stands = stands[:3]
    steps = tuple((name, number(e.value, metric.unit)) for name, e in stands if e)
    gap = f"{number(axis.gap_closed.value)} {interval(axis.gap_closed)}" if axis.gap_closed else "no gap measured"
    href = evidence.beside.href(verdict.arm.name, axis.metric)
    return Measured(metric.label, axis.word, chip(axis.word), steps, gap, href)


def _notices(evidence: Evidence) -> tuple[str, ...]:
    seeds = evidence.findings.num_seeds
    notices = [f"{plural(seeds, 'seed')}."]
    if seeds < 3:
        notices[0] += " With fewer than three seeds claims about size and amount stay undecided."
    if evidence.simulated_raters:
        notices.append("The raters are simulated: their preferences are not those of people.")
    if evidence.has("preference_fitted"):
        notices.append(
            "One more rater is fitted to people’s votes on other answers; it is drawn, nobody was asked here."
        )
    if evidence.simulated_teacher:
        notices.append("The teacher is simulated: a program, not a language model.")
    return tuple(notices)
