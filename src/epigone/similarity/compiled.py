"""Functions compiled by numba that run without the interpreter's lock, and the threads that run them.

In: a Python function over arrays. Out: its machine code, kept on disk where a folder can be written. Numba notices a
change of a function's own file only: functions that call one another stay in one module.
Source: https://numba.readthedocs.io/en/stable/developer/caching.html
"""

import inspect
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from threading import Lock
from typing import Any, TypeVar

import numba

from epigone.progress import tell

TELL_SECONDS = 0.5
"""How often the threads' progress is told."""
Result = TypeVar("Result")
Scratch = TypeVar("Scratch")


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, compiled when Python first calls it."""
    return _compiled(function, {"nogil": True, "error_model": "numpy"})


def compiled_part(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, compiled for other compiled functions alone: without the doors for Python and C."""
    doors = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    return _compiled(function, {"nogil": True, "error_model": "numpy", **doors})


def _compiled(function: Callable[..., Any], options: dict[str, Any]) -> Callable[..., Any]:
    plain = inspect.unwrap(function)  # the type checks that tests wrap around it cannot be compiled
    try:
        return numba.njit(cache=True, **options)(plain)
    except RuntimeError:  # no folder where machine code could be kept: compile in every process
        return numba.njit(**options)(plain)


def num_threads() -> int:
    """NUMBA_NUM_THREADS where it is set, else the cores that this process may use."""
    asked = os.environ.get("NUMBA_NUM_THREADS", "")
    if asked.isdecimal() and int(asked) > 0:
        return int(asked)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_blocks(
    parts: Sequence[slice], prepare: Callable[[], Scratch], work: Callable[[slice, Scratch], Result]
) -> list[Result]:
    """What `work` returns for each part, in order. Each thread prepares its own scratch space once."""
    done: dict[int, Result] = {}
    waiting: Iterator[tuple[int, slice]] = enumerate(parts)
    lock = Lock()

    def run() -> None:
        scratch = prepare()
        while True:
            with lock:
                number, part = next(waiting, (-1, slice(0)))
            if number < 0:
                return
            done[number] = work(part, scratch)

    num_runs = min(num_threads(), len(parts))
    with ThreadPoolExecutor(max(num_runs, 1)) as pool:
        futures = [pool.submit(run) for _ in range(num_runs)]
        while wait(futures, timeout=TELL_SECONDS).not_done:
            tell(parts[len(done) - 1].stop if done else 0, parts[-1].stop, "queries")
        for future in futures:
            future.result()
    return [done[number] for number in range(len(parts))]
