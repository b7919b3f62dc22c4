"""A checkpoint behind OpenAI's routes: /v1/models, /v1/completions, /v1/chat/completions, and /health.

In: an engine, its texts, a worker. Out: an ASGI application. Requests share the worker's slots; a client that goes away
frees its own. Errors have OpenAI's form.
"""

import asyncio
import contextlib
import hmac
import json
import secrets
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from epigone.decoding.engine import Engine
from epigone.decoding.sampling import row_seed
from epigone.decoding.slots import Event, Request
from epigone.decoding.stops import is_over
from epigone.decoding.texts import Texts
from epigone.errors import EpigoneError
from epigone.records import Prompt
from epigone.serving import asked as requests
from epigone.serving import replies
from epigone.serving.asked import Asked, RefusedError
from epigone.serving.replies import Growing
from epigone.serving.scored import Scorer
from epigone.serving.worker import Worker

Result = TypeVar("Result")
LOOK_SECONDS = 0.2
"""How often it is looked whether a client that waits for a whole reply is still there."""
MOST_BYTES = 16 * 2**20
"""The longest body that is read."""


@dataclass(frozen=True)
class Served:
    """A checkpoint and who computes it; `key` empty: no key is asked for."""

    name: str
    engine: Engine
    texts: Texts
    worker: Worker
    key: str = ""

    def app(self) -> Starlette:
        """The application; the worker runs as long as it does."""
        routes = [
            Route("/health", self._health),
            Route("/v1/models", self._models),
            Route("/v1/completions", partial(self._answer, requests.completion), methods=["POST"]),
            Route("/v1/chat/completions", partial(self._answer, requests.chat), methods=["POST"]),
        ]
        refusals = {RefusedError: _refused, HTTPException: _no_route}
        return Starlette(routes=routes, lifespan=self._running, exception_handlers=refusals)

    @cached_property
    def _scorer(self) -> Scorer:
        return Scorer(self.engine, self.worker)

    @contextlib.asynccontextmanager
    async def _running(self, app: Starlette) -> AsyncIterator[None]:
        self.worker.start()
        yield
        self.worker.stop()

    async def _health(self, request: HttpRequest) -> Response:
        return JSONResponse({"status": "ok", "model": self.name})

    async def _models(self, request: HttpRequest) -> Response:
        self._check_key(request)
        model = {"id": self.name, "object": "model", "created": 0, "owned_by": "epigone"}
        return JSONResponse({"object": "list", "data": [model]})

    async def _answer(self, read: Callable[[Any], Asked], request: HttpRequest) -> Response:
        self._check_key(request)
        asked = read(requests.read_json(await _body(request)))
        if asked.model != self.name:
            message = f"the model {asked.model!r} is not served; there is: {self.name}"
            raise RefusedError(message, status=404, param="model", code="model_not_found")
        rows = self._rows(asked)
        kind = "chat.completion" if asked.messages else "text_completion"
        id_ = f"{'chatcmpl' if asked.messages else 'cmpl'}-{uuid.uuid4().hex}"
        if asked.stream:
            kind = "chat.completion.chunk" if asked.messages else kind
            head = replies.envelope(id_, kind, self.name, int(time.time()))
            return StreamingResponse(self._streamed(asked, rows, head), media_type="text/event-stream")
        choices, counts = await _while_there(request, self._whole(asked, rows))
        head = replies.envelope(id_, kind, self.name, int(time.time()))
        return JSONResponse({**head, "choices": choices, "usage": counts})

    def _rows(self, asked: Asked) -> list[Request]:
        """One row a choice, prompt after prompt. Raises RefusedError for what does not fit."""
        rows: list[Request] = []
        for ids in self._prompts(asked):
            room = self.worker.slots.capacity - len(ids)
            num_new = asked.max_tokens if asked.max_tokens is not None else max(room, 1)
            if num_new > room:
                message = f"{len(ids)} tokens of prompt and {num_new} to come are more than {len(ids) + room}"
                raise RefusedError(message, param="max_tokens", code="context_length_exceeded")
            for choice in range(asked.num_choices):
                seed = row_seed(ids, asked.seed + choice) if asked.seed is not None else secrets.randbits(32)
                over = is_over(self.texts.decode, asked.stop)
                rows.append(Request(ids, num_new, asked.temperature, asked.top_p, asked.top_k, seed, over))
        return rows

    def _prompts(self, asked: Asked) -> list[list[int]]:
        vocab_size = self.engine.model.config.vocab_size
        try:
            if asked.messages:
                return [self.texts.ids(Prompt("messages", messages=asked.messages))]
            found = [self.texts.text_ids(p) if isinstance(p, str) else list(p) for p in asked.prompts]
        except EpigoneError as error:
            raise RefusedError(str(error), param="messages") from error
        for ids in found:
            if not ids or not all(0 <= id_ < vocab_size for id_ in ids):
                raise RefusedError(f"token ids must lie in 0..{vocab_size - 1}", param="prompt")
        return found

    async def _whole(self, asked: Asked, rows: list[Request]) -> tuple[list[dict[str, object]], dict[str, int]]:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._choice(asked, index, row)) for index, row in enumerate(rows)]
        found = [task.result() for task in tasks]
        num_prompt = sum(len(row.prompt) for row in rows[:: asked.num_choices])
        return [choice for choice, _ in found], replies.usage(num_prompt, sum(count for _, count in found))

    async def _choice(self, asked: Asked, index: int, row: Request) -> tuple[dict[str, object], int]:
        growing = Growing(self.texts, asked.stop, finish_reason="length")
        if row.max_new_tokens:
            async for event in self._events(row):
                growing.more(event.tokens, event.finish_reason)
        text = growing.text[0]
        logprobs = None
        if asked.logprobs is not None:
            ids = [*row.prompt, *growing.tokens]
            logprobs = await self._logprobs(ids, 0 if asked.echo else len(row.prompt), asked.logprobs)
        if asked.echo:
            text = self.texts.decode(row.prompt) + text
        reply = replies.choice(index, text, growing.finish_reason, is_chat=bool(asked.messages), logprobs=logprobs)
        return reply, len(growing.tokens)

    async def _logprobs(self, ids: list[int], num_first: int, num_top: int) -> dict[str, object]:
        """Of a whole text's tokens: one more pass over it, for all alternatives at once."""
        scores = await asyncio.wrap_future(self._scorer.submit(ids, num_top))
        return replies.logprobs(self.texts, ids, scores, num_first=num_first, num_top=num_top)

    async def _streamed(self, asked: Asked, rows: list[Request], head: dict[str, object]) -> AsyncGenerator[str]:
        """Server-sent events of all choices as they grow."""
        merged: asyncio.Queue[dict[str, object] | None] = asyncio.Queue()
        num_tokens = [0] * len(rows)

        async def follow(index: int, row: Request) -> None:
            growing, is_first = Growing(self.texts, asked.stop), True
            async for event in self._events(row):
                text = growing.more(event.tokens, event.finish_reason)
                reason = growing.finish_reason
                if text or reason or is_first:
                    options = {"is_chat": bool(asked.messages), "is_first": is_first}
                    merged.put_nowait(replies.chunk(index, text, reason, **options))
                is_first = False
            num_tokens[index] = len(growing.tokens)

        async def follow_all() -> None:
            try:
                async with asyncio.TaskGroup() as group:
                    for index, row in enumerate(rows):
                        group.create_task(follow(index, row))
            finally:
                merged.put_nowait(None)

        task = asyncio.create_task(follow_all())
        try:
            while (piece := await merged.get()) is not None:
                yield _sse({**head, "choices": [piece]})
            await task
            if asked.with_usage:
                num_prompt = sum(len(row.prompt) for row in rows[:: asked.num_choices])
                yield _sse({**head, "choices": [], "usage": replies.usage(num_prompt, sum(num_tokens))})
            yield "data: [DONE]\n\n"
        finally:
            task.cancel()

    async def _events(self, row: Request) -> AsyncIterator[Event]:
        """What a row gets, until its end; a row that nobody waits for any more leaves its slot."""
        loop, events = asyncio.get_running_loop(), asyncio.Queue[Event | Exception]()
        joined = self.worker.submit(row, lambda event: loop.call_soon_threadsafe(events.put_nowait, event))
        is_over = False
        try:
            while not is_over:
                event = await events.get()
                if isinstance(event, Exception):
                    raise RefusedError(f"decoding failed: {event}", status=500) from event
                is_over = event.finish_reason is not None
                yield event
        finally:
            if not is_over:
                joined.add_done_callback(lambda done: self.worker.cancel(done.result()))

    def _check_key(self, request: HttpRequest) -> None:
        given = request.headers.get("authorization", "")
        if self.key and not hmac.compare_digest(given.encode(), f"Bearer {self.key}".encode()):
            raise RefusedError("give the server's key: Authorization: Bearer KEY", status=401, code="invalid_api_key")


async def _body(request: HttpRequest) -> bytes:
    found = bytearray()
    async for part in request.stream():
        found += part
        if len(found) > MOST_BYTES:
            raise RefusedError(f"the body has more than {MOST_BYTES:,} bytes", status=413)
    return bytes(found)


async def _while_there(request: HttpRequest, work: Coroutine[Any, Any, Result]) -> Result:
    """The work's result, or none where the client goes away first."""
    task = asyncio.create_task(work)
    try:
        while not (await asyncio.wait({task}, timeout=LOOK_SECONDS))[0]:
            if await request.is_disconnected():
                raise RefusedError("the client went away", status=499)
        return task.result()
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from errors
    finally:
        task.cancel()


async def _refused(request: HttpRequest, error: Exception) -> Response:
    assert isinstance(error, RefusedError)
    return JSONResponse(error.body(), status_code=error.status)


async def _no_route(request: HttpRequest, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    message = f"{request.method} {request.url.path}: {error.detail}"
    return JSONResponse(RefusedError(message, status=error.status_code).body(), status_code=error.status_code)


def _sse(piece: dict[str, object]) -> str:
    return f"data: {json.dumps(piece, ensure_ascii=False)}\n\n"
