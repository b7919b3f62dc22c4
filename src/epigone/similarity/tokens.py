"""Texts to numbers: the tokens that sacrebleu would see, each with an id.

In: texts. Out: Tokens, where equal ids mean equal tokens.

The 13a rules look at a character and its neighbour, and put spaces around what they find, so they never look past
whitespace: a piece between two spaces always gives the same tokens and is looked up once it is known.
Source: sacrebleu.tokenizers.tokenizer_13a and tokenizer_re, https://github.com/mjpost/sacrebleu
"""

import re
from array import array
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from epigone.similarity.bleu import Settings

RULES_13A = [
    (re.compile(r"([\{-\~\[-\` -\&\(-\+\:-\@\/])"), r" \1 "),
    (re.compile(r"([^0-9])([\.,])"), r"\1 \2 "),
    (re.compile(r"([\.,])([^0-9])"), r" \1 \2"),
    (re.compile(r"([0-9])(-)"), r"\1 \2 "),
]
ENTITIES = {"&quot;": '"', "&amp;": "&", "&lt;": "<", "&gt;": ">"}
MAX_PIECES = 2_000_000
"""Pieces that are remembered; beyond it the memory starts anew."""


class Tokens(NamedTuple):
    """Token ids of many texts, one after the other."""

    ids: NDArray[np.int32]
    """Ids, -1 for a token that is not in a vocabulary that no longer grows."""
    starts: NDArray[np.int64]
    """Where each text starts in `ids`, and where the last one ends."""


def by_length(tokens: Tokens) -> tuple[Tokens, NDArray[np.int64]]:
    """The same texts, short ones first, and the number that each had."""
    lengths = np.diff(tokens.starts)
    numbers = np.argsort(lengths, kind="stable")
    starts = np.concatenate(([0], np.cumsum(lengths[numbers])))
    moves = np.repeat(tokens.starts[numbers] - starts[:-1], lengths[numbers])
    return Tokens(tokens.ids[np.arange(len(tokens.ids)) + moves], starts), numbers


class Vocabulary:
    """Gives ids to tokens, and remembers them until it is closed."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._ids: dict[str, int] = {}
        self._pieces: dict[str, array[int]] = {}
        self._grows = True

    def __len__(self) -> int:
        return len(self._ids)

    def close(self) -> None:
        """From now on new tokens get the id -1."""
        self._grows = False

    def tokenise(self, texts: Iterable[str]) -> Tokens:
        """The ids of the tokens of each text."""
        ids = array("i")
        starts = array("q", [0])
        for text in texts:
            for piece in self._prepare(text).split():
                known = self._pieces.get(piece)
                ids += self._learn(piece) if known is None else known
            starts.append(len(ids))
        return Tokens(np.array(ids, dtype=np.int32), np.array(starts, dtype=np.int64))

    def _prepare(self, text: str) -> str:
        """What sacrebleu does to the text as a whole, before it looks at characters."""
        text = (text.lower() if self._settings.lowercase else text).rstrip()
        if self._settings.tokenize == "whitespace":
            return text
        text = text.replace("<skipped>", "").replace("-\n", "").replace("\n", " ")
        if "&" in text:
            for entity, character in ENTITIES.items():
                text = text.replace(entity, character)
        return text

    def _learn(self, piece: str) -> "array[int]":
        ids = array("i")
        for token in self._split(piece):
            if self._grows:
                ids.append(self._ids.setdefault(token, len(self._ids)))
            else:
                ids.append(self._ids.get(token, -1))
        if len(self._pieces) >= MAX_PIECES:
            self._pieces.clear()
        self._pieces[piece] = ids
        return ids

    def _split(self, piece: str) -> list[str]:
        if self._settings.tokenize == "whitespace":
            return [piece]
        line = f" {piece} "
        for pattern, replacement in RULES_13A:
            line = pattern.sub(replacement, line)
        return line.split()
