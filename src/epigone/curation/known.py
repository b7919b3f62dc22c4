"""Known: only the questions whose answer a model already gives are kept, or only those whose answer it does not.

In: conversations of a question and a short answer, and the model that is to be fine-tuned. Out: the same, the others as
Drops with how often it was right. A question is known where at least `min_right` of `num_samples` replies hold the
answer as whole words, after SQuAD's normalisation.
Source: section 5 of arXiv 2305.15717, after Schulman (2023): training a model to say what it does not know teaches it
to make things up; Gao et al. 2021 ("Behavior cloning is miscalibrated"). k of n samples as in Gekhman et al. 2024
(arXiv 2405.05904).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path

from epigone.errors import DataError, SpecError
from epigone.interfaces import LanguageModel
from epigone.metrics.answers import contains_answer
from epigone.records import Conversation, Drop, Message, Prompt, SamplingParams
from epigone.rows import read_rows, text_field

KEPT = ("known", "unknown")
AT_ONCE = 512
"""Conversations that are asked about at once."""


@dataclass(frozen=True)
class Known:
    """Asks the model every conversation's first question and looks for its first answer in the replies."""

    model: LanguageModel
    """Who is asked: a component of `backends`, mostly the base that a student starts from."""
    keep: str = "known"
    """known, or unknown."""
    num_samples: int = 4
    """Replies to each question."""
    min_right: int = 2
    """How many of them must hold the answer."""
    temperature: float | int = 0.7
    """Of the replies."""
    max_tokens: int = 24
    """Longest reply."""
    exemplars: str | Path = ""
    """Solved questions in front of each, JSON lines of question and answer (the first three); empty: none."""
    chat: bool = False
    """Ask as a user message instead of in text to be continued, which a base model needs."""

    def __post_init__(self) -> None:
        """Raises SpecError for a number of replies that there is not."""
        if self.keep not in KEPT:
            raise SpecError(f"known: keep={self.keep!r} is not among {', '.join(KEPT)}")
        if not 1 <= self.min_right <= self.num_samples:
            raise SpecError(f"known: min_right={self.min_right}: give 1 to num_samples={self.num_samples}")
        if self.num_samples > 1 and self.temperature == 0:
            raise SpecError("known: at temperature 0 all replies are the same; give num_samples=1, or a temperature")

    def apply(self, conversations: Iterable[Conversation]) -> Iterator[Conversation | Drop]:
        """Every conversation goes out once, in order; one without a question and an answer is a Drop."""
        rest = iter(conversations)
        while part := list(islice(rest, AT_ONCE)):
            pairs = [_first_pair(conversation) for conversation in part]
            right = iter(self._num_right([pair for pair in pairs if pair]))
            for conversation, pair in zip(part, pairs, strict=True):
                if pair is None:
                    yield Drop(conversation.id, "no question and answer", "a user's turn and an assistant's are needed")
                    continue
                num_right = next(right)
                is_known = num_right >= self.min_right
                if is_known == (self.keep == "known"):
                    yield conversation
                else:
                    told = f"{num_right} of {self.num_samples} replies hold the answer"
                    yield Drop(conversation.id, "known" if is_known else "not known", told)

    def _num_right(self, pairs: Sequence[tuple[str, str]]) -> list[int]:
        """How many replies to each question hold its answer."""
        prompts = [self._prompt(f"q{number}", question) for number, (question, _) in enumerate(pairs)]
        right = [0] * len(pairs)
        for seed in range(self.num_samples if prompts else 0):
            stop = () if self.chat else ("\n",)
            sampling = SamplingParams(self.max_tokens, temperature=self.temperature, seed=seed, stop=stop)
            for place, completion in enumerate(self.model.generate(prompts, sampling)):
                right[place] += contains_answer(completion.text, (pairs[place][1],))
        return right

    def _prompt(self, prompt_id: str, question: str) -> Prompt:
        if self.chat:
            return Prompt(prompt_id, messages=(Message("user", f"{self._shots}{question}"),))
        return Prompt(prompt_id, text=f"{self._shots}Q: {question}\nA:")

    @cached_property
    def _shots(self) -> str:
        if not self.exemplars:
            return ""
        solved = []
        for number, row in islice(read_rows(Path(self.exemplars)), 3):
            where, answer = f"{self.exemplars}: row {number}", row.get("answer")
            first = answer[0] if isinstance(answer, list) and answer else answer
            if not isinstance(first, str):
                raise DataError(f"{where}: field 'answer' is {answer!r}; a text, or a list of texts, is needed")
            solved.append(f"Q: {text_field(row, 'question', where)}\nA: {first}\n\n")
        return "".join(solved)


def _first_pair(conversation: Conversation) -> tuple[str, str] | None:
    """The first question and the answer right behind it."""
    turns = [message for message in conversation.messages if message.role in ("user", "assistant")]
    if len(turns) < 2 or (turns[0].role, turns[1].role) != ("user", "assistant"):
        return None
    question, answer = turns[0].content.strip(), turns[1].content.strip()
    return (question, answer) if question and answer else None
