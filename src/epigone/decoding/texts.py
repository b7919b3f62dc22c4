"""From prompts to token ids and back, as a checkpoint was published: template, opening, end tokens.

In: a checkpoint's folder or .gguf file. Out: ids of what a model reads before it answers, ids that end a reply, text.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

from epigone.errors import SpecError, WorkError
from epigone.interfaces import ChatTemplate
from epigone.records import Message, Prompt
from epigone.tokens.chat_template import ChatTokens
from epigone.tokens.published import named_id, template_of
from epigone.tokens.templates.special_tokens import SpecialTokens
from epigone.tokens.tokenizer import Tokenizer

REMEMBERED = 4096
"""Pairs of prompt and continuation."""


@dataclass(frozen=True)
class Texts:
    """The tokenizer and template of a checkpoint, read at the first use; `template` None: as it was published."""

    path: Path
    template: ChatTemplate | None = None

    @cached_property
    def chat(self) -> ChatTokens:
        """How messages are written."""
        return ChatTokens(Tokenizer.load(self.path), self.template or template_of(self.path) or SpecialTokens())

    @cached_property
    def end_ids(self) -> list[int]:
        """What ends a reply: the token that closes an answer, and those that the checkpoint names (eos)."""
        ends = set(named_id(self.path, "eos"))
        with suppress(SpecError):  # a base model without a chat template, which is only ever given text
            ends.add(self.chat.end)
        return sorted(ends)

    def ids(self, prompt: Prompt) -> list[int]:
        """Ids of a prompt. Raises WorkError unless it has either messages or text."""
        if bool(prompt.messages) == bool(prompt.text):
            raise WorkError(f"prompt {prompt.id!r} must have either messages or text")
        return self.chat.prompt(prompt.messages) if prompt.messages else self.text_ids(prompt.text)

    def text_ids(self, text: str) -> list[int]:
        """Ids of plain text behind what the model was trained to see before any."""
        return [*self.chat.tokenizer.opening, *self.chat.tokenizer.encode(text)]

    @cached_property
    def pair(self) -> Callable[[Prompt, str], tuple[list[int], list[int]]]:
        """(prompt, continuation) -> ids of both; in chat form without the token that closes an answer.

        What was asked last is remembered: the options of a question share a prompt, and who scores them tells them too.
        """
        ids = lru_cache(REMEMBERED // 4)(self.ids)
        return lru_cache(REMEMBERED)(lambda prompt, continuation: self._pair(ids(prompt), prompt, continuation))

    def _pair(self, prefix: list[int], prompt: Prompt, continuation: str) -> tuple[list[int], list[int]]:
        whole = self._answered(prompt, continuation) if prompt.messages else self.text_ids(prompt.text + continuation)
        if whole[: len(prefix)] == prefix:
            return prefix, whole[len(prefix) :]
        return prefix, self.chat.tokenizer.encode(continuation)  # the seam fell inside a token

    def windows(self, text: str, length: int) -> list[tuple[list[int], list[int]]]:
        """A whole text as pairs of at most `length` tokens in which every token is scored once.

        The first token stands behind what the model was trained to see before any text, or behind the token that the
        checkpoint names bos or eos. Later windows have one token of context, the last one as many as fit.
        """
        ids, most = self.chat.tokenizer.encode(text), length - 1
        before = [*self.chat.tokenizer.opening, *named_id(self.path, "bos"), *named_id(self.path, "eos")][:1]
        found = [(before, ids[:most])] if ids else []
        for start in range(most, len(ids), most):
            end = min(start + most, len(ids))
            found.append((ids[end - most - 1 : start], ids[start:end]))
        return found

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids, without control tokens."""
        return self.chat.tokenizer.decode(ids)

    def token(self, id_: int) -> str:
        """What one token shows; a control token's name, where it shows nothing."""
        return self.decode([id_]) or str(self.chat.tokenizer.backend.id_to_token(id_))

    def _answered(self, prompt: Prompt, answer: str) -> list[int]:
        """The conversation up to the last token of the answer, without what closes it."""
        ids, learnt = self.chat.encode([*prompt.messages, Message("assistant", answer)])
        closing = max(at for at, is_learnt in enumerate(learnt) if is_learnt)
        return ids[:closing]
