"""judge: two models' answers to the same prompts, compared blind (section 4.1, Figures 1 and 3 of the paper).

In: a student's generations, the teacher's responses, judges. Out: `judgments/`: records.jsonl, one Judgment a rater.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from epigone.errors import WorkError
from epigone.interfaces import Judge as JudgeComponent
from epigone.interfaces import StageSpec
from epigone.records import Generation, Judgment, Prompt, Response
from epigone.spec import Artifact, Component
from epigone.store import read_records, write_records


@dataclass(frozen=True)
class Judge:
    """Options of a comparison."""

    student: StageSpec | Artifact
    """A generations artifact, or responses (the teacher's second sample)."""
    teacher: StageSpec | Artifact
    """A responses artifact."""
    judges: tuple[Component, ...]
    """Who compares: components of `judges`."""
    name: str
    """The student, for people."""
    minimum_coverage: float = 0.8
    """Share of the prompts (0-1) that both must have answered; below it the stage fails."""

    kind: ClassVar[str] = "judgments"
    version: ClassVar[int] = 1

    @property
    def slug(self) -> str:
        """The student."""
        return f"{self.name}-vs-teacher"

    @property
    def effort(self) -> float:
        """Seconds on one core, roughly."""
        return 0.25

    def run(self, inputs: Callable[[object], Path], out: Path) -> dict[str, object]:
        """Compare every prompt that both answered; an empty answer is missing, never a loss.

        Raises WorkError where too few were answered.
        """
        student_folder = inputs(self.student)
        cls = Response if "responses" in student_folder.parts else Generation
        answers = {r.prompt_id: r for r in read_records(student_folder / "records.jsonl", cls)}
        references = read_records(inputs(self.teacher) / "records.jsonl", Response)
        pairs = [(answers[r.prompt_id], r) for r in references if r.prompt_id in answers]
        answered = [(a, r) for a, r in pairs if a.text.strip() and r.text.strip()]
        if not answered or len(answered) < self.minimum_coverage * len(references):
            raise WorkError(
                f"{self.name}: {len(answered)} of {len(references)} prompts were answered by both student and teacher, "
                f"at least {self.minimum_coverage:.0%} are needed; see the empty answers with `epigone show "
                f"{student_folder}`, or lower minimum_coverage"
            )
        judgments: list[Judgment] = []
        for component in self.judges:
            judge = component.make(inputs)
            assert isinstance(judge, JudgeComponent)
            for answer, reference in answered:
                prompt = Prompt(reference.prompt_id, messages=reference.messages)
                judgments += judge.compare(prompt, (answer.model, answer.text), (reference.model, reference.text))
        write_records(out / "records.jsonl", judgments)
        return {"num_prompts": len(references), "num_compared": len(answered), "num_judgments": len(judgments)}
