"""generate: a model's answers to a file of prompts, once; style, facts and preference are all measured on these.

In: a model (backend), prompts. Out: `generations/`: records.jsonl in the order of the prompts; raw.jsonl, what each
answer took: tokens, seconds, and dollars where a server's price is known. The paper calls the teacher "faster, cheaper,
and more accurate" (arXiv 2305.15717, section 1): here are the first two, of teacher, base and student alike.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from epigone.formats.messages import read_prompts
from epigone.interfaces import LanguageModel, ServedModel
from epigone.records import Completion, Generation, Prompt, SamplingParams
from epigone.spec import Component, Input
from epigone.store import write_records


@dataclass(frozen=True, slots=True)
class Took:
    """What one answer took. Seconds are those from its turn to its end; None where nobody counted."""

    prompt_id: str
    tokens_in: int | None
    tokens_out: int
    seconds: float | None
    usd: float | None


@dataclass(frozen=True)
class Generate:
    """Options of a generation."""

    model: Component
    """Who answers: a component of `backends`."""
    prompts: Input
    """JSON lines of conversations that end in a user turn."""
    name: str
    """What the model is called in records."""
    max_tokens: int = 128
    """Longest answer."""
    temperature: float = 0.0
    """0 is greedy."""
    seed: int = 0
    """Of sampled answers."""

    kind: ClassVar[str] = "generations"
    version: ClassVar[int] = 2

    @property
    def slug(self) -> str:
        """Model and prompts."""
        return f"{self.name}-{Path(self.prompts.path).stem}".replace("_", "-")

    @property
    def effort(self) -> float:
        """Seconds on one core, roughly."""
        return 1.5

    def run(self, inputs: Callable[[object], Path], out: Path) -> dict[str, object]:
        """Answer every prompt."""
        model = self.model.make(inputs)
        assert isinstance(model, LanguageModel)
        prompts = read_prompts(inputs(self.prompts))
        sampling = SamplingParams(max_tokens=self.max_tokens, temperature=self.temperature, seed=self.seed)
        started = time.monotonic()
        completions = model.generate(prompts, sampling)
        seconds = time.monotonic() - started
        records = [
            Generation(p.id, p.messages, c.text, c.finish_reason, self.name)
            for p, c in zip(prompts, completions, strict=True)
        ]
        write_records(out / "records.jsonl", records)
        took = list(_took(model, prompts, completions, sampling))
        write_records(out / "raw.jsonl", took)
        known = sorted(each.seconds for each in took if each.seconds is not None)
        costs = [each.usd for each in took if each.usd is not None]
        return {
            "num_prompts": len(prompts),
            "num_empty": sum(not r.text.strip() for r in records),
            "num_cut": sum(r.finish_reason == "length" for r in records),
            "num_tokens": sum(c.num_tokens for c in completions),
            "generating_seconds": round(seconds, 3),
            "median_seconds": round(known[len(known) // 2], 3) if known else None,
            "usd": sum(costs) if len(costs) == len(took) else None,
        }


def _took(
    model: LanguageModel, prompts: Sequence[Prompt], completions: Sequence[Completion], sampling: SamplingParams
) -> Iterator[Took]:
    """Of a server what it billed, which is asked of the answers that it gave already; of others what was counted."""
    raws = [reply.raw for reply in model.replies(prompts, sampling)] if isinstance(model, ServedModel) else []
    for place, (prompt, completion) in enumerate(zip(prompts, completions, strict=True)):
        raw = raws[place] if raws else None
        counted = completion.num_tokens if raw is None or raw.tokens_out is None else raw.tokens_out
        seconds = completion.seconds if raw is None else raw.seconds
        yield Took(prompt.id, raw.tokens_in if raw else None, counted, seconds, raw.usd if raw else None)
