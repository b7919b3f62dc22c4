"""A checkpoint folder that answers in this process: students and base models.

In: a folder in the published layout (config.json, model.safetensors, tokenizer.json), or a .gguf file. A prompt's
`messages` go through the chat template that the checkpoint was published with and the reply ends at its end token; a
prompt's `text` is continued as it is, behind what the model was trained to see before any text (`<bos>`), if anything.
Out: Completions with their mean log-probability, and Likelihoods.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from epigone.decoding.engine import Continuation, Engine
from epigone.decoding.stops import cut, is_over
from epigone.errors import SpecError, WorkError
from epigone.interfaces import ChatTemplate
from epigone.models.weights import load_checkpoint
from epigone.records import Completion, Likelihood, Message, Prompt, SamplingParams
from epigone.tokens.chat_template import ChatTokens
from epigone.tokens.published import named_id, template_of
from epigone.tokens.templates.special_tokens import SpecialTokens
from epigone.tokens.tokenizer import Tokenizer


@dataclass(frozen=True)
class Checkpoint:
    """A LikelihoodModel; weights are read at the first question.

    `num_tokens` of a Completion counts the end token too, and `mean_logprob` is the mean over exactly these tokens.
    """

    path: str
    """Folder of the checkpoint, or a .gguf file."""
    batch_size: int = 64
    """Rows computed at once, whatever is asked."""
    template: ChatTemplate | None = None
    """How messages are written; None: as the checkpoint was published, or by special tokens."""

    def generate(self, prompts: Sequence[Prompt], sampling: SamplingParams) -> list[Completion]:
        """One Completion a prompt, in order.

        Raises WorkError for a prompt that leaves no room for `sampling.max_tokens`.
        """
        continuations = self._engine.generate(
            [self._ids(prompt) for prompt in prompts],
            max_new_tokens=sampling.max_tokens,
            end_ids=self._end_ids,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            top_k=sampling.top_k,
            seed=sampling.seed,
            is_over=is_over(self._chat.tokenizer.decode, sampling.stop),
            names=[prompt.id for prompt in prompts],
        )
        return [self._completion(continuation, sampling.stop) for continuation in continuations]

    def loglikelihood(self, requests: Sequence[tuple[Prompt, str]]) -> list[Likelihood]:
        """Likelihood of each continuation after its prompt, in order; in chat form without the end token."""
        pairs = [self._pair(prompt, continuation) for prompt, continuation in requests]
        sums = self._engine.loglikelihood(pairs, names=[prompt.id for prompt, _ in requests])
        return [Likelihood(total, len(pair[1])) for total, pair in zip(sums, pairs, strict=True)]

    @cached_property
    def _engine(self) -> Engine:
        return Engine(load_checkpoint(Path(self.path)), self.batch_size)

    @cached_property
    def _chat(self) -> ChatTokens:
        path = Path(self.path)
        return ChatTokens(Tokenizer.load(path), self.template or template_of(path) or SpecialTokens())

    @cached_property
    def _end_ids(self) -> list[int]:
        """What ends a reply: the token that closes an answer, and those that the checkpoint names (eos)."""
        ends = set(named_id(Path(self.path), "eos"))
        with suppress(SpecError):  # a base model without a chat template, which is only ever given text
            ends.add(self._chat.end)
        return sorted(ends)

    def _ids(self, prompt: Prompt) -> list[int]:
        if bool(prompt.messages) == bool(prompt.text):
            raise WorkError(f"prompt {prompt.id!r} must have either messages or text")
        return self._chat.prompt(prompt.messages) if prompt.messages else self._text_ids(prompt.text)

    def _text_ids(self, text: str) -> list[int]:
        return [*self._chat.tokenizer.opening, *self._chat.tokenizer.encode(text)]

    def _pair(self, prompt: Prompt, continuation: str) -> tuple[list[int], list[int]]:
        prefix = self._ids(prompt)
        whole = self._answered(prompt, continuation) if prompt.messages else self._text_ids(prompt.text + continuation)
        if whole[: len(prefix)] == prefix:
            return prefix, whole[len(prefix) :]
        return prefix, self._chat.tokenizer.encode(continuation)  # the seam fell inside a token

    def _answered(self, prompt: Prompt, answer: str) -> list[int]:
        """The conversation up to the last token of the answer, without what closes it."""
        ids, learnt = self._chat.encode([*prompt.messages, Message("assistant", answer)])
        closing = max(at for at, is_learnt in enumerate(learnt) if is_learnt)
        return ids[:closing]

    def _completion(self, continuation: Continuation, stops: Sequence[str]) -> Completion:
        text, stopped = cut(self._chat.tokenizer.decode(continuation.tokens), stops)
        return Completion(
            text=text,
            num_tokens=len(continuation.tokens),
            finish_reason="stop" if stopped else continuation.finish_reason,
            mean_logprob=continuation.mean_logprob,
        )
