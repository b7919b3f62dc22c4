"""HTTP to a model behind a server: the only module that opens sockets to one.

In: requests. Out: for each exactly one usable reply, or a RefusedError that says why there is none. Hundreds are in
flight on one pool; the server's refusals slow it down (`pacing`); what may pass is tried again. What concerns all
requests, a server that is down or a key that it does not take, is a WorkError.
Source: RFC 9110; https://platform.openai.com/docs/guides/error-codes.
"""

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar, cast

import httpx2

from epigone.errors import WorkError
from epigone.pacing import FIRST_PAUSE_SECONDS, Gate, Spacing, pause_seconds, retry_after_seconds

T = TypeVar("T")

LANE = 16
"""Connections of one lane: finding a free one takes time in proportion to their number, so that many share no list."""
JSON = {"content-type": "application/json"}
NOT_READY = (503, 529)
TRY_AGAIN = (408, 409, 425, 500, 502, 504, 520, 521, 522, 523, 524)
FOR_ALL = (401, 402, 403, 404, 405)
"""What is wrong with one request in these ways is wrong with all."""
NO_CREDIT = ("insufficient_quota", "billing_hard_limit_reached", "credit balance")
FEW = 10
"""Requests that the server would not have at all, before it answered any, until it is not asked any more."""
FEW_TIMEOUTS = 2
"""In a row, which may be chance; one more, and half as many requests are in flight."""
MOST_ERROR_CHARS = 300


class MalformedError(Exception):
    """A reply that is none: not what the protocol says, cut off, or an error in the place of an answer."""


class RefusedError(Exception):
    """A request that got no answer, and why: a short `reason` to count by, and what the server said."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail


class Account(Protocol):
    """Who keeps account of what is sent for one request."""

    async def opened(self) -> str:
        """A request is about to be sent: waits until it may, returns its id. Raises WorkError where it never may."""
        ...

    def lost(self, request_id: str) -> None:
        """It was sent, and no usable reply came back: it may have been billed."""
        ...

    def free(self, request_id: str) -> None:
        """It cost nothing."""
        ...


@dataclass(frozen=True)
class Patience:
    """How hard a server is asked, and for how long."""

    concurrency: int = 128
    """The most requests in flight."""
    connect_seconds: float | int = 10
    read_seconds: float | int = 120
    """The longest silence within a reply."""
    whole_seconds: float | int = 600
    """The longest that one request may take."""
    num_retries: int = 6
    """Of one request; a 429 spends none."""
    pause_seconds: float | int = FIRST_PAUSE_SECONDS
    """After a failure, doubling with each one in a row."""
    requests_per_minute: int = 0
    """0: no limit."""
    tokens_per_minute: int = 0
    num_refusals: int = 7
    """In a row, each after a longer pause, until a server that cannot be reached is called down."""
    num_failures: int = 60
    """In a row, of whatever request, until a server that answers nothing is called broken."""
    longest_wait_seconds: float | int = 900
    """The longest Retry-After that is waited for."""


@dataclass(frozen=True, slots=True)
class Reply(Generic[T]):
    """A usable reply: what it was parsed to, and how it was come by."""

    parsed: T
    seconds: float
    """From sending to the last byte, of the attempt that succeeded."""
    request_id: str
    num_attempts: int


@dataclass
class _Try:
    """One attempt: a parsed reply, or what stood against it."""

    parsed: object = None
    is_usable: bool = False
    reason: str = ""
    detail: str = ""
    spends_retry: bool = True
    is_final: bool = False
    may_be_billed: bool = False
    status: int = 0
    """0 where no reply came."""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


class Transport:
    """A pool of connections to one server; an async context. `key` goes into no message and no reply that it gives."""

    def __init__(self, base_url: str, key: str, patience: Patience, key_header: str = "") -> None:
        """`key_header` is where the key is sent; empty: as a bearer token."""
        self.base_url = base_url.rstrip("/")
        self.patience = patience
        self.gate = Gate(patience.concurrency, patience.pause_seconds)
        self.num_answered = 0
        """Requests, earlier ones included: a server that has answered is not set up wrong."""
        self._key, self._key_header = key, key_header
        self._requests, self._tokens = Spacing(patience.requests_per_minute), Spacing(patience.tokens_per_minute)
        self._lanes: list[httpx2.AsyncClient] = []
        self._free_lanes: list[httpx2.AsyncClient] = []
        self._failures_in_a_row = self._num_final = 0
        self._stopped: WorkError | None = None

    async def __aenter__(self) -> "Transport":
        timeout = httpx2.Timeout(self.patience.read_seconds, connect=self.patience.connect_seconds, pool=None)
        sent = {self._key_header: self._key} if self._key_header else {"authorization": f"Bearer {self._key}"}
        headers = sent if self._key else {}
        limits = httpx2.Limits(max_connections=LANE, max_keepalive_connections=LANE, keepalive_expiry=30.0)
        # slow to make: one for all, and none where nothing is encrypted
        certificates = httpx2.create_ssl_context() if self.base_url.startswith("https") else False
        for _ in range(-(-self.patience.concurrency // LANE)):
            lane = httpx2.AsyncClient(headers=headers, timeout=timeout, limits=limits, verify=certificates)
            self._lanes.append(lane)
        self._free_lanes = [lane for lane in self._lanes for _ in range(LANE)]
        return self

    async def __aexit__(self, *exc: object) -> None:
        for lane in self._lanes:
            await lane.aclose()

    def redacted(self, text: str) -> str:
        """The text without the key, should a server repeat it."""
        return text.replace(self._key, "[key]") if self._key else text

    async def post(
        self, path: str, content: bytes, account: Account, *, num_tokens: int, parse: Callable[[str], T]
    ) -> Reply[T]:
        """Send until a reply parses. Raises RefusedError for this request, WorkError where all are concerned.

        `parse` raises MalformedError; `num_tokens` is what the request takes of the tokens a minute, roughly.
        """
        num_attempts = num_failures = 0
        while True:
            await self._requests.take()
            await self._tokens.take(num_tokens)
            epoch = await self.gate.enter()
            try:
                self._check()
                request_id = await account.opened()
                num_attempts += 1
                started = time.monotonic()
                tried = await self._attempt(path, content, request_id, parse)
            finally:
                self.gate.leave()
            if tried.is_usable:
                self._succeeded()
                return Reply(tried.parsed, time.monotonic() - started, request_id, num_attempts)  # pyright: ignore[reportReturnType]
            (account.lost if tried.may_be_billed else account.free)(request_id)
            is_news = self.gate.is_current(epoch)
            self._slow_down(tried, epoch)
            self._watch(tried, is_news=is_news)
            num_failures += tried.spends_retry
            if tried.is_final or num_failures > self.patience.num_retries:
                raise RefusedError(tried.reason, tried.detail)
            if tried.spends_retry and tried.status not in NOT_READY:
                await asyncio.sleep(pause_seconds(num_failures, self.patience.pause_seconds))

    def _check(self) -> None:
        if self._stopped:
            raise self._stopped

    def stop(self, reason: WorkError) -> WorkError:
        """Send nothing more: whoever asks gets this error, what is in flight comes to its end."""
        self._stopped = self._stopped or reason
        return self._stopped

    async def _attempt(self, path: str, content: bytes, request_id: str, parse: Callable[[str], object]) -> _Try:
        lane = self._free_lanes.pop()
        url = f"{self.base_url}{path}"
        try:
            async with asyncio.timeout(self.patience.whole_seconds):
                response = await lane.post(url, content=content, headers=JSON | {"x-client-request-id": request_id})
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.ProxyError) as error:
            return _Try(reason="unreachable", detail=self._said(error), spends_retry=False)
        except (TimeoutError, httpx2.TimeoutException) as error:
            return _Try(reason="timeout", detail=self._said(error), may_be_billed=True)
        except httpx2.RequestError as error:
            return _Try(reason="connection lost", detail=self._said(error), may_be_billed=True)
        finally:
            self._free_lanes.append(lane)
        return self._judged(response, parse)

    async def call(self, method: str, path: str, body: Mapping[str, object] | None = None) -> dict[str, object]:
        """One JSON object of the provider's, for what costs nothing. Raises WorkError where it says none."""
        content = json.dumps(body).encode() if body is not None else None
        return _object(
            await self._called(method, path, content=content, headers=JSON if body is not None else {}), path
        )

    async def upload(self, path: str, content: bytes) -> dict[str, object]:
        """Send a file of JSON lines for a batch. Raises WorkError where the provider does not take it."""
        file = {"file": ("requests.jsonl", content, "application/jsonl")}
        return _object(await self._called("POST", path, data={"purpose": "batch"}, files=file), path)

    async def read(self, path: str) -> str:
        """The text of a file that the provider keeps. Raises WorkError."""
        return await self._called("GET", path)

    async def _called(self, method: str, path: str, **sent: Any) -> str:
        last = ""
        for number in range(1, self.patience.num_retries + 2):
            try:
                async with asyncio.timeout(self.patience.whole_seconds):
                    response = await self._lanes[0].request(method, f"{self.base_url}{path}", **sent)
            except (TimeoutError, httpx2.RequestError) as error:
                last = self._said(error)
                if method == "POST" and not isinstance(error, httpx2.ConnectError):
                    break  # it may have been done
            else:
                if response.status_code < 300:
                    return response.text
                last = f"http {response.status_code}: {self.redacted(response.text)[:MOST_ERROR_CHARS]}"
                if response.status_code not in (429, *NOT_READY, *TRY_AGAIN):
                    break
            await asyncio.sleep(pause_seconds(number, self.patience.pause_seconds))
        raise WorkError(f"{self.base_url}{path} cannot be had: {last}. The same command goes on with what was ordered")

    def _judged(self, response: httpx2.Response, parse: Callable[[str], object]) -> _Try:
        text, status = self.redacted(response.text), response.status_code
        if status == 200:
            try:
                return _Try(parse(text), is_usable=True)
            except MalformedError as error:
                return _Try(reason="malformed", detail=str(error)[:MOST_ERROR_CHARS], may_be_billed=True, status=200)
        said = " ".join(text.split())[:MOST_ERROR_CHARS]
        tried = _Try(reason=f"http {status}", detail=said, status=status, headers=response.headers)
        tried.spends_retry = status != 429
        tried.is_final = status not in (429, *NOT_READY, *TRY_AGAIN)
        return tried

    def _said(self, error: Exception) -> str:
        return self.redacted(f"{type(error).__name__}: {error}".rstrip(": "))[:MOST_ERROR_CHARS]

    def _succeeded(self) -> None:
        self.num_answered += 1
        self._failures_in_a_row = 0
        self.gate.succeed()

    def _slow_down(self, tried: _Try, epoch: int) -> None:
        if tried.reason == "timeout" and self._failures_in_a_row >= FEW_TIMEOUTS:
            self.gate.refuse(epoch, 0.0)  # it has more to do than it can: its queue waits, and no pause shortens it
        if tried.reason != "unreachable" and tried.status not in (429, *NOT_READY):
            return
        wait = retry_after_seconds(tried.headers)
        if wait is not None and wait > self.patience.longest_wait_seconds:
            raise self.stop(
                WorkError(f"{self.base_url} asks to wait {wait:.0f} s: {tried.detail}; run the command again then")
            )
        self.gate.refuse(epoch, wait)

    def _watch(self, tried: _Try, *, is_news: bool) -> None:
        """The circuit breaker: says what is down instead of trying every request in vain.

        Timeouts of requests that were under way when their number was halved say nothing new.
        """
        if tried.is_final:
            self._num_final += 1
        else:
            self._failures_in_a_row += tried.status != 429 and (is_news or tried.reason != "timeout")
        last = f"{tried.reason}: {tried.detail}"
        if tried.reason == "unreachable" and self.gate.num_refusals >= self.patience.num_refusals:
            reason = f"{self.base_url} is down, {self.gate.num_refusals} tries in a row failed; the last: {last}"
        elif tried.status == 429 and any(word in tried.detail.lower() for word in NO_CREDIT):
            reason = f"{self.base_url}: the account has no credit left: {last}"
        elif not self.num_answered and tried.status in FOR_ALL:
            reason = f"{self.base_url} lets nothing through; it said {last}; {_way_out(tried.status)}"
        elif not self.num_answered and self._num_final >= FEW:
            reason = f"{self.base_url} has refused all of the first {self._num_final} requests; the last: {last}"
        elif self._failures_in_a_row >= self.patience.num_failures:
            reason = f"{self.base_url} answers nothing, {self._failures_in_a_row} failures in a row; the last: {last}"
        else:
            return
        raise self.stop(WorkError(f"{reason}. What was answered is kept: the same command goes on"))


def _object(text: str, path: str) -> dict[str, object]:
    try:
        value: object = json.loads(text)
    except ValueError as error:
        raise WorkError(f"{path} answered with what is not JSON: {text[:MOST_ERROR_CHARS]!r}") from error
    if not isinstance(value, dict):
        raise WorkError(f"{path} answered with what is no JSON object: {text[:MOST_ERROR_CHARS]!r}")
    return cast(dict[str, object], value)


def _way_out(status: int) -> str:
    if status == 404:
        return "check the model's name, and that the address ends as the server wants it, mostly in /v1"
    if status == 402:
        return "the account has no credit"
    return "name the environment variable that holds the key, and check the key"
