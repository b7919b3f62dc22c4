"""special_tokens: the paper's template, a control token at the head of every message and one that ends an answer.

In: messages of users and assistants. Out: `<|user|> words <|assistant|> words <|end|>` for every pair of turns, the
loss on the assistant's words and the `<|end|>` that closes them. Source: the paper, section 4.1 ("special tokens that
demarcate the beginning of each user query and model output", "LM losses on only the model outputs").
"""

from collections.abc import Sequence
from dataclasses import dataclass

from epigone.interfaces import Piece
from epigone.records import Message
from epigone.tokens.turns import Reasoning, System, check_asks, check_options, sayable

USER, ASSISTANT, END = "<|user|>", "<|assistant|>", "<|end|>"
_HEADS = {"user": USER, "assistant": ASSISTANT}
_JINJA = (
    "{% for message in messages %}"
    "{% if message['role'] == 'user' %}{{ '<|user|> ' + message['content'] | trim }}"
    "{% elif message['role'] == 'assistant' %}{{ '<|assistant|> ' + message['content'] | trim + '<|end|>' }}"
    "{% else %}{{ raise_exception('roles are user and assistant') }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


@dataclass(frozen=True)
class SpecialTokens:
    """Words are trimmed and follow their role token after one blank."""

    system: System = "refuse"
    """A system message is an error (`refuse`) or goes to the head of the user's next message (`fold`)."""
    reasoning: Reasoning = "refuse"
    """Reasoning is an error (`refuse`) or is left out (`leave_out`): the paper's template has no place for it."""

    def __post_init__(self) -> None:
        check_options(self)

    @property
    def jinja(self) -> str:
        """For other software."""
        return _JINJA

    def pieces(self, messages: Sequence[Message]) -> list[Piece]:
        """Role token and words of every message. Raises SpecError for what the template cannot say."""
        pieces: list[Piece] = []
        for message in sayable(messages, tuple(_HEADS), system=self.system, reasoning=self.reasoning):
            learnt = message.role == "assistant"
            pieces += [Piece(_HEADS[message.role], True), Piece(f" {message.content.strip()}", is_learnt=learnt)]
            if learnt:
                pieces.append(Piece(END, True, True))
        return pieces

    def prompt(self, messages: Sequence[Message]) -> list[Piece]:
        """Up to and including the `<|assistant|>` after which a model answers. Raises SpecError."""
        check_asks(messages)
        return [*self.pieces(messages), Piece(ASSISTANT, True)]
