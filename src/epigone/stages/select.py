"""select: the prompts that a teacher is to be asked, out of many: at random, or where it differs most from the base.

In: prompts; for `disagreement` the base model and the teacher, who answer a few of them first. Out: `prompts/`:
records.jsonl, the chosen Prompts in the order of asking; choices.jsonl, of every prompt why; answers.jsonl, what was
answered. The probes count: both ways of choosing ask the teacher for the same number of answers.
Source: `epigone.synthesis.selection`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy

from epigone.errors import DataError, SpecError, WorkError
from epigone.formats.messages import read_prompts
from epigone.interfaces import LanguageModel, ServedModel
from epigone.records import Prompt, Response, SamplingParams
from epigone.spec import Component, Input
from epigone.store import write_records
from epigone.synthesis.selection import ORDERS, Values, disagreement, order_of, random_order


@dataclass(frozen=True, slots=True)
class Choice:
    """A prompt, and why it is or is not chosen."""

    prompt_id: str
    is_chosen: bool
    disagreement: float | None
    """Of a probe, measured, 0-1; None where an answer was empty, and for every other prompt."""


@dataclass(frozen=True)
class Select:
    """Options of choosing prompts."""

    prompts: Input
    """JSON lines of conversations that end in a user turn."""
    num: int
    """How many are chosen."""
    by: str = "random"
    """random, or disagreement."""
    base: Component | None = None
    """For disagreement: the base model, a component of `backends`."""
    teacher: Component | None = None
    """For disagreement: the teacher."""
    num_probes: int = 0
    """Prompts that both answer first, at random; they are chosen. 0: a fifth of `num`."""
    max_tokens: int = 512
    """Longest answer of a probe; as in `collect`, so that an answer that was paid for is found again."""
    temperature: float | int = 1.0
    """Of the probes' answers; as in `collect`."""
    seed: int = 0
    """Draws the probes; for random, all."""
    name: str = "selected"
    """What the selection is called."""

    kind: ClassVar[str] = "prompts"
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if self.by not in ORDERS:
            raise SpecError(f"prompts are chosen by {' or '.join(ORDERS)}, not by {self.by!r}")
        if self.by == "disagreement" and not (self.base and self.teacher):
            raise SpecError("disagreement needs both who answers as the base and who answers as the teacher")
        if not 0 <= self.num_probes <= self.num or self.num < 1:
            raise SpecError(f"{self.num_probes} probes of {self.num} prompts: at least one prompt, no more probes")

    @property
    def slug(self) -> str:
        """Name, way of choosing, how many."""
        return f"{self.name}-{self.by}-{self.num}"

    @property
    def effort(self) -> float:
        """Seconds on one core, roughly."""
        return 10.0 if self.by == "disagreement" else 0.1

    def run(self, inputs: Callable[[object], Path], out: Path) -> dict[str, object]:
        """Choose. Raises DataError where there are fewer prompts, WorkError where no probe got two answers."""
        path = inputs(self.prompts)
        prompts = read_prompts(path)
        if len(prompts) < self.num:
            raise DataError(f"{path} holds {len(prompts)} prompts, {self.num} are to be chosen; choose fewer")
        shuffled = random_order(len(prompts), self.seed)
        probes, measured = list[int](), numpy.zeros(0)
        order = shuffled
        if self.by == "disagreement":
            probes = shuffled[: self.num_probes or max(1, self.num // 5)]
            measured = self._measured([prompts[at] for at in probes], inputs, out)
            order = order_of([p.messages[-1].content for p in prompts], probes, measured, self.seed)
        chosen = order[: self.num]
        write_records(out / "records.jsonl", [prompts[at] for at in chosen])
        write_records(out / "choices.jsonl", _choices(prompts, chosen, dict(zip(probes, measured.tolist()))))
        known = measured[~numpy.isnan(measured)]
        return {
            "num_prompts": len(prompts),
            "num_kept": self.num,
            "num_probes": len(probes),
            "mean_disagreement": round(float(known.mean()), 6) if len(known) else None,
        }

    def _measured(self, probes: Sequence[Prompt], inputs: Callable[[object], Path], out: Path) -> Values:
        sampling = SamplingParams(self.max_tokens, self.temperature)
        answers: dict[str, list[Response]] = {}
        for role, component in (("base", self.base), ("teacher", self.teacher)):
            model = component.make(inputs) if component else None
            assert isinstance(model, LanguageModel)
            answers[role] = [
                Response(prompt.id, prompt.messages, text, ended, role)
                for prompt, (text, ended) in zip(probes, _asked(model, probes, sampling), strict=True)
            ]
        write_records(out / "answers.jsonl", [*answers["base"], *answers["teacher"]])
        measured = disagreement([r.text for r in answers["base"]], [r.text for r in answers["teacher"]])
        if numpy.isnan(measured).all():
            raise WorkError(f"not one of {len(probes)} probes got an answer of both; ask for longer answers, or others")
        return measured


def _asked(model: LanguageModel, probes: Sequence[Prompt], sampling: SamplingParams) -> list[tuple[str, str]]:
    """Text and why it ended, of each probe; one that a server failed at has no text, and says nothing of the two."""
    if isinstance(model, ServedModel):
        replies = model.replies(probes, sampling)
        return [(r.completion.text, r.completion.finish_reason) if r.completion else ("", r.reason) for r in replies]
    return [(completion.text, completion.finish_reason) for completion in model.generate(probes, sampling)]


def _choices(prompts: Sequence[Prompt], chosen: Sequence[int], measured: dict[int, float]) -> list[Choice]:
    rest = sorted(set(range(len(prompts))) - set(chosen))
    return [
        Choice(prompts[at].id, place < len(chosen), _or_none(measured.get(at)))
        for place, at in enumerate([*chosen, *rest])
    ]


def _or_none(value: float | None) -> float | None:
    return None if value is None or numpy.isnan(value) else value
