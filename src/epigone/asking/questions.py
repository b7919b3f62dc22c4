"""Many questions at once: each is asked unless it is answered already, and ends as one answer or one failure.

In: Questions, the answers store, a budget, a transport. Out: nothing but what then stands in the store, so that memory
does not grow with their number.
"""

import asyncio
import hashlib
import json
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from epigone.answers import Answer, Answers, Attempt, Failed
from epigone.asking.budget import Budget, most_tokens
from epigone.asking.wire import Plain, parsed, shaping, text_of, usage_of
from epigone.errors import WorkError
from epigone.progress import tell
from epigone.spec import canonical_json
from epigone.transport import RefusedError, Transport

POLL_SECONDS = 0.2
"""How often it is looked whether another process has answered what it is asking."""


@dataclass(frozen=True, slots=True)
class Question:
    """One request: the path under the base URL, its body, and the key of all that shapes its answer."""

    key: str
    path: str
    body: Plain
    tokens_in: int
    """At most."""
    tokens_out: int
    """At most."""

    @property
    def tokens_guessed(self) -> int:
        """Tokens in and out, roughly: four bytes a token, and the longest answer."""
        return self.tokens_in // 4 + self.tokens_out


def question(base_url: str, path: str, body: Plain, sample: int, tokens_out: int) -> Question:
    """The question that a body asks a server. Samples are independent answers to one body."""
    shaped = canonical_json(shaping(body))
    told = canonical_json({"url": base_url.rstrip("/") + path, "body": shaped, "sample": sample})
    asked = body.get("messages")
    return Question(
        hashlib.sha256(told.encode()).hexdigest(),
        path,
        body,
        most_tokens(shaped, len(asked) if isinstance(asked, list) else 0),
        tokens_out,
    )


@dataclass
class _Account:
    """What the transport tells of one question goes to the budget."""

    budget: Budget
    asked: Question

    async def opened(self) -> str:
        return await self.budget.open(self.asked.key, self.asked.tokens_in, self.asked.tokens_out)

    def lost(self, request_id: str) -> None:
        self.budget.lost(request_id)

    def free(self, request_id: str) -> None:
        self.budget.free(request_id)


class Asker:
    """Asks questions through one transport; `round` says which failures are asked again: those of rounds before."""

    def __init__(self, transport: Transport, answers: Answers, budget: Budget, round: int) -> None:
        self._transport, self._answers, self._budget, self._round = transport, answers, budget, round
        transport.num_answered += budget.spent.num_paid
        self._later: deque[Question] = deque()
        self._num_done = self._num_failed = 0

    async def ask(self, questions: Iterable[Question], total: int) -> None:
        """Every question has an outcome in the store then. Raises WorkError where server or budget give out."""
        fresh = iter(questions)
        num_workers = min(self._transport.patience.concurrency, max(total, 1))
        workers = (self._work(fresh, total) for _ in range(num_workers))
        ended = await asyncio.gather(*workers, return_exceptions=True)
        for error in filter(None, ended):
            raise error

    async def _work(self, fresh: Iterable[Question], total: int) -> None:
        try:
            while (asked := await self._next(fresh)) is not None:
                claimed = self._answers.claim(asked.key, self._round)
                if claimed is False:
                    self._later.append(asked)
                    continue
                if claimed is True:
                    claimed = await self._asked(asked)
                self._num_done += 1
                self._num_failed += isinstance(claimed, Failed)
                tell(self._num_done, total, "requests", self._note())
        except Exception as error:  # the others finish what they have in flight, and stop too
            self._transport.stop(error if isinstance(error, WorkError) else WorkError(f"stopped by {error!r}"))
            raise

    async def _next(self, fresh: Iterable[Question]) -> Question | None:
        for asked in fresh:
            return asked
        if not self._later:
            return None
        asked = self._later.popleft()
        await asyncio.sleep(POLL_SECONDS)
        return asked

    async def _asked(self, asked: Question) -> Answer | Failed:
        content = json.dumps(asked.body, ensure_ascii=False).encode()
        post = partial(self._transport.post, asked.path, content, _Account(self._budget, asked), parse=parsed)
        try:
            reply = await post(num_tokens=asked.tokens_guessed)
        except RefusedError as error:
            failed = Failed(asked.key, error.reason, error.detail, self._round, time.time())
            self._answers.keep(failed)
            return failed
        except BaseException:
            self._answers.release(asked.key)
            raise
        attempt = self._budget.opened(reply.request_id)
        return kept_answer(
            self._answers, self._budget, attempt, reply.parsed, seconds=reply.seconds, num_attempts=reply.num_attempts
        )

    def _note(self) -> str:
        failed = f", {self._num_failed:,} failed" if self._num_failed else ""
        return f"{self._budget.told()}, {self._budget.num_open} in flight{failed}"


def kept_answer(
    answers: Answers, budget: Budget, attempt: Attempt, said: Plain, *, seconds: float, num_attempts: int
) -> Answer:
    """A reply, written to the store with what it took."""
    usage, body = usage_of(said), json.dumps(said, ensure_ascii=False)
    paid = budget.paid(attempt.request_id, (usage.tokens_in, usage.tokens_out) if usage else None, body)
    answer = Answer(
        key=attempt.key,
        body=body,
        model=text_of(said, "model"),
        fingerprint=text_of(said, "system_fingerprint"),
        tokens_in=usage.tokens_in if usage else None,
        tokens_out=usage.tokens_out if usage else None,
        usd=paid.usd if usage else None,
        seconds=seconds,
        asked_unix=time.time() - seconds,
        request_id=attempt.request_id,
        num_attempts=num_attempts,
    )
    answers.keep(answer, paid)
    return answer
