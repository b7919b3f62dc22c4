"""Plain text: a .txt or .md file whose paragraphs, or which as a whole, are documents.

In: such a file, packed or not. Out: Documents, for pre-training and replay; there are no conversations in it.
Source: WikiText-2 (Merity et al. 2016, arXiv 1609.07843) and tiny Shakespeare, which come as such files.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from epigone.entries import Notes
from epigone.records import Document, Drop
from epigone.rows import TRUNCATED, bare_name, head
from epigone.streams import LFS_MAGIC, DamageError, text_chunks

_BLANK = re.compile(r"\n[ \t\r]*\n\s*")
_NAMES = (".txt", ".text", ".md", "")
_PACKED = (".gz", ".zst")


@dataclass(frozen=True)
class PlainText:
    """Reads documents, named after the file and their number."""

    unit: Literal["paragraph", "file"] = "paragraph"
    """What a document is: what stands between blank lines, or the whole file."""
    salvage: bool = False
    """Go on with what is whole where the file is damaged; the loss is a Drop."""

    def fits(self, path: Path) -> bool:
        """Text that is no JSON, in a file whose name does not say that it is something else."""
        name = path.name.lower()
        for ending in _PACKED:
            name = name.removesuffix(ending)
        text = head(path).lstrip()
        is_text = bool(text) and text[0] not in "{[" and "\0" not in text and "\ufffd" not in text
        return is_text and Path(name).suffix in _NAMES and not text.startswith(LFS_MAGIC.decode())

    def read(self, path: Path, notes: Notes | None = None) -> Iterator[Document | Drop]:
        """Documents in file order. Raises DataError where the file cannot be read as text."""
        number = 0
        for text in self._texts(path):
            if isinstance(text, Drop):
                yield text
            elif text.strip():
                number += 1
                yield Document(f"{bare_name(path)}-{number}", text.strip())

    def _texts(self, path: Path) -> Iterator[str | Drop]:
        held, end = list[str](), 0
        try:
            for chunk in text_chunks(path):
                end = chunk.end
                held.append(chunk.text)
                if self.unit == "paragraph" and _BLANK.search(chunk.text):
                    *whole, rest = _BLANK.split("".join(held))
                    held = [rest]
                    yield from whole
        except DamageError as damage:
            if not self.salvage:
                raise
            yield from self._last(held)
            yield Drop(f"{path.name}: from byte {end}", TRUNCATED, str(damage).removeprefix(f"{path}: "))
            return
        yield from self._last(held)

    def _last(self, held: list[str]) -> list[str]:
        return _BLANK.split("".join(held)) if self.unit == "paragraph" else ["".join(held)]
