"""How well a model foretells text that it was not trained on: held-out replies of a teacher, or plain documents.

In: answered prompts (Generations or Responses, JSON lines), or documents in any format. Out: one Score a text: bits per
UTF-8 byte, which may be compared between tokenizers, and nats per token, whose exponential is the perplexity. A reply
is scored in chat form, given its prompt; a document as it stands, its first words given.
Sources: Gao et al. 2020 (arXiv 2101.00027), section 3.1, for bits per byte. The paper (arXiv 2305.15717) asks whether
imitation harms the base model; likelihood of plain text shows that without any answer's form.
"""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from epigone.errors import DataError, SpecError
from epigone.interfaces import Format, LanguageModel, LikelihoodModel
from epigone.metrics.answers import protocol_id
from epigone.records import Document, Item, Likelihood, Prompt, Score
from epigone.rows import messages_field, read_rows, text_field

_WORD_END = re.compile(r"\S(?=\s|$)")


@dataclass(frozen=True)
class Perplexity:
    """Metrics of an item: bits_per_byte, nats_per_token, num_tokens. Needs a model that tells log-likelihoods."""

    path: str | Path
    """JSON lines of answered prompts {"messages", "text"}; with `documents`, a file of documents in that format."""
    documents: Format | None = None
    """The format of plain documents; None: replies."""
    what: str = "replies"
    """What the text is, for people: part of the protocol's id."""
    context_words: int = 8
    """Words at the head of a document that are given, not scored."""
    max_characters: int = 1200
    """A text is cut behind the last word that ends within so many characters."""
    min_characters: int = 200
    """Shorter texts (headings, one-word replies) are passed over."""
    limit: int | None = None
    """Only the first `limit` texts."""

    @property
    def protocol(self) -> str:
        """`perplexity-WHAT--hash`, over what is scored and how it is cut."""
        return protocol_id(
            f"perplexity-{self.what}",
            form="replies" if self.documents is None else "documents",
            context_words=self.context_words,
            max_characters=self.max_characters,
            min_characters=self.min_characters,
        )

    def items(self) -> list[Item]:
        """The texts as they are scored, in file order; `question` is what is given. Raises DataError."""
        return [Item(prompt.id, shown(prompt), (text,)) for prompt, text in self._pairs()]

    def run(self, model: LanguageModel, items: Sequence[Item] | None = None) -> list[Score]:
        """One Score a text, in order. Raises SpecError where the model tells no log-likelihoods."""
        if not isinstance(model, LikelihoodModel):
            raise SpecError("perplexity needs log-likelihoods, which this model does not tell; take another backend")
        chosen = None if items is None else {item.id for item in items}
        pairs = [pair for pair in self._pairs() if chosen is None or pair[0].id in chosen]
        return [
            _score(prompt, text, found) for (prompt, text), found in zip(pairs, model.loglikelihood(pairs), strict=True)
        ]

    def _pairs(self) -> Iterator[tuple[Prompt, str]]:
        """What is given and what is scored."""
        texts = self._replies() if self.documents is None else self._documents(self.documents)
        found = 0
        for pair in islice(texts, self.limit):
            found += 1
            yield pair
        if not found:
            raise DataError(f"{self.path}: no text of {self.min_characters} characters or more; lower min_characters")

    def _replies(self) -> Iterator[tuple[Prompt, str]]:
        for number, row in read_rows(Path(self.path)):
            where = f"{self.path}: row {number}"
            reply = _cut(text_field(row, "text", where).strip(), self.max_characters)
            if len(reply) >= self.min_characters:
                yield Prompt(text_field(row, "prompt_id", where), messages=messages_field(row, where)), reply

    def _documents(self, form: Format) -> Iterator[tuple[Prompt, str]]:
        for row in form.read(Path(self.path)):
            if isinstance(row, Document) and len(row.text) >= self.min_characters:
                text = _cut(row.text, self.max_characters)
                ends = [match.end() for match in islice(_WORD_END.finditer(text), self.context_words)]
                if ends and ends[-1] < len(text):
                    yield Prompt(row.id, text=text[: ends[-1]]), text[ends[-1] :]


def shown(prompt: Prompt) -> str:
    """What is given, as text."""
    return prompt.text or prompt.messages[-1].content


def _cut(text: str, most: int) -> str:
    if len(text) <= most:
        return text
    ends = [match.end() for match in _WORD_END.finditer(text[: most + 1]) if match.end() <= most]
    return text[: ends[-1]] if ends else text[:most]


def _score(prompt: Prompt, text: str, found: Likelihood) -> Score:
    nats = -found.logprob
    metrics = {
        "bits_per_byte": nats / math.log(2) / len(text.encode()),
        "nats_per_token": nats / found.num_tokens,
        "num_tokens": float(found.num_tokens),
    }
    return Score(prompt.id, metrics, shown(prompt), text)
