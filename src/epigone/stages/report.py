"""report: scores and judgments of a study's models -> findings, one HTML file, figures and tables with their CSV.

In: the artifacts of every model of a study. Out: `studies/`: report.html, findings.json, figures/, tables/. Holds
derived figures only, so it may be deleted and rebuilt at any time; the same inputs give the same bytes.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import ClassVar

from epigone.formats.messages import read_prompts
from epigone.interfaces import FactChecker, StageSpec
from epigone.records import Arm, Generation, Judgment, Prediction, Response, Score
from epigone.reporting.document import render
from epigone.reporting.findings import ModelData, build_findings
from epigone.spec import Artifact, Component, Input, Resolver
from epigone.store import read_records, read_summary, write_json, write_text


@dataclass(frozen=True)
class ModelInputs:
    """The artifacts of one model: scores by benchmark, answers to the free prompts, judgments, its training."""

    arm: Arm
    """Which arm of the grid; the number of parameters is filled in from its training."""
    seed: int
    scores: tuple[tuple[str, StageSpec | Artifact], ...]
    """Benchmark name and its scores artifact."""
    answers: StageSpec | Artifact | None = None
    """Answers to the free prompts: generations, or a teacher's responses."""
    judgments: StageSpec | Artifact | None = None
    """Those answers against the teacher's."""
    training: tuple[StageSpec | Artifact, ...] = ()
    """Its train stages, base first."""


@dataclass(frozen=True)
class Report:
    """Options of a report."""

    title: str
    """Headline of the report."""
    name: str
    """The study's name."""
    models: tuple[ModelInputs, ...]
    """Everything that was evaluated."""
    prompts: Input
    """The free prompts, for the examples."""
    checker: Component
    """Tells right claims from wrong ones."""
    predictions: tuple[Prediction, ...] = ()
    """Written down before the first full run."""
    notes: tuple[str, ...] = ()
    """What a reader must know about this study."""

    kind: ClassVar[str] = "studies"
    version: ClassVar[int] = 1

    @property
    def slug(self) -> str:
        """The study's name."""
        return self.name

    @property
    def effort(self) -> float:
        """Seconds on one core, roughly."""
        return 8.0

    def run(self, inputs: Callable[[object], Path], out: Path) -> dict[str, object]:
        """Build the findings and draw them."""
        checker = self.checker.make(inputs)
        assert isinstance(checker, FactChecker)
        prompts = {p.id: p.messages[-1].content for p in read_prompts(inputs(self.prompts))}
        findings = build_findings(
            [_load(model, inputs) for model in self.models],
            self.predictions,
            title=self.title,
            study_id=Resolver().id(self),
            checker=checker,
            prompts=prompts,
        )
        findings = replace(findings, notes=(*self.notes, *findings.notes))
        for name, content in render(findings).items():
            write_text(out / name, content)
        write_json(out / "findings.json", json.loads(json.dumps(asdict(findings))))
        return {"num_models": len(self.models), "num_results": len(findings.results)}


def _load(model: ModelInputs, inputs: Callable[[object], Path]) -> ModelData:
    folders = {name: inputs(stage) for name, stage in model.scores}
    judgments: dict[float, list[Judgment]] = {}
    fitted: list[Judgment] = []
    if model.judgments is not None:
        for judgment in read_records(inputs(model.judgments) / "records.jsonl", Judgment):
            is_fitted = judgment.rater.startswith("fitted-")
            (fitted if is_fitted else judgments.setdefault(expertise_of(judgment.rater), [])).append(judgment)
    tokens = _tokens(model.training, inputs)
    return ModelData(
        arm=replace(model.arm, num_params=int(tokens.pop("num_params", 0))),
        seed=model.seed,
        scores={name: read_records(folder / "records.jsonl", Score) for name, folder in folders.items()},
        protocols={name: str(read_summary(folder)["protocol"]) for name, folder in folders.items()},
        answers=_answers(model.answers, inputs),
        judgments=judgments,
        fitted=fitted,
        tokens=tokens,
    )


def expertise_of(rater: str) -> float:
    """The expertise that a simulated rater's name carries (`simulated-e0.25-r1` -> 0.25)."""
    return float(rater.split("-e")[1].split("-")[0])


def _answers(stage: StageSpec | Artifact | None, inputs: Callable[[object], Path]) -> dict[str, str]:
    if stage is None:
        return {}
    folder = inputs(stage)
    cls = Response if folder.parent.name == "responses" else Generation
    return {row.prompt_id: row.text for row in read_records(folder / "records.jsonl", cls)}


def _tokens(training: tuple[StageSpec | Artifact, ...], inputs: Callable[[object], Path]) -> dict[str, float]:
    """Real token counts over all train stages of a model; size, steps and peak rate of the last; no clocks."""
    totals: dict[str, float] = {}
    for stage in training:
        for key, value in read_summary(inputs(stage)).items():
            if key in ("pretrain_tokens", "imitation_tokens", "replay_tokens"):
                totals[key] = totals.get(key, 0.0) + float(str(value))
            elif key in ("num_params", "num_steps", "peak_learning_rate"):
                totals[key] = float(str(value))
    return totals
