"""Toxicity: conversations in which some scorer finds a turn toxic are dropped.

In: conversations, which stream, and a ToxicityScorer (a component of `toxicity`). Out: the same, toxic ones as Drops
with the score.
Source: none in the paper (arXiv 2305.15717), whose data is unfiltered in this respect; the threshold 0.5 is that of
RealToxicityPrompts (arXiv 2009.11462, section 2). Limits are the scorer's: read its docstring first.
A turn is as toxic as its most toxic line, so that a long turn is not toxic for its length, nor cut by a model's.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from epigone.curation import Turns, texts_of
from epigone.errors import SpecError
from epigone.interfaces import ToxicityScorer
from epigone.records import Conversation, Drop


@dataclass(frozen=True)
class Toxicity:
    """Drops a conversation when a line of the turns that count scores at or above the threshold, or has no score."""

    scorer: ToxicityScorer
    """Who scores: a component of `toxicity`."""
    threshold: float = 0.5
    """Toxicity, 0-1, from which a conversation is dropped."""
    turns: Turns = "all"
    """Which turns are scored: the `first` query, every query (`user`), or `all` turns."""

    def __post_init__(self) -> None:
        if not 0 < self.threshold <= 1:
            raise SpecError(f"threshold {self.threshold!r}: a toxicity above 0 and up to 1 is needed")

    def apply(self, conversations: Iterable[Conversation]) -> Iterator[Conversation | Drop]:
        """Every conversation goes out once, in order."""
        for conversation in conversations:
            lines = [line for text in texts_of(conversation, self.turns) for line in text.splitlines() if line.strip()]
            scores = self.scorer.toxicity(lines) if lines else []
            highest = max((score for score in scores if score is not None), default=0.0)
            if highest >= self.threshold:
                yield Drop(conversation.id, "toxic", f"toxicity {highest:.2f} of at most {self.threshold:.2f}")
            elif None in scores:
                yield Drop(
                    conversation.id, "toxicity not known", f"the scorer has no score for {scores.count(None)} lines"
                )
            else:
                yield conversation
