"""A dataset of our own, the folder that a curation built: what it kept and what it left out.

In: an artifact's folder with records.parquet and, where there are any, dropped.jsonl. Out: its Conversations, then its
Drops with their filters and reasons, so that the ledger of a curation of curations adds up.
Source: `epigone.datasets` and the layout of artifacts in ARCHITECTURE.md.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from epigone.datasets import iterate_dataset
from epigone.entries import Notes
from epigone.errors import ArtifactError, DataError
from epigone.records import Conversation, Drop
from epigone.rows import read_rows, shown

_RECORDS, _DROPPED = "records.parquet", "dropped.jsonl"


@dataclass(frozen=True)
class Dataset:
    """Reads every row that the curation read, kept or dropped."""

    with_drops: bool = True
    """Give what was dropped, too; off where only what was kept counts as read."""

    def fits(self, path: Path) -> bool:
        """A folder with records.parquet and DONE."""
        return (path / _RECORDS).is_file() and (path / "DONE").is_file()

    def read(self, path: Path, notes: Notes | None = None) -> Iterator[Conversation | Drop]:
        """What was kept, then what was dropped, each in its order. Raises DataError where it is no such folder."""
        if not (path / _RECORDS).is_file():
            raise DataError(f"{path}: is no dataset of epigone's: there is no {_RECORDS} in it; name the format")
        try:
            yield from iterate_dataset(path / _RECORDS)
        except ArtifactError as error:
            raise DataError(f"{error}; build the dataset again") from error
        if self.with_drops and (path / _DROPPED).is_file():
            for number, row in read_rows(path / _DROPPED):
                yield _drop(row, f"{path / _DROPPED}: row {number}")


def _drop(row: dict[str, object], where: str) -> Drop:
    fields = {name: row.get(name, "") for name in ("id", "reason", "detail", "filter")}
    texts = {name: value for name, value in fields.items() if isinstance(value, str)}
    if len(texts) < len(fields) or not texts["reason"]:
        raise DataError(f"{where}: {shown(json.dumps(row))} is no Drop; build the dataset again")
    return Drop(**texts)
