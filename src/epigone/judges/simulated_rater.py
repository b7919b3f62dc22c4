"""Simulated raters: an expertise between looking at the form of an answer only (0) and at its substance only (1).

In: a prompt and two answers. Out: one Judgment a rater, all marked simulated.
They stand in for the crowd workers and GPT-4 of arXiv 2305.15717 (Figures 1 and 3) where neither can be asked. That a
naive rater looks at form is built in, after the paper's account of why raters are deceived (section 4.4); that form
rises with imitation, that facts do not, and by how much, is not. All weights below are a choice, fixed before any
outcome was seen and tuned to none.
"""

import functools
import itertools
import math
import re
from dataclasses import dataclass
from typing import Literal

from epigone.errors import SpecError
from epigone.interfaces import FactChecker
from epigone.metrics import style
from epigone.metrics.drawing import uniforms
from epigone.records import Claim, Judgment, Prompt, Verdict

# Form, 0-1: shares that sum to 1.
WEIGHT_LENGTH, WEIGHT_LIST, WEIGHT_OPENING, WEIGHT_CLOSING, WEIGHT_ON_TOPIC, WEIGHT_FLUENT = (
    0.25,
    0.2,
    0.1,
    0.15,
    0.2,
    0.1,
)
COMFORTABLE_WORDS = (40, 400)  # shorter looks thin in proportion; longer tires, down to nothing at ten times as long
NUM_CLAIMS_CONVINCING = 2.0  # right minus wrong claims at which substance has gone 76 % of the way from neutral

POSITION = 0.02  # what being shown first is worth
NOISE_SCALE = 0.05  # of the logistic noise on the difference of two answers (standard deviation .09)
EQUAL_WITHIN = 0.05  # a perceived difference this small is called equal

TOPIC_WORD_LETTERS = 4
ITEM_MARK = re.compile(r"\s*(?:[-*\u2022]|\(?\d{1,3}[.)])\s")


@dataclass(frozen=True)
class SimulatedRater:
    """A panel of simulated raters of one expertise. Blind: models' names only seed the coin and the noise."""

    expertise: float
    """Weight of substance against form, 0-1."""
    checker: FactChecker
    """Finds the claims of an answer and whether they are true."""
    seed: int = 0
    """Seed of the order and the noise."""
    num_raters: int = 3
    """Ratings a comparison."""

    def __post_init__(self) -> None:
        if not 0 <= self.expertise <= 1 or self.num_raters < 1:
            raise SpecError(
                f"expertise is 0-1 and num_raters at least 1, got {self.expertise!r} and {self.num_raters!r}"
            )

    def compare(self, prompt: Prompt, a: tuple[str, str], b: tuple[str, str]) -> list[Judgment]:
        """One Judgment a rater. Which of `a` and `b` a model is passed as makes no difference."""
        asked = prompt.text or (prompt.messages[-1].content if prompt.messages else "")
        ahead = self._utility(asked, a[1]) - self._utility(asked, b[1])
        return [self._judge(prompt.id, (a[0], b[0]), ahead, number) for number in range(1, self.num_raters + 1)]

    def _utility(self, asked: str, answer: str) -> float:
        naive, expert = 1 - self.expertise, self.expertise
        return naive * form(asked, answer) + (expert * substance(self.checker.check(answer, asked)) if expert else 0.0)

    def _judge(self, prompt_id: str, models: tuple[str, str], ahead: float, number: int) -> Judgment:
        coin, luck = uniforms(self.seed, prompt_id, number, *sorted(models))
        first: Literal["a", "b"] = "a" if (coin < 0.5) == (models[0] <= models[1]) else "b"
        sign = 1.0 if first == "a" else -1.0
        noise = NOISE_SCALE * math.log(luck / (1 - luck))
        perceived = ahead + sign * (POSITION + noise)
        verdict: Verdict = "tie" if abs(perceived) < EQUAL_WITHIN else "a" if perceived > 0 else "b"
        rater = f"simulated-e{self.expertise:g}-r{number}"
        return Judgment(prompt_id, models[0], models[1], verdict, rater, first, simulated=True)


def substance(claims: list[Claim]) -> float:
    """What an expert sees, 0-1: 0.5 without a claim, up with right ones, down with wrong and off-topic ones."""
    right = claims.count("right")
    return 0.5 + 0.5 * math.tanh((right - (len(claims) - right)) / NUM_CLAIMS_CONVINCING)


@functools.lru_cache(maxsize=16384)
def form(asked: str, answer: str) -> float:
    """How an answer looks to someone who cannot tell whether it is true, 0-1; an empty answer is 0."""
    if not answer.strip():
        return 0.0
    seen = style.features(answer)
    lines = [line for line in answer.splitlines() if line.strip()]
    opens = len(lines) > 1 and not ITEM_MARK.match(lines[0])
    return (
        WEIGHT_LENGTH * _length(seen.num_words)
        + WEIGHT_LIST * seen.has_list
        + WEIGHT_OPENING * opens
        + WEIGHT_CLOSING * seen.has_summary
        + WEIGHT_ON_TOPIC * _on_topic(asked, seen)
        + WEIGHT_FLUENT * _fluent(answer)
    )


def _length(num_words: int) -> float:
    shortest, longest = COMFORTABLE_WORDS
    if num_words <= longest:
        return min(1.0, num_words / shortest)
    return max(0.0, 1 - math.log10(num_words / longest))


def _on_topic(asked: str, seen: style.Features) -> float:
    topic = {word for word in style.WORD.findall(asked.lower()) if len(word) >= TOPIC_WORD_LETTERS}
    return sum(word in seen.words for word in topic) / len(topic) if topic else 1.0


def _fluent(answer: str) -> float:
    """Share of word pairs that are no repetition, halved where the last sentence does not end."""
    words = style.WORD.findall(answer.lower())
    pairs = list(itertools.pairwise(words))
    fresh = len(set(pairs)) / len(pairs) if pairs else 1.0
    return fresh if answer.rstrip().endswith((".", "!", "?", "```")) else fresh / 2
