"""Rounds of prompts, until there are examples enough or too few new ones come.

In: who makes a round's candidates out of what was kept so far, who finds a candidate old, a filter against leaks. Out:
`Grown`. A round is drawn from (seed, number of the round, what was kept before it), so that a run that was cut off asks
the same again, and all of its prompts can be in flight at once.
Source: Appendix A of the paper (arXiv 2305.15717) and Wang et al. 2022 (arXiv 2212.10560), neither of which stops by a
rule; the rule is ours: the mean yield of the last rounds.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, runtime_checkable

import numpy

from epigone.errors import SpecError
from epigone.interfaces import Filter, Grown, Rounds, RoundYield
from epigone.records import Conversation, Drop, DroppedConversation, Message, Prompt

PARSER, LEAKS, DUPLICATES, ENOUGH = "parser", "leaks", "duplicates", "enough"
"""Who left out an example: `filter` of a DroppedConversation."""
REACHED, POOR, SPENT = "all that were wanted", "the yield fell", "no more prompts allowed"

Candidate = Conversation | DroppedConversation
Draw = Callable[[int, int, Sequence[Conversation]], list[Candidate]]
"""Number of the round, prompts in it, what was kept before it -> every example of its replies, in order."""


@runtime_checkable
class Novelty(Protocol):
    """Knows what is there already."""

    def reasons(self, candidates: Sequence[Conversation]) -> list[tuple[str, str]]:
        """For each candidate, beside what is known and the candidates before it: reason and detail, or ("", "").

        Those without a reason are known from now on.
        """
        ...


class Unrepeated:
    """Conversations of which none comes twice, message for message."""

    def __init__(self) -> None:
        self._seen: dict[tuple[Message, ...], str] = {}

    def reasons(self, candidates: Sequence[Conversation]) -> list[tuple[str, str]]:
        """("pair comes twice", as which) of those that were there before."""
        first = [self._seen.setdefault(each.messages, each.id) for each in candidates]
        return [
            ("", "") if name == each.id else ("pair comes twice", f"as {name}")
            for name, each in zip(first, candidates, strict=True)
        ]


def grow(draw: Draw, novelty: Novelty, rounds: Rounds, leaks: Filter | None) -> Grown:
    """Draw, leave out leaks and then duplicates, until a rule ends it. Raises SpecError for rounds that cannot be."""
    _check(rounds)
    kept: list[Conversation] = []
    dropped: list[DroppedConversation] = []
    yields: list[RoundYield] = []
    while not (ended := _ended(rounds, yields)):
        num_asked = sum(each.num_asked for each in yields)
        left = rounds.max_prompts - num_asked if rounds.max_prompts else rounds.prompts_per_round
        num_prompts = min(rounds.prompts_per_round, left)
        fresh, refused = sift(draw(len(yields), num_prompts, kept), novelty, leaks)
        room = rounds.num_examples - len(kept)
        yields.append(RoundYield(num_prompts, min(room, len(fresh))))
        kept += fresh[:room]
        dropped += refused + [left_out(each, ENOUGH, "beyond what was wanted") for each in fresh[room:]]
    return Grown(tuple(kept), tuple(dropped), tuple(yields), ended)


def sift(
    candidates: Sequence[Candidate], novelty: Novelty, leaks: Filter | None
) -> tuple[list[Conversation], list[DroppedConversation]]:
    """What is new and no leak, and the others with their reasons."""
    whole = [each for each in candidates if isinstance(each, Conversation)]
    refused = [each for each in candidates if isinstance(each, DroppedConversation)]
    by_id = {each.id: each for each in whole}
    clean: list[Conversation] = []
    for row in leaks.apply(iter(whole)) if leaks else whole:
        if isinstance(row, Drop):
            refused.append(left_out(by_id[row.id], LEAKS, row.reason, row.detail))
        else:
            clean.append(row)
    fresh: list[Conversation] = []
    for each, (reason, detail) in zip(clean, novelty.reasons(clean), strict=True):
        if reason:
            refused.append(left_out(each, DUPLICATES, reason, detail))
        else:
            fresh.append(each)
    return fresh, refused


def left_out(found: Conversation, by: str, reason: str, detail: str = "") -> DroppedConversation:
    """A candidate as one that is left out."""
    return DroppedConversation(found.id, reason, detail, by, found.messages, found.source)


def malformed(name: str, reason: str, text: str, source: str) -> DroppedConversation:
    """What of a reply cannot be used, with its text as it stands there."""
    return DroppedConversation(name, reason, "", PARSER, (Message("assistant", text),), source)


def generator_of(rounds: Rounds, *place: int) -> numpy.random.Generator:
    """The randomness of one place (a round, a prompt in it): of seed and place alone."""
    return numpy.random.default_rng([rounds.seed, *place])


def reply_seed(rounds: Rounds, number: int) -> int:
    """The seed of a round's replies: another one each round, so that a prompt that comes again is answered anew."""
    return int(generator_of(rounds, number).integers(2**31))


def prompts_of(texts: Iterable[str], name: str, *, chat: bool = True) -> list[Prompt]:
    """Texts as prompts `NAME-0`, `NAME-1`: a user's message each, or a text to be continued."""
    return [
        Prompt(f"{name}-{place}", messages=(Message("user", text),)) if chat else Prompt(f"{name}-{place}", text=text)
        for place, text in enumerate(texts)
    ]


def _ended(rounds: Rounds, yields: Sequence[RoundYield]) -> str:
    if sum(each.num_kept for each in yields) >= rounds.num_examples:
        return REACHED
    if rounds.max_prompts and sum(each.num_asked for each in yields) >= rounds.max_prompts:
        return SPENT
    last = yields[-rounds.patience :]
    num_asked, num_kept = sum(each.num_asked for each in last), sum(each.num_kept for each in last)
    return POOR if len(last) == rounds.patience and num_kept < rounds.minimum_yield * num_asked else ""


def _check(rounds: Rounds) -> None:
    if min(rounds.num_examples, rounds.prompts_per_round, rounds.patience) < 1 or rounds.max_prompts < 0:
        raise SpecError(f"{rounds}: num_examples, prompts_per_round and patience are 1 or more, max_prompts 0 or more")
    if rounds.minimum_yield < 0:
        raise SpecError(f"minimum_yield is {rounds.minimum_yield}; it counts new examples a prompt, from 0 up")
