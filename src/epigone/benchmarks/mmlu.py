"""MMLU: multiple choice over 57 subjects, by the letter of the original or by the text of the options.

In: two folders of the original CSV files (test/SUBJECT_test.csv, dev/SUBJECT_dev.csv), no header,
question,A,B,C,D,letter; a header row and answers 0-3 are read too. Out: one Score a question, the headline being the
micro-average over all of them.
Sources: Hendrycks et al. 2021 (arXiv 2009.03300); prompt bytes of https://github.com/hendrycks/test evaluate.py.
"""

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from epigone.errors import DataError, SpecError
from epigone.interfaces import LanguageModel, LikelihoodModel
from epigone.metrics.answers import protocol_id
from epigone.records import Item, Likelihood, Prompt, Score
from epigone.rows import read_text

LETTERS = "ABCD"
# The original keeps a blank in front of the subject, hence two blanks after "about".
HEADER = "The following are multiple choice questions (with answers) about {subject}.\n\n"


@dataclass(frozen=True)
class MMLU:
    """Accuracy, and the probability that a softmax over the four options gives the right one (probability_right).

    Letter: summed log-likelihood of " A" ... " D" after the original few-shot prompt. Option text: mean log-likelihood
    a token of " " + option after "{question}\\nAnswer:", which asks for the knowledge without the lettering. The group
    of a score is its subject. A prompt longer than the model's context is that model's error: set `max_prompt_chars`.
    """

    test_folder: str | Path
    """Folder of SUBJECT_test.csv files."""
    dev_folder: str | Path
    """Folder of SUBJECT_dev.csv files, whose first rows are the shots."""
    num_shots: int = 5
    """Solved questions of the same subject in front of each question, the first dev rows in order."""
    scoring: Literal["letter", "option_text"] = "letter"
    """What is scored: the letter, as in the original, or the text of each option."""
    limit: int | None = None
    """Ask only the first `limit` questions of every subject."""
    max_prompt_chars: int | None = None
    """Drop shots one at a time, the last first, until the prompt has at most so many characters (original: tokens)."""

    @property
    def protocol(self) -> str:
        """`mmlu-letter-5shot--hash`, over the prompt's fixed bytes, the shots of every subject and the scoring."""
        fixed = {s: self._prefix(s, self.num_shots) for s in self._subjects()}
        shape = {
            "fixed": fixed,
            "longest": self.max_prompt_chars,
            "form": self._ask(Item("", "?", options=tuple("abcd"))),
        }
        return protocol_id(f"mmlu-{self.scoring.replace('_', '-')}-{self.num_shots}shot", scoring=self.scoring, **shape)

    def items(self) -> list[Item]:
        """The questions, subjects in alphabetical order. Raises DataError naming file, row and value."""
        folder = Path(self.test_folder)
        return [i for s in self._subjects() for i in read_subject(folder / f"{s}_test.csv", s)[: self.limit]]

    def prompt(self, item: Item) -> Prompt:
        """What the model is asked for an item."""
        ask = self._ask(item)
        for num_shots in range(self.num_shots, 0, -1):
            text = self._prefix(item.group, num_shots) + ask
            if self.max_prompt_chars is None or len(text) <= self.max_prompt_chars:
                return Prompt(item.id, text=text)
        return Prompt(item.id, text=self._prefix(item.group, 0) + ask)

    def run(self, model: LanguageModel) -> list[Score]:
        """One Score a question, in order; four log-likelihoods each. Raises SpecError where the model has none."""
        if not isinstance(model, LikelihoodModel):
            raise SpecError(f"mmlu needs log-likelihoods, but {type(model).__name__} gives none; take a checkpoint")
        items = self.items()
        prompts = [self.prompt(item) for item in items]
        requests = [(p, f" {c}") for i, p in zip(items, prompts) for c in self._continuations(i)]
        found = model.loglikelihood(requests)
        return [self._score(i, p, found[4 * n : 4 * n + 4]) for n, (i, p) in enumerate(zip(items, prompts))]

    def _continuations(self, item: Item) -> Sequence[str]:
        return LETTERS if self.scoring == "letter" else item.options

    def _score(self, item: Item, prompt: Prompt, found: Sequence[Likelihood]) -> Score:
        by_token = self.scoring == "option_text"
        values = [f.logprob / max(f.num_tokens, 1) if by_token else f.logprob for f in found]
        best = max(range(len(values)), key=values.__getitem__)
        weights = [math.exp(v - values[best]) for v in values]
        right = weights[item.label] / sum(weights)
        metrics = {"accuracy": float(best == item.label), "probability_right": right}
        return Score(item.id, metrics, prompt.text, self._continuations(item)[best], LETTERS[best], item.group)

    def _subjects(self) -> list[str]:
        folder = Path(self.test_folder)
        found = sorted(path.name.removesuffix("_test.csv") for path in folder.glob("*_test.csv"))
        if not found:
            raise DataError(f"{folder}: holds no SUBJECT_test.csv; give the folder of MMLU's test files")
        return found

    @cached_property
    def _shots(self) -> dict[str, list[Item]]:
        folder = Path(self.dev_folder)
        found = {s: read_subject(folder / f"{s}_dev.csv", s)[: self.num_shots] for s in self._subjects()}
        few = [subject for subject, shots in found.items() if len(shots) < self.num_shots]
        if few:
            raise DataError(f"{folder / few[0]}_dev.csv: has {len(found[few[0]])} rows, num_shots={self.num_shots}")
        return found

    def _prefix(self, subject: str, num_shots: int) -> str:
        header = HEADER.format(subject=" " + subject.replace("_", " ")) if self.scoring == "letter" else ""
        if not num_shots:
            return header
        shots = self._shots[subject][:num_shots]
        return header + "".join(f"{self._ask(s)} {self._continuations(s)[s.label]}\n\n" for s in shots)

    def _ask(self, item: Item) -> str:
        if self.scoring == "option_text":
            return f"{item.question}\nAnswer:"
        listed = "".join(f"\n{letter}. {option}" for letter, option in zip(LETTERS, item.options))
        return f"{item.question}{listed}\nAnswer:"


def read_subject(path: Path, subject: str) -> list[Item]:
    """The questions of one CSV file; every byte of a field is kept. Raises DataError naming file, row and value."""
    try:
        rows = list(csv.reader(io.StringIO(read_text(path), newline=""), strict=True))
    except csv.Error as error:
        raise DataError(f"{path}: not a CSV file ({error}); fetch it again") from error
    rows = [(number, row) for number, row in enumerate(rows, start=1) if row]
    # A header ends in "answer", which no row of the data does: there the last field is A-D or 0-3.
    if rows and rows[0][1][-1].strip().lower() == "answer":
        rows = rows[1:]
    return [_item(row, f"{path}: row {number}", f"{subject}-{number}", subject) for number, row in rows]


def _item(row: list[str], where: str, item_id: str, subject: str) -> Item:
    if len(row) != 6:
        raise DataError(f"{where} has {len(row)} fields; 6 are needed: question, four options, answer")
    question, *options, answer = row
    key = answer.strip().upper()
    label = LETTERS.find(key) if key in tuple(LETTERS) else "0123".find(key) if key in tuple("0123") else -1
    if label < 0:
        raise DataError(f"{where}: answer {answer!r}; allowed: A B C D or 0 1 2 3")
    return Item(item_id, question, (options[label],), tuple(options), label, subject)
