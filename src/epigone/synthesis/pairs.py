"""Pairs by a template: some seed pairs are shown, more of their kind are asked for, duplicates are left out.

In: seed pairs, a template, a language model. Out: `Grown`, each pair a conversation of one question and its answer.
Source: Appendix A of the paper (arXiv 2305.15717): "randomly sample 5 QA pairs from the seed set to generate new QA
samples. New samples are generated with temperature 1.0 and duplicate question-answer pairs are discarded."
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from epigone.errors import SpecError
from epigone.interfaces import Filter, Grown, LanguageModel, Rounds
from epigone.metrics.answers import normalise_answer
from epigone.records import Conversation, Message, SamplingParams
from epigone.synthesis.rounds import Candidate, generator_of, grow, malformed, prompts_of, reply_seed
from epigone.synthesis.template import Example, Template

DUPLICATES = ("pair", "question")
"""What may not come twice."""


@dataclass(frozen=True)
class Pairs:
    """Everything that shapes the pairs. Raises SpecError for what does not fit together."""

    name: str
    """Begins every id."""
    seeds: Sequence[Example]
    """The pairs that are shown; they are no result."""
    template: Template
    user: str
    """The conversation's question, with the template's fields in braces."""
    assistant: str
    """And its answer."""
    duplicates: str = "pair"
    temperature: float | int = 1.0
    max_tokens: int = 512

    def __post_init__(self) -> None:
        if self.duplicates not in DUPLICATES:
            raise SpecError(f"duplicates is {self.duplicates!r}; allowed: {', '.join(DUPLICATES)}")
        for text in (self.user, self.assistant):
            self._written(text, dict.fromkeys(self.template.fields, ""))

    def grow(self, model: LanguageModel, rounds: Rounds, leaks: Filter | None) -> Grown:
        """Ask for pairs, round after round."""
        known = Known([self._conversation("", seed) for seed in self.seeds], self.duplicates)

        def draw(number: int, num_prompts: int, kept: Sequence[Conversation]) -> list[Candidate]:
            prompts = prompts_of(self.texts(rounds, number, num_prompts), f"{self.name}-{number}")
            sampling = SamplingParams(self.max_tokens, self.temperature, seed=reply_seed(rounds, number))
            completions = model.generate(prompts, sampling)
            return [
                candidate
                for prompt, completion in zip(prompts, completions, strict=True)
                for candidate in self.read(prompt.id, completion.text, is_cut=completion.finish_reason == "length")
            ]

        return grow(draw, known, rounds, leaks)

    def texts(self, rounds: Rounds, number: int, num_prompts: int) -> list[str]:
        """A round's prompts: each shows seeds drawn at random, in random order."""
        texts = []
        for place in range(num_prompts):
            drawn = generator_of(rounds, number, place).permutation(len(self.seeds))[: self.template.num_examples]
            texts.append(self.template.fill([self.seeds[row] for row in drawn]))
        return texts

    def read(self, prompt_id: str, reply: str, *, is_cut: bool) -> list[Candidate]:
        """Every pair of a reply, in order: PROMPT-0, PROMPT-1."""
        candidates: list[Candidate] = []
        for place, found in enumerate(self.template.read(reply, is_cut=is_cut)):
            name = f"{prompt_id}-{place}"
            if found.problem:
                candidates.append(malformed(name, found.problem, found.text, prompt_id))
            else:
                candidates.append(self._conversation(name, found.example, prompt_id))
        return candidates

    def _conversation(self, name: str, example: Example, source: str = "") -> Conversation:
        asked, answered = self._written(self.user, example), self._written(self.assistant, example)
        return Conversation(name, (Message("user", asked), Message("assistant", answered)), source)

    def _written(self, text: str, example: Example) -> str:
        try:
            return re.sub(r"\{(\w+)\}", lambda place: example[place[1]], text)
        except KeyError as error:
            fields = ", ".join(f"{{{name}}}" for name in self.template.fields)
            raise SpecError(f"{text!r} names a field {error} that the template has not; it has: {fields}") from error


class Known:
    """Pairs that are there, by normalised question and answer (SQuAD's way, as Natural Questions is scored).

    A seed's question is known whatever its answer: the seeds were taken from an evaluation.
    """

    def __init__(self, seeds: Sequence[Conversation], duplicates: str) -> None:
        self._seeds = {normalise_answer(seed.messages[0].content) for seed in seeds}
        self._duplicates = duplicates
        self._places: dict[tuple[str, ...], str] = {}

    def reasons(self, candidates: Sequence[Conversation]) -> list[tuple[str, str]]:
        """(reason, detail) of each that is a duplicate, and ("", "") of the others, which are known from now on."""
        return [self._reason(candidate) for candidate in candidates]

    def _reason(self, candidate: Conversation) -> tuple[str, str]:
        pair = tuple(normalise_answer(message.content) for message in candidate.messages)
        if pair[0] in self._seeds:
            return "a seed's question", ""
        key = pair if self._duplicates == "pair" else pair[:1]
        if key in self._places:
            return f"{self._duplicates} comes twice", f"as {self._places[key]}"
        self._places[key] = candidate.id
        return "", ""
