"""trace: answers of suspects, candidate teachers and known models -> whom each suspect imitates, if anyone.

In: generations to the same prompts. Out: `studies/`: report.html, trace.json, figures/, tables/. Holds derived figures
only; the same inputs give the same bytes.
Source: section 6 of arXiv 2305.15717; docs/decisions/0026.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from epigone.errors import DataError, SpecError
from epigone.interfaces import StageSpec
from epigone.metrics.attribution import FALSE_POSITIVE_RATE, Known, trace
from epigone.metrics.fingerprints import evidence, fingerprint
from epigone.records import Generation
from epigone.reporting.audit.alignment import Aligned, RecordedModel, align
from epigone.reporting.trace import TraceFindings, render, summary
from epigone.rows import prompt_id_of, read_array_or_rows
from epigone.spec import Artifact, Input, Resolver
from epigone.store import read_records, write_text

ROLES = ("teacher", "suspect", "known", "unrelated", "base")


@dataclass(frozen=True)
class TracedModel:
    """One model of a trace. Raises SpecError for a role that there is not, or a known model that imitates nobody."""

    name: str
    """What the page calls it."""
    role: str
    """teacher (a candidate), suspect, known (a student of candidates), unrelated (of none), base (of the suspects)."""
    answers: StageSpec | Artifact
    """Its generations."""
    imitates: tuple[str, ...] = ()
    """Of a known model: the names of the candidates that it imitates."""
    family: str = ""
    """Models of one recipe, which are held out together; by default itself."""

    def __post_init__(self) -> None:
        if self.role not in ROLES:
            raise SpecError(f"{self.name}: role {self.role!r} is none of {', '.join(ROLES)}")
        if (self.role == "known") != bool(self.imitates):
            raise SpecError(f"{self.name}: a known model, and no other, says which candidates it imitates")


@dataclass(frozen=True)
class Trace:
    """Options of a trace. Raises SpecError for roles that cannot be."""

    models: tuple[TracedModel, ...]
    """Candidates, suspects, known and unrelated models; prompts are those of the first candidate."""
    answers: Input | None = None
    """Right answers: JSON lines or an array with a prompt and `answer` or `answers`."""
    false_positive_rate: float | int = FALSE_POSITIVE_RATE
    """Share of independent models for which a candidate may be named."""
    title: str = "Whom does it imitate?"
    """Headline of the page."""
    name: str = "trace"
    """The trace, for people."""
    minimum_coverage: float | int = 0.8
    """Share of the first candidate's prompts that every model must have answered."""
    seed: int = 0
    """Cuts the prompts in halves, and draws resamples."""

    kind: ClassVar[str] = "studies"
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        candidates = self.named("teacher")
        if not candidates:
            raise SpecError("a trace needs a candidate teacher: give one or more with --teacher")
        if not any(model.role in ("suspect", "known") for model in self.models):
            raise SpecError("a trace needs a suspect, or known students to be tried on")
        if not 0 < self.false_positive_rate < 1:
            raise SpecError(f"a false-positive rate is a share between 0 and 1, got {self.false_positive_rate}")
        if len(self.named("base")) > 1:
            raise SpecError("the suspects of one trace have one base; trace them apart")
        for model in self.models:
            if strange := [name for name in model.imitates if name not in candidates]:
                raise SpecError(f"{model.name} imitates {strange[0]!r}, which is no candidate: {', '.join(candidates)}")

    def named(self, *roles: str) -> list[str]:
        """The names of the models with these roles."""
        return [model.name for model in self.models if model.role in roles]

    @property
    def slug(self) -> str:
        """The name."""
        return self.name

    @property
    def effort(self) -> float:
        """Seconds on one core, roughly."""
        return 2.0 * len(self.models)

    def run(self, inputs: Callable[[object], Path], out: Path) -> dict[str, object]:
        """Line up, measure, say. Raises WorkError where too few prompts match, DataError where names repeat."""
        recorded = [self._recorded(model, inputs) for model in self._ordered()]
        aligned = align(recorded, float(self.minimum_coverage))
        accepted = _accepted(inputs(self.answers), aligned) if self.answers else ()
        prints = {model.name: fingerprint(aligned.texts(model.name)) for model in recorded}
        found = evidence(prints, self.named("teacher"), accepted, seed=self.seed)
        known = [Known(m.name, m.imitates, m.family) for m in self.models if m.role in ("known", "unrelated")]
        suspects, base = self.named("suspect"), self.named("base")
        traced, held_out = trace(found, known, [*suspects, *base], seed=self.seed)
        findings = TraceFindings(
            title=self.title,
            study_id=Resolver().id(self),
            teachers=found.teachers,
            num_prompts=len(aligned.prompt_ids),
            rate=self.false_positive_rate,
            suspects=traced[: len(suspects)],
            held_out=held_out,
            base=traced[-1] if base else None,
            not_measured=found.not_measured,
        )
        for path, content in render(findings).items():
            write_text(out / path, content)
        return summary(findings)

    def _ordered(self) -> list[TracedModel]:
        """The first candidate first: its prompts count."""
        return sorted(self.models, key=lambda model: model.role != "teacher")

    def _recorded(self, model: TracedModel, inputs: Callable[[object], Path]) -> RecordedModel:
        first = model.name == self.named("teacher")[0]
        generations = read_records(inputs(model.answers) / "records.jsonl", Generation)
        return RecordedModel(model.name, "teacher" if first else "student", generations)


def _accepted(path: Path, aligned: Aligned) -> Sequence[tuple[str, ...]]:
    """Right answers by prompt, () where they are not known. Raises DataError where none is of a prompt."""
    found: list[tuple[str, ...]] = [()] * len(aligned.prompt_ids)
    for number, row in read_array_or_rows(path):
        right = row.get("answers", row.get("answer", row.get("reference")))
        several = right if isinstance(right, list) else [right]
        texts = tuple(text for text in several if isinstance(text, str) and text.strip())
        if not texts:
            raise DataError(f"{path}: row {number} needs `answer`, a text or a list of texts; it has {sorted(row)}")
        asked = next((row[name] for name in ("question", "prompt", "instruction", "text") if name in row), None)
        keys = (
            [prompt_id_of(asked)] if isinstance(asked, str) else [str(row.get("prompt_id", row.get("question_id", "")))]
        )
        for key in keys:
            if key in aligned.place_of:
                found[aligned.place_of[key]] = texts
    if not any(found):
        raise DataError(f"{path}: none of its rows asks one of the {len(found)} prompts that the models answered")
    return found
