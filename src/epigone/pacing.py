"""How fast a server is asked: how many requests may be in flight, how many a minute, how long to wait after a refusal.

In: what became of each request. Out: when the next may go. No sockets here, and the clock is handed in.
Source: additive increase, multiplicative decrease as in TCP (RFC 5681); Retry-After as in RFC 9110, section 10.2.3.
"""

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

FIRST_LIMIT = 16
"""Requests in flight at the beginning."""
FIRST_PAUSE_SECONDS, MOST_DOUBLINGS = 0.5, 6
"""After a refusal that names no time, doubling with each one in a row."""

Clock = Callable[[], float]


def retry_after_seconds(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """How long a server asks to wait: `retry-after-ms`, or Retry-After in seconds or as a date; None where it does not.

    Names of headers are in lower case. What is no time counts as not said.
    """
    try:
        if "retry-after-ms" in headers:
            return max(0.0, float(headers["retry-after-ms"]) / 1000)
        return max(0.0, float(headers["retry-after"]))
    except KeyError:
        return None
    except ValueError:
        return _until(headers.get("retry-after", ""), now or datetime.now(UTC))


def _until(date: str, now: datetime) -> float | None:
    try:
        then = parsedate_to_datetime(date)
    except ValueError:
        return None
    return max(0.0, (then.replace(tzinfo=then.tzinfo or UTC) - now).total_seconds())


def pause_seconds(number: int, first_seconds: float | int) -> float:
    """How long to wait after the `number`th failure in a row (from 1), drawn at random so that not all come at once."""
    return first_seconds * 2 ** min(number - 1, MOST_DOUBLINGS) * random.uniform(0.5, 1.0)


class Gate:
    """How many requests may be in flight: more while they succeed, half as many when the server refuses.

    Of the requests that were under way when a refusal came, the others say nothing new: they halve nothing again.
    """

    def __init__(
        self, most: int, first_pause_seconds: float | int = FIRST_PAUSE_SECONDS, clock: Clock = time.monotonic
    ) -> None:
        self.most = most
        self.limit = float(min(FIRST_LIMIT, most))
        self.in_flight = 0
        self.num_refusals = 0
        """In a row: of requests that were sent after the last refusal, without a success since."""
        self._first_pause_seconds = first_pause_seconds
        self._clock = clock
        self._turn = float(most)
        self._epoch = 0
        self._paused_until = 0.0
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def enter(self) -> int:
        """Wait for a place; returns what `leave` and `refuse` want back."""
        while True:
            pause = self._paused_until - self._clock()
            if pause > 0:
                await asyncio.sleep(pause)
            elif self.in_flight < int(self.limit):
                break
            else:
                future = asyncio.get_running_loop().create_future()
                self._waiting.append(future)
                await future
        self.in_flight += 1
        return self._epoch

    def is_current(self, epoch: int) -> bool:
        """Whether nothing was refused since a request entered."""
        return epoch == self._epoch

    def leave(self) -> None:
        """Give the place back."""
        self.in_flight -= 1
        self._wake()

    def succeed(self) -> None:
        """A request was answered: the limit doubles within a round up to where it was refused last, then creeps up."""
        self.num_refusals = 0
        self.limit = min(float(self.most), self.limit + (1.0 if self.limit < self._turn else 1.0 / self.limit))
        self._wake()

    def refuse(self, epoch: int, wait_seconds: float | None = None) -> None:
        """The server had too much, or is down: half as many, after a pause for all.

        `wait_seconds` is what it asked for; a little is added, since servers are not ready to the second.
        """
        if epoch == self._epoch:
            self._epoch += 1
            self.num_refusals += 1
            self.limit = self._turn = max(1.0, self.limit / 2)
            if wait_seconds is None:
                wait_seconds = pause_seconds(self.num_refusals, self._first_pause_seconds)
        if wait_seconds is not None:
            pause = wait_seconds * random.uniform(1.01, 1.1)
            self._paused_until = max(self._paused_until, self._clock() + pause)

    def _wake(self) -> None:
        room = int(self.limit) - self.in_flight
        while room > 0 and self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_result(None)
                room -= 1


class Spacing:
    """At most so many a minute, evenly spaced, so that no minute holds more; 0: as many as you like."""

    def __init__(self, per_minute: int, clock: Clock = time.monotonic) -> None:
        self._seconds = 60.0 / per_minute if per_minute else 0.0
        self._clock = clock
        self._due = 0.0

    async def take(self, amount: int = 1) -> None:
        """Wait until `amount` more may go."""
        if self._seconds:
            now = self._clock()
            due = max(self._due, now)
            self._due = due + amount * self._seconds
            await asyncio.sleep(due - now)
