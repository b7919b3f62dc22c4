"""A text cut into its sentences, as answers are shown and checked sentence by sentence.

In: a text. Out: its sentences, each with what it begins: a paragraph, a line, or nothing but itself. The mark of a list
item (`-`, `2.`) belongs to the sentence behind it and ends none. Pure functions.
Source: Figure 2 of the paper (arXiv 2305.15717), which marks whole sentences; the rule is ours.
"""

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

Begins = Literal["paragraph", "line", ""]
ITEM_MARK = re.compile(r"\s*(?:[-*\u2022]|\(?\d{1,3}\s?[.)])\s+")
SENTENCE_GAP = re.compile(r"(?<=[.!?])\s+")


class Part(NamedTuple):
    """A sentence as it stands in a text."""

    text: str
    begins: Begins


def sentences_of(text: str) -> Iterator[Part]:
    """The sentences of a text, in order."""
    begins: Begins = "paragraph"
    for line in text.splitlines():
        parts = _split(line)
        for part in parts:
            yield Part(part, begins)
            begins = ""
        begins = "line" if parts else "paragraph"


def _split(line: str) -> list[str]:
    mark = ITEM_MARK.match(line)
    rest = line[mark.end() :] if mark else line
    parts = [part for part in SENTENCE_GAP.split(rest.strip()) if part]
    if mark and parts:
        parts[0] = mark[0].strip() + " " + parts[0]
    return parts
