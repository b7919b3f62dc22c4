"""A judge whose verdict is read from how likely its model finds each of three letters, not from what it writes.

In: a prompt and two answers. Out: the likeliest of A (the first), B (the second) and C (equal), with the probabilities
of A and B among the three. A model too small to write a verdict can be measured so; a server of chat alone cannot.
Source: options scored by their letter as in MMLU (Hendrycks et al. 2021, arXiv 2009.03300); the wording is ours, both
orders as in Zheng et al. 2023 (arXiv 2306.05685), section 3.4.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from epigone.errors import SpecError
from epigone.interfaces import Marks, Shown
from epigone.judging import TWO_ANSWERS
from epigone.records import Message

FORMS = ("chat", "text")
ASK = f"""{TWO_ANSWERS}

Which is better?
A: answer 1
B: answer 2
C: they are equally good
"""
CHAT, TEXT = "Reply with one letter: A, B or C.", "Letter:"
_MEANING = {"A": "first", "B": "second", "C": "tie"}
_LINE = re.compile(r"^([ABC]) (-?\d+(?:\.\d+)?)$", re.MULTILINE)


@dataclass(frozen=True)
class Likelihood:
    """One reading a pair and order."""

    form: str = "chat"
    """chat: a user's turn, the letter begins the reply; text: plain text, for base models and servers with echo."""

    sees_both: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Raises SpecError for a form that there is not."""
        if self.form not in FORMS:
            raise SpecError(f"likelihood: form={self.form!r} is not among {', '.join(FORMS)}")

    @property
    def max_tokens(self) -> int:
        """One letter."""
        return 1

    @property
    def continuations(self) -> tuple[str, ...]:
        """What is weighed behind the question: the letters, in plain text behind a blank."""
        return tuple(_MEANING) if self.form == "chat" else tuple(f" {letter}" for letter in _MEANING)

    @property
    def is_text(self) -> bool:
        """Whether the question is continued as plain text."""
        return self.form == "text"

    def questions(self, shown: Shown) -> list[tuple[Message, ...]]:
        """One user turn; in plain text its content alone is given."""
        asked = ASK.format(asked=shown.asked, first=shown.first, second=shown.second)
        return [(Message("user", asked + (CHAT if self.form == "chat" else TEXT)),)]

    def read(self, replies: Sequence[str]) -> dict[str, Marks | None]:
        """By `LETTER LOG-PROBABILITY` a line; None unless all three are there. A tie of A and B at the top is a tie."""
        found = {letter: float(value) for letter, value in _LINE.findall(replies[0])}
        if found.keys() != _MEANING.keys():
            return {"": None}
        top = max(found.values())
        weights = {letter: math.exp(value - top) for letter, value in found.items()}
        best = [_MEANING[letter] for letter, value in found.items() if value == top]
        total = sum(weights.values())
        return {"": Marks(best[0] if len(best) == 1 else "tie", (weights["A"] / total, weights["B"] / total))}
