"""An honest fake: answers what it was told to answer, by what it was asked, and obeys the sampling params.

In: a table of replies, or a file that holds one. Out: Completions, and Likelihoods that prefer the canned reply. For
tests and dry runs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from epigone.decoding.stops import cut
from epigone.errors import DataError
from epigone.records import Completion, Likelihood, Prompt, SamplingParams
from epigone.rows import read_document


@dataclass(frozen=True)
class Canned:
    """A LikelihoodModel whose tokens are words: each costs 0.1 nats where the canned reply says so, 10 otherwise."""

    replies: Mapping[str, str] = field(default_factory=dict[str, str])
    """Reply by the content of the last message, or by the prompt's text."""
    default: str = ""
    """Reply to anything else."""
    path: str = ""
    """A file with one JSON object, more replies by the same; of `*`, the reply to anything else."""

    def generate(self, prompts: Sequence[Prompt], sampling: SamplingParams) -> list[Completion]:
        """One Completion a prompt, in order."""
        return [self._completion(self._reply(prompt), sampling) for prompt in prompts]

    def loglikelihood(self, requests: Sequence[tuple[Prompt, str]]) -> list[Likelihood]:
        """Likelihood of each continuation after its prompt, in order."""
        return [_likelihood(continuation.split(), self._reply(prompt).split()) for prompt, continuation in requests]

    def _reply(self, prompt: Prompt) -> str:
        asked = prompt.messages[-1].content if prompt.messages else prompt.text
        return self._table.get(asked, self._table.get("*", self.default))

    @cached_property
    def _table(self) -> Mapping[str, str]:
        if not self.path:
            return self.replies
        read = read_document(Path(self.path))
        texts = {asked: reply for asked, reply in read.items() if isinstance(reply, str)}
        if strange := [asked for asked in read if asked not in texts]:
            raise DataError(f"{self.path}: the reply to {strange[0]!r} is no text; replies are texts by what is asked")
        return {**self.replies, **texts}

    def _completion(self, reply: str, sampling: SamplingParams) -> Completion:
        text, _ = cut(reply, sampling.stop)
        words = text.split()
        if len(words) > sampling.max_tokens:
            return Completion(" ".join(words[: sampling.max_tokens]), sampling.max_tokens, "length", -0.1)
        return Completion(text, len(words), "stop", -0.1)


def _likelihood(continuation: list[str], reply: list[str]) -> Likelihood:
    expected = [*reply, *[""] * len(continuation)]
    costs = [0.1 if word == wanted else 10.0 for word, wanted in zip(continuation, expected, strict=False)]
    return Likelihood(-sum(costs), len(continuation))
