"""neighbours: the shards of a search put together, and what they say of diversity.

In: the `neighbours/` artifacts of all shards. Out: `neighbours/`: the same arrays for all queries, in their order, as
one shard would give them, to the byte; the summary has mean and median of the scores, with N and settings.
Source: section 3 of the paper (arXiv 2305.15717): diversity as the mean BLEU of each query's nearest neighbour.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from epigone.errors import ArtifactError
from epigone.interfaces import StageSpec
from epigone.spec import Artifact


@dataclass(frozen=True)
class Neighbours:
    """Options of putting shards together."""

    shards: tuple[StageSpec | Artifact, ...]
    """The searches, first shard first."""
    name: str = "queries"
    """What the queries are called."""

    kind: ClassVar[str] = "neighbours"
    version: ClassVar[int] = 1

    @property
    def slug(self) -> str:
        """The queries' name."""
        return self.name

    @property
    def effort(self) -> float:
        """Seconds on one core, roughly."""
        return 0.1

    def run(self, inputs: Callable[[object], Path], out: Path) -> dict[str, object]:
        """Put the arrays one behind the other. Raises ArtifactError where the shards are not of one search."""
        folders = [inputs(shard) for shard in self.shards]
        told = [json.loads((folder / "summary.json").read_text()) for folder in folders]
        if len({(one["bleu"], one["num_texts"]) for one in told}) != 1:
            raise ArtifactError(f"{', '.join(map(str, folders))} are not shards of one search; search them again")
        for name in ("rows", "scores", "partners"):
            np.save(out / f"{name}.npy", np.concatenate([np.load(folder / f"{name}.npy") for folder in folders]))
        rows, scores = np.load(out / "rows.npy"), np.load(out / "scores.npy")
        if np.any(np.diff(rows) <= 0):
            raise ArtifactError(f"{', '.join(map(str, folders))} are out of order or overlap; name each shard once")
        return {
            "num_queries": len(scores),
            "num_texts": told[0]["num_texts"],
            "mean_percent": round(float(scores.mean()), 6),
            "median_percent": round(float(np.median(scores)), 6),
            "bleu": told[0]["bleu"],
        }
