"""How far a long piece of work has come: whoever does it tells, whoever runs it listens (docs/decisions/0011).

In: `tell(...)` from wherever rows, bytes or steps go by. Out: while a stage runs, a small file in its staging folder,
which whoever waits for the stage reads, in another process or on another machine. It never gets into an artifact, and
nothing but this file knows of clocks. Source: contextvars of the standard library, so that nobody in between passes it
on (https://docs.python.org/3/library/contextvars.html).
"""

import json
import threading
import time
from collections.abc import Callable, Container, Generator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from pathlib import Path

FILE_NAME = "progress.json.partial"
"""In a staging folder, where whatever ends so is cleared away before a build."""
WRITE_SECONDS = 0.3
"""The file is written so often at most."""

Listener = Callable[[int, int, str, str], None]
"""Called with what is done, how much there is (0: not known), the unit, and a note."""


def _nobody(done: int, total: int, unit: str, note: str) -> None:
    pass


_LISTENER: ContextVar[Listener] = ContextVar("listener", default=_nobody)


def tell(done: int, total: int, unit: str, note: str = "") -> None:
    """Say that `done` of `total` units are done (0: nobody knows how many there are). Costs nothing to speak of."""
    _LISTENER.get()(done, total, unit, note)


@contextmanager
def listening(listener: Listener) -> Generator[None, None, None]:
    """Within the block, `listener` is told, and nobody else is."""
    token = _LISTENER.set(listener)
    try:
        yield
    finally:
        _LISTENER.reset(token)


@contextmanager
def noting(note: Callable[[], str], of: Container[str] | None = None) -> Generator[None, None, None]:
    """Within the block the listener hears this note behind each other, and of those only what `of` holds, if given."""
    outer = _LISTENER.get()

    def heard(done: int, total: int, unit: str, told: str) -> None:
        if of is None or told in of:
            outer(done, total, unit, ", ".join(filter(None, (told, note()))))

    with listening(heard):
        yield


@dataclass(frozen=True)
class Progress:
    """What a stage has told last. A phase is work of one unit and total; a stage may have several."""

    done: int
    total: int
    """0 where nobody knows."""
    unit: str
    """In the plural, `bytes` for instance."""
    note: str
    first: int
    """What was done when the phase began, by an earlier run perhaps."""
    phase_seconds: float | int
    """Since then."""

    @property
    def rate(self) -> float:
        """Units a second in this phase; 0 where it has only begun."""
        return (self.done - self.first) / self.phase_seconds if self.phase_seconds > 0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        """Of this phase, at that rate; None where it cannot be told."""
        return (self.total - self.done) / self.rate if self.total and self.rate > 0 else None


class ProgressFile:
    """A Listener that keeps the last word in a file of a folder; to be used as a context, after which it is gone.

    What is told too soon after a write is written a little later, should nothing more be told: the last word before a
    long wait is the one that people look at.
    """

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = folder / FILE_NAME
        self._clock = clock
        self._written = -WRITE_SECONDS
        self._phase = (0, "")
        self._last = self._first = 0
        self._begun = 0.0
        self._told: Progress | None = None
        self._lock = threading.Lock()
        self._later: threading.Timer | None = None

    def __call__(self, done: int, total: int, unit: str, note: str = "") -> None:
        """Take note; write, unless that was done just now."""
        now = self._clock()
        if self._phase != (total, unit) or done < self._last:
            self._phase, self._first, self._begun = (total, unit), done, now
        self._last = done
        with self._lock:
            self._told = Progress(done, total, unit, note, self._first, now - self._begun)
            if now - self._written >= WRITE_SECONDS:
                self._write(now)
            elif self._later is None:
                self._later = threading.Timer(WRITE_SECONDS, self._write_later)
                self._later.daemon = True
                self._later.start()

    def _write(self, now: float) -> None:
        self._written = now
        if self._told is not None:
            with suppress(OSError):  # a full disk is for the stage to find, not for whoever tells of it
                self._path.write_text(json.dumps(asdict(self._told)), encoding="utf-8")
            self._told = None

    def _write_later(self) -> None:
        with self._lock:
            if self._later is not None:
                self._later = None
                self._write(self._clock())

    def __enter__(self) -> "ProgressFile":
        return self

    def __exit__(self, *exc: object) -> None:
        with self._lock:
            if self._later is not None:
                self._later.cancel()
                self._later = None
            self._path.unlink(missing_ok=True)


def read_progress(folder: Path) -> Progress | None:
    """What the stage that is built in a staging folder has told last; None where it has not, or is writing just now."""
    try:
        return Progress(**json.loads((folder / FILE_NAME).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
