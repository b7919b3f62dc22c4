"""The nouns of asking a server: replies, failures and bills, as frozen dataclasses.

They go to disk as those of `records` do. Dollars are None where a price is not known, tokens where nobody counted.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from epigone.records import Completion


@dataclass(frozen=True, slots=True)
class Reply:
    """What asking came to: a completion, or the reason for which there is none, with what was said instead."""

    completion: Completion | None
    reason: str = ""
    detail: str = ""
    raw: "RawReply | None" = None
    """None where no server said anything that can be read."""


@dataclass(frozen=True, slots=True)
class RawReply:
    """What a server sent, word for word, and what it took. Tokens are its own count, None where it gave none."""

    prompt_id: str
    reply: dict[str, object]
    model: str
    """What the server calls it."""
    fingerprint: str
    tokens_in: int | None
    tokens_out: int | None
    usd: float | None
    seconds: float
    asked_unix: float
    request_id: str
    num_attempts: int
    sample: int = 0
    turn: int = 1


@dataclass(frozen=True, slots=True)
class Bill:
    """What asking will come to, told beforehand. `usd` is None where the price is not known."""

    num_requests: int
    """Still to be sent."""
    num_answered: int
    """Paid for already."""
    num_failed: int
    """That were asked before and failed: they are not asked again."""
    tokens_in: int
    tokens_out_at_most: int
    usd_at_most: float | None
    counted_by: str
    """A tokenizer, or characters."""

    @classmethod
    def total(cls, bills: "Sequence[Bill]") -> "Bill":
        """Of several, which may be none; its dollars are not known where those of one are not."""
        usd = [bill.usd_at_most for bill in bills]
        return cls(
            num_requests=sum(bill.num_requests for bill in bills),
            num_answered=sum(bill.num_answered for bill in bills),
            num_failed=sum(bill.num_failed for bill in bills),
            tokens_in=sum(bill.tokens_in for bill in bills),
            tokens_out_at_most=sum(bill.tokens_out_at_most for bill in bills),
            usd_at_most=None if None in usd else sum(u for u in usd if u is not None),
            counted_by=bills[0].counted_by if bills else "",
        )


@dataclass(frozen=True, slots=True)
class Failure:
    """A prompt that got no answer: why, and what was said instead; `turn` counts the user's turns from 1."""

    prompt_id: str
    sample: int
    turn: int
    reason: str
    detail: str = ""
