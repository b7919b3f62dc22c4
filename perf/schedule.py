"""What it costs to schedule: 500 trivial cells, milliseconds of the clock a cell, beside plain worker pools.

    python perf/schedule.py [--cells 500] [--ray]

A cell is a stage that writes one line, so that nearly all of the time is ours: the schedule, the hand-over to a
worker, and the artifact (spec, counts, checksums, a lock, one rename). The peer is `concurrent.futures` with as many
workers that write the same line to a file of their own and sync it, or with --ray plain Ray tasks that do. Without
artifacts there is nothing to resume from, so the peer does less; the difference is what an artifact costs.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import ClassVar

from epigone import discover
from epigone.executors.here import Here
from epigone.executors.local import Local
from epigone.interfaces import StageSpec
from epigone.spec import in_order
from epigone.store import Store

NUM_WORKERS = 2


@dataclass(frozen=True)
class Cell:
    """Writes its number."""

    number: int
    inputs: tuple["Cell", ...] = ()

    kind: ClassVar[str] = "cells"
    version: ClassVar[int] = 1

    @property
    def slug(self) -> str:
        return f"cell-{self.number}"

    @property
    def effort(self) -> float:
        return 1.0

    def run(self, inputs: Callable[[object], Path], out: Path) -> dict[str, object]:
        write(out / "number.txt", self.number)
        return {}


def write(path: Path, number: int) -> None:
    with path.open("w") as handle:
        handle.write(f"{number}\n")
        handle.flush()
        os.fsync(handle.fileno())


def plain(folder: str, number: int) -> None:
    write(Path(folder) / f"{number}.txt", number)


def grid(num_cells: int) -> Cell:
    """All cells read a first one, and a last one reads them all, as a study's do."""
    first = Cell(0)
    return Cell(num_cells + 1, tuple(Cell(number, (first,)) for number in range(1, num_cells + 1)))


def ours(root: Path, num_cells: int, executor: object) -> float:
    store = Store(root)
    started = time.monotonic()
    stages = [stage for stage in in_order([grid(num_cells)], store.resolver) if not store.is_done(stage)]
    executor.run(stages, _nothing)  # pyright: ignore
    return 1000 * (time.monotonic() - started) / len(stages)


def _nothing(event: str, stage: StageSpec) -> None:
    pass


def pool(root: Path, num_cells: int) -> float:
    started = time.monotonic()
    with ProcessPoolExecutor(NUM_WORKERS, mp_context=get_context("spawn")) as workers:
        list(workers.map(plain, [str(root)] * num_cells, range(num_cells)))
    return 1000 * (time.monotonic() - started) / num_cells


def ray_tasks(root: Path, num_cells: int) -> float:
    import ray

    task = ray.remote(plain)
    started = time.monotonic()
    ray.get([task.remote(str(root), number) for number in range(num_cells)])
    return 1000 * (time.monotonic() - started) / num_cells


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", type=int, default=500)
    parser.add_argument("--ray", action="store_true", help="also on a Ray cluster of this machine")
    options = parser.parse_args()
    rows: list[tuple[str, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        homes = [Path(folder) / name for name in ("local", "here", "pool", "ray", "tasks")]
        for home in homes:
            home.mkdir()
        rows.append(("epigone, local, 2 workers", ours(homes[0], options.cells, Local(str(homes[0]), NUM_WORKERS))))
        rows.append(("epigone, here", ours(homes[1], options.cells, Here(str(homes[1])))))
        rows.append(("concurrent.futures, 2 workers", pool(homes[2], options.cells)))
        if options.ray:
            import ray

            from epigone.executors.ray import Ray

            ray.init(num_cpus=NUM_WORKERS, include_dashboard=False, log_to_driver=False)
            rows.append(("epigone, ray, 2 CPUs", ours(homes[3], options.cells, Ray(str(homes[3])))))
            rows.append(("plain Ray tasks, 2 CPUs", ray_tasks(homes[4], options.cells)))
            ray.shutdown()
    print(f"{options.cells} trivial cells, milliseconds of the clock a cell")
    for name, milliseconds in rows:
        print(f"  {name:32} {milliseconds:8.2f}  {milliseconds / rows[2][1]:6.1f} x concurrent.futures")


if __name__ == "__main__":
    discover.load("schedule").main()  # by its name, so that cells are of one class in every process
