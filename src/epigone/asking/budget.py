"""A budget that holds: what is in flight counts at its highest price, and nothing is sent that might exceed it.

In: what a request may take at most; later what it took. Out: leave to send it. The ledger is the answers store's, so
that what a killed run sent counts too.
"""

import asyncio
import itertools
import secrets
from dataclasses import dataclass, replace

from epigone.answers import Answers, Attempt
from epigone.asking.prices import Price
from epigone.errors import SpecError, WorkError

MESSAGE_TOKENS, REQUEST_TOKENS = 16, 256
"""What a server's chat template may add at most to each message, and to the whole."""


def most_tokens(text: str, num_messages: int) -> int:
    """More tokens than these a text cannot come to: no tokenizer makes more of it than it has bytes."""
    return len(text.encode()) + MESSAGE_TOKENS * num_messages + REQUEST_TOKENS


@dataclass
class Spent:
    """Tokens and dollars so far; dollars are None where a price was unknown."""

    tokens: int = 0
    usd: float | int | None = 0.0
    num_uncertain: int = 0
    """Requests, among those counted, of which only the most that they may cost is known."""
    num_paid: int = 0
    """Requests of which the server has told the cost."""

    def add(self, attempt: Attempt, sign: int = 1) -> None:
        """Count a request in, or with sign -1 out."""
        self.tokens += sign * (attempt.tokens_in + attempt.tokens_out)
        self.usd = None if self.usd is None or attempt.usd is None else self.usd + sign * attempt.usd
        self.num_uncertain += sign * (attempt.state != "paid")
        self.num_paid += sign * (attempt.state == "paid")


class Budget:
    """Keeps the ledger of one collection. Raises SpecError for a budget in dollars where the price is unknown."""

    def __init__(
        self, answers: Answers, price: Price | None, *, usd: float | int | None = None, tokens: int | None = None
    ) -> None:
        if usd is not None and price is None:
            raise SpecError(
                "a budget in dollars needs a price, and that of this model is unknown: give --price-in and --price-out "
                "(dollars a million tokens; 0 for a server of your own), or --budget-tokens"
            )
        self.price, self.usd, self.tokens = price, usd, tokens
        self.spent = Spent()
        self._answers = answers
        self._ids = (f"{secrets.token_hex(6)}-{number}" for number in itertools.count(1))
        self._open: dict[str, Attempt] = {}
        self._changed = asyncio.Event()
        for attempt in answers.attempts():
            self.spent.add(self._priced(attempt))

    def _priced(self, attempt: Attempt) -> Attempt:
        """An attempt of a time when the price was not known, at today's."""
        if attempt.usd is not None or self.price is None:
            return attempt
        return replace(attempt, usd=self.price.usd(attempt.tokens_in, attempt.tokens_out))

    @property
    def num_open(self) -> int:
        """Requests in flight."""
        return len(self._open)

    async def open(self, key: str, tokens_in: int, tokens_out: int) -> str:
        """Wait until a request of at most so many tokens fits; returns its id. Raises WorkError where it never will."""
        attempt = self._attempt(next(self._ids), key, "open", tokens_in, tokens_out)
        while not self._fits(attempt):
            if not self._open:
                raise WorkError(
                    f"the budget of {self._named()} is spent: {self.told()}, and the next request may take "
                    f"{tokens_in + tokens_out:,} tokens; with a larger one the same command goes on"
                )
            self._changed.clear()
            await self._changed.wait()
        self._open[attempt.request_id] = attempt
        self.spent.add(attempt)
        self._answers.note(attempt)
        return attempt.request_id

    def has_room(self, tokens_in: int, tokens_out: int) -> bool:
        """Whether a request of at most so many tokens may be sent now."""
        return self._fits(self._attempt("", "", "open", tokens_in, tokens_out))

    def opened(self, request_id: str) -> Attempt:
        """A request in flight."""
        return self._open[request_id]

    def adopt(self, attempt: Attempt) -> None:
        """Take over a request that is in flight since an earlier run, and is counted already."""
        self._open.setdefault(attempt.request_id, self._priced(attempt))

    def _fits(self, attempt: Attempt) -> bool:
        fits_tokens = self.tokens is None or (self.spent.tokens + attempt.tokens_in + attempt.tokens_out <= self.tokens)
        fits_usd = self.usd is None or (self.spent.usd or 0.0) + (attempt.usd or 0.0) <= self.usd
        return fits_tokens and fits_usd

    def paid(self, request_id: str, tokens: tuple[int, int] | None, text: str) -> Attempt:
        """What a reply took, by the server's count; without one, at most: a token for every byte of the text.

        The caller writes it to the store, beside the answer.
        """
        opened = self._closed(request_id)
        tokens_in, tokens_out = tokens or (opened.tokens_in, min(opened.tokens_out, len(text.encode()) + 1))
        state = "paid" if tokens else "uncertain"
        return self._settled(self._attempt(request_id, opened.key, state, tokens_in, tokens_out))

    def lost(self, request_id: str) -> None:
        """Sent, and nothing usable came back: it stays counted at the most."""
        opened = self._closed(request_id)
        self._answers.note(
            self._settled(self._attempt(request_id, opened.key, "uncertain", opened.tokens_in, opened.tokens_out))
        )

    def free(self, request_id: str) -> None:
        """It cost nothing."""
        self._closed(request_id)
        self._answers.forget(request_id)

    def told(self) -> str:
        """`$0.12, 34,567 tokens`, with what is uncertain."""
        usd = "price unknown" if self.spent.usd is None or self.price is None else f"${self.spent.usd:.4f}"
        return f"{usd}, {self.spent.tokens:,} tokens"

    def _named(self) -> str:
        given = [f"${self.usd:g}"] if self.usd is not None else []
        return " and ".join([*given, *([f"{self.tokens:,} tokens"] if self.tokens is not None else [])])

    def _attempt(self, request_id: str, key: str, state: str, tokens_in: int, tokens_out: int) -> Attempt:
        usd = self.price.usd(tokens_in, tokens_out) if self.price else None
        return Attempt(request_id, self._answers.collection, key, state, tokens_in, tokens_out, usd)

    def _closed(self, request_id: str) -> Attempt:
        opened = self._open.pop(request_id)
        self.spent.add(opened, -1)
        self._changed.set()
        return opened

    def _settled(self, attempt: Attempt) -> Attempt:
        self.spent.add(attempt)
        return attempt
