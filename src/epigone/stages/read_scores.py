"""read_scores: take scores that another harness recorded into the store.

In: a file or folder in one of the formats of recordings/scores. Out: `scores/`: records.jsonl, the ScoreSheets, and
dropped.jsonl, the items without a score.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from epigone.errors import DataError
from epigone.recordings.load import only_model, read_scores
from epigone.spec import Input
from epigone.store import write_records


@dataclass(frozen=True)
class ReadScores:
    """Options of reading scores."""

    source: Input
    """The file or folder."""
    name: str
    """Whose scores, for people."""
    model: str = ""
    """Which of several models of the source, as recorded there; by default all."""
    format: str = ""
    """A component of recordings/scores; by default the one that fits."""

    kind: ClassVar[str] = "scores"
    version: ClassVar[int] = 1

    @property
    def slug(self) -> str:
        """The model."""
        return re.sub(r"[^A-Za-z0-9.+]+", "-", self.name)

    @property
    def effort(self) -> float:
        """Seconds on one core, roughly."""
        return 0.3

    def run(self, inputs: Callable[[object], Path], out: Path) -> dict[str, object]:
        """Read everything, keep what was asked for. Raises DataError where the source is of no use."""
        path = inputs(self.source)
        recording = read_scores(path, self.format)
        kept = only_model(recording.rows, self.model, "", path) if self.model else recording.rows
        if not kept:
            raise DataError(f"{path}: holds no score; {len(recording.drops)} were left out: {recording.drops[:1]}")
        write_records(out / "records.jsonl", kept)
        write_records(out / "dropped.jsonl", recording.drops)
        return {
            "num_sheets": len(recording.rows),
            "num_kept": len(kept),
            "num_dropped": len(recording.drops),
            "num_scores": sum(len(sheet.scores) for sheet in kept),
            "models": sorted({sheet.model for sheet in kept}),
            "format": recording.format,
        }
