"""read_judgments: take verdicts that were given elsewhere into the store.

In: a file or folder in one of the formats of recordings/judgments. Out: `judgments/`: records.jsonl, and dropped.jsonl,
what held no verdict; raters.jsonl, where the folder holds what is known of its raters.
"""

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from epigone.errors import DataError
from epigone.recordings.load import read_judgments
from epigone.spec import Input
from epigone.store import write_records

RATERS = "raters.jsonl"
"""Beside ratings that left `epigone rate`: attention checks by rater."""


@dataclass(frozen=True)
class ReadJudgments:
    """Options of reading judgments."""

    source: Input
    """The file or folder."""
    name: str
    """Who judged what, for people."""
    format: str = ""
    """A component of recordings/judgments; by default the one that fits."""
    options: tuple[tuple[str, object], ...] = ()
    """Options of the format."""

    kind: ClassVar[str] = "judgments"
    version: ClassVar[int] = 2

    @property
    def slug(self) -> str:
        """Who judged what."""
        return re.sub(r"[^A-Za-z0-9.+]+", "-", self.name)

    @property
    def effort(self) -> float:
        """Seconds on one core, roughly."""
        return 0.3

    def run(self, inputs: Callable[[object], Path], out: Path) -> dict[str, object]:
        """Read everything. Raises DataError where the source holds no verdict."""
        path = inputs(self.source)
        recording = read_judgments(path, self.format, **dict(self.options))
        if not recording.rows:
            raise DataError(
                f"{path}: holds no verdict; {len(recording.drops)} rows were left out: {recording.drops[:1]}"
            )
        write_records(out / "records.jsonl", recording.rows)
        write_records(out / "dropped.jsonl", recording.drops)
        if (path / RATERS).is_file():
            shutil.copyfile(path / RATERS, out / RATERS)
        return {
            "num_rows": len(recording.rows) + len(recording.drops),
            "num_kept": len(recording.rows),
            "num_dropped": len(recording.drops),
            "panels": sorted({judgment.panel for judgment in recording.rows}),
            "format": recording.format,
        }
