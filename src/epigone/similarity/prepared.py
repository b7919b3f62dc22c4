"""A search made ready: the n-grams of both sides and the postings, which many processes can map and share.

In: texts and Settings. Out: a folder of .npy arrays, and from it the Neighbours of any part of the queries. Tokenising
and counting n-grams is done once, however many processes search. Source: numpy's format for arrays on disk,
https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from epigone.errors import ArtifactError
from epigone.similarity.bleu import Neighbours, Settings
from epigone.similarity.grams import Corpus, Grams, Postings, Texts, shared_grams
from epigone.similarity.matching import Matcher
from epigone.similarity.tokens import Vocabulary


@dataclass(frozen=True, eq=False)
class Prepared:
    """Queries and the texts that they are compared with."""

    queries: Texts
    corpus: Corpus
    same: bool
    """Whether queries and texts are the same, and a text is no neighbour of its own."""

    @classmethod
    def of(cls, queries: Sequence[str], against: Sequence[str] | None, settings: Settings) -> "Prepared":
        """Tokenise and count; without `against` the queries are compared with one another."""
        vocabulary = Vocabulary(settings)
        tokens = vocabulary.tokenise(queries)
        vocabulary.close()
        if against is None:
            corpus = shared_grams(tokens, len(vocabulary))
            return cls(corpus.texts, corpus, True)
        grams = Grams.of(tokens, len(vocabulary))
        return cls(grams.texts, grams.corpus(vocabulary.tokenise(against)), False)

    def __len__(self) -> int:
        return len(self.queries.lengths)

    def nearest(self, settings: Settings, rows: range) -> Neighbours:
        """The most similar text of each of these queries, which are the hypotheses; settings as given to `of`."""
        matcher = Matcher(settings, self.queries, self.corpus, query_is_hypothesis=True, same=self.same)
        places = np.argsort(self.corpus.numbers) if self.same else np.arange(len(self))
        return matcher.best(places[rows.start : rows.stop])

    def save(self, folder: Path) -> None:
        """One .npy file an array."""
        parts = {"texts": self.corpus.texts, "postings": self.corpus.held}
        parts |= {} if self.same else {"queries": self.queries}
        np.save(folder / "numbers.npy", self.corpus.numbers, allow_pickle=False)
        for part, arrays in parts.items():
            for name, array in zip(arrays._fields, arrays):
                np.save(folder / f"{part}-{name}.npy", array, allow_pickle=False)

    @classmethod
    def load(cls, folder: Path) -> "Prepared":
        """What `save` wrote, mapped and not read. Raises ArtifactError where a file is missing or broken."""
        texts = Texts(*(_mapped(folder / f"texts-{name}.npy") for name in Texts._fields))
        held = Postings(*(_mapped(folder / f"postings-{name}.npy") for name in Postings._fields))
        corpus = Corpus(texts, _mapped(folder / "numbers.npy"), held)
        if not (folder / "queries-lengths.npy").exists():
            return cls(texts, corpus, True)
        return cls(Texts(*(_mapped(folder / f"queries-{name}.npy") for name in Texts._fields)), corpus, False)


def _mapped(path: Path) -> np.ndarray:
    try:
        # copy on write, though nothing is written: what is compiled for arrays in memory takes no read-only ones
        return np.asarray(np.load(path, mmap_mode="c", allow_pickle=False))
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path}: not a saved array ({error}); delete {path.parent} and run again") from error
