"""Texts to numbers: the tokens that sacrebleu would see, each with an id.

In: texts. Out: Tokens, where equal ids mean equal tokens.
Source: sacrebleu.tokenizers.tokenizer_13a, https://github.com/mjpost/sacrebleu
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from epigone.similarity.bleu import Settings
from epigone.similarity.splitting import How, Output, new_store, refill, split

ENTITIES = {"&quot;": '"', "&amp;": "&", "&lt;": "<", "&gt;": ">"}
LETTERS_AT_ONCE = 4_000_000


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


def in_batches(texts: Iterable[str]) -> Iterator[list[str]]:
    """Texts together, so many that they have LETTERS_AT_ONCE characters or a little more."""
    batch: list[str] = []
    num_letters = 0
    for text in texts:
        batch.append(text)
        num_letters += len(text)
        if num_letters >= LETTERS_AT_ONCE:
            yield batch
            batch, num_letters = [], 0
    if batch:
        yield batch


class Vocabulary:
    """Gives ids to tokens, and remembers them; a new token gets one until the vocabulary is closed."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._store = new_store(1 << 12, 1 << 15)
        self._grows = True

    def __len__(self) -> int:
        return int(self._store.used[0])

    def close(self) -> None:
        """From now on new tokens get the id -1."""
        self._grows = False

    def tokenise(self, texts: Iterable[str]) -> Tokens:
        """The ids of the tokens of each text."""
        batches = [self._split(batch) for batch in in_batches(map(self._prepare, texts))]
        if not batches:
            return Tokens(np.zeros(0, dtype=np.int32), np.zeros(1, dtype=np.int64))
        lengths = np.concatenate([np.diff(tokens.starts) for tokens in batches])
        starts = np.concatenate(([0], np.cumsum(lengths)))
        return Tokens(np.concatenate([tokens.ids for tokens in batches]), starts)

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

    def _split(self, texts: Sequence[str]) -> Tokens:
        letters = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
        ends = np.cumsum([len(text) for text in texts])
        out = Output(
            np.empty(len(letters), dtype=np.int32), np.zeros(len(texts), dtype=np.int64), np.zeros(1, np.int64)
        )
        how, done = How(self._settings.tokenize == "13a", self._grows), 0
        while done < len(texts):
            if self._grows:
                self._make_room(len(texts[done]))
            done = split(letters, ends, self._store, how, out, done)
        return Tokens(out.ids[: out.size[0]].copy(), np.concatenate(([0], out.ends)))

    def _make_room(self, num_letters: int) -> None:
        """Make the store large enough for one more text, of all new tokens if need be."""
        num_tokens, room, letters = len(self), len(self._store.hashes), len(self._store.letters)
        while room < num_tokens + num_letters:
            room *= 2
        while letters < self._store.starts[num_tokens] + num_letters:
            letters *= 2
        if (room, letters) != (len(self._store.hashes), len(self._store.letters)):
            larger = new_store(room, letters)
            refill(self._store, larger)
            self._store = larger
