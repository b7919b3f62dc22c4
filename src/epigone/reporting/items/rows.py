"""The nouns of a study's items: who answered what, how it was scored, marked and voted on.

In: nothing. Out: frozen dataclasses. The items of a benchmark are made one by one when they are asked for, so that a
study of many items is never held as text.
Source: Figure 2 of arXiv 2305.15717 for sentences that are marked; the rest is ours.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from epigone.records import ArmRole, Sentence

Outcome = Literal["right", "wrong", "part", ""]
PAGE = "items.html"
FACTS = "stated_facts"
"""The benchmark of the facts in free answers; its scores stand with the answers."""
FREE = "free_answers"
"""The answers to the free prompts, which stand among the benchmarks."""


def outcome_of(value: float | None) -> Outcome:
    """A score of 1 is right, 0 wrong, between them part; none, or one that is no share of 0-1, says neither."""
    if value is None or not 0 <= value <= 1:
        return ""
    return "right" if value == 1 else "wrong" if value == 0 else "part"


@dataclass(frozen=True, slots=True)
class Who:
    """A model of the study; `name` is its own within it, `label` what people read."""

    name: str
    role: ArmRole
    label: str


@dataclass(frozen=True, slots=True)
class Votes:
    """What one rater, or a panel, found of a model's answer beside another's."""

    who: str
    against: str
    wins: int
    ties: int
    losses: int


@dataclass(frozen=True, slots=True)
class Said:
    """One model's answer to one item. `prompt` only where it was asked in other words than the item says."""

    model: str
    reply: str
    outcome: Outcome = ""
    parsed: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict[str, float])
    prompt: str = ""
    sentences: tuple[Sentence, ...] = ()
    votes: tuple[Votes, ...] = ()


@dataclass(frozen=True, slots=True)
class AnsweredItem:
    """One item with all answers to it."""

    id: str
    prompt: str
    said: tuple[Said, ...]
    group: str = ""


@dataclass(frozen=True, slots=True)
class BenchmarkItems:
    """A benchmark's items in order, and what each model's scores lie in."""

    name: str
    label: str
    items: Callable[[], Iterable[AnsweredItem]]
    words: tuple[str, str] = ("right", "wrong")
    """What a score of 1 and a score of 0 mean."""
    artifacts: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    """Ids by model name."""
    protocols: Mapping[str, str] = field(default_factory=dict[str, str])
    """Protocol id by model name."""


@dataclass(frozen=True, slots=True)
class StudyItems:
    """Everything that a study asked: its models in the order in which they are shown, its benchmarks."""

    title: str
    study_id: str
    models: tuple[Who, ...]
    benchmarks: tuple[BenchmarkItems, ...]
    lead: tuple[str, ...] = ()
    """Names of the models that are shown at first."""
