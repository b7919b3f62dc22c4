"""index_queries: the queries of a dataset, or of two, made ready for a search for nearest neighbours.

In: datasets (a conversation's query is its first user turn), or JSON lines with a prompt each. Out: `indexes/`: n-grams
and postings as .npy arrays that processes map and share; query_rows.npy and text_rows.npy say which row each is of;
settings.json.
Source: "top-1 BLEU to the rest", the diversity measure of section 3 of the paper (arXiv 2305.15717).
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np

from epigone.curation import evaluation_prompts
from epigone.datasets import iterate_dataset
from epigone.errors import DataError
from epigone.interfaces import StageSpec
from epigone.similarity.bleu import Settings
from epigone.similarity.prepared import Prepared
from epigone.spec import Artifact, Input
from epigone.store import write_json

Source = StageSpec | Artifact | Input


@dataclass(frozen=True)
class IndexQueries:
    """Options of an index; a source is a dataset or an Input (JSON lines of prompts)."""

    queries: StageSpec | Artifact | Input
    """What is asked."""
    against: StageSpec | Artifact | Input | None = None
    """Among what neighbours are looked for; by default among the other queries."""
    settings: Settings = field(default_factory=Settings)
    """How two texts are compared."""
    name: str = "queries"
    """What the queries are called."""

    kind: ClassVar[str] = "indexes"
    version: ClassVar[int] = 1

    @property
    def slug(self) -> str:
        """The queries' name."""
        return self.name

    @property
    def effort(self) -> float:
        """Seconds on one core, roughly."""
        return 10.0

    def run(self, inputs: Callable[[object], Path], out: Path) -> dict[str, object]:
        """Tokenise, count, write. Raises DataError where there is no query."""
        rows, queries = _read(self.queries, inputs)
        if self.against is None:
            text_rows, texts = rows, None
        else:
            text_rows, texts = _read(self.against, inputs)
        Prepared.of(queries, texts, self.settings).save(out)
        write_json(out / "settings.json", asdict(self.settings))
        np.save(out / "query_rows.npy", rows)
        np.save(out / "text_rows.npy", text_rows)
        return {"num_queries": len(rows), "num_texts": len(text_rows), "bleu": self.settings.signature}


def _read(source: Source, inputs: Callable[[object], Path]) -> tuple[np.ndarray, list[str]]:
    """Row numbers from 0 and texts of the rows that hold a query."""
    path = inputs(source)
    found = list(_prompts(path) if isinstance(source, Input) else _first_turns(path / "records.parquet"))
    if not found:
        raise DataError(f"{path}: holds no query; give a dataset with user turns, or prompts as JSON lines")
    return np.array([row for row, _ in found], dtype=np.int64), [text for _, text in found]


def _first_turns(path: Path) -> Iterator[tuple[int, str]]:
    for row, conversation in enumerate(iterate_dataset(path)):
        query = next((m.content for m in conversation.messages if m.role == "user"), None)
        if query is not None:
            yield row, query


def _prompts(path: Path) -> Iterator[tuple[int, str]]:
    return ((row, asked[-1].content) for row, (_, asked, _) in enumerate(evaluation_prompts(path)))
