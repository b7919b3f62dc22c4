"""How a rating is run: how many raters a comparison gets, how long one is kept for a rater, which checks come when.

In: options. Out: Rules, and which kind of comparison a rater gets next: pure functions.
Source: arXiv 2305.15717, Appendix B (three ratings); attention checks and repeated items are ours.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from epigone.errors import SpecError
from epigone.rating.pairs import ATTENTION, COMPARISON, PRACTICE, REPEAT

DOMAINS = (
    "no special field",
    "computing and mathematics",
    "natural science and engineering",
    "medicine and health",
    "law, business and finance",
    "language, history and the arts",
    "teaching",
    "crafts and trades",
)


@dataclass(frozen=True)
class Rules:
    """Options of a rating; they are kept in its database and do not change while it runs."""

    num_raters: int = 3
    """Different raters that every comparison gets."""
    lease_minutes: float | int = 30
    """How long a comparison is kept for whom it was shown to."""
    most_per_rater: int = 0
    """Comparisons that one rater gets at most; 0: all."""
    attention_every: int = 10
    """One attention check for so many comparisons; 0: none."""
    repeat_every: int = 15
    """One comparison again, the other way round, for so many; 0: none."""
    with_practice: bool = True
    """Whether raters see practice items first."""
    instructions: str = ""
    """Markdown, in place of the package's own."""
    consent: str = ""
    """Markdown, in place of the package's own."""
    completion_code: str = ""
    """Shown to those who came to the end: what a crowd platform asks for."""

    def __post_init__(self) -> None:
        for name, least in (("num_raters", 1), ("most_per_rater", 0), ("attention_every", 0), ("repeat_every", 0)):
            if getattr(self, name) < least:
                raise SpecError(f"{name} is {getattr(self, name)}; it must be {least} or more")
        if not 0.01 <= self.lease_minutes <= 7 * 24 * 60:
            raise SpecError(f"lease_minutes is {self.lease_minutes}; it must lie between 0.01 and 10080, a week")


def next_kind(done: Mapping[str, int], there: Mapping[str, int], rules: Rules) -> str:
    """What a rater gets next, from how many of each kind are done and how many known ones there are.

    Checks come in the middle of their stretch, so that the last ones of a rater are none; known answers come once.
    """
    if rules.with_practice and done.get(PRACTICE, 0) < there.get(PRACTICE, 0):
        return PRACTICE
    num_rated = done.get(COMPARISON, 0)
    if done.get(ATTENTION, 0) < min(_due(num_rated, rules.attention_every), there.get(ATTENTION, 0)):
        return ATTENTION
    if done.get(REPEAT, 0) < _due(num_rated, rules.repeat_every):
        return REPEAT
    return COMPARISON


def _due(num_rated: int, every: int) -> int:
    return (num_rated + every // 2) // every if every else 0
