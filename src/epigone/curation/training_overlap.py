"""The leak filter the other way round: prompts that a training set already holds are dropped.

In: prompts as conversations of one turn or more, and a dataset of conversations. Out: the prompts, those near to a
training example as Drops that name it and the score. The prompts are held in memory, the dataset streams by.
Source: the paper's 255 evaluation prompts, from which those with "BLEU score greater than 20% with any training
example" were removed (section 4.1, arXiv 2305.15717); tokeniser, smoothing and direction are not named there.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from epigone.curation import normalise_query, texts_of
from epigone.datasets import iterate_dataset
from epigone.errors import SpecError
from epigone.records import Conversation, Drop
from epigone.similarity import Settings, nearest_without_index


class _Training:
    """The turns of a dataset as they stream by, and whose they were."""

    def __init__(self, path: Path, turns: Literal["user", "all"], wanted: set[str]) -> None:
        self.same: dict[str, str] = {}
        """Of the wanted queries, normalised, those that were met, and the conversation that holds each."""
        self._source = path, turns, wanted
        self._starts: list[int] = []
        self._ids: list[str] = []

    def texts(self) -> Iterator[str]:
        path, turns, wanted = self._source
        num_texts = 0
        for conversation in iterate_dataset(path):
            self._starts.append(num_texts)
            self._ids.append(conversation.id)
            for text in texts_of(conversation, turns):
                query = normalise_query(text)
                if query in wanted:
                    self.same.setdefault(query, conversation.id)
                num_texts += 1
                yield text

    def holder(self, text: int) -> str:
        """The conversation that a text is of, by the text's number."""
        return self._ids[bisect_right(self._starts, text) - 1]


@dataclass(frozen=True)
class TrainingOverlap:
    """Drops a prompt when a turn of the training set is near to one of its user turns, or has the same words."""

    path: str | Path
    """The training set: records.parquet of a dataset."""
    threshold: float | int | None = 20
    """Sentence BLEU in percent above which a prompt is dropped; None or 0 looks for equal words alone."""
    turns: Literal["user", "all"] = "all"
    """Which turns of the training set are examples, each by itself: the user's, or everyone's."""
    hypothesis: Literal["training", "evaluation"] = "training"
    """Which text BLEU takes as the hypothesis; the other is the reference."""
    tokenize: Literal["13a", "whitespace"] = "13a"
    """BLEU's tokeniser."""
    smoothing: Literal["none", "exp", "floor"] = "none"
    """BLEU's smoothing."""
    lowercase: bool = False
    """Whether BLEU ignores case."""

    def __post_init__(self) -> None:
        if not 0 <= (self.threshold or 0) < 100:
            raise SpecError(f"threshold {self.threshold!r}: a BLEU from 0 to below 100 is needed, in percent, or None")

    def apply(self, conversations: Iterable[Conversation]) -> Iterator[Conversation | Drop]:
        """Every prompt goes out once, in order, after the last has come in. Raises ArtifactError for the dataset."""
        prompts = list(conversations)
        asked = [texts_of(prompt, "user") for prompt in prompts]
        queries = [text for texts in asked for text in texts]
        training = _Training(Path(self.path), self.turns, set(map(normalise_query, queries)))
        near = iter(self._near(queries, training))
        for prompt, texts in zip(prompts, asked):
            same = next((training.same[q] for q in map(normalise_query, texts) if q in training.same), "")
            score, holder = max([next(near) for _ in texts], default=(0.0, ""))
            if same:
                yield Drop(prompt.id, "in training set", f"same words as {same}")
            elif self.threshold and score > self.threshold:
                yield Drop(prompt.id, "in training set", f"BLEU {score:.1f} with {holder}")
            else:
                yield prompt

    def _near(self, queries: list[str], training: _Training) -> list[tuple[float, str]]:
        """For each query the highest score with any training text, and who holds that text."""
        if not self.threshold or not queries:
            for _ in training.texts():
                pass
            return [(0.0, "")] * len(queries)
        settings = Settings(smoothing=self.smoothing, tokenize=self.tokenize, lowercase=self.lowercase)
        side = "text" if self.hypothesis == "training" else "query"
        found = nearest_without_index(queries, training.texts(), settings, hypothesis=side)
        scored = zip(found.scores.tolist(), found.partners.tolist())
        return [(score, training.holder(partner) if partner >= 0 else "") for score, partner in scored]
