"""Several answers of one model to one prompt, put in order by a judge who compares them two by two.

In: a judge, a prompt, different answers. Out: a Ranking. Pure but for the judge. Source: the choice of samples in
arXiv 2307.09288, section 3.2.3, with comparisons in place of a reward model's marks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from epigone.interfaces import Judge
from epigone.records import Message, Prompt

_SHARES = {"a": 1.0, "tie": 0.5, "b": 0.0}


@dataclass(frozen=True, slots=True)
class Ranking:
    """Different answers of one model to one prompt, best first, with their points in a judge's comparisons."""

    prompt_id: str
    messages: tuple[Message, ...]
    answers: tuple[str, ...]
    points: tuple[float, ...]

    @property
    def is_decided(self) -> bool:
        """Whether the best answer is worth more than the worst."""
        return self.points[0] > self.points[-1]


def ranked(judge: Judge, prompt: Prompt, answers: Sequence[str]) -> Ranking:
    """By points: 1 for a comparison that was won, a half for a tie, the mean over raters; equal points as they came."""
    points = [0.0] * len(answers)
    for one, other in combinations(range(len(answers)), 2):
        judgments = judge.compare(prompt, (f"sample-{one}", answers[one]), (f"sample-{other}", answers[other]))
        shares = [_SHARES[judgment.verdict] for judgment in judgments]
        if shares:
            points[one] += sum(shares) / len(shares)
            points[other] += 1 - sum(shares) / len(shares)
    order = sorted(range(len(answers)), key=lambda at: (-points[at], at))
    return Ranking(
        prompt.id, prompt.messages, tuple(answers[at] for at in order), tuple(round(points[at], 6) for at in order)
    )
