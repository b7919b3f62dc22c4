"""Plain pre-training text: JSON lines {"id", "text"}, one document a line.

In: such a file, packed or not. Out: Document or Drop. Like plain_text it yields Documents, not Conversations.
Source: the layout of The Pile and C4 (Gao et al. 2020, arXiv 2101.00027), reduced to the two fields that are needed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from epigone.entries import Notes
from epigone.errors import DataError
from epigone.records import Document, Drop
from epigone.rows import beginning, text_field
from epigone.rows.chats import Fields, each_row

_BESIDE = {"id", "text", "meta", "source", "url", "timestamp"}


@dataclass(frozen=True)
class Documents:
    """Reads plain documents; every row goes out once, kept or as a Drop."""

    salvage: bool = False
    """Go on with what is whole where the file is damaged; the loss is a Drop."""

    def fits(self, path: Path) -> bool:
        """Rows with id and text, and nothing beside them but where they are from."""
        return {"id", "text"} <= beginning(path).keys() <= _BESIDE

    def read(self, path: Path, notes: Notes | None = None) -> Iterator[Document | Drop]:
        """Rows in file order. Raises DataError where the file is damaged or not JSON."""
        return each_row(path, partial(_document, path.name), salvage=self.salvage, notes=notes)


def _document(source: str, number: int, row: Fields, notes: Notes) -> Iterator[Document | Drop]:
    where = f"{source}: row {number}"
    try:
        yield Document(text_field(row, "id", where), text_field(row, "text", where))
    except DataError as error:
        yield Drop(str(row.get("id") or f"row-{number}"), "not a document", str(error))
