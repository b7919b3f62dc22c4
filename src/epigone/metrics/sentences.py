"""A text cut into its sentences, as answers are shown and checked sentence by sentence.

In: a text. Out: its sentences, each with what it begins: a paragraph, a line, or nothing but itself. The mark of a list
item (`-`, `2.`) belongs to the sentence behind it and ends none. Pure functions.
Source: Figure 2 of the paper (arXiv 2305.15717), which marks whole sentences; the rule is ours.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

Begins = Literal["paragraph", "line", ""]
Truth = Literal["right", "doubtful", "wrong", "none"]
"""Of a sentence: wrong where any of its claims is; none where it claims nothing that could be checked."""
ITEM_MARK = re.compile(r"\s*(?:[-*\u2022]|\(?\d{1,3}\s?[.)])\s+")
SENTENCE_GAP = re.compile(r"(?<=[.!?])\s+")


class Part(NamedTuple):
    """A sentence as it stands in a text."""

    text: str
    begins: Begins


@dataclass(frozen=True, slots=True)
class CheckedSentence:
    """A sentence of an answer as it was found by a fact checker or a judge; None is not known, never a finding."""

    prompt_id: str
    place: int
    """Of the sentence in its answer, from 0."""
    text: str
    begins: Begins
    truth: Truth | None
    is_authoritative: bool | None = None
    """Whether it is written as somebody would who knows, true or not."""


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
