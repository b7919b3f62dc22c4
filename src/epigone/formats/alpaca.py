"""Alpaca data: [{"instruction", "input", "output"}], as a JSON array or one row a line.

In: such a file, packed or not; AlpacaEval's and AlpacaFarm's outputs have the same rows. Out: Conversation or Drop, an
`input` below its instruction after a blank line.
Source: https://github.com/tatsu-lab/stanford_alpaca (alpaca_data.json).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from epigone.entries import Notes
from epigone.records import Conversation, Drop
from epigone.rows import bare_name, beginning, identity, instruction_of
from epigone.rows.chats import Fields, each_row, one_turn


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
        return each_row(path, partial(_pair, path), salvage=self.salvage, notes=notes)


def _pair(path: Path, number: int, row: Fields, notes: Notes) -> Iterator[Conversation | Drop]:
    row_id = identity(row.get("id")) or f"{bare_name(path)}-{number}"
    yield one_turn(row_id, instruction_of(row), row.get("output"), path.name, notes)
