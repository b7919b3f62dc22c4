"""Provider batches: many questions as one file, their answers as another, cheaper and within a day.

In: Questions, as for `questions.Asker`. Out: the same outcomes in the answers store. A batch is written down before it
is waited for, so that a command that was killed fetches what it had ordered, instead of ordering it again.
Source: https://platform.openai.com/docs/guides/batch (/v1/files, /v1/batches).
"""

import asyncio
import json
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import cast

from epigone.answers import Answers, Attempt, Failed
from epigone.asking.budget import Budget
from epigone.asking.questions import POLL_SECONDS, Question, kept_answer
from epigone.asking.wire import Plain, error_text, parsed
from epigone.errors import WorkError
from epigone.progress import tell
from epigone.transport import MalformedError, Transport

MOST_REQUESTS, MOST_BYTES = 50_000, 100_000_000
"""Of one file."""
WINDOW = "24h"
OVER = ("completed", "failed", "expired", "cancelled")


class Batches:
    """Asks questions by files; `round` as for `Asker`, `look_seconds` is how often a batch is looked at."""

    def __init__(
        self, transport: Transport, answers: Answers, budget: Budget, round: int, *, look_seconds: float | int
    ) -> None:
        self._transport, self._answers, self._budget, self._round = transport, answers, budget, round
        self._look_seconds = look_seconds

    async def ask(self, questions: Iterable[Question], total: int) -> None:
        """Every question has an outcome in the store then. Raises WorkError where server or budget give out."""
        everything = list(questions)
        for batch_id, ids in self._answers.batches():
            await self._fetch(batch_id, ids, total)
        while True:
            claimed = {asked.key: (asked, self._answers.claim(asked.key, self._round)) for asked in everything}
            mine = [asked for asked, claim in claimed.values() if claim is True]
            for part in _parts(mine):
                await self._order(part, total)
            if all(claim is not False for _, claim in claimed.values()):
                return
            await asyncio.sleep(POLL_SECONDS)  # another process is asking some of them

    async def _order(self, questions: Sequence[Question], total: int) -> None:
        """Ask by as many batches, one after the other, as the budget makes it."""
        left = list(questions)
        while left:
            ids = await self._admitted(left)
            rows = [_line(request_id, asked) for request_id, asked in zip(ids, left, strict=False)]
            left_now, left = left[: len(ids)], left[len(ids) :]
            file = await self._transport.upload("/files", "".join(rows).encode())
            order: Plain = {"input_file_id": file.get("id"), "completion_window": WINDOW}
            order["endpoint"] = "/v1" + left_now[0].path
            batch = await self._transport.call("POST", "/batches", order)
            batch_id = _text(batch, "id", "/batches")
            self._answers.note_batch(batch_id, ids)
            await self._fetch(batch_id, ids, total)

    async def _admitted(self, questions: Sequence[Question]) -> list[str]:
        ids: list[str] = []
        for asked in questions:
            if ids and not self._budget.has_room(asked.tokens_in, asked.tokens_out):
                break
            ids.append(await self._budget.open(asked.key, asked.tokens_in, asked.tokens_out))
        return ids

    async def _fetch(self, batch_id: str, ids: Sequence[str], total: int) -> None:
        """Wait for a batch and keep what came of its requests."""
        while (batch := await self._transport.call("GET", f"/batches/{batch_id}")).get("status") not in OVER:
            counts = cast(Mapping[str, int], batch.get("request_counts") or {})
            tell(counts.get("completed", 0), total, "requests", f"batch {batch_id} is {batch.get('status')}")
            await asyncio.sleep(self._look_seconds)
        ordered = {a.request_id: a for a in self._answers.attempts() if a.state == "open" and a.request_id in set(ids)}
        for name in ("output_file_id", "error_file_id"):
            if isinstance(batch.get(name), str):
                text = await self._transport.read(f"/files/{batch[name]}/content")
                for row in filter(str.strip, text.splitlines()):
                    self._keep(_object(row), ordered)
        status = str(batch.get("status"))
        if status == "failed":
            for attempt in ordered.values():
                self._budget.adopt(attempt)
                self._budget.free(attempt.request_id)
            self._answers.finish_batch(batch_id)
            said = json.dumps(batch.get("errors"))[:300]
            raise WorkError(f"{self._transport.base_url}: batch {batch_id} was not taken: {said}")
        for attempt in list(ordered.values()):
            self._failed(attempt, status, "the batch ended without an answer to it")
        self._answers.finish_batch(batch_id)

    def _keep(self, row: Plain, ordered: dict[str, Attempt]) -> None:
        attempt = ordered.pop(str(row.get("custom_id")), None)
        if attempt is None:
            return
        response = cast(Plain, row.get("response") or {})
        body = cast(Plain, response.get("body") or {})
        if response.get("status_code") != 200:
            said = error_text(body or cast(Plain, row.get("error") or {}))
            return self._failed(attempt, f"http {response.get('status_code', 'error')}", said)
        try:
            reply = parsed(self._transport.redacted(json.dumps(body, ensure_ascii=False)))
        except MalformedError as error:
            return self._failed(attempt, "malformed", str(error))
        self._budget.adopt(attempt)
        kept_answer(self._answers, self._budget, attempt, reply, seconds=0.0, num_attempts=1)

    def _failed(self, attempt: Attempt, reason: str, detail: str) -> None:
        """A request of a batch that has no answer is not billed."""
        self._budget.adopt(attempt)
        self._budget.free(attempt.request_id)
        detail = self._transport.redacted(detail)[:300]
        self._answers.keep(Failed(attempt.key, reason, detail, self._round, time.time()))


def _parts(questions: Sequence[Question]) -> Iterator[list[Question]]:
    """Files: of one path each, and no larger than a provider takes."""
    by_path: dict[str, list[Question]] = defaultdict(list)
    for asked in questions:
        by_path[asked.path].append(asked)
    for same in by_path.values():
        part: list[Question] = []
        size = 0
        for asked in same:
            size += asked.tokens_in * 2  # more than its bytes
            if part and (len(part) >= MOST_REQUESTS or size > MOST_BYTES):
                yield part
                part, size = [], asked.tokens_in * 2
            part.append(asked)
        yield part


def _line(request_id: str, asked: Question) -> str:
    row = {"custom_id": request_id, "method": "POST", "url": "/v1" + asked.path, "body": asked.body}
    return json.dumps(row, ensure_ascii=False) + "\n"


def _object(text: str) -> Plain:
    try:
        row: object = json.loads(text)
    except ValueError as error:
        raise WorkError(f"the batch's output holds a line that is not JSON: {text[:120]!r}") from error
    return cast(Plain, row) if isinstance(row, dict) else {}


def _text(reply: Plain, name: str, path: str) -> str:
    value = reply.get(name)
    if not isinstance(value, str):
        raise WorkError(f"{path} answered without {name!r}: {json.dumps(reply)[:300]}")
    return value
