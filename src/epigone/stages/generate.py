"""generate: a model's answers to a file of prompts, once; style, facts and preference are all measured on these.

In: a model (backend), prompts. Out: `generations/`: records.jsonl in the order of the prompts.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from epigone.formats.messages import read_prompts
from epigone.interfaces import LanguageModel
from epigone.records import Generation, SamplingParams
from epigone.spec import Component, Input
from epigone.store import write_records


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
    version: ClassVar[int] = 1

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
        return {
            "num_prompts": len(prompts),
            "num_empty": sum(not r.text.strip() for r in records),
            "num_cut": sum(r.finish_reason == "length" for r in records),
            "num_tokens": sum(c.num_tokens for c in completions),
            "generating_seconds": round(seconds, 3),
        }
