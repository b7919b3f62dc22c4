"""The one thread that computes: requests join the slots of an engine and leave them while others run.

In: requests, from any thread. Out: each request's events, by a callback of its own, in the computing thread.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import TypeVar

from epigone.decoding.slots import Event, Request, Slots

Result = TypeVar("Result")
Listener = Callable[[Event | Exception], object]
"""Told every event of its request, or what broke the step that it was in."""


@dataclass
class Worker:
    """Drives `slots` until it is stopped. What it is asked while a step runs is done before the next."""

    slots: Slots
    _asked: SimpleQueue[Callable[[], None] | None] = field(default_factory=SimpleQueue)
    _listeners: dict[int, Listener] = field(default_factory=dict)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to compute."""
        self._thread = threading.Thread(target=self._run, name="decoding", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread, after what it is doing."""
        self._asked.put(None)
        if self._thread is not None:
            self._thread.join()

    def submit(self, request: Request, listener: Listener) -> Future[int]:
        """Let a request join. Gives its ticket."""

        def join() -> int:
            ticket = self.slots.submit(request)
            self._listeners[ticket] = listener
            return ticket

        return self.call(join)

    def cancel(self, ticket: int) -> None:
        """Let a request leave; its slot is free before the next step."""

        def leave() -> None:
            self.slots.cancel(ticket)
            self._listeners.pop(ticket, None)

        self.call(leave)

    def call(self, work: Callable[[], Result]) -> Future[Result]:
        """Have something computed between two steps."""
        future: Future[Result] = Future()

        def run() -> None:
            try:
                future.set_result(work())
            except Exception as error:  # whatever it is belongs to who asked
                future.set_exception(error)

        self._asked.put(run)
        return future

    def _run(self) -> None:
        while True:
            while self.slots.is_idle or not self._asked.empty():
                work = self._asked.get()
                if work is None:
                    return
                work()
            self._step()

    def _step(self) -> None:
        try:
            events = self.slots.step()
        except Exception as error:  # every row of the step is lost: its listeners are told, and the thread goes on
            for ticket in list(self._listeners):
                self.slots.cancel(ticket)
                self._listeners.pop(ticket)(error)
            return
        for event in events:
            listener = self._listeners.get(event.ticket)
            if event.finish_reason:
                self._listeners.pop(event.ticket, None)
            if listener is not None:
                listener(event)
