"""Parquet files: datasets in message form, in ShareGPT's form, or with instruction and output columns.

In: a .parquet file, ours or another's, with a column `messages`, `conversations` or `conversation`, or the columns
instruction and output, or prompt and response. Out: Conversation or Drop. Read a batch of rows at a time.
Sources: https://parquet.apache.org/docs/file-format; https://huggingface.co/docs/trl/dataset_formats for the columns.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow
from pyarrow import parquet

from epigone.entries import Notes
from epigone.errors import DataError
from epigone.progress import tell
from epigone.records import Conversation, Drop
from epigone.rows import bare_name, identity, instruction_of
from epigone.rows.chats import chat, dialogue, named_apart, one_turn, speaker_turns
from epigone.streams import magic, opened

BATCH_ROWS = 256
_MAGIC = b"PAR1"
_CHATS = ("messages", "conversations", "conversation")
_PAIRS = (("instruction", "output"), ("prompt", "response"), ("prompt", "completion"), ("question", "answer"))
_IDS = ("id", "conversation_id", "prompt_id", "question_id")
_FAULTS = (pyarrow.ArrowException, OSError, ValueError, KeyError, TypeError, MemoryError, OverflowError)
"""What pyarrow raises on a file that is damaged."""

Reading = Callable[[str, dict[str, object], str], Conversation | Drop]


@dataclass(frozen=True)
class Parquet:
    """Reads whichever of the columns there is; a row without an id is FILE-NUMBER."""

    def fits(self, path: Path) -> bool:
        """A file that begins as Parquet does."""
        return magic(path).startswith(_MAGIC)

    def read(self, path: Path, notes: Notes | None = None) -> Iterator[Conversation | Drop]:
        """Rows in file order. Raises DataError where the file is damaged or has none of the columns."""
        notes = Counter() if notes is None else notes
        return named_apart(_rows(path, notes), notes)


def _rows(path: Path, notes: Notes) -> Iterator[Conversation | Drop]:
    number = 0
    for batch in _batches(path):
        for row in batch:
            number += 1
            where = f"{path.name}: row {number}"
            row_id = next(filter(None, (identity(row.get(name)) for name in _IDS)), f"{bare_name(path)}-{number}")
            yield _conversation(row_id, row, path.name, where, notes)


def _conversation(row_id: str, row: dict[str, object], source: str, where: str, notes: Notes) -> Conversation | Drop:
    for name in _CHATS:
        if name in row:
            turns = speaker_turns({"conversations": row[name]})
            if turns is not None and turns:
                return dialogue(row_id, turns, source, notes)
            return chat(row_id, row[name], source, where, notes)
    asked, answered = next(pair for pair in _PAIRS if set(pair) <= row.keys())
    prompt = instruction_of(row) if asked == "instruction" else row[asked]
    return one_turn(row_id, prompt, row[answered], source, notes)


def _batches(path: Path) -> Iterator[list[dict[str, object]]]:
    with opened(path) as handle:
        try:
            with parquet.ParquetFile(handle) as file:
                names = _columns(file.schema_arrow.names, path)
                num_read = 0
                for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=names):
                    yield batch.to_pylist()
                    num_read += len(batch)
                    tell(num_read, file.metadata.num_rows, "rows", path.name)
        except _FAULTS as error:
            raise DataError(f"{path}: is damaged, or no Parquet file ({error}); fetch the file again") from error


def _columns(names: list[str], path: Path) -> list[str]:
    """The columns that are read: those that hold the conversation, and its id. Raises DataError."""
    wanted = next(((name,) for name in _CHATS if name in names), None)
    wanted = wanted or next((pair for pair in _PAIRS if set(pair) <= set(names)), None)
    if not wanted:
        known = "; ".join([", ".join(_CHATS), *(" and ".join(pair) for pair in _PAIRS)])
        raise DataError(f"{path}: has the columns {', '.join(names)}; one of these is needed: {known}")
    beside = [name for name in (*_IDS, "input") if name in names and (name != "input" or "instruction" in wanted)]
    return [*beside, *wanted]
