"""MMLU: multiple choice over 57 subjects, by the likeliest letter, the letter of the reply, or the option's text.

In: the published files, in any layout of `rows.choices`. Out: one Score a question, the headline being the
micro-average over all of them.
Sources: Hendrycks et al. 2021 (arXiv 2009.03300); prompt bytes of https://github.com/hendrycks/test evaluate.py and, as
`form="lm_eval"`, of the tasks mmlu and mmlu_generative of https://github.com/EleutherAI/lm-evaluation-harness.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from epigone.errors import DataError, SpecError
from epigone.interfaces import LanguageModel, LikelihoodModel, TokenizedModel
from epigone.metrics.answers import protocol_id
from epigone.metrics.letters import LETTERS, RULES, first_line_is, named_letter
from epigone.records import Completion, Item, Likelihood, Message, Prompt, SamplingParams, Score
from epigone.rows.choices import read_split

HEADER = "The following are multiple choice questions (with answers) about {subject}.\n\n"
SCORINGS = ("letter", "generated", "option_text")
FORMS = ("original", "lm_eval")
REPLY_TOKENS, CHAT_TOKENS = 16, 256


@dataclass(frozen=True)
class MMLU:
    """Accuracy, in one of three ways, each a protocol of its own.

    letter: the largest log-likelihood among " A" ... " D" after the original few-shot prompt; beside it the probability
    that a softmax over the four gives the right one (probability_right). generated: the letter that the reply names
    (metrics.letters); a reply without one is a wrong answer and counted (parsed); exact_match is the stricter rule of
    lm-eval. option_text: mean log-likelihood a token of " " + option after "{question}\\nAnswer:", which asks for the
    knowledge without the lettering. The group of a score is its subject; num_shots is what fitted into the prompt.
    """

    test_folder: str | Path
    """Folder of SUBJECT_test.csv files, or of Hugging Face's layout, or one file."""
    dev_folder: str | Path = ""
    """The same of the dev rows, whose first are the shots; empty: they lie where the test files lie."""
    num_shots: int = 5
    """Solved questions of the same subject in front of each question, the first dev rows in order."""
    scoring: str = "letter"
    """letter, generated or option_text."""
    form: str = "original"
    """lm_eval: one blank less in the header, and questions without blanks around them."""
    chat: bool = False
    """Ask in one user message, zero-shot or with the shots in it; only with scoring=generated."""
    limit: int | None = None
    """Ask only the first `limit` questions of every subject."""
    max_prompt_chars: int | None = None
    """Drop shots one at a time, the last first, until the prompt has at most so many characters."""
    max_prompt_tokens: int = 2048
    """The same in tokens, as the original has it, where the model's tokenizer is at hand; its positions bind too."""
    max_tokens: int | None = None
    """Longest reply, with scoring=generated; unset: 16 up to a line feed, in chat form 256."""

    def __post_init__(self) -> None:
        """Raises SpecError for an option that there is not."""
        for option, allowed in (("scoring", SCORINGS), ("form", FORMS)):
            if getattr(self, option) not in allowed:
                raise SpecError(f"mmlu: {option}={getattr(self, option)!r} is not among {', '.join(allowed)}")
        if self.chat and self.scoring != "generated":
            raise SpecError(f"mmlu: chat=True with scoring={self.scoring!r}; servers of chat need scoring='generated'")

    @property
    def protocol(self) -> str:
        """`mmlu-letter-5shot--hash`, over the prompt's fixed bytes, the shots of every subject and the scoring."""
        shape: dict[str, object] = {
            "fixed": {s: self._prefix(s, self.num_shots) for s in self._test},
            "longest": (self.max_prompt_chars, self.max_prompt_tokens),
            "form": self._ask(Item("", " ? ", options=tuple("abcd"))),
        }
        if self.scoring == "generated":
            shape |= {"sampling": self._sampling(), "chat": self.chat, "rules": RULES}
        readable = f"mmlu-{self.scoring.replace('_', '-')}-{'chat-' if self.chat else ''}{self.num_shots}shot"
        return protocol_id(readable, scoring=self.scoring, **shape)

    def items(self) -> list[Item]:
        """The questions, subjects in alphabetical order. Raises DataError naming file, row and value."""
        return [item for items in self._test.values() for item in items[: self.limit]]

    def prompt(self, item: Item, model: LanguageModel | None = None) -> Prompt:
        """What a model is asked for an item, with as many shots as fit."""
        return self._fitting(item, model)[0]

    def run(self, model: LanguageModel, items: Sequence[Item] | None = None) -> list[Score]:
        """One Score a question, in order. Raises SpecError where log-likelihoods are needed and the model has none."""
        items = self.items() if items is None else items
        if self.scoring != "generated" and not isinstance(model, LikelihoodModel):
            raise SpecError(
                f"mmlu needs log-likelihoods, but {type(model).__name__} gives none; take a checkpoint, or "
                "scoring='generated'"
            )
        fitting = [self._fitting(item, model) for item in items]
        prompts = [prompt for prompt, _ in fitting]
        if isinstance(model, LikelihoodModel) and self.scoring != "generated":
            requests = [(p, f" {c}") for i, p in zip(items, prompts) for c in self._continuations(i)]
            found = model.loglikelihood(requests)
            scores = [self._chosen(i, p, found[4 * n : 4 * n + 4]) for n, (i, p) in enumerate(zip(items, prompts))]
        else:
            scores = list(map(_said, items, prompts, model.generate(prompts, self._sampling())))
        for score, (_, num_shots) in zip(scores, fitting):
            score.metrics["num_shots"] = float(num_shots)
        return scores

    def _fitting(self, item: Item, model: LanguageModel | None) -> tuple[Prompt, int]:
        ask = self._ask(item)
        for num_shots in range(self.num_shots, 0, -1):
            prompt = self._prompt(item, self._prefix(item.group, num_shots) + ask)
            if self._fits(prompt, item, model):
                return prompt, num_shots
        return self._prompt(item, self._prefix(item.group, 0) + ask), 0

    def _prompt(self, item: Item, text: str) -> Prompt:
        return Prompt(item.id, messages=(Message("user", text),)) if self.chat else Prompt(item.id, text=text)

    def _fits(self, prompt: Prompt, item: Item, model: LanguageModel | None) -> bool:
        if self.max_prompt_chars is not None and len(_text(prompt)) > self.max_prompt_chars:
            return False
        if not isinstance(model, TokenizedModel):
            return True
        num_tokens = len(model.token_ids(prompt)[0])
        if self.scoring == "generated":
            num_new = self._sampling().max_tokens
        else:
            ends = Prompt(item.id, text="Answer:")  # as every prompt does
            num_new = max(len(model.token_ids(ends, f" {c}")[1]) for c in self._continuations(item))
        return num_tokens <= min(self.max_prompt_tokens, model.num_positions - num_new)

    def _continuations(self, item: Item) -> Sequence[str]:
        return item.options if self.scoring == "option_text" else LETTERS

    def _sampling(self) -> SamplingParams:
        most = self.max_tokens or (CHAT_TOKENS if self.chat else REPLY_TOKENS)
        return SamplingParams(max_tokens=most, stop=() if self.chat else ("\n",))

    def _chosen(self, item: Item, prompt: Prompt, found: Sequence[Likelihood]) -> Score:
        by_token = self.scoring == "option_text"
        values = [f.logprob / max(f.num_tokens, 1) if by_token else f.logprob for f in found]
        best = max(range(len(values)), key=values.__getitem__)
        weights = [math.exp(v - values[best]) for v in values]
        right = weights[item.label] / sum(weights)
        metrics = {"accuracy": float(best == item.label), "probability_right": right}
        return Score(item.id, metrics, prompt.text, self._continuations(item)[best], LETTERS[best], item.group)

    @cached_property
    def _test(self) -> dict[str, list[Item]]:
        return read_split(Path(self.test_folder), "test")

    @cached_property
    def _shots(self) -> dict[str, list[Item]]:
        place = Path(self.dev_folder or self.test_folder)
        found = read_split(place, "dev")
        for subject in self._test:
            if len(found.get(subject, ())) < self.num_shots:
                raise DataError(
                    f"{place}: has {len(found.get(subject, ()))} dev rows of {subject}, num_shots={self.num_shots}"
                )
        return found

    def _prefix(self, subject: str, num_shots: int) -> str:
        # The original keeps a blank in front of the subject, hence two blanks after "about".
        named = ("" if self.form == "lm_eval" else " ") + subject.replace("_", " ")
        header = HEADER.format(subject=named) if self.scoring != "option_text" else ""
        if not num_shots:
            return header
        shots = self._shots[subject][:num_shots]
        return header + "".join(f"{self._ask(s)} {self._continuations(s)[s.label]}\n\n" for s in shots)

    def _ask(self, item: Item) -> str:
        question = item.question.strip() if self.form == "lm_eval" else item.question
        if self.scoring == "option_text":
            return f"{question}\nAnswer:"
        listed = "".join(f"\n{letter}. {option}" for letter, option in zip(LETTERS, item.options))
        return f"{question}{listed}\nAnswer:"


def _text(prompt: Prompt) -> str:
    return prompt.text or prompt.messages[-1].content


def _said(item: Item, prompt: Prompt, completion: Completion) -> Score:
    letter, right = named_letter(completion.text, item.options), LETTERS[item.label]
    metrics = {
        "accuracy": float(letter == right),
        "parsed": float(bool(letter)),
        "exact_match": float(first_line_is(completion.text, right)),
    }
    return Score(item.id, metrics, _text(prompt), completion.text, letter, item.group)
