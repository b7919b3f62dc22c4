"""A search made ready: the n-grams of both sides and the postings, which many processes can map and share.

In: texts and Settings. Out: a folder of .npy arrays, and from it the Neighbours of any part of the queries. Tokenising
and counting n-grams is done once, however many processes search. Source: numpy's format for arrays on disk,
https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, get_type_hints

import numpy as np

from epigone.errors import ArtifactError
from epigone.similarity.bleu import Neighbours, Settings
from epigone.similarity.grams import Corpus, Grams, Texts, shared_grams
from epigone.similarity.matching import Matcher
from epigone.similarity.tokens import Vocabulary

Arrays = TypeVar("Arrays", bound=tuple)


@dataclass(frozen=True, eq=False)
class Prepared:
    """Queries and the texts that they are compared with."""

    corpus: Corpus
    """The texts, made ready to be searched."""
    queries: Texts | None = None
    """By the corpus's n-grams; None: the texts themselves, none of which is a neighbour of its own."""

    @classmethod
    def of(cls, queries: Sequence[str], against: Sequence[str] | None, settings: Settings) -> "Prepared":
        """Tokenise and count; without `against` the queries are compared with one another."""
        vocabulary = Vocabulary(settings)
        tokens = vocabulary.tokenise(queries)
        vocabulary.close()
        if against is None:
            return cls(shared_grams(tokens, len(vocabulary)))
        grams = Grams.of(tokens, len(vocabulary))
        return cls(grams.corpus(vocabulary.tokenise(against)), grams.texts)

    def nearest(self, settings: Settings, rows: range) -> Neighbours:
        """The most similar text of each of these queries, which are the hypotheses; settings as given to `of`."""
        same, queries = self.queries is None, self.queries or self.corpus.texts
        matcher = Matcher(settings, queries, self.corpus, query_is_hypothesis=True, same=same)
        # the corpus stands by length, and so do queries that are its texts
        places = np.argsort(self.corpus.numbers) if same else np.arange(len(queries.lengths))
        return matcher.best(places[rows.start : rows.stop])

    def save(self, folder: Path) -> None:
        """One .npy file an array."""
        _save(folder / "corpus", self.corpus)
        if self.queries is not None:
            _save(folder / "queries", self.queries)

    @classmethod
    def load(cls, folder: Path) -> "Prepared":
        """What `save` wrote, mapped and not read. Raises ArtifactError where a file is missing or broken."""
        queries = _load(folder / "queries", Texts) if (folder / "queries").exists() else None
        return cls(_load(folder / "corpus", Corpus), queries)


def _save(folder: Path, arrays: tuple[object, ...]) -> None:
    """A named tuple as a folder, a file or a further folder a field."""
    folder.mkdir(exist_ok=True)
    for name, part in zip(get_type_hints(type(arrays)), arrays):
        if isinstance(part, tuple):
            _save(folder / name, part)
        else:
            np.save(folder / f"{name}.npy", np.asarray(part), allow_pickle=False)


def _load(folder: Path, cls: type[Arrays]) -> Arrays:
    hints = get_type_hints(cls)
    parts = [
        _load(folder / name, kind) if isinstance(kind, type) and issubclass(kind, tuple) else _mapped(folder, name)
        for name, kind in hints.items()
    ]
    return cls(*parts)


def _mapped(folder: Path, name: str) -> np.ndarray:
    path = folder / f"{name}.npy"
    try:
        # copy on write, though nothing is written: what is compiled for arrays in memory takes no read-only ones
        return np.asarray(np.load(path, mmap_mode="c", allow_pickle=False))
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path}: not a saved array ({error}); delete its artifact and run again") from error
