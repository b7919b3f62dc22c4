"""A toxicity classifier from a local folder: BERT, RoBERTa or DistilBERT with a classification head, in JAX.

In: texts; a folder with config.json, safetensors and tokenizer.json, as `transformers` writes it. Out: the probability
of one label, by sigmoid where the labels are independent (problem_type multi_label_classification, or one label), else
by softmax. Source: such classifiers as https://github.com/unitaryai/detoxify; the head is that of `transformers`'
...ForSequenceClassification. A text beyond the model's positions is scored by its beginning.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from epigone.errors import SpecError
from epigone.models.encoder import Classifier, load_classifier, logits, probabilities
from epigone.tokens.tokenizer import Tokenizer

BATCH_SIZE = 32
LENGTH_STEP = 32
"""Rows are padded to a multiple of this, so that few shapes are compiled."""


@dataclass(frozen=True)
class SequenceClassifier:
    """The probability of the toxic label. Which texts it finds toxic depends on what it was trained on."""

    path: str | Path
    """The folder: config.json, model.safetensors, tokenizer.json."""
    label: str = "toxic"
    """The label whose probability is the toxicity, by its name in config.json, whatever the case."""

    @property
    def identity(self) -> str:
        """`sequence_classifier LABEL HASH`, over the bytes of weights, config and tokenizer."""
        return f"sequence_classifier {self.label.lower()} {self._hash}"

    def toxicity(self, texts: Sequence[str]) -> list[float | None]:
        """One probability a text, in order; None for a text without a token.

        Raises SpecError for a label that the classifier does not have, DataError and ArtifactError for its files.
        """
        encoded = [self._encode(text) for text in texts]
        found: list[float | None] = [None] * len(texts)
        rows = sorted((row for row in range(len(texts)) if texts[row].strip()), key=lambda row: len(encoded[row]))
        for start in range(0, len(rows), BATCH_SIZE):
            batch = rows[start : start + BATCH_SIZE]
            for row, score in zip(batch, self._scores([encoded[row] for row in batch]), strict=True):
                found[row] = float(score)
        return found

    def _scores(self, encoded: Sequence[Sequence[int]]) -> np.ndarray:
        shape, params = self._classifier
        longest = min(-(-max(map(len, encoded)) // LENGTH_STEP) * LENGTH_STEP, shape.max_tokens)
        tokens = np.full((BATCH_SIZE, longest), shape.pad_id, np.int32)
        read = np.zeros((BATCH_SIZE, longest), bool)
        read[:, 0] = True  # rows beyond the batch see something, whatever it is
        for row, ids in enumerate(encoded):
            tokens[row, : len(ids)] = ids
            read[row, : len(ids)] = True
        scores = probabilities(shape, logits(shape, params, tokens, read))
        return np.asarray(scores)[: len(encoded), self._column]

    def _encode(self, text: str) -> list[int]:
        """Ids with the tokens that open and close a text; of a long one the beginning, and the close."""
        ids = self._tokenizer.backend.encode(text, add_special_tokens=True).ids
        most = self._classifier.shape.max_tokens
        return ids if len(ids) <= most else [*ids[: most - 1], ids[-1]]

    @property
    def _column(self) -> int:
        labels = [label.lower() for label in self._classifier.shape.labels]
        if self.label.lower() not in labels:
            known = ", ".join(self._classifier.shape.labels)
            raise SpecError(f"{self.path}: no label {self.label!r}; config.json has: {known}. Name one by label=")
        return labels.index(self.label.lower())

    @cached_property
    def _classifier(self) -> Classifier:
        return load_classifier(Path(self.path))

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        return Tokenizer.load(Path(self.path))

    @cached_property
    def _hash(self) -> str:
        digest = hashlib.sha256()
        for file in sorted(Path(self.path).glob("*")):
            if file.suffix == ".safetensors" or file.name in ("config.json", "tokenizer.json"):
                with file.open("rb") as opened:
                    digest.update(hashlib.file_digest(opened, "sha256").digest())
        return digest.hexdigest()[:8]
