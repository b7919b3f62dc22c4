"""Natural Questions, open domain, closed book: a question, a short answer, exact match.

In: NQ-open JSON lines {"question", "answer": [...]}. Out: one Score a question.
Sources: Kwiatkowski et al. 2019 (TACL 7); Lee et al. 2019 (arXiv 1906.00300) for the open form;
https://github.com/google-research-datasets/natural-questions/tree/master/nq_open. The paper (arXiv 2305.15717) shows
3-shot in its figures and zero-shot in the caption of Table 1: both are offered, in plain text and in chat, each under
a protocol id of its own.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from epigone.errors import DataError, SpecError
from epigone.interfaces import LanguageModel
from epigone.metrics import answers
from epigone.records import Completion, Item, Message, Prompt, SamplingParams, Score
from epigone.rows import read_rows, text_field

SHOT = "Q: {question}\nA: {answer}\n\n"
ASK = "Q: {question}\nA:"


@dataclass(frozen=True)
class NaturalQuestions:
    """Exact match after SQuAD normalisation, maximum over the accepted answers.

    Metrics of an item: exact_match, contains_answer (as whole words), abstained, length_words, and confidence (the
    geometric mean of the token probabilities) where the model tells it. Few-shot replies end at a line feed, never at
    "." or ",", which one question in eleven has in every answer. In chat form the whole reply is scored, and beside it
    its first line that says anything (first_line_exact_match), which is what the few-shot form would have kept.
    """

    path: str | Path
    """NQ-open JSON lines, one {"question", "answer": [accepted texts]} a line."""
    exemplars: str | Path = ""
    """A file of the same format whose first rows are the shots; the asked question itself is never among them."""
    num_shots: int | None = None
    """Solved questions in front of each question; unset: 3, in chat form none. In chat form each is two turns."""
    chat: bool = False
    """Ask each question bare, as a user message, instead of in the few-shot text."""
    limit: int | None = None
    """Ask only the first `limit` questions."""
    max_tokens: int | None = None
    """Longest reply in tokens; unset: 10 in the few-shot form, 64 in chat form."""

    @property
    def protocol(self) -> str:
        """`nq-3shot--hash` or `nq-chat--hash`, over shots, template, stop rule, length and normalisation."""
        shown = [SHOT.format(question=shot.question, answer=shot.answers[0]) for shot in self._shots("")]
        shape = {"ask": ASK, "shots": "".join(shown), "sampling": self._sampling(), "phrases": answers.ABSTENTIONS}
        readable = f"nq-{self._num_shots}shot"
        if self.chat:
            readable = f"nq-chat-{self._num_shots}shot" if self._num_shots else "nq-chat"
        return answers.protocol_id(readable, chat=self.chat, normalisation="squad", **shape)

    def items(self) -> list[Item]:
        """The questions in file order. Raises DataError for a row without question or answers."""
        return _read(Path(self.path))[: self.limit]

    def prompt(self, item: Item) -> Prompt:
        """What the model is asked for an item."""
        shots = self._shots(item.question)
        if not self.chat:
            solved = "".join(SHOT.format(question=shot.question, answer=shot.answers[0]) for shot in shots)
            return Prompt(item.id, text=solved + ASK.format(question=item.question))
        turns = [turn for s in shots for turn in (Message("user", s.question), Message("assistant", s.answers[0]))]
        return Prompt(item.id, messages=(*turns, Message("user", item.question)))

    def run(self, model: LanguageModel, items: Sequence[Item] | None = None) -> list[Score]:
        """One Score a question, in order."""
        items = self.items() if items is None else items
        prompts = [self.prompt(item) for item in items]
        return list(map(_score, items, prompts, model.generate(prompts, self._sampling())))

    def _sampling(self) -> SamplingParams:
        max_tokens = self.max_tokens or (64 if self.chat else 10)
        return SamplingParams(max_tokens=max_tokens, stop=() if self.chat else ("\n",))

    @property
    def _num_shots(self) -> int:
        return self.num_shots if self.num_shots is not None else 0 if self.chat else 3

    def _shots(self, question: str) -> list[Item]:
        if not self._num_shots:
            return []
        if not self.exemplars:
            raise SpecError(
                f"natural_questions: num_shots={self._num_shots} needs `exemplars`, a file of solved questions"
            )
        known = [item for item in self._solved if item.question != question][: self._num_shots]
        if len(known) < self._num_shots:
            raise SpecError(
                f"natural_questions: {self.exemplars} holds {len(known)} shots, num_shots={self._num_shots}"
            )
        return known

    @cached_property
    def _solved(self) -> list[Item]:
        return _read(Path(self.exemplars))


def _read(path: Path) -> list[Item]:
    rows = []
    for number, row in read_rows(path):
        where = f"{path}: row {number}"
        accepted = row.get("answer")
        if not isinstance(accepted, list) or not accepted or not all(isinstance(a, str) and a for a in accepted):
            raise DataError(
                f"{where}: field 'answer' is {accepted!r}; a list of accepted texts is needed. Files named "
                f"*no-annotations* have none and cannot be scored: use the annotated file of the same questions"
            )
        rows.append(Item(f"{path.stem}-{number}", text_field(row, "question", where), answers=tuple(accepted)))
    return rows


def _score(item: Item, prompt: Prompt, completion: Completion) -> Score:
    reply = completion.text.strip()
    metrics = {
        "exact_match": float(answers.exact_match(reply, item.answers)),
        "contains_answer": float(answers.contains_answer(reply, item.answers)),
        "abstained": float(answers.abstains(reply)),
        "length_words": float(answers.num_words(reply)),
    }
    if prompt.messages:
        metrics["first_line_exact_match"] = float(answers.exact_match(reply.partition("\n")[0], item.answers))
    if completion.mean_logprob is not None:
        metrics["confidence"] = math.exp(completion.mean_logprob)
    turns = prompt.messages
    shown = (
        "\n\n".join(f"[{turn.role}] {turn.content}" for turn in turns) if turns[1:] else prompt.text or turns[0].content
    )
    return Score(item.id, metrics, shown, completion.text, answers.normalise_answer(reply), item.group)
