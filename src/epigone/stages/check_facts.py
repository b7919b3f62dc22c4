"""check_facts: is each sentence of a model's answers true, and does it sound as if its author knew?

In: generations or responses; a model that is asked as the judge, or a rule that finds claims (`FactChecker`). Out:
`scores/`: records.jsonl, one Score an answer; sentences.jsonl, every sentence with its truth and tone; dropped.jsonl,
sentences of which nothing could be read (missing, never a finding); raw.jsonl, every reply, from which
`backends/replay` gives the same again, to be read anew with nothing paid.
Source: Figure 2 of arXiv 2305.15717; `epigone.fact_checking`, `epigone.metrics.facts`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import ClassVar

from epigone import fact_checking
from epigone.errors import SpecError, WorkError
from epigone.fact_checking import Answer, Reading
from epigone.interfaces import FactChecker, LanguageModel, StageSpec
from epigone.metrics.answers import protocol_id
from epigone.metrics.facts import by_answer, factuality
from epigone.metrics.sentences import CheckedSentence, sentences_of
from epigone.recordings.given import answers_in, references_in, text_asked
from epigone.records import Drop, SamplingParams, Score
from epigone.spec import Artifact, Component, Input
from epigone.store import write_records
from epigone.synthesis.recorder import Recorder

AGAIN = 0.7
"""Temperature at which an unreadable reply is asked for again: at 0 the same would come."""


@dataclass(frozen=True)
class CheckFacts:
    """Options of checking answers; exactly one of `model` and `checker` is given."""

    answers: StageSpec | Artifact
    """One model's generations or responses."""
    rater: str
    """What the judge or the rule is called."""
    model: Component | None = None
    """Who judges: a component of `backends`."""
    checker: Component | None = None
    """Or a rule that finds claims and their truth, such as `testbed/claims`."""
    called: str = ""
    """What the model that answered is called; empty: as recorded."""
    references: Input | None = None
    """Right answers where they are known: JSON lines of prompt_id and reference; shown to the judge."""
    max_tokens: int = 1024
    """Longest reply of the judge, on 20 sentences at once."""
    num_retries: int = 1
    """How often an unreadable reply is asked for again."""
    limit: int = 0
    """Check only the first answers (0: all)."""
    minimum_coverage: float | int = 0.0
    """Share of the sentences of which the truth must be read; below it the stage fails."""

    kind: ClassVar[str] = "scores"
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        """Raises SpecError where it is not said who checks, or by what the references are to be used."""
        if (self.model is None) == (self.checker is None):
            raise SpecError("sentences are checked by a model or by a rule: give one of model and checker")
        if self.checker is not None and self.references is not None:
            raise SpecError("a rule reads no references: leave them out, or have a model check")

    @property
    def slug(self) -> str:
        """Whose answers, who checked."""
        return "-".join(filter(None, ("facts", self.called, self.rater))).replace("_", "-").replace("/", "-")

    @property
    def effort(self) -> float:
        """Seconds on one core, roughly."""
        return 5.0

    def run(self, inputs: Callable[[object], Path], out: Path) -> dict[str, object]:
        """Check. Raises WorkError where nothing was answered, or too little could be read."""
        answers, name, num_empty = self._answers(inputs)
        if self.checker is not None:
            checker = self.checker.make(inputs)
            if not isinstance(checker, FactChecker):
                raise SpecError(f"{self.checker.name} finds no claims: a component with `check` is needed")
            readings = [fact_checking.by_rule(checker, answer) for answer in answers]
        else:
            assert self.model is not None
            model = self.model.make(inputs)
            assert isinstance(model, LanguageModel)
            recorder = Recorder(model, self.rater, out / "raw")
            readings = self._asked(recorder, answers)
            recorder.finish(out / "raw.jsonl")
        sentences = list(_sentences(answers, readings))
        unread = [row for row in sentences if row.truth is None]
        write_records(out / "sentences.jsonl", sentences)
        write_records(out / "dropped.jsonl", [_drop(row) for row in unread])
        if len(sentences) - len(unread) < self.minimum_coverage * len(sentences):
            raise WorkError(
                f"{self.rater}: {len(unread)} of {len(sentences)} sentences were not read, {self.minimum_coverage:.0%} "
                f"are needed; look at {out / 'dropped.jsonl'}, and ask a model that follows instructions"
            )
        counts = by_answer(sentences)
        write_records(
            out / "records.jsonl",
            [Score(a.prompt_id, counts[a.prompt_id].metrics(), a.asked, a.text) for a in answers],
        )
        whole = asdict(factuality(list(counts.values())))
        estimates = {k: v for k in ("wrong", "doubtful", "authoritative") if (v := whole.pop(k)) is not None}
        shape = {"ask": fact_checking.ASK, "rater": self.rater, "references": self.references is not None}
        told = {"protocol": protocol_id("facts", **shape), "model": name, "rater": self.rater, "num_empty": num_empty}
        return {**told, "num_items": len(answers), **whole, "estimates": estimates}

    def _answers(self, inputs: Callable[[object], Path]) -> tuple[list[Answer], str, int]:
        """The answers that hold a sentence, whose they are, and how many are empty."""
        rows = list(answers_in(inputs(self.answers)).values())[: self.limit or None]
        references = references_in(inputs(self.references)) if self.references else {}
        found = [
            Answer(
                row.prompt_id,
                text_asked(row),
                row.text,
                tuple(sentences_of(row.text)),
                references.get(row.prompt_id, ""),
            )
            for row in rows
            if row.text.strip()
        ]
        if not found:
            raise WorkError(f"{self.slug}: not one of {len(rows)} answers holds a sentence; nothing can be checked")
        return found, self.called or rows[0].model, len(rows) - len(found)

    def _asked(self, recorder: Recorder, answers: Sequence[Answer]) -> list[list[Reading]]:
        """What the judge says; about a sentence that could not be read it is asked again, and what it said stays."""
        prompts = [fact_checking.questions(answer) for answer in answers]
        places = [(n, k) for n, each in enumerate(prompts) for k in range(len(each))]
        readings = [[Reading()] * len(answer.sentences) for answer in answers]
        for attempt in range(1 + self.num_retries):
            again = f"/again {attempt}" if attempt else ""
            asked = [replace(prompts[n][k], id=prompts[n][k].id + again) for n, k in places]
            sampling = SamplingParams(self.max_tokens, temperature=AGAIN if attempt else 0.0, seed=1000 * attempt)
            for (n, k), reply in zip(places, recorder.generate(asked, sampling), strict=True):
                said = fact_checking.read(reply.text, len(answers[n].sentences))
                for at in fact_checking.part_of(k, len(said)):
                    readings[n][at] = said[at] if readings[n][at].truth is None else readings[n][at]
            places = [
                (n, k)
                for n, k in places
                if any(readings[n][at].truth is None for at in fact_checking.part_of(k, len(readings[n])))
            ]
        return readings


def _sentences(answers: Sequence[Answer], readings: Sequence[Sequence[Reading]]) -> Iterator[CheckedSentence]:
    for answer, each in zip(answers, readings, strict=True):
        for place, (part, reading) in enumerate(zip(answer.sentences, each, strict=True)):
            yield CheckedSentence(answer.prompt_id, place, part.text, part.begins, *reading)


def _drop(row: CheckedSentence) -> Drop:
    return Drop(f"{row.prompt_id} sentence {row.place + 1}", "unreadable reply", row.text[:200])
