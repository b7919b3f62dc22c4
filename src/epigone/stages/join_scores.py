"""join_scores: the shards of an evaluation put together.

In: the `scores/` artifacts of all shards. Out: `scores/`: the same records for all items, in their order, as one
evaluation would give them, to the byte; the summary has every metric over all of them.
"""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from epigone.errors import ArtifactError, WorkError
from epigone.interfaces import StageSpec
from epigone.metrics.intervals import summary_of_items
from epigone.records import Score
from epigone.spec import Artifact
from epigone.store import read_records, read_summary


@dataclass(frozen=True)
class JoinScores:
    """Options of putting shards together."""

    shards: tuple[StageSpec | Artifact, ...]
    """The evaluations, first shard first."""
    name: str
    """Model and benchmark, for people."""

    kind: ClassVar[str] = "scores"
    version: ClassVar[int] = 1

    @property
    def slug(self) -> str:
        """Model and benchmark."""
        return self.name.replace("_", "-")

    @property
    def effort(self) -> float:
        """Seconds on one core, roughly."""
        return 0.1

    def run(self, inputs: Callable[[object], Path], out: Path) -> dict[str, object]:
        """Put the records one behind the other. Raises ArtifactError where the shards are not of one evaluation."""
        folders = [inputs(shard) for shard in self.shards]
        summaries = [read_summary(folder) for folder in folders]
        specs = [json.loads((folder / "spec.json").read_text())["spec"] for folder in folders]
        whole = {**specs[0], "num_shards": len(specs)}
        if any(spec != {**whole, "shard": place} for place, spec in enumerate(specs)):
            raise ArtifactError(
                f"{', '.join(map(str, folders))} are not all shards of one evaluation, first shard first; give them so"
            )
        for name in ("records.jsonl", "tokens.jsonl"):
            _concatenate([folder / name for folder in folders], out / name)
        scores = read_records(out / "records.jsonl", Score)
        if not scores:
            raise WorkError(f"{self.name}: no shard holds an item; take fewer shards")
        told = {key: summaries[0][key] for key in ("protocol", "num_available")}
        return told | summary_of_items([score.metrics for score in scores])


def _concatenate(files: Sequence[Path], out: Path) -> None:
    there = [file for file in files if file.exists()]
    if there:
        with out.open("wb") as whole:
            for file in there:
                with file.open("rb") as part:
                    shutil.copyfileobj(part, whole)
