"""Datasets of conversations on disk: Parquet that `datasets` and polars read as they are.

In: Conversations, or DroppedConversations. Out: the same, in order. Written and read a row group at a time, so that
memory stays flat. Source: https://parquet.apache.org/docs/file-format.
"""

import bisect
import dataclasses
import itertools
from collections import deque
from collections.abc import Generator, Iterable
from pathlib import Path
from types import TracebackType
from typing import Generic, TypeVar, cast

import pyarrow
from pyarrow import ipc, parquet

from epigone.errors import ArtifactError
from epigone.progress import tell
from epigone.records import Conversation, DroppedConversation, Message
from epigone.store import decode

Row = TypeVar("Row", Conversation, DroppedConversation)

ROW_GROUP = 512
"""Conversations that are written, and read, at a time."""
_TEXT = pyarrow.string()
_MESSAGES = pyarrow.list_(pyarrow.struct([(f.name, _TEXT) for f in dataclasses.fields(Message)]))


class DatasetWriter(Generic[Row]):
    """Writes rows as Parquet (zstd) under a `.partial` name; the file has its own name once the block is left whole.

    Columns are the record's fields; messages is a list of (role, content, reasoning, tool_calls, tool_call_id).
    """

    def __init__(self, path: Path, cls: type[Row]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.num_rows = 0
        self._rows: list[dict[str, object]] = []
        self._partial = path.with_name(path.name + ".partial")
        self._schema = _schema(cls)
        self._writer = parquet.ParquetWriter(self._partial, self._schema, compression="zstd")

    def __enter__(self) -> "DatasetWriter[Row]":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is None:
            self._flush()
        self._writer.close()
        if kind is None:
            self._partial.rename(self.path)

    def write(self, row: Row) -> None:
        """Add one row."""
        self._rows.append(dataclasses.asdict(row))
        self.num_rows += 1
        if len(self._rows) >= ROW_GROUP:
            self._flush()

    def _flush(self) -> None:
        if self._rows:
            self._writer.write_table(pyarrow.Table.from_pylist(self._rows, schema=self._schema))
            self._rows.clear()


def write_dataset(path: Path, conversations: Iterable[Conversation]) -> int:
    """Conversations as a DatasetWriter writes them; returns how many."""
    with DatasetWriter(path, Conversation) as writer:
        for conversation in conversations:
            writer.write(conversation)
    return writer.num_rows


def iterate_dataset(path: Path) -> Generator[Conversation, None, None]:
    """The conversations of a dataset, in order, a row group in memory at a time. Raises ArtifactError."""
    yield from iterate_rows(path, Conversation)


def iterate_rows(path: Path, cls: type[Row]) -> Generator[Row, None, None]:
    """The rows that a DatasetWriter wrote, in order, a row group in memory at a time. Raises ArtifactError."""
    try:
        with parquet.ParquetFile(path) as file:
            num_read = 0
            for batch in file.iter_batches(batch_size=ROW_GROUP):
                yield from (cast(Row, decode(cls, row)) for row in batch.to_pylist())
                num_read += len(batch)
                tell(num_read, file.metadata.num_rows, "conversations", path.parent.name)
    except (OSError, KeyError, TypeError, pyarrow.ArrowException) as error:
        raise ArtifactError(f"{path} is not a dataset of conversations: {error}") from error


def read_dataset(path: Path) -> list[Conversation]:
    """The conversations of a dataset, in order. Raises ArtifactError where the file is not such a dataset."""
    return list(iterate_dataset(path))


def _schema(cls: type[Row]) -> pyarrow.Schema:
    fields = dataclasses.fields(cls)
    return pyarrow.schema([(f.name, _MESSAGES if f.name == "messages" else _TEXT) for f in fields])


class Waiting:
    """Conversations that went in and are due to come out, in order: those beyond HELD wait in files of `scratch`."""

    HELD = 4 * ROW_GROUP

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._first: deque[Conversation] = deque()
        self._files: deque[Path] = deque()
        self._last: list[Conversation] = []
        self._num_files = 0

    def __len__(self) -> int:
        return len(self._first) + len(self._files) * self.HELD + len(self._last)

    def push(self, conversation: Conversation) -> None:
        """Let one more wait."""
        if not self._files and not self._last and len(self._first) < self.HELD:
            self._first.append(conversation)
            return
        self._last.append(conversation)
        if len(self._last) == self.HELD:
            self._files.append(self._scratch / f"waiting-{self._num_files}.parquet")
            self._num_files += 1
            write_dataset(self._files[-1], self._last)
            self._last = []

    def pop(self) -> Conversation:
        """The one that has waited longest. Raises IndexError where none waits."""
        if not self._first and self._files:
            file = self._files.popleft()
            self._first.extend(iterate_dataset(file))
            file.unlink()
        elif not self._first:
            self._first, self._last = deque(self._last), []
        return self._first.popleft()


class RandomAccess:
    """A dataset's rows in any order: copied once to an uncompressed Arrow file in `scratch`, which is then mapped.

    Parquet reads 16 random rows a second, a mapped Arrow file tens of thousands. Raises ArtifactError.
    """

    def __init__(self, path: Path, scratch: Path) -> None:
        copy = scratch / f"{path.parent.name}.arrow"
        try:
            with parquet.ParquetFile(path) as file, ipc.new_file(copy, file.schema_arrow) as writer:
                for batch in file.iter_batches(batch_size=ROW_GROUP):
                    writer.write_batch(batch)
        except (OSError, pyarrow.ArrowException) as error:
            raise ArtifactError(f"{path} is not a dataset of conversations: {error}") from error
        self._map = pyarrow.memory_map(str(copy))
        reader = ipc.open_file(self._map)
        self._batches = [reader.get_batch(number) for number in range(reader.num_record_batches)]
        self._starts = list(itertools.accumulate((len(batch) for batch in self._batches), initial=0))

    def __len__(self) -> int:
        return self._starts[-1]

    def __getitem__(self, row: int) -> Conversation:
        if not 0 <= row < len(self):
            raise IndexError(row)
        number = bisect.bisect_right(self._starts, row) - 1
        values = self._batches[number].slice(row - self._starts[number], 1).to_pylist()
        return cast(Conversation, decode(Conversation, values[0]))
