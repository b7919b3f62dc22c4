"""read_answers: take answers that were recorded elsewhere into the store.

In: a file or folder in one of the formats of recordings/answers. Out: `generations/`: records.jsonl, the Generations of
one model, others.jsonl, those of the other models of the source, and dropped.jsonl, what could not be used.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from epigone.recordings.load import only_model, read_answers
from epigone.spec import Input
from epigone.store import write_records


@dataclass(frozen=True)
class ReadAnswers:
    """Options of reading answers."""

    source: Input
    """The file or folder."""
    name: str
    """The model, for people."""
    model: str = ""
    """Which of several models of the source, as recorded there; by default the only one, or the one called `name`."""
    format: str = ""
    """A component of recordings/answers; by default the one that fits."""
    options: tuple[tuple[str, object], ...] = ()
    """Options of the format."""

    kind: ClassVar[str] = "generations"
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
        """Read everything, keep one model's answers. Raises DataError where the source is of no use."""
        path = inputs(self.source)
        recording = read_answers(path, self.format, **dict(self.options))
        kept = only_model(recording.rows, self.model, self.name, path)
        write_records(out / "records.jsonl", kept)
        write_records(out / "others.jsonl", [row for row in recording.rows if row.model != kept[0].model])
        write_records(out / "dropped.jsonl", recording.drops)
        return {
            "num_rows": len(recording.rows) + len(recording.drops),
            "num_kept": len(kept),
            "num_dropped": len(recording.drops),
            "num_other_models": len(recording.rows) - len(kept),
            "model": kept[0].model,
            "format": recording.format,
        }
