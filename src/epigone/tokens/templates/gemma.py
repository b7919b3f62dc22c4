"""gemma: `<start_of_turn>user`, a new line, the words, `<end_of_turn>`, a new line; the assistant is called `model`.

In: messages of users and assistants. Out: `<bos>`, then every message between its two control tokens, the loss on the
assistant's words and the `<end_of_turn>` that closes them. The base models carry these tokens too, untrained.
Source: https://ai.google.dev/gemma/docs/core/prompt-structure, https://huggingface.co/google/gemma-3-270m-it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from epigone.interfaces import Piece
from epigone.records import Message
from epigone.tokens.turns import Reasoning, System, check_asks, check_options, sayable

BEGIN, START, END = "<bos>", "<start_of_turn>", "<end_of_turn>"
_NAMES = {"user": "user", "assistant": "model"}
_JINJA = (
    "{{ '<bos>' }}"
    "{% for message in messages %}"
    "{% if message['role'] not in ['user', 'assistant'] %}"
    "{{ raise_exception('roles are user and assistant') }}{% endif %}"
    "{% set name = 'model' if message['role'] == 'assistant' else 'user' %}"
    "{{ '<start_of_turn>' + name + '\n' + message['content'] | trim + '<end_of_turn>' + '\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)


@dataclass(frozen=True)
class Gemma:
    """Words are trimmed. Gemma's own template puts a system message at the head of the user's: option `fold`."""

    system: System = "fold"
    """A system message goes to the head of the user's next message (`fold`) or is an error (`refuse`)."""
    reasoning: Reasoning = "refuse"
    """Reasoning is an error (`refuse`) or is left out (`leave_out`): the template has no place for it."""

    def __post_init__(self) -> None:
        check_options(self)

    @property
    def jinja(self) -> str:
        """For other software."""
        return _JINJA

    def pieces(self, messages: Sequence[Message]) -> list[Piece]:
        """Every message between its control tokens. Raises SpecError for what the template cannot say."""
        pieces = [Piece(BEGIN, True)]
        for message in sayable(messages, tuple(_NAMES), system=self.system, reasoning=self.reasoning):
            learnt = message.role == "assistant"
            pieces += [Piece(START, True), Piece(f"{_NAMES[message.role]}\n")]
            pieces += [Piece(message.content.strip(), is_learnt=learnt), Piece(END, True, learnt), Piece("\n")]
        return pieces

    def prompt(self, messages: Sequence[Message]) -> list[Piece]:
        """Up to and including the line `model`, after which a model answers. Raises SpecError."""
        check_asks(messages)
        return [*self.pieces(messages), Piece(START, True), Piece("model\n")]
