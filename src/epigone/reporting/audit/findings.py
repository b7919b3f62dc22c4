"""The nouns of an audit: everything that its report, its JSON object and its gate are made from.

In: nothing. Out: frozen dataclasses of plain values, written as findings.json; the report can be rebuilt from them.
"""

from dataclasses import dataclass, field
from typing import Literal

from epigone.records import ArmRole, AxisVerdict, Estimate

Axis = Literal["capability", "style", "preference"]
CeilingIs = Literal["second sample", "another version", ""]


@dataclass(frozen=True, slots=True)
class AuditedModel:
    """One model of the audit: its role, how its recording calls it, and how many of the prompts it answered."""

    name: str
    role: ArmRole
    recorded_as: str
    num_answers: int
    num_matched: int
    num_empty: int
    num_dropped: int = 0


@dataclass(frozen=True, slots=True)
class Measured:
    """A metric of one model; `kind` is an axis, or level (what the model does by itself, without the teacher)."""

    model: str
    kind: Literal["capability", "style", "level"]
    metric: str
    estimate: Estimate
    protocol: str = ""


@dataclass(frozen=True, slots=True)
class Contrast:
    """A student's metric minus that of another model, paired where both answered the same items.

    `p_holm` is adjusted over all tests of the audit; None where the contrast is shown and not tested. `smallest` is the
    difference that so many items could have shown (80 % power, two-sided 5 %).
    """

    axis: Axis
    metric: str
    student: str
    against: str
    role: ArmRole
    difference: Estimate
    test: str
    smallest: float
    p: float | None = None
    p_holm: float | None = None


@dataclass(frozen=True, slots=True)
class Controlled:
    """The preference at equal length or style, and how much of it those features explain (deviance, 0-1)."""

    name: str
    features: tuple[str, ...]
    rate: Estimate
    explained: Estimate


@dataclass(frozen=True, slots=True)
class DirectPreference:
    """One model set against another by one panel: majority of each prompt's ratings. `win_share` counts ties half."""

    panel: str
    criterion: str
    model: str
    against: str
    wins: int
    ties: int
    losses: int
    num_splits: int
    num_ratings: int
    win_or_tie: Estimate
    sd_of_mean: float
    win_share: Estimate
    position: str
    people: bool
    simulated: bool
    p: float
    """Exact sign test of wins against losses; ties say nothing of either."""
    p_holm: float | None = None
    controlled: tuple[Controlled, ...] = ()
    not_controlled: str = ""
    smallest: float | None = None
    """Smallest distance of the win share from one half that so many prompts could show; None: not even 0.5."""
    num_needed: int = 0
    """Comparisons needed to tell a win share of .5 + WANTED_DIFFERENCE from .5."""


@dataclass(frozen=True, slots=True)
class FittedStrength:
    """A model's strength by Bradley-Terry with ties over all of a panel's judgments; rates against the teacher."""

    panel: str
    criterion: str
    model: str
    num_comparisons: int
    strength: Estimate
    rate: Estimate | None = None
    controlled_rate: Estimate | None = None


@dataclass(frozen=True, slots=True)
class Fit:
    """One fit of a panel: what it rests on, the effect of being shown first, what style is worth."""

    panel: str
    criterion: str
    num_models: int
    num_judgments: int
    num_prompts: int
    method: str
    equal_rate: float
    """How often an equally strong model is found equal or better: more than half, since ties count."""
    position: Estimate | None
    style: tuple[tuple[str, Estimate], ...] = ()
    unconnected: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Agreement:
    """Raters of one panel among themselves (alpha), or one panel beside another (kappa, offset)."""

    name: str
    what: str
    estimate: Estimate


@dataclass(frozen=True, slots=True)
class RaterRow:
    """One rater's habits, and a flag where they say little about the answers."""

    panel: str
    rater: str
    num_ratings: int
    agreement: float | None
    chance: float | None
    tie_share: float
    first_share: float | None
    median_seconds: float | None
    flag: str


@dataclass(frozen=True, slots=True)
class ExpertiseRow:
    """Equal or better by the raters' expertise; `slope` is log-odds for ten points more, None where `why` says.

    `thirds` of the votes: name, mean expertise (0-1), raters, rate. `mean` is the share of the `num_known` comparisons
    with a known answer that were answered rightly, `reliability` how much of the raters' differences in it is no luck.
    """

    panel: str
    criterion: str
    model: str
    against: str
    num_raters: int
    num_known: int
    num_judgments: int
    mean: float
    reliability: float
    slope: Estimate | None
    thirds: tuple[tuple[str, float, int, Estimate], ...]
    word: str
    why: str
    simulated: bool


@dataclass(frozen=True, slots=True)
class StudentVerdict:
    """What a student got, in a word and a sentence, and where it stands on every axis."""

    student: str
    word: str
    sentence: str
    axes: tuple[AxisVerdict, ...]


@dataclass(frozen=True, slots=True)
class SideBySide:
    """One prompt with the answers of teacher, base and student, and why it is shown."""

    prompt: str
    student: str
    why: str
    answers: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Supported:
    """What a support map says: where its page lies beside the audit's, its headline, a sentence a student."""

    page: str
    title: str
    sentences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AuditFindings:
    """Everything that an audit found, and what it could not find out (`missing`, by what is missing)."""

    title: str
    study_id: str
    teacher: str
    base: str
    ceiling: str
    ceiling_is: CeilingIs
    num_prompts: int
    models: tuple[AuditedModel, ...]
    measured: tuple[Measured, ...]
    floors: dict[str, Estimate]
    contrasts: tuple[Contrast, ...]
    direct: tuple[DirectPreference, ...]
    fits: tuple[Fit, ...]
    strengths: tuple[FittedStrength, ...]
    agreement: tuple[Agreement, ...]
    raters: tuple[RaterRow, ...]
    verdicts: tuple[StudentVerdict, ...]
    examples: tuple[SideBySide, ...]
    main_panel: str
    main_criterion: str
    rates: dict[str, Estimate] = field(default_factory=dict[str, Estimate])
    """How often each model but the teacher is found equal to the teacher or better, by the main panel."""
    rate_sources: dict[str, str] = field(default_factory=dict[str, str])
    """By model: direct (compared with the teacher) or fitted (through other models, Bradley-Terry)."""
    style_parts: dict[str, dict[str, Estimate]] = field(default_factory=dict[str, dict[str, Estimate]])
    """The parts of the style distance by model."""
    expertise: tuple[ExpertiseRow, ...] = ()
    missing: dict[str, str] = field(default_factory=dict[str, str])
    flags: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    methods: str = ""
    supports: tuple[Supported, ...] = ()
    """Support maps of the students' data on benchmarks, where a study made them."""

    @property
    def students(self) -> tuple[str, ...]:
        """The students, in the order in which they were given."""
        return tuple(model.name for model in self.models if model.role == "student")

    def estimate(self, model: str, kind: str, metric: str) -> Estimate | None:
        """A metric of a model, or None where it was not measured."""
        for found in self.measured:
            if (found.model, found.kind, found.metric) == (model, kind, metric):
                return found.estimate
        return None
