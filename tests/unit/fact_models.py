"""A judge of sentences whose ways are known, for tests: a LanguageModel that is a component of its own module."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from epigone.records import Completion, Prompt, SamplingParams


@dataclass(frozen=True)
class Marking:
    """Finds wrong what holds a digit, no claim in what ends in a question mark, all else right; unsure is what holds a
    "maybe". With `mumbling` it says nothing of every second sentence unless it is asked at a temperature, and never
    anything of one with "unspeakable" in it."""

    mumbling: bool = False

    def generate(self, prompts: Sequence[Prompt], sampling: SamplingParams) -> list[Completion]:
        return [Completion(self._reply(p.messages[-1].content, sampling), 3, "stop") for p in prompts]

    def _reply(self, text: str, sampling: SamplingParams) -> str:
        listed = re.search(r"<sentences>\n(.*)\n</sentences>", text, re.S)[1]
        lines = [re.fullmatch(r"\[(\d+)\] (.*)", line).groups() for line in listed.splitlines()]
        spoken = [(number, sentence) for number, sentence in lines if self._speaks(int(number), sentence, sampling)]
        return "\n".join(["Let me see.", *(f"{number}: {self._word(sentence)}" for number, sentence in spoken)])

    def _speaks(self, number: int, sentence: str, sampling: SamplingParams) -> bool:
        if "unspeakable" in sentence:
            return False
        return not self.mumbling or number % 2 == 1 or sampling.temperature > 0

    def _word(self, sentence: str) -> str:
        truth = "NONE" if sentence.endswith("?") else "WRONG" if re.search(r"\d", sentence) else "CORRECT"
        return f"{truth}, {'NO' if 'maybe' in sentence else 'YES'}"
