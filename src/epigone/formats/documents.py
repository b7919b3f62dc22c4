"""Plain pre-training text: JSON lines {"id", "text"}, one document a line.

In: such a file, gzipped or not. Out: Document or Drop. Unlike the other formats it yields Documents, not Conversations.
Source: the layout of The Pile and C4 (Gao et al. 2020, arXiv 2101.00027), reduced to the two fields that are needed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from epigone.errors import DataError
from epigone.records import Document, Drop
from epigone.rows import read_rows, text_field


@dataclass(frozen=True)
class Documents:
    """Reads plain documents; every row goes out once, kept or as a Drop."""

    def read(self, path: Path) -> Iterator[Document | Drop]:
        """Rows in file order. Raises DataError where a line is no JSON object."""
        for number, row in read_rows(path):
            where = f"{path.name}: row {number}"
            try:
                yield Document(text_field(row, "id", where), text_field(row, "text", where))
            except DataError as error:
                yield Drop(str(row.get("id") or f"row-{number}"), "not a document", str(error))
