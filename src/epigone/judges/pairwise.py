"""A judge that says which of two answers is better, or that they are equal.

In: a prompt and two answers. Out: the verdict on the reply's last marked line, after its reasons.
Source: the form of Zheng et al. 2023 (arXiv 2306.05685), pairwise comparison with ties; the wording is ours.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from epigone.interfaces import Marks, Shown
from epigone.judging import TWO_ANSWERS
from epigone.records import Message

ASK = f"""{TWO_ANSWERS}

Give your reasons in one or two sentences. Then end with one of these lines and nothing behind it:
VERDICT: 1
VERDICT: 2
VERDICT: EQUAL"""
_VERDICT = re.compile(r"^\W*verdict\W*:?\W*(?:answer\s*)?(1|2|equal|tie)\W*$", re.IGNORECASE | re.MULTILINE)
_BARE = re.compile(r"^\W*(?:answer\s*)?(1|2|equal|tie)\W*$", re.IGNORECASE)
_MEANING = {"1": "first", "2": "second", "equal": "tie", "tie": "tie"}


@dataclass(frozen=True)
class Pairwise:
    """One reply a pair and order."""

    max_tokens: int = 512
    """Longest reply; the verdict stands at its end."""

    sees_both: ClassVar[bool] = True

    def questions(self, shown: Shown) -> list[tuple[Message, ...]]:
        """One user turn."""
        return [(Message("user", ASK.format(asked=shown.asked, first=shown.first, second=shown.second)),)]

    def read(self, replies: Sequence[str]) -> dict[str, Marks | None]:
        """The one verdict of the reply; a reply that names several different ones has none."""
        found = {_MEANING[word.lower()] for word in _VERDICT.findall(replies[0])}
        bare = _BARE.match(replies[0])
        if not found and bare:
            found = {_MEANING[bare[1].lower()]}
        return {"": Marks(found.pop()) if len(found) == 1 else None}
