"""report: scores and judgments of a study's models -> findings, a report, and every item with all answers to it.

In: the artifacts of every model of a study. Out: `studies/`: report.html, findings.json, figures/, tables/; items.html
with items/. Holds derived figures only, so it may be deleted and rebuilt at any time; the same inputs give the same
bytes.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import ClassVar

from epigone.formats.messages import read_prompts
from epigone.interfaces import FactChecker, StageSpec
from epigone.records import Arm, Findings, Generation, Judgment, Prediction, Response, Score
from epigone.reporting.analysis_examples import compared
from epigone.reporting.document import render
from epigone.reporting.evaluated import named
from epigone.reporting.evidence import Evidence
from epigone.reporting.findings import ModelData, build_findings
from epigone.reporting.items.files import files
from epigone.reporting.items.study import study_items
from epigone.reporting.items.telling import Chooser, Count
from epigone.reporting.links import Beside, artifacts_of
from epigone.reporting.pictures import with_pictures
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
    version: ClassVar[int] = 2

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
        models = self.read(inputs)
        findings = build_findings(
            models,
            self.predictions,
            title=self.title,
            study_id=Resolver().id(self),
            checker=checker,
            prompts=prompts,
        )
        findings = replace(findings, notes=(*self.notes, *findings.notes))
        beside = self._write_items(models, prompts, checker, findings, out)
        for name, content in with_pictures(render(findings, beside)):
            write_text(out / name, content)
        write_json(out / "findings.json", json.loads(json.dumps(asdict(findings))))
        counts: dict[str, object] = {"num_models": len(self.models), "num_results": len(findings.results)}
        return counts | {"num_items": beside.num_items}

    def read(self, inputs: Callable[[object], Path]) -> list[ModelData]:
        """Everything that was measured, by model."""
        return [_load(model, inputs) for model in self.models]

    def _write_items(
        self, models: list[ModelData], prompts: dict[str, str], checker: FactChecker, findings: Findings, out: Path
    ) -> Beside:
        """The pages of items, a file at a time; what the report must know of them."""
        evidence = Evidence(findings)
        labels = {arm.name: evidence.label(arm) for arm in evidence.arms}
        items = study_items(models, prompts, checker, title=self.title, study_id=findings.study_id, labels=labels)
        teacher, base, student = compared(models)
        items = replace(items, lead=tuple(filter(None, (teacher, base, student))))
        chooser, counted = Chooser(teacher, base, student), Count()
        for name, content in files(items, (chooser.see, counted.see)):
            write_text(out / name, content)
        names: dict[str, tuple[str, ...]] = {}
        for model in models:
            names[model.arm.name] = (*names.get(model.arm.name, ()), named(model))
        lead = tuple(filter(None, (teacher, base)))
        return Beside(counted.num_items, chooser.chosen(), names, lead, artifacts_of(items, models))


def _load(model: ModelInputs, inputs: Callable[[object], Path]) -> ModelData:
    folders = {name: inputs(stage) for name, stage in model.scores}
    judgments: dict[float, list[Judgment]] = {}
    fitted: list[Judgment] = []
    if model.judgments is not None:
        for judgment in read_records(inputs(model.judgments) / "records.jsonl", Judgment):
            is_fitted = judgment.rater.startswith("fitted-")
            (fitted if is_fitted else judgments.setdefault(expertise_of(judgment.rater), [])).append(judgment)
    tokens = _tokens(model.training, inputs)
    others = {"answers": model.answers, "judgments": model.judgments}
    found = folders | {name: inputs(stage) for name, stage in others.items() if stage is not None}
    found |= {f"training {number}": inputs(stage) for number, stage in enumerate(model.training, 1)}
    return ModelData(
        arm=replace(model.arm, num_params=int(tokens.pop("num_params", 0))),
        seed=model.seed,
        scores={name: read_records(folder / "records.jsonl", Score) for name, folder in folders.items()},
        protocols={name: str(read_summary(folder)["protocol"]) for name, folder in folders.items()},
        answers=_answers(model.answers, inputs),
        judgments=judgments,
        fitted=fitted,
        artifacts={name: f"{folder.parent.name}/{folder.name}" for name, folder in found.items()},
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
