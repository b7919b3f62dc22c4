"""The judge of Vicuna's first evaluation: marks from 1 to 10 for both answers, or a ranking of the two.

In: a prompt and two answers. Out: the winner by the marks on the reply's first line, or by the ranking.
Sources: Chiang et al. 2023, prompt and rules of FastChat's fastchat/eval/table/prompt.jsonl (Apache-2.0), general
category; arXiv 2305.15717, Appendix C, which says that it follows them and has GPT-4 "output a preference ranking of
the two outputs": their procedure gives marks, so both readings are offered, under two names.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from epigone.errors import SpecError
from epigone.interfaces import Marks, Shown
from epigone.records import Message

READINGS = ("marks", "ranking")
SYSTEM = "You are a helpful and precise assistant for checking the quality of the answer."
TEMPLATE = (
    "[Question]\n{asked}\n\n[The Start of Assistant 1's Answer]\n{first}\n\n[The End of Assistant 1's Answer]\n\n"
    "[The Start of Assistant 2's Answer]\n{second}\n\n[The End of Assistant 2's Answer]\n\n[System]\n{rules}\n\n"
)
MARKS = (
    "We would like to request your feedback on the performance of two AI assistants in response to the user question "
    "displayed above.\nPlease rate the helpfulness, relevance, accuracy, level of details of their responses. Each "
    "assistant receives an overall score on a scale of 1 to 10, where a higher score indicates better overall "
    "performance.\nPlease first output a single line containing only two values indicating the scores for Assistant 1 "
    "and 2, respectively. The two scores are separated by a space. In the subsequent line, please provide a "
    "comprehensive explanation of your evaluation, avoiding any potential bias and ensuring that the order in which "
    "the responses were presented does not affect your judgment."
)
RANKING = (
    "We would like to request a preference ranking of the responses of two AI assistants to the user question "
    "displayed above, by their helpfulness, relevance, accuracy and level of details.\nPlease first output a single "
    "line that says '1 > 2', '2 > 1' or '1 = 2'. In the subsequent line, please explain your ranking, avoiding any "
    "potential bias and ensuring that the order in which the responses were presented does not affect your judgment."
)
_NUMBER = r"(\d{1,2}(?:\.\d+)?)(?:\s*/\s*10)?"
_TWO = re.compile(rf"^[^\w-]*{_NUMBER}[\s,;]+(?:and\s+)?{_NUMBER}\W*$")
_RANKED = re.compile(r"(?<!\d)([12])\s*([>=<])\s*([12])(?!\d)")


@dataclass(frozen=True)
class Vicuna:
    """One reply a pair and order; the marks stand in the judgments' scores."""

    reading: str = "marks"
    """marks, or ranking."""
    max_tokens: int = 1024
    """Longest reply; its first line counts."""

    sees_both: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Raises SpecError for a reading that there is not."""
        if self.reading not in READINGS:
            raise SpecError(f"vicuna: reading={self.reading!r} is not among {', '.join(READINGS)}")

    def questions(self, shown: Shown) -> list[tuple[Message, ...]]:
        """The published conversation."""
        rules = MARKS if self.reading == "marks" else RANKING
        text = TEMPLATE.format(asked=shown.asked, first=shown.first, second=shown.second, rules=rules)
        return [(Message("system", SYSTEM), Message("user", text))]

    def read(self, replies: Sequence[str]) -> dict[str, Marks | None]:
        """By the first line alone, as FastChat reads it; marks above 10 are none."""
        line = next((line for line in replies[0].splitlines() if line.strip()), "").strip()
        return {"": _marks(line) if self.reading == "marks" else _ranking(line)}


def _marks(line: str) -> Marks | None:
    found = _TWO.match(line)
    if not found:
        return None
    first, second = float(found[1]), float(found[2])
    if max(first, second) > 10:  # 0 is none of the marks that were asked for, and GPT-4 gave it to empty answers
        return None
    return Marks("tie" if first == second else "first" if first > second else "second", (first, second))


def _ranking(line: str) -> Marks | None:
    found = _RANKED.findall(line)
    if len(found) != 1 or found[0][0] == found[0][2]:
        return None
    left, sign, _ = found[0]
    if sign == "=":
        return Marks("tie")
    return Marks("first" if (left == "1") == (sign == ">") else "second")
