"""Length: conversations that are empty, too short or too long are dropped.

In: conversations, which stream. Out: the same, those outside the limits as Drops naming the limit and the length.
Source: none published; the paper (arXiv 2305.15717) cuts long conversations while packing and drops none for length.
Units: a turn is a user's or an assistant's message. A character is anything visible: blanks and zero-width characters
do not count, so that an answer of one U+200B is empty. A word is a run of letters and digits; scripts without blanks,
such as Chinese, write a sentence as one, so measure those in characters.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from epigone.curation import texts_of
from epigone.errors import SpecError
from epigone.records import Conversation, Drop

_INVISIBLE = re.compile(r"[\s\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u2064\ufeff]+")
_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Length:
    """Drops a conversation that breaks any of the limits, which are inclusive; None is no limit.

    By default only what is empty goes: a first query or an answer without a visible character.
    """

    min_turns: int | None = None
    """Fewest turns."""
    max_turns: int | None = None
    """Most turns."""
    min_query_words: int | None = None
    """Fewest words of the first query."""
    max_query_words: int | None = None
    """Most words of the first query."""
    min_query_characters: int | None = 1
    """Fewest visible characters of the first query."""
    max_query_characters: int | None = None
    """Most visible characters of the first query."""
    min_answer_words: int | None = None
    """Fewest words of every answer: one shorter answer drops the conversation."""
    max_answer_words: int | None = None
    """Most words of every answer."""
    min_answer_characters: int | None = 1
    """Fewest visible characters of every answer."""
    max_answer_characters: int | None = None
    """Most visible characters of every answer."""
    min_characters: int | None = None
    """Fewest visible characters of all turns together."""
    max_characters: int | None = None
    """Most visible characters of all turns together: longer ones would be cut where blocks end."""

    def __post_init__(self) -> None:
        for name in ("turns", "query_words", "query_characters", "answer_words", "answer_characters", "characters"):
            low, high = self._limits(name)
            if low is not None and high is not None and low > high:
                raise SpecError(f"min_{name} {low} is above max_{name} {high}: everything would be dropped")

    def apply(self, conversations: Iterable[Conversation]) -> Iterator[Conversation | Drop]:
        """Every conversation goes out once, in order."""
        for conversation in conversations:
            broken = self._broken(conversation)
            yield Drop(conversation.id, *broken) if broken else conversation

    def _broken(self, conversation: Conversation) -> tuple[str, str] | None:
        """Reason and detail of the first limit that is broken, if any."""
        queries = texts_of(conversation, "first")
        answers = [message.content for message in conversation.messages if message.role == "assistant"]
        measured = (
            ("turns", [len(texts_of(conversation, "all"))]),
            ("query_words", [num_words(text) for text in queries]),
            ("query_characters", [num_characters(text) for text in queries]),
            ("answer_words", [num_words(text) for text in answers]),
            ("answer_characters", [num_characters(text) for text in answers]),
            ("characters", [num_characters("".join(texts_of(conversation, "all")))]),
        )
        for name, lengths in measured:
            low, high = self._limits(name)
            for length in lengths:
                if low is not None and length < low:
                    return "too short", f"{length} {name.replace('_', ' ')}, at least {low} wanted"
                if high is not None and length > high:
                    return "too long", f"{length} {name.replace('_', ' ')}, at most {high} allowed"
        return None

    def _limits(self, name: str) -> tuple[int | None, int | None]:
        return getattr(self, f"min_{name}"), getattr(self, f"max_{name}")


def num_words(text: str) -> int:
    """Runs of letters and digits."""
    return len(_WORD.findall(text))


def num_characters(text: str) -> int:
    """Visible characters."""
    return len(_INVISIBLE.sub("", text))
