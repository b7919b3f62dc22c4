"""Conversations -> token ids and the mask of what is learnt, by a chat template and a tokenizer.

In: the messages of conversations. Out: ids and mask, which grow together, piece by piece, as the template writes them;
nothing is searched for afterwards. Text is tokenised in stretches that end at control tokens and where learning begins
or ends: what is read before an answer is tokenised exactly as when the model is asked, whatever the answer begins with.
Software that tokenises the whole rendered text at once may join the last blank of a prompt to the answer instead.
Source: the paper, section 4.1 ("LM losses on only the model outputs").
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from epigone.errors import SpecError
from epigone.interfaces import ChatTemplate, Piece
from epigone.records import Message
from epigone.spec import Component
from epigone.tokens.templates.special_tokens import ASSISTANT, END, USER, SpecialTokens
from epigone.tokens.tokenizer import Tokenizer

__all__ = ["ASSISTANT", "END", "SPECIAL_TOKENS", "USER", "ChatTokens"]

SPECIAL_TOKENS = Component("tokens.templates", "special_tokens")
"""The paper's template."""

_ANSWERED = (Message("user", "x"), Message("assistant", "y"))


@dataclass(frozen=True)
class ChatTokens:
    """A template with the tokenizer that reads what it writes."""

    tokenizer: Tokenizer
    template: ChatTemplate = field(default_factory=SpecialTokens)

    @cached_property
    def end(self) -> int:
        """The id of the control token that closes an assistant's turn.

        Raises SpecError where the template closes turns by no such token, or the tokenizer does not have it.
        """
        closing = [piece.text for piece in self.template.pieces(_ANSWERED) if piece.is_control and piece.is_learnt]
        if not closing:
            raise SpecError("the chat template closes an answer by no control token, so that none would ever end")
        return self._control(closing[-1])

    def encode(self, messages: Sequence[Message]) -> tuple[list[int], list[bool]]:
        """Ids and, of the same length, True where the loss counts.

        Raises SpecError for what the template cannot say.
        """
        return self.encode_pieces([self.template.pieces(messages)])[0]

    def prompt(self, messages: Sequence[Message]) -> list[int]:
        """Ids of what a model reads before it answers. Raises SpecError unless it is its turn."""
        return self.encode_pieces([self.template.prompt(messages)])[0][0]

    def save(self, folder: Path, config: Mapping[str, object] | None = None) -> None:
        """Write tokenizer.json and tokenizer_config.json, so that other software can load tokenizer and template.

        `config` is what the tokenizer's own tokenizer_config.json says besides.
        """
        self.tokenizer.backend.save(str(folder / "tokenizer.json"))
        closing = self.tokenizer.backend.id_to_token(self.end)
        kept = {"tokenizer_class": "PreTrainedTokenizerFast"} | dict(config or {})
        written = kept | {"eos_token": closing, "chat_template": self.template.jinja}
        (folder / "tokenizer_config.json").write_text(json.dumps(written, indent=2) + "\n", encoding="utf-8")

    def encode_pieces(self, conversations: Sequence[Sequence[Piece]]) -> list[tuple[list[int], list[bool]]]:
        """Ids and mask of what the template wrote for each of several conversations, tokenised together."""
        joined = [_joined(pieces) for pieces in conversations]
        stretches = [(piece.text, before) for pieces in joined for piece, before in _with_before(pieces)]
        words = iter(self.tokenizer.encode_stretches(stretches))
        encoded: list[tuple[list[int], list[bool]]] = []
        for pieces in joined:
            ids: list[int] = []
            mask: list[bool] = []
            for piece in pieces:
                more = [self._control(piece.text)] if piece.is_control else next(words)
                ids += more
                mask += [piece.is_learnt] * len(more)
            encoded.append((ids, mask))
        return encoded

    @cached_property
    def _controls(self) -> dict[str, int]:
        return {}

    def _control(self, token: str) -> int:
        if token not in self._controls:
            id_ = self.tokenizer.id(token)
            if id_ not in self.tokenizer.control_ids:
                raise SpecError(f"{token!r} is a plain word of this tokenizer; add it as a special token")
            self._controls[token] = id_
        return self._controls[token]


def _joined(pieces: Sequence[Piece]) -> list[Piece]:
    """Neighbouring texts that are both learnt, or both not, as one, so that words are not cut between them."""
    joined: list[Piece] = []
    for piece in pieces:
        last = joined[-1] if joined else None
        if last and not last.is_control and not piece.is_control and last.is_learnt == piece.is_learnt:
            joined[-1] = Piece(last.text + piece.text, False, piece.is_learnt)
        elif piece.text:
            joined.append(piece)
    return joined


def _with_before(pieces: Sequence[Piece]) -> Iterator[tuple[Piece, str]]:
    """Every text with what stands right before it."""
    before = "start"
    for piece in pieces:
        if not piece.is_control:
            yield piece, before
        before = "control" if piece.is_control else "text"
