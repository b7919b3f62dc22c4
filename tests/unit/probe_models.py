"""Models whose knowledge is known, for tests: each a LanguageModel that is a component of its own module."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from epigone.records import Completion, Prompt, SamplingParams
from epigone.rows.choices import LETTERS, read_split


@dataclass(frozen=True)
class Answering:
    """Answers MMLU's questions in chat form. By `way`: `letter` knows the published letter of every question that it
    recognises by its words, `option` the right option's text, wherever it stands and whatever the question says."""

    path: str
    """The published files."""
    way: str = "letter"

    def generate(self, prompts: Sequence[Prompt], sampling: SamplingParams) -> list[Completion]:
        items = {item.id: item for items in read_split(Path(self.path), "test").values() for item in items}
        return [Completion(self._said(p.messages[-1].content, items.get(p.id)), 1, "stop") for p in prompts]

    def _said(self, text: str, item) -> str:
        if item is None:
            return "A"
        if self.way == "letter":
            return LETTERS[item.label] if item.question in text else "I do not know this one."
        listed = re.findall(r"^([A-D])\. (.*?)(?=\n[A-D]\. |\nAnswer:)", text, re.M | re.S)[-4:]
        return next(letter for letter, option in listed if option == item.options[item.label])


@dataclass(frozen=True)
class Rewording:
    """Says a question in other words: it turns the words around, leaves numbers in, and now and then says nothing."""

    def generate(self, prompts: Sequence[Prompt], sampling: SamplingParams) -> list[Completion]:
        return [Completion(self._said(p.messages[-1].content, len(p.id)), 1, "stop") for p in prompts]

    def _said(self, text: str, length: int) -> str:
        question = re.search(r"<question>\n(.*)\n</question>", text, re.S)[1]
        if "which" in question.lower():
            return "I would rather not."
        return f"Here you are.\nQUESTION: Now then, {' '.join(reversed(question.split(' ')))}"
