"""search: the most similar text of each query of one shard of an index, exactly.

In: an `indexes/` artifact. Out: `neighbours/`: rows.npy (row of the query), scores.npy (sentence BLEU, percent) and
partners.npy (row of the text; -1 where none scores above 0). The shards of an index are searched by as many stages,
in any order and place; put together they are what one search finds, since no query's answer depends on another's.
Source: docs/decisions/0010.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from epigone.errors import SpecError
from epigone.interfaces import StageSpec
from epigone.similarity.bleu import Settings
from epigone.similarity.prepared import Prepared
from epigone.spec import Artifact
from epigone.store import read_record


@dataclass(frozen=True)
class Search:
    """Options of a search. Raises SpecError for a shard that there is not."""

    index: StageSpec | Artifact
    """The index that is searched."""
    shard: int = 0
    """Which part of the queries, from 0."""
    num_shards: int = 1
    """In how many parts of equal size the queries are cut."""
    name: str = "queries"
    """What the queries are called."""

    kind: ClassVar[str] = "neighbours"
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if not 0 <= self.shard < self.num_shards:
            raise SpecError(f"shard={self.shard}: with num_shards={self.num_shards} give 0 to {self.num_shards - 1}")

    @property
    def slug(self) -> str:
        """The queries' name and the shard."""
        return f"{self.name}-{self.shard + 1}of{self.num_shards}"

    @property
    def effort(self) -> float:
        """Seconds on one core, roughly."""
        return 20.0 / self.num_shards

    def run(self, inputs: Callable[[object], Path], out: Path) -> dict[str, object]:
        """Search the shard's queries."""
        folder = inputs(self.index)
        prepared, settings = Prepared.load(folder), read_record(folder / "settings.json", Settings)
        rows, text_rows = (np.load(folder / f"{side}_rows.npy") for side in ("query", "text"))
        start, stop = (len(rows) * part // self.num_shards for part in (self.shard, self.shard + 1))
        found = prepared.nearest(settings, range(start, stop))
        np.save(out / "rows.npy", rows[start:stop])
        np.save(out / "scores.npy", found.scores)
        np.save(out / "partners.npy", np.where(found.partners < 0, -1, text_rows[found.partners]))
        return {"num_queries": stop - start, "num_texts": len(text_rows), "bleu": settings.signature}
