"""chatml: `<|im_start|>role`, a new line, the words, `<|im_end|>`, a new line.

In: messages of systems, users and assistants. Out: every message between its two control tokens; the loss on the
assistant's words and the `<|im_end|>` that closes them, not on the new line behind it, which no model is asked for.
Reasoning stands before the answer between `<think>` and `</think>`, each on a line of its own, as Qwen3 writes it.
Source: https://github.com/openai/openai-python/blob/release-v0.28.0/chatml.md, https://huggingface.co/Qwen/Qwen3-8B.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from epigone.interfaces import Piece
from epigone.records import Message
from epigone.tokens.turns import check_options, sayable

START, END = "<|im_start|>", "<|im_end|>"
_ROLES = ("system", "user", "assistant")
_JINJA = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


@dataclass(frozen=True)
class Chatml:
    """Words stand as they are. Tool calls have no agreed form in ChatML: a model's own template says them (`jinja`)."""

    reasoning: Literal["learn", "read", "leave_out"] = "learn"
    """Reasoning is learnt like the answer, only read, or left out."""

    def __post_init__(self) -> None:
        check_options(self)

    @property
    def jinja(self) -> str:
        """For other software; it leaves reasoning out."""
        return _JINJA

    def pieces(self, messages: Sequence[Message]) -> list[Piece]:
        """Every message between its control tokens. Raises SpecError for what the template cannot say."""
        pieces: list[Piece] = []
        for message in sayable(messages, _ROLES):
            learnt = message.role == "assistant"
            pieces += [Piece(START, True), Piece(f"{message.role}\n")]
            if message.reasoning and self.reasoning != "leave_out":
                thought = f"<think>\n{message.reasoning.strip()}\n</think>\n\n"
                pieces.append(Piece(thought, is_learnt=learnt and self.reasoning == "learn"))
            pieces += [Piece(message.content, is_learnt=learnt), Piece(END, True, learnt), Piece("\n")]
        return pieces

    def prompt(self, messages: Sequence[Message]) -> list[Piece]:
        """Up to and including the line `assistant`, after which a model answers. Raises SpecError."""
        return [*self.pieces(messages), Piece(START, True), Piece("assistant\n")]
