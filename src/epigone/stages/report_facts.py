"""report_facts: several models' checked answers -> Figure 2's page, shares of wrong sentences, who won all the same.

In: artifacts of `check_facts` beside the answers that they checked, and judgments. Out: `studies/`: report.html,
facts.json, tables/. Holds derived figures only; the same inputs give the same bytes.
Source: arXiv 2305.15717, Figure 2.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar

from epigone.errors import SpecError
from epigone.interfaces import StageSpec
from epigone.metrics.sentences import CheckedSentence
from epigone.records import ArmRole, Generation, Judgment
from epigone.reporting.audit.alignment import Aligned, RecordedModel, align, keys_of, matched_judgments
from epigone.reporting.facts import Checked, FactsFindings, Votes, render
from epigone.spec import Artifact, Resolver
from epigone.store import read_records, read_summary, write_json, write_text


@dataclass(frozen=True)
class CheckedModel:
    """One model's answers, and what was found in them."""

    answers: StageSpec | Artifact
    """Its generations."""
    checked: StageSpec | Artifact
    """The artifact of `check_facts`."""
    name: str = ""
    """What the page calls it; by default what its recording calls it."""


@dataclass(frozen=True)
class ReportFacts:
    """Options of the page."""

    models: tuple[CheckedModel, ...]
    """Side by side in this order; prompts are those of the first."""
    judgments: tuple[StageSpec | Artifact, ...] = ()
    """Verdicts on these models' answers."""
    title: str = "What the answers claim"
    """Headline of the page."""
    num_examples: int = 8
    """Prompts that are shown side by side."""

    kind: ClassVar[str] = "studies"
    version: ClassVar[int] = 1

    @property
    def slug(self) -> str:
        """The page."""
        return "facts"

    @property
    def effort(self) -> float:
        """Seconds on one core, roughly."""
        return 1.0

    def run(self, inputs: Callable[[object], Path], out: Path) -> dict[str, object]:
        """Line up, count, draw. Raises SpecError where answers were checked by different judges or ways of asking."""
        first, *others = self.models  # whose prompts the others are lined up with, as an audit's with its teacher's
        recorded = [_recorded(first, "teacher", inputs), *(_recorded(each, "student", inputs) for each in others)]
        aligned = align(recorded, 0.0)
        checked = tuple(
            _checked(m, inputs(each.checked), aligned) for m, each in zip(recorded, self.models, strict=True)
        )
        if len(protocols := {each.protocol for each in checked}) > 1:
            raise SpecError(
                f"answers that were checked in different ways are not compared: {', '.join(sorted(protocols))}"
            )
        findings = FactsFindings(
            title=self.title,
            study_id=Resolver().id(self),
            prompts=dict(zip(aligned.prompt_ids, aligned.prompts, strict=True)),
            models=checked,
            votes=tuple(vote for source in self.judgments for vote in _votes(inputs(source), aligned)),
            num_examples=self.num_examples,
        )
        for path, content in render(findings).items():
            write_text(out / path, content)
        told: dict[str, object] = {
            "models": [{"model": name, **asdict(found)} for name, found in findings.factuality.items()],
            "preferred_though_wrong": [
                {"judgments": source, "model": a, "against": b, **asdict(found)}
                for source, a, b, found in findings.preferred
            ],
        }
        write_json(out / "facts.json", told)
        return told


def _recorded(model: CheckedModel, role: ArmRole, inputs: Callable[[object], Path]) -> RecordedModel:
    generations = read_records(inputs(model.answers) / "records.jsonl", Generation)
    return RecordedModel(model.name or generations[0].model, role, generations)


def _checked(model: RecordedModel, folder: Path, aligned: Aligned) -> Checked:
    """Its sentences under the page's prompt ids; of prompts that the first model lacks under their own."""
    keys = {g.prompt_id: next((key for key in keys_of(g) if key in aligned.place_of), "") for g in model.generations}
    sentences: defaultdict[str, list[CheckedSentence]] = defaultdict(list)
    for row in read_records(folder / "sentences.jsonl", CheckedSentence):
        key = keys.get(row.prompt_id, "")
        sentences[aligned.prompt_ids[aligned.place_of[key]] if key else row.prompt_id].append(row)
    summary = read_summary(folder)
    kept = {prompt_id: tuple(rows) for prompt_id, rows in sentences.items()}
    return Checked(model.name, str(summary["rater"]), str(summary["protocol"]), kept)


def _votes(folder: Path, aligned: Aligned) -> Sequence[Votes]:
    """Judgments by who judged and by what criterion."""
    found: defaultdict[str, list[Judgment]] = defaultdict(list)
    for judgment in matched_judgments(aligned, read_records(folder / "records.jsonl", Judgment))[0]:
        by = judgment.panel or ("people" if judgment.is_person else judgment.rater)
        found[", ".join(filter(None, (by, judgment.criterion)))].append(judgment)
    return [Votes(name, tuple(rows)) for name, rows in sorted(found.items())]
