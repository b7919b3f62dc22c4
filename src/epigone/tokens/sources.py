"""What is tokenised: dialogues of a dataset through a chat template, or plain documents.

In: the folder of a dataset artifact, or a file of documents (JSON lines of id and text). Out: its rows, as often as
they are asked for, and ids with the mask of what is learnt. Source: the paper, section 4.1.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, cast, runtime_checkable

from epigone import discover
from epigone.datasets import iterate_dataset
from epigone.errors import EpigoneError
from epigone.interfaces import ChatTemplate, Format
from epigone.records import Conversation, Document
from epigone.tokens.chat_template import ChatTokens
from epigone.tokens.packing import Tokenized
from epigone.tokens.tokenizer import Tokenizer

Row = Conversation | Document


@runtime_checkable
class Source(Protocol):
    """Rows, and how they become tokens."""

    @property
    def overlong(self) -> Literal["split", "truncate"]:
        """What becomes of a row that is longer than a block."""
        ...

    def rows(self) -> Iterator[Row]:
        """All rows in order, streamed."""
        ...

    def encode(self, rows: Sequence[Row]) -> list[Tokenized]:
        """Ids and mask of every row."""
        ...


@dataclass(frozen=True)
class Dialogues:
    """Conversations of a dataset; too long a one is truncated, since later turns mean nothing without earlier ones."""

    folder: Path
    chat: ChatTokens
    overlong: Literal["split", "truncate"] = "truncate"

    def rows(self) -> Iterator[Conversation]:
        """Conversations in the dataset's order, streamed."""
        return iterate_dataset(self.folder / "records.parquet")

    def encode(self, rows: Sequence[Row]) -> list[Tokenized]:
        """Ids and mask of every conversation. Raises SpecError naming the first that the template cannot say."""
        pieces = []
        for conversation in cast(Sequence[Conversation], rows):
            try:
                pieces.append(self.chat.template.pieces(conversation.messages))
            except EpigoneError as error:
                raise type(error)(f"conversation {conversation.id!r}: {error}") from error
        return self.chat.encode_pieces(pieces)


@dataclass(frozen=True)
class Texts:
    """Plain documents, all of them learnt, each closed by a control token; too long a one is split.

    Where the model was trained to see a control token before any text, each opens with it; that one is not learnt.
    """

    path: Path
    tokenizer: Tokenizer
    end: str
    overlong: Literal["split", "truncate"] = "split"

    def rows(self) -> Iterator[Document]:
        """Documents in the file's order, streamed; rows that hold none are left out."""
        form = cast(Format, discover.make("formats", "documents", {}))
        return (row for row in form.read(self.path) if isinstance(row, Document))

    def encode(self, rows: Sequence[Row]) -> list[Tokenized]:
        """Ids, the end token last, and the mask: True but for what opens every text."""
        opening, end = self.tokenizer.opening, self.tokenizer.id(self.end)
        unlearnt = [False] * len(opening)
        encoded = self.tokenizer.encode_batch([row.text for row in cast(Sequence[Document], rows)])
        return [([*opening, *ids, end], [*unlearnt, *[True] * (len(ids) + 1)]) for ids in encoded]


def open_source(path: Path, tokenizer: Path, template: ChatTemplate, *, is_dialogue: bool, document_end: str) -> Source:
    """A source with its tokenizer. Raises DataError where the tokenizer cannot be read."""
    loaded = Tokenizer.load(tokenizer)
    return Dialogues(path, ChatTokens(loaded, template)) if is_dialogue else Texts(path, loaded, document_end)


def characters_of(row: Row) -> int:
    """How much text a row holds."""
    if isinstance(row, Document):
        return len(row.text)
    return sum(len(m.content) + len(m.reasoning) + len(m.tool_calls) for m in row.messages)
