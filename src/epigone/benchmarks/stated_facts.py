"""Stated facts: what a free answer claims, and how much of it is true. Figure 2 of the paper, in numbers.

In: prompts as JSON lines {"id", "messages"} and a fact checker. Out: one Score a prompt, the answer kept.
Source: Figure 2 and section 4.4 of the paper (arXiv 2305.15717): the same form as the teacher's, the facts wrong.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from epigone.interfaces import FactChecker, LanguageModel
from epigone.metrics.answers import protocol_id
from epigone.records import Item, Message, Prompt, SamplingParams, Score
from epigone.rows import read_prompts


@dataclass(frozen=True)
class StatedFacts:
    """Claims of free answers: num_claims, num_right, num_wrong; right_share only where something was claimed.

    An answer without claims is no wrong answer: show claims per answer beside the share that is right.
    """

    path: str | Path
    """Prompts as JSON lines {"id", "messages"}, the last message the user's."""
    checker: FactChecker
    """Who finds the claims and says whether they are true; part of the protocol id."""
    max_tokens: int = 160
    """Longest answer in tokens."""
    limit: int | None = None
    """Ask only the first `limit` prompts."""

    @property
    def protocol(self) -> str:
        """`stated-facts--hash`, over the checker and the sampling."""
        return protocol_id("stated-facts", checker=self.checker, sampling=self._sampling())

    def items(self) -> list[Item]:
        """The prompts in file order, `question` being the user's last message. Raises DataError."""
        return [Item(prompt.id, prompt.messages[-1].content) for prompt in self.prompts()]

    def prompts(self) -> list[Prompt]:
        """The prompts with all their messages. Raises DataError naming file and row."""
        return read_prompts(Path(self.path))[: self.limit]

    def run(self, model: LanguageModel, items: Sequence[Item] | None = None) -> list[Score]:
        """One Score a prompt, in order."""
        chosen = None if items is None else {item.id for item in items}
        prompts = [prompt for prompt in self.prompts() if chosen is None or prompt.id in chosen]
        completions = model.generate(prompts, self._sampling())
        return [self._score(prompt, completion.text) for prompt, completion in zip(prompts, completions)]

    def _sampling(self) -> SamplingParams:
        return SamplingParams(max_tokens=self.max_tokens)

    def _score(self, prompt: Prompt, reply: str) -> Score:
        claims = self.checker.check(reply, prompt.messages[-1].content)
        metrics = {f"num_{word}": float(claims.count(word)) for word in ("right", "wrong", "off_topic")}
        metrics["num_claims"] = float(len(claims))
        if claims:
            metrics["right_share"] = claims.count("right") / len(claims)
        return Score(prompt.id, metrics, "\n\n".join(_shown(m) for m in prompt.messages), reply)


def _shown(message: Message) -> str:
    return message.content if message.role == "user" else f"[{message.role}] {message.content}"
