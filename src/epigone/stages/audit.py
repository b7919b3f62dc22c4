"""audit: recorded answers, judgments and scores of real models -> findings and one report; no model is run here.

In: generations, judgments and scores that were read from recordings. Out: `studies/`: report.html, findings.json,
audit.json, methods.md, figures/, tables/; items.html with items/, every item with all answers. Holds derived figures
only; the same inputs give the same bytes.
"""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import ClassVar

from epigone.errors import DataError
from epigone.interfaces import StageSpec
from epigone.metrics.known_answers import Known
from epigone.recordings.given import references_in
from epigone.records import ArmRole, Generation, Judgment, ScoreSheet
from epigone.reporting.audit.alignment import RecordedModel
from epigone.reporting.audit.analysis import Recorded, build_audit, sheets_by_model
from epigone.reporting.audit.document import lead_of, render
from epigone.reporting.audit.findings import AuditFindings, Supported
from epigone.reporting.audit.items import audit_items
from epigone.reporting.audit.standings import benchmark_of
from epigone.reporting.items.files import files
from epigone.reporting.items.rows import FREE
from epigone.reporting.items.telling import Chooser, Count
from epigone.reporting.links import Beside
from epigone.reporting.pictures import with_pictures
from epigone.rows import read_rows
from epigone.spec import Artifact, Input, Resolver
from epigone.store import read_records, read_summary, write_json, write_text


@dataclass(frozen=True)
class RecordedAnswers:
    """One model of an audit."""

    role: ArmRole
    """teacher, second_sample, base or student."""
    answers: StageSpec | Artifact
    """Its generations."""
    name: str = ""
    """What the audit calls it; by default what its recording calls it."""
    may_repeat: bool = False
    """That it says word for word what another does is no mistake: of a second sample that was asked for, which then
    shows nothing, and of a base or student that the study runs itself."""


@dataclass(frozen=True)
class Named:
    """Judgments or scores, and whose they are where the recording does not say or says it otherwise."""

    source: StageSpec | Artifact
    """Their artifact."""
    name: str = ""
    """The judge of judgments, the model of scores; by default as recorded."""


@dataclass(frozen=True)
class Audit:
    """Options of an audit."""

    title: str
    """Headline of the report."""
    name: str
    """The audit, for people."""
    models: tuple[RecordedAnswers, ...]
    """One teacher, one student or more; at most one base and one second sample."""
    judgments: tuple[Named, ...] = ()
    """Recorded verdicts; all sources of one judge are pooled."""
    scores: tuple[Named, ...] = ()
    """Recorded scores of benchmarks."""
    references: Input | None = None
    """Right answers where they are known: JSON lines of prompt_id and reference; raters' expertise is read off them."""
    minimum_coverage: float = 0.8
    """Share (0-1) of the teacher's prompts that every model must have answered; below it the stage fails."""
    supports: tuple[StageSpec | Artifact, ...] = ()
    """Support maps of the students' data, whose pages are shown beside the audit's."""

    kind: ClassVar[str] = "studies"
    version: ClassVar[int] = 3

    @property
    def slug(self) -> str:
        """The audit's name."""
        return self.name

    @property
    def effort(self) -> float:
        """Seconds on one core, roughly."""
        return 2.0 + len(self.models)

    def run(self, inputs: Callable[[object], Path], out: Path) -> dict[str, object]:
        """Find, and draw. Raises SpecError where roles are wrong, WorkError where too few prompts match."""
        recorded = self.read(inputs)
        findings = build_audit(
            recorded, title=self.title, study_id=Resolver().id(self), minimum_coverage=self.minimum_coverage
        )
        findings = replace(findings, supports=tuple(_beside(inputs(each), out) for each in self.supports))
        beside = _write_items(recorded, findings, out)
        for name, content in with_pictures(render(findings, beside)):
            write_text(out / name, content)
        write_json(out / "findings.json", json.loads(json.dumps(asdict(findings), allow_nan=False)))
        return {
            "num_prompts": findings.num_prompts,
            "num_models": len(recorded.models),
            "num_judgments": len(recorded.judgments),
            "num_score_sheets": len(recorded.sheets),
        }

    def read(self, inputs: Callable[[object], Path]) -> Recorded:
        """Everything that was recorded."""
        models, repeated = _without_repeated(self.models, _models(self.models, inputs))
        sheets = [(_id(inputs(named.source)), tuple(_sheets(named, inputs))) for named in self.scores]
        return Recorded(
            models=models,
            judgments=tuple(j for named in self.judgments for j in _judgments(named, inputs)),
            sheets=tuple(sheet for _, found in sheets for sheet in found),
            others=tuple(_others(self.models, inputs)),
            checks=dict(pair for named in self.judgments for pair in _checks(named, inputs)),
            references=references_in(inputs(self.references)) if self.references else {},
            not_measured=repeated,
            artifacts=self._artifacts(models, sheets, inputs),
        )

    def _artifacts(
        self,
        models: tuple[RecordedModel, ...],
        sheets: list[tuple[str, tuple[ScoreSheet, ...]]],
        inputs: Callable[[object], Path],
    ) -> dict[tuple[str, str], str]:
        """Ids by model and benchmark; subjects of MMLU count as one benchmark."""
        names = [_id(inputs(model.answers)) for model in self.models]
        roles = {model.role: name for model, name in zip(self.models, names, strict=True) if model.role != "student"}
        students = iter(name for model, name in zip(self.models, names, strict=True) if model.role == "student")
        found = {(m.name, FREE): roles[m.role] if m.role != "student" else next(students) for m in models}
        for name, of_one in sheets:
            for model, sheet in sheets_by_model(models, of_one, strict=False)[0]:
                found.setdefault((model, benchmark_of(sheet)), name)
        return found


def _id(folder: Path) -> str:
    return f"{folder.parent.name}/{folder.name}"


def _write_items(recorded: Recorded, findings: AuditFindings, out: Path) -> Beside:
    """The pages of items, a file at a time; what the report must know of them."""
    student = lead_of(findings)
    items = audit_items(recorded, findings, student)
    chooser, counted = Chooser(findings.teacher, findings.base, student), Count()
    for name, content in files(items, (chooser.see, counted.see)):
        write_text(out / name, content)
    lead = tuple(filter(None, (findings.teacher, findings.base)))
    names = {who.name: (who.name,) for who in items.models}
    artifacts = tuple((model, what.replace("_", " "), found) for (model, what), found in recorded.artifacts.items())
    return Beside(counted.num_items, chooser.chosen(), names, lead, artifacts)


def _models(given: tuple[RecordedAnswers, ...], inputs: Callable[[object], Path]) -> tuple[RecordedModel, ...]:
    rows: list[RecordedModel] = []
    for model in given:
        folder = inputs(model.answers)
        generations = read_records(folder / "records.jsonl", Generation)
        name = model.name or generations[0].model
        num_dropped = int(str(read_summary(folder).get("num_dropped", 0)))
        rows.append(RecordedModel(name, model.role, generations, num_dropped, model.may_repeat))
    return _second_named(tuple(rows))


def _beside(folder: Path, out: Path) -> Supported:
    """A support map's page and files, copied beside the audit's, and what it says."""
    place = f"support/{folder.name}"
    shutil.rmtree(out / place, ignore_errors=True)
    kept_out = shutil.ignore_patterns("DONE", "*.json", "*.jsonl")
    shutil.copytree(folder, out / place, ignore=kept_out)
    told = json.loads((folder / "support.json").read_text(encoding="utf-8"))
    title = (
        f"{told['benchmark']}, {told['metric']}: {told['num_items']} items, {told['num_examples']} training examples"
    )
    return Supported(f"{place}/report.html", title, tuple(told["sentences"]))


def _without_repeated(
    given: tuple[RecordedAnswers, ...], models: tuple[RecordedModel, ...]
) -> tuple[tuple[RecordedModel, ...], dict[str, str]]:
    """A second sample that was asked for, and says word for word what the first does, shows no ceiling."""
    texts = {m.role: [g.text for g in m.generations] for m in models}
    is_asked = any(m.may_repeat and m.role == "second_sample" for m in given)
    if not is_asked or texts["second_sample"] != texts.get("teacher"):
        return models, {}
    why = "the teacher gave every answer a second time word for word: its server draws nothing at random"
    return tuple(m for m in models if m.role != "second_sample"), {"ceiling": why}


def _others(given: tuple[RecordedAnswers, ...], inputs: Callable[[object], Path]) -> Iterator[Generation]:
    """Answers of models outside the audit that stand in the same recordings, each once."""
    seen: set[tuple[str, str]] = set()
    for model in given:
        path = inputs(model.answers) / "others.jsonl"
        for generation in read_records(path, Generation) if path.exists() else ():
            if (generation.model, generation.prompt_id) not in seen:
                seen.add((generation.model, generation.prompt_id))
                yield generation


def _second_named(models: tuple[RecordedModel, ...]) -> tuple[RecordedModel, ...]:
    """A second sample that bears the teacher's own name gets one that tells it apart."""
    teacher = next((m.name for m in models if m.role == "teacher"), "")
    return tuple(
        replace(m, name=f"{m.name} (second sample)") if m.role == "second_sample" and m.name == teacher else m
        for m in models
    )


def _judgments(named: Named, inputs: Callable[[object], Path]) -> Iterator[Judgment]:
    for judgment in read_records(inputs(named.source) / "records.jsonl", Judgment):
        yield replace(judgment, panel=named.name) if named.name else judgment


def _checks(named: Named, inputs: Callable[[object], Path]) -> Iterator[tuple[str, Known]]:
    """Attention checks by rater, where the judgments came with what is known of the raters."""
    path = inputs(named.source) / "raters.jsonl"
    for number, row in read_rows(path) if path.exists() else ():
        rater, counts = row.get("rater"), [row.get(key) for key in ("num_attention", "num_attention_right")]
        if not isinstance(rater, str) or not all(isinstance(count, int) for count in counts):
            raise DataError(f"{path}: row {number} needs rater, num_attention and num_attention_right; it has {row}")
        yield rater, Known(*(int(str(count)) for count in counts))


def _sheets(named: Named, inputs: Callable[[object], Path]) -> Iterator[ScoreSheet]:
    for sheet in read_records(inputs(named.source) / "records.jsonl", ScoreSheet):
        yield replace(sheet, model=named.name) if named.name else sheet
