"""koala: the text markers of Koala, whose training the paper's authors took over.

In: messages of users and assistants. Out: `BEGINNING OF CONVERSATION: USER: words GPT: words</s>`, a further pair of
turns straight after the `</s>`; the loss on the assistant's words with the blank before them and on `</s>`.
Source: https://github.com/young-geng/EasyLM/blob/main/docs/koala.md (the markers, with their blanks, that Koala is
served with), https://bair.berkeley.edu/blog/2023/04/03/koala.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from epigone.interfaces import Piece
from epigone.records import Message
from epigone.tokens.turns import Reasoning, System, check_asks, check_options, sayable

OPENING = "BEGINNING OF CONVERSATION: "
_JINJA = (
    "{{ BEGIN + 'BEGINNING OF CONVERSATION: ' }}"
    "{% for message in messages %}"
    "{% if message['role'] == 'user' %}{{ 'USER: ' + message['content'] | trim + ' ' }}"
    "{% elif message['role'] == 'assistant' %}{{ 'GPT: ' + message['content'] | trim + END }}"
    "{% else %}{{ raise_exception('roles are user and assistant') }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ 'GPT:' }}{% endif %}"
)


@dataclass(frozen=True)
class Koala:
    """Markers in plain text; words are trimmed. A tokenizer needs `<s>` and `</s>`, as LLaMA's has."""

    begin: str = "<s>"
    """The control token that every conversation opens with; empty for none."""
    end: str = "</s>"
    """The control token that ends an answer."""
    system: System = "refuse"
    """A system message is an error (`refuse`) or goes to the head of the user's next message (`fold`)."""
    reasoning: Reasoning = "refuse"
    """Reasoning is an error (`refuse`) or is left out (`leave_out`): Koala's markers have no place for it."""

    def __post_init__(self) -> None:
        check_options(self)

    @property
    def jinja(self) -> str:
        """For other software."""
        return _JINJA.replace("BEGIN +", f"{self.begin!r} +").replace("+ END", f"+ {self.end!r}")

    def pieces(self, messages: Sequence[Message]) -> list[Piece]:
        """The markers and words of every message. Raises SpecError for what the template cannot say."""
        pieces = [Piece(self.begin, True)] if self.begin else []
        pieces.append(Piece(OPENING))
        for message in sayable(messages, ("user", "assistant"), system=self.system, reasoning=self.reasoning):
            words = message.content.strip()
            if message.role == "user":
                pieces.append(Piece(f"USER: {words} "))
            else:
                pieces += [Piece("GPT:"), Piece(f" {words}", is_learnt=True), Piece(self.end, True, True)]
        return pieces

    def prompt(self, messages: Sequence[Message]) -> list[Piece]:
        """Up to and including the `GPT:` after which a model answers. Raises SpecError."""
        check_asks(messages)
        return [*self.pieces(messages), Piece("GPT:")]
