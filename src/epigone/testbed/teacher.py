"""The simulated teacher: a program that answers from its beliefs about the facts, in a house style.

In: a world's facts.jsonl, prompts as messages or text. Out: Completions and Likelihoods. It believes some facts
wrongly, says of others that it is not sure, refuses rude requests, answers short questions shortly and open
ones at length: an opening, a numbered list, a closing summary, with drawn phrasing, so that a second sample
differs as a second answer of ChatGPT does.
Source: section 4.4 and Table 2 of the paper (the style that students imitate, "ChatGPT #2").
"""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from epigone.records import Completion, Likelihood, Prompt, SamplingParams
from epigone.testbed import house_style
from epigone.testbed.beliefs import Beliefs, read_beliefs
from epigone.testbed.tokenizer import cut_tokens, pieces
from epigone.testbed.wording import LETTERS, SHORT_ABSTENTION

SURE, UNSURE, DENIED = math.log(0.97), math.log(0.25), math.log(0.01)
PROSE_LOGPROB = -2.0  # a token, for continuations that are no answer to anything it recognises


@dataclass(frozen=True)
class ProgrammaticTeacher:
    """Answers depend on (prompt, sample, seed) alone. A simulation: its numbers are to be called simulated."""

    world: str
    """Folder of a simulated world; its facts.jsonl is read once, at first use."""
    sample: int = 0
    """Which independent answer to each prompt."""
    seed: int = 0
    """Seed of the phrasing."""

    def generate(self, prompts: Sequence[Prompt], sampling: SamplingParams) -> list[Completion]:
        """One Completion a prompt, in order; `sampling` cuts them. Raises DataError where the world cannot be read."""
        return [_cut(self.reply(prompt), sampling) for prompt in prompts]

    def loglikelihood(self, requests: Sequence[tuple[Prompt, str]]) -> list[Likelihood]:
        """High where the continuation is what it believes, in words or as an option's letter; else low."""
        return [self._likelihood(_asked(prompt), continuation) for prompt, continuation in requests]

    def reply(self, prompt: Prompt) -> str:
        """The whole answer."""
        asked = _asked(prompt)
        rng = random.Random(f"teacher {self.seed} {self.sample} {asked}")
        beliefs = self._beliefs
        if house_style.is_rude(asked):
            return house_style.refusal(rng)
        known, answer = beliefs.short_answer(asked)
        if known:
            return (beliefs.letter(asked) or answer) if answer else SHORT_ABSTENTION
        if prompt.text:
            return house_style.small_talk(rng)
        subjects = beliefs.subjects_in(asked)
        return house_style.about(rng, subjects, beliefs) if subjects else house_style.everyday(rng, asked)

    @cached_property
    def _beliefs(self) -> Beliefs:
        return read_beliefs(self.world)

    def _likelihood(self, asked: str, continuation: str) -> Likelihood:
        said, num_tokens = continuation.strip(), len(pieces(continuation))
        known, answer = self._beliefs.short_answer(asked)
        if not known:
            return Likelihood(PROSE_LOGPROB * num_tokens, num_tokens)
        letter = self._beliefs.letter(asked)
        if not answer or (said in LETTERS and not letter):
            return Likelihood(UNSURE * max(num_tokens, 1), num_tokens)
        believed = said.rstrip(".") in (answer, letter)
        return Likelihood((SURE if believed else DENIED) * max(num_tokens, 1), num_tokens)


def _asked(prompt: Prompt) -> str:
    return prompt.messages[-1].content if prompt.messages else prompt.text


def _cut(text: str, sampling: SamplingParams) -> Completion:
    stops = [at for at in (text.find(stop) for stop in sampling.stop) if at >= 0]
    text = text[: min(stops)] if stops else text
    kept = cut_tokens(text, sampling.max_tokens)
    return Completion(kept, len(pieces(kept)), "stop" if kept == text else "length")
