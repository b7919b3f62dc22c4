"""Alpaca data: [{"instruction", "input", "output"}], as a JSON array or one row a line.

In: such a file, packed or not; AlpacaEval's and AlpacaFarm's outputs have the same rows. Out: Conversation or Drop, an
`input` below its instruction after a blank line.
Source: https://github.com/tatsu-lab/stanford_alpaca (alpaca_data.json).
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from epigone.entries import Notes
from epigone.records import Conversation, Drop
from epigone.rows import bare_name, beginning, identity, instruction_of, rows_or_drops
from epigone.rows.chats import named_apart, one_turn


@dataclass(frozen=True)
class Alpaca:
    """Reads one prompt and answer a row; a row without an id is FILE-NUMBER."""

    salvage: bool = False
    """Go on with what is whole where the file is damaged; the loss is a Drop."""

    def fits(self, path: Path) -> bool:
        """Rows with instruction and output."""
        return {"instruction", "output"} <= beginning(path).keys()

    def read(self, path: Path, notes: Notes | None = None) -> Iterator[Conversation | Drop]:
        """Rows in file order. Raises DataError where the file is damaged or not JSON."""
        notes = Counter() if notes is None else notes
        return named_apart(self._rows(path, notes), notes)

    def _rows(self, path: Path, notes: Notes) -> Iterator[Conversation | Drop]:
        for found in rows_or_drops(path, salvage=self.salvage, notes=notes):
            if isinstance(found, Drop):
                yield found
                continue
            number, row = found
            row_id = identity(row.get("id")) or f"{bare_name(path)}-{number}"
            yield one_turn(row_id, instruction_of(row), row.get("output"), path.name, notes)
