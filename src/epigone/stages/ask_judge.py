"""ask_judge: a language model compares two models' answers to the same prompts, blind, in both orders.

In: two generations or responses, a judge, who is asked as the judge. Out: `judgments/`: records.jsonl; dropped.jsonl,
what could not be read (missing, never a verdict); raw.jsonl, every reply, from which `backends/replay` gives the same
again, to be read anew with nothing paid. A reply that cannot be read is asked for again, then missing.
Source: arXiv 2305.15717, section 4.1 and Appendix C; `epigone.judging`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from epigone import judging
from epigone.errors import SpecError, WorkError
from epigone.interfaces import AskedJudge, LanguageModel, StageSpec
from epigone.judging import Look, Pair
from epigone.recordings.given import answers_in, references_in, text_asked
from epigone.records import Prompt, SamplingParams
from epigone.spec import Artifact, Component, Input
from epigone.store import write_records
from epigone.synthesis.recorder import Recorder

AGAIN = 0.7
"""Temperature at which an unreadable reply is asked for again: at 0 the same would come."""


@dataclass(frozen=True)
class AskJudge:
    """Options of a comparison by a model."""

    a: StageSpec | Artifact
    """One model's generations or responses."""
    b: StageSpec | Artifact
    """The other's."""
    judge: Component
    """How it judges: a component of `judges` that asks."""
    model: Component
    """Who judges: a component of `backends`."""
    rater: str
    """What the judge is called."""
    names: tuple[str, str] = ("", "")
    """What the models are called; empty: as recorded."""
    num_repeats: int = 1
    """How often each order is asked, with other seeds; more than once needs a temperature."""
    temperature: float | int = 0.0
    """Of the replies."""
    num_retries: int = 1
    """How often an unreadable reply is asked for again."""
    limit: int = 0
    """Judge only the first prompts (0: all)."""
    references: Input | None = None
    """Right answers where they are known: JSON lines of prompt_id and reference."""
    minimum_coverage: float | int = 0.0
    """Share of the looks that must be read; below it the stage fails."""

    kind: ClassVar[str] = "judgments"
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        """Raises SpecError for repeats that would all say the same."""
        if self.num_repeats < 1 or (self.num_repeats > 1 and self.temperature == 0):
            raise SpecError(
                f"num_repeats={self.num_repeats} at temperature {self.temperature}: at 0 every repeat says the same"
            )

    @property
    def slug(self) -> str:
        """Who judged, how."""
        return f"{self.rater}-{self.judge.name}".replace("_", "-").replace("/", "-")

    @property
    def effort(self) -> float:
        """Seconds on one core, roughly."""
        return 5.0

    def run(self, inputs: Callable[[object], Path], out: Path) -> dict[str, object]:
        """Ask, and read. Raises WorkError where no prompt has two answers, or too little could be read."""
        judge, model = self.judge.make(inputs), self.model.make(inputs)
        if not isinstance(judge, AskedJudge):
            raise SpecError(f"judges/{self.judge.name} asks nobody: it stands in `judge` alone")
        assert isinstance(model, LanguageModel)
        model = judging.asked_by(judge, model, is_recorded=self.model.name == "replay")
        pairs, names, num_left_out = self._pairs(inputs)
        asked = judging.looks(judge, pairs, self.num_repeats)
        recorder = Recorder(model, self.rater, out / "raw")
        replies = self._replies(judge, recorder, asked)
        judgments, drops, tallies = judging.read(judge, asked, replies, names, self.rater)
        recorder.finish(out / "raw.jsonl")
        write_records(out / "records.jsonl", judgments)
        write_records(out / "dropped.jsonl", drops)
        num_looks = sum(tally.num_looks for tally in tallies.values())
        if num_looks - len(drops) < self.minimum_coverage * num_looks:
            raise WorkError(
                f"{self.rater}: {len(drops)} of {num_looks} readings found no verdict, {self.minimum_coverage:.0%} are "
                f"needed; look at {out / 'dropped.jsonl'}, and ask a model that follows instructions"
            )
        shape = {"repeats": self.num_repeats, "temperature": self.temperature, "retries": self.num_retries}
        return {
            "protocol": judging.protocol_of(self.judge.name, judge, **shape),
            "models": list(names),
            "num_pairs": len(pairs),
            "num_left_out": num_left_out,
            "num_judgments": len(judgments),
            "num_unread": len(drops),
            "criteria": {criterion or "better": tally.told() for criterion, tally in tallies.items()},
        }

    def _pairs(self, inputs: Callable[[object], Path]) -> tuple[list[Pair], tuple[str, str], int]:
        """Prompts that both answered, the models' names, how many were left out since one answer is empty."""
        one, two = (answers_in(inputs(side)) for side in (self.a, self.b))
        references = references_in(inputs(self.references)) if self.references else {}
        shared = [prompt_id for prompt_id in one if prompt_id in two]
        filled = [p for p in shared if one[p].text.strip() and two[p].text.strip()]
        if not filled:
            raise WorkError(f"{self.slug}: not one prompt was answered by both; are they answers to the same prompts?")
        names = (self.names[0] or one[filled[0]].model, self.names[1] or two[filled[0]].model)
        if names[0] == names[1]:
            raise SpecError(f"both models are called {names[0]!r}; give them names, NAME=PATH")
        chosen = filled[: self.limit or None]
        pairs = [Pair(p, text_asked(one[p], two[p]), one[p].text, two[p].text, references.get(p, "")) for p in chosen]
        return pairs, names, len(shared) - len(filled)

    def _replies(self, judge: AskedJudge, recorder: Recorder, asked: Sequence[Look]) -> list[list[str]]:
        """The text of every reply; an unreadable one is asked for again, and the last one stands."""
        prompts = judging.questions(judge, asked)
        found: list[list[str]] = [[] for _ in asked]
        for repeat in sorted({look.repeat for look in asked}):
            places = [place for place, look in enumerate(asked) if look.repeat == repeat]
            self._ask(recorder, prompts, places, found, self._sampling(judge, self.temperature, repeat))
        for attempt in range(1, self.num_retries + 1):
            places = list(judging.unread(judge, asked, found))
            again = [[replace(prompt, id=f"{prompt.id}/again {attempt}") for prompt in each] for each in prompts]
            sampling = self._sampling(judge, self.temperature or AGAIN, 1000 * attempt)
            self._ask(recorder, again, places, found, sampling)
        return found

    def _sampling(self, judge: AskedJudge, temperature: float | int, seed: int) -> SamplingParams:
        return SamplingParams(judge.max_tokens, temperature=temperature, seed=seed)

    def _ask(
        self,
        recorder: Recorder,
        prompts: Sequence[Sequence[Prompt]],
        places: Sequence[int],
        found: list[list[str]],
        sampling: SamplingParams,
    ) -> None:
        flat = [prompt for place in places for prompt in prompts[place]]
        texts = iter([completion.text for completion in recorder.generate(flat, sampling)])
        for place in places:
            found[place] = [next(texts) for _ in prompts[place]]
