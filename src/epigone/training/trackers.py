"""Who follows a run step by step: JSON lines always, TensorBoard or Weights & Biases where asked.

In: the steps of a run, each once and in order from the first; a run that goes on after an interruption tells them anew,
so that every file and chart is whole. Out: `train_log.jsonl`, equal to the byte for equal runs; what the others keep.
The environment variable EPIGONE_LOG_TO asks for them, `tensorboard:FOLDER` or `wandb:PROJECT`: who watches a run is no
part of what is run, so it stands in no spec.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Protocol, runtime_checkable

from epigone import discover
from epigone.errors import SpecError
from epigone.training.log import TrainStep

VARIABLE = "EPIGONE_LOG_TO"


@runtime_checkable
class Tracker(Protocol):
    """Whoever follows a run."""

    def write(self, row: TrainStep) -> None:
        """Called for every step, in order."""
        ...

    def close(self) -> None:
        """Called once, at the end, also that of a run which failed."""
        ...


@contextmanager
def following(path: Path, name: str) -> Iterator[list[Tracker]]:
    """The trackers of the run `name`: JSON lines to `path`, and what the environment asks for.

    Raises SpecError for an unknown tracker and for one whose package is not installed.
    """
    trackers: list[Tracker] = []
    if asked := os.environ.get(VARIABLE):
        trackers.append(_asked(asked, name))
    trackers.append(JsonLines(path))
    try:
        yield trackers
    finally:
        for tracker in trackers:
            tracker.close()


class JsonLines:
    """One object a step."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("w", encoding="utf-8")

    def write(self, row: TrainStep) -> None:
        """Add a line. A number that is none becomes null, so that the file stays JSON."""
        finite = {name: value if abs(value) < float("inf") else None for name, value in row._asdict().items()}
        self._file.write(json.dumps(finite) + "\n")

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class TensorBoard:
    """Scalars in a folder of event files, by the package tensorboardX."""

    def __init__(self, folder: str, name: str) -> None:
        path = Path(folder) / name
        for old in path.glob("events.out.*"):  # of the same run, before it was interrupted
            old.unlink()
        self._writer = _package("tensorboardX", "tensorboard").SummaryWriter(str(path))

    def write(self, row: TrainStep) -> None:
        """A scalar for each figure."""
        for name, value in row._asdict().items():
            if name != "step":
                self._writer.add_scalar(f"train/{name}", value, row.step)

    def close(self) -> None:
        """Write what is not yet written."""
        self._writer.close()


class WeightsAndBiases:
    """A run of a project, by the package wandb; its own variables say where to (WANDB_MODE=offline: a folder)."""

    def __init__(self, project: str, name: str) -> None:
        self._run = _package("wandb", "wandb").init(project=project, name=name)

    def write(self, row: TrainStep) -> None:
        """All figures of a step."""
        self._run.log({f"train/{name}": value for name, value in row._asdict().items()}, step=row.step)

    def close(self) -> None:
        """Send what is not yet sent."""
        self._run.finish()


KINDS = {"tensorboard": TensorBoard, "wandb": WeightsAndBiases}


def _asked(asked: str, name: str) -> Tracker:
    kind, _, where = asked.partition(":")
    if kind not in KINDS or not where:
        raise SpecError(f"{VARIABLE} is {asked!r}; it can be tensorboard:FOLDER or wandb:PROJECT")
    return KINDS[kind](where, name)


def _package(module: str, extra: str) -> ModuleType:
    try:
        return discover.load(module)
    except ImportError as error:
        raise SpecError(
            f"{VARIABLE} asks for {extra}, which is not installed: pip install 'epigone[{extra}]'"
        ) from error
