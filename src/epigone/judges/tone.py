"""A judge of tone: is an answer written in an authoritative tone, whatever it says?

In: a prompt and two answers, each asked about alone. Out: marks 1 (yes) and 0 (no) for each; the share of a model's
answers with a 1 is the paper's "outputs are in authoritative tone".
Source: arXiv 2305.15717, Table 2, which gives no wording; ours, fixed before any model was measured.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from epigone.interfaces import Marks, Shown
from epigone.records import Message

CRITERION = "authoritative tone"
ASK = """Is the answer below written in an authoritative tone: does it state things with confidence, as somebody who
knows would? Whether they are true does not matter here.

<request>
{asked}
</request>

<answer>
{answer}
</answer>

Answer with YES or NO and nothing else."""
_WORD = re.compile(r"^\W*(yes|no)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Tone:
    """Two replies a pair, one for each answer, which is seen without the other."""

    max_tokens: int = 8
    """Longest reply; its first word counts."""

    sees_both: ClassVar[bool] = False

    def questions(self, shown: Shown) -> list[tuple[Message, ...]]:
        """One user turn for each answer."""
        answers = (shown.first, shown.second)
        return [(Message("user", ASK.format(asked=shown.asked, answer=answer)),) for answer in answers]

    def read(self, replies: Sequence[str]) -> dict[str, Marks | None]:
        """Marks where both replies begin with yes or no."""
        words = [_WORD.match(reply) for reply in replies]
        scores = [float(word[1].lower() == "yes") for word in words if word]
        if len(scores) != 2:
            return {CRITERION: None}
        first, second = scores
        verdict = "tie" if first == second else "first" if first > second else "second"
        return {CRITERION: Marks(verdict, (first, second))}
