"""The nouns of a description: everything that its page and its JSON object are made from.

In: nothing. Out: frozen dataclasses of plain values.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from epigone.metrics.categories import RaterAgreement, Shares
from epigone.metrics.corpus import Contents
from epigone.metrics.diversity import Diversity, DiversityPoint
from epigone.metrics.query_sample import SampledQuery


@dataclass(frozen=True, slots=True)
class Dropped:
    """How many rows one rule left out for one reason; `rule` is empty where a row could not be read."""

    rule: str
    reason: str
    num: int


@dataclass(frozen=True, slots=True)
class Ledger:
    """What a curation read, kept and dropped."""

    num_read: int
    num_kept: int
    dropped: tuple[Dropped, ...]

    @property
    def num_dropped(self) -> int:
        """All that was dropped."""
        return sum(drop.num for drop in self.dropped)

    @property
    def adds_up(self) -> bool:
        """Whether read = kept + dropped."""
        return self.num_read == self.num_kept + self.num_dropped


@dataclass(frozen=True, slots=True)
class SampledTurn:
    """A turn of a sampled conversation as far as it is shown; `is_cut` where more follows."""

    speaker: str
    text: str
    is_cut: bool


@dataclass(frozen=True, slots=True)
class SampledConversation:
    """A conversation of the sample, its first turns; `num_more` turns follow."""

    id: str
    turns: tuple[SampledTurn, ...]
    num_more: int


@dataclass(frozen=True, slots=True)
class Described:
    """One dataset; `label` names it on the page, `id` is its artifact's."""

    label: str
    id: str
    contents: Contents
    diversity: tuple[Diversity, ...]
    ledger: Ledger | None
    samples: tuple[SampledConversation, ...]
    queries: tuple[SampledQuery, ...]
    shares: tuple[Shares, ...]


@dataclass(frozen=True, slots=True)
class Description:
    """One dataset, or two side by side."""

    title: str
    study_id: str
    datasets: tuple[Described, ...]
    tokenizer: str
    """Who counted tokens; empty where words stand in for them."""
    seed: int
    agreements: tuple[RaterAgreement, ...] = ()
    num_unmatched: int = 0
    """Labels that were given and belong to no sampled query."""
    missing: Sequence[tuple[str, str]] = ()
    """What is not there, and why."""

    @property
    def equal_amount(self) -> int:
        """The largest N at which all datasets have a point of the curve; 0 where there is none."""
        curves = [d.diversity[0] for d in self.datasets if d.diversity]
        if len(curves) < len(self.datasets):
            return 0
        shared = set.intersection(*({p.num_queries for p in curve.points} for curve in curves))
        return max(shared, default=0)

    def points(self, curve: int, num_queries: int) -> list[DiversityPoint | None]:
        """Of every dataset, the point of one of its curves at one N."""
        return [d.diversity[curve].at(num_queries) for d in self.datasets]
