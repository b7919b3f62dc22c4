"""Messages -> token ids and the mask of what is learnt.

In: the messages of a conversation. Out: `<|user|> words <|assistant|> words <|end|>` for every pair of turns, the
loss on the assistant's words and the `<|end|>` that closes them. Ids and mask grow together, message by message;
nothing is searched for afterwards. Source: the paper, section 4.1 ("special tokens that demarcate the beginning of
each user query and model output", "LM losses on only the model outputs").
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from epigone.errors import SpecError
from epigone.records import Message
from epigone.tokens.tokenizer import Tokenizer

USER, ASSISTANT, END = "<|user|>", "<|assistant|>", "<|end|>"

JINJA = (
    "{% for message in messages %}"
    "{% if message['role'] == 'user' %}{{ '<|user|> ' + message['content'] | trim }}"
    "{% elif message['role'] == 'assistant' %}{{ '<|assistant|> ' + message['content'] | trim + '<|end|>' }}"
    "{% else %}{{ raise_exception('roles are user and assistant') }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
"""The same template for other software, as `chat_template` of tokenizer_config.json."""


@dataclass(frozen=True)
class ChatTokens:
    """The role-token template; words are trimmed and follow their role token after one blank."""

    tokenizer: Tokenizer

    @cached_property
    def _roles(self) -> dict[str, int]:
        return {"user": self._control(USER), "assistant": self._control(ASSISTANT)}

    @cached_property
    def end(self) -> int:
        """The id that closes an assistant's turn."""
        return self._control(END)

    def encode(self, messages: Sequence[Message]) -> tuple[list[int], list[bool]]:
        """Ids and, of the same length, True where the loss counts.

        Raises SpecError for a role other than user and assistant.
        """
        ids: list[int] = []
        mask: list[bool] = []
        words_of = self.tokenizer.encode_batch([_words(message) for message in messages])
        for message, words in zip(messages, words_of, strict=True):
            learnt = message.role == "assistant"
            closed = [*words, self.end] if learnt else words
            ids += [self._role(message), *closed]
            mask += [False, *[learnt] * len(closed)]
        return ids, mask

    def prompt(self, messages: Sequence[Message]) -> list[int]:
        """Ids up to and including the `<|assistant|>` after which a model answers.

        Raises SpecError unless a user speaks last.
        """
        if not messages or messages[-1].role != "user":
            last = messages[-1].role if messages else "nobody"
            raise SpecError(f"a prompt ends with a message of the user, this one with one of {last}")
        return [*self.encode(messages)[0], self._roles["assistant"]]

    def save(self, folder: Path) -> None:
        """Write tokenizer.json and tokenizer_config.json, so that other software can load tokenizer and template."""
        self.tokenizer.backend.save(str(folder / "tokenizer.json"))
        config = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": END, "chat_template": JINJA}
        (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")

    def _role(self, message: Message) -> int:
        if message.role not in self._roles:
            raise SpecError(
                f"this template has no role {message.role!r}; it has: {', '.join(self._roles)}. "
                "Put the text of a system message at the head of the user's first message"
            )
        return self._roles[message.role]

    def _control(self, token: str) -> int:
        id_ = self.tokenizer.id(token)
        if id_ not in self.tokenizer.control_ids:
            raise SpecError(f"{token!r} is a plain word of this tokenizer; add it as a special token")
        return id_


def _words(message: Message) -> str:
    return f" {message.content.strip()}"
