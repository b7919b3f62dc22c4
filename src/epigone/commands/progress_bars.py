"""What a person sees while stages run: bars with rate and time left on a terminal, elsewhere a plain line now and then.

In: an executor's events, and what the running stages tell of themselves in their staging folders. Out: standard error.
"""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from epigone.interfaces import StageSpec
from epigone.progress import Progress, read_progress
from epigone.spec import Resolver
from epigone.study import TimeLeft

LOOK_SECONDS = 0.5
"""How often the staging folders are looked at."""
FIRST_SECONDS, LINE_SECONDS = 1, 10
"""When the first plain line may come, and how long the next one waits."""
MOST_STAGES = 4
"""Of which a plain line tells."""


class ProgressBars:
    """A context that gives the executor's `on_event`."""

    def __init__(self, console: Console, missing: Sequence[StageSpec], num_workers: int, root: Path) -> None:
        self.console = console
        self.left = TimeLeft(list(missing), num_workers)
        self.resolver = Resolver()
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[count]}"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
        )
        self.bars = Bars(*columns, console=console, transient=True)
        self.whole = self.bars.add_task("starting", total=self.left.total or 1.0, count="", left="")
        self.printed = 0.0
        self._staging = root / ".staging"
        self._running: dict[str, TaskID] = {}
        self._lock = threading.Lock()
        self._is_over = threading.Event()
        self._watch = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Callable[[str, StageSpec], None]:
        if self.console.is_terminal:
            self.bars.start()
        self._watch.start()
        return self.on_event

    def __exit__(self, *exc: object) -> None:
        self._is_over.set()
        self._watch.join()
        self.bars.stop()

    def on_event(self, event: str, stage: StageSpec) -> None:
        """Move on."""
        with self._lock:
            self._take(event, self.resolver.id(stage), stage)

    def _take(self, event: str, key: str, stage: StageSpec) -> None:
        if event == "start":
            if key not in self._running:
                self._running[key] = self.bars.add_task(f"  {_name(key)}", total=None, count="", left="")
            self.bars.update(self.whole, description=_name(key))
            return
        if key in self._running:
            self.bars.remove_task(self._running.pop(key))
        self.left.finish(stage)
        left = f"about {minutes(self.left.seconds())} left"
        self.bars.update(self.whole, completed=self.left.done, count=self._count(), left=left)
        if event == "failed" or (not self.console.is_terminal and self.left.elapsed() - self.printed > LINE_SECONDS):
            self._print(f"{event} {_name(key)}, {left}")

    def _look(self) -> None:
        while not self._is_over.wait(LOOK_SECONDS):
            with self._lock:
                found = {key: read_progress(self._staging / key) for key in self._running}
                if self.console.is_terminal:
                    self._move(found)
                elif found and self._is_due(any(one and one.rate for one in found.values())):
                    self._print_all(found)

    def _move(self, found: dict[str, Progress | None]) -> None:
        for key, one in found.items():
            if one:
                amount, _, left = in_words(one).partition(", ")
                task = self._running[key]
                self.bars.update(task, total=one.total or None, completed=one.done, count=amount, left=left)

    def _print_all(self, found: dict[str, Progress | None]) -> None:
        told = [f"{_name(key)}{f': {in_words(one)}' if one else ''}" for key, one in found.items()]
        more = [f"and {len(told) - MOST_STAGES} more"] if len(told) > MOST_STAGES else []
        self._print("; ".join([*told[:MOST_STAGES], *more]))

    def _is_due(self, is_told: bool) -> bool:
        elapsed = self.left.elapsed()
        return elapsed - self.printed >= (FIRST_SECONDS if is_told and not self.printed else LINE_SECONDS)

    def _count(self) -> str:
        return f"{self.left.num_done}/{self.left.num_stages}"

    def _print(self, text: str) -> None:
        self.printed = self.left.elapsed()
        line = f"{minutes(self.printed)}  {self._count()} {text}"
        self.console.print(line, highlight=False, soft_wrap=True, markup=False)


def in_words(told: Progress) -> str:
    """`124 of 600 MB, 20 MB/s, 0:24 left, dump.json`: as much of it as is known."""
    amount = f"{_number(told.done, told.unit)} {_unit(told.unit)}"
    if told.total:
        amount = f"{_number(told.done, told.unit)} of {_number(told.total, told.unit)} {_unit(told.unit)}"
    rate = f"{_number(told.rate, told.unit)}{' MB' if told.unit == 'bytes' else ''}/s" if told.rate > 0 else ""
    left = f"{minutes(told.seconds_left)} left" if told.seconds_left is not None else ""
    return ", ".join(filter(None, [amount, rate, left, told.note]))


def minutes(seconds: float | int) -> str:
    """`M:SS`."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def _number(value: float | int, unit: str) -> str:
    value = value / 1e6 if unit == "bytes" else value
    return f"{value:,.1f}" if value < 10 and (unit == "bytes" or value % 1) else f"{value:,.0f}"


def _unit(unit: str) -> str:
    return "MB" if unit == "bytes" else unit


def _name(key: str) -> str:
    """An artifact's id without its hash."""
    return key.rpartition("--")[0]
