"""A model that writes down what it is asked, slowly: for tests that stop an evaluation in its middle."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from epigone.records import Completion, Prompt, SamplingParams


@dataclass(frozen=True)
class Slow:
    """Says the last word of the question."""

    log: str
    """A file that gets a line a call: the ids of its prompts."""
    seconds: float | int = 0.0
    """How long a call takes."""

    def generate(self, prompts: Sequence[Prompt], sampling: SamplingParams) -> list[Completion]:
        with Path(self.log).open("a") as handle:
            handle.write(json.dumps([prompt.id for prompt in prompts]) + "\n")
        time.sleep(self.seconds)
        return [Completion(f" {prompt.text.split()[-2]}", 1, "stop") for prompt in prompts]
