"""Judges whose ways are known, for tests: each a LanguageModel behind a component of its own module."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from epigone.records import Completion, Prompt, SamplingParams


@dataclass(frozen=True)
class Known:
    """Judges by `way`: longer (the longer answer is better), first (whatever is shown first), mumbling (the longer
    one, but every second prompt says so only when it is asked at a temperature)."""

    way: str = "longer"

    def generate(self, prompts: Sequence[Prompt], sampling: SamplingParams) -> list[Completion]:
        return [Completion(self._reply(p, sampling), 3, "stop") for p in prompts]

    def _reply(self, prompt: Prompt, sampling: SamplingParams) -> str:
        text = prompt.messages[-1].content
        one, two = (re.search(rf"<answer {n}>\n(.*?)\n</answer {n}>", text, re.S)[1] for n in (1, 2))
        number = int(re.search(r"p(\d+)", prompt.id)[1])
        if self.way == "mumbling" and number % 2 and (number == 1 or not sampling.temperature):
            return "I could not say which of the two I like better."
        winner = "1" if self.way == "first" or len(one) > len(two) else "2" if len(two) > len(one) else "EQUAL"
        return f"One is better than the other.\nVERDICT: {winner}"
