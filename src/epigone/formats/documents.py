"""Plain pre-training text: JSON lines {"id", "text"}, one document a line.

In: such a file, packed or not. Out: Document or Drop. Like plain_text it yields Documents, not Conversations.
Source: the layout of The Pile and C4 (Gao et al. 2020, arXiv 2101.00027), reduced to the two fields that are needed.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from epigone.entries import Notes
from epigone.errors import DataError
from epigone.records import Document, Drop
from epigone.rows import beginning, rows_or_drops, text_field
from epigone.rows.chats import named_apart

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
        notes = Counter() if notes is None else notes
        return named_apart(self._rows(path, notes), notes)

    def _rows(self, path: Path, notes: Notes) -> Iterator[Document | Drop]:
        for found in rows_or_drops(path, salvage=self.salvage, notes=notes):
            if isinstance(found, Drop):
                yield found
                continue
            number, row = found
            where = f"{path.name}: row {number}"
            try:
                yield Document(text_field(row, "id", where), text_field(row, "text", where))
            except DataError as error:
                yield Drop(str(row.get("id") or f"row-{number}"), "not a document", str(error))
