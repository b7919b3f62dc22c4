"""Datasets of conversations on disk: Parquet that `datasets` and polars read as they are.

In: Conversations. Out: the same, in order. Written and read a row group at a time, so that memory stays flat.
Source: https://parquet.apache.org/docs/file-format.
"""

import dataclasses
from collections.abc import Generator, Iterable
from pathlib import Path
from typing import cast

import pyarrow
from pyarrow import parquet

from epigone.errors import ArtifactError
from epigone.records import Conversation, Message
from epigone.store import decode

ROW_GROUP = 512
"""Conversations that are written, and read, at a time."""
_TEXT = pyarrow.string()
_MESSAGE = pyarrow.struct([(name, _TEXT) for name in (f.name for f in dataclasses.fields(Message))])
_DATASET = pyarrow.schema([("id", _TEXT), ("messages", pyarrow.list_(_MESSAGE)), ("source", _TEXT)])


class DatasetWriter:
    """Writes conversations as Parquet (zstd), a row group at a time, so that memory stays flat; whole on `close`.

    Columns id, messages (list of role, content, reasoning, tool_calls, tool_call_id), source.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.num_rows = 0
        self._partial = path.with_name(path.name + ".partial")
        self._writer = parquet.ParquetWriter(self._partial, _DATASET, compression="zstd")
        self._rows: list[dict[str, object]] = []

    def write(self, conversation: Conversation) -> None:
        """Add one row."""
        self._rows.append(dataclasses.asdict(conversation))
        self.num_rows += 1
        if len(self._rows) >= ROW_GROUP:
            self._flush()

    def close(self) -> None:
        """Write what is left and give the file its name."""
        self._flush()
        self._writer.close()
        self._partial.rename(self.path)

    def _flush(self) -> None:
        if self._rows:
            self._writer.write_table(pyarrow.Table.from_pylist(self._rows, schema=_DATASET))
            self._rows.clear()


def write_dataset(path: Path, conversations: Iterable[Conversation]) -> int:
    """Conversations as a DatasetWriter writes them; returns how many."""
    writer = DatasetWriter(path)
    for conversation in conversations:
        writer.write(conversation)
    writer.close()
    return writer.num_rows


def iterate_dataset(path: Path) -> Generator[Conversation, None, None]:
    """The conversations of a dataset, in order, a row group in memory at a time. Raises ArtifactError."""
    try:
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=ROW_GROUP):
                yield from (cast(Conversation, decode(Conversation, row)) for row in batch.to_pylist())
    except (OSError, KeyError, TypeError, pyarrow.ArrowException) as error:
        raise ArtifactError(f"{path} is not a dataset of conversations: {error}") from error


def read_dataset(path: Path) -> list[Conversation]:
    """The conversations of a dataset, in order. Raises ArtifactError where the file is not such a dataset."""
    return list(iterate_dataset(path))
