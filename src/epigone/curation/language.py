"""Language: conversations whose user does not write in a wanted language are dropped.

In: conversations, which stream. Out: the same, others as Drops with the language and the classifier's confidence. How a
conversation gets its language stands in `epigone.metrics.languages`. What is unknown, such as code alone, is kept
unless told otherwise.
Source: "non-English" is removed in section 3.2 and footnote 3 of the paper (arXiv 2305.15717), by means it does not
name.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from epigone.curation import Turns, texts_of
from epigone.errors import SpecError
from epigone.metrics.languages import FEWEST_LETTERS, LEAST_CONFIDENCE, UNKNOWN, Languages
from epigone.records import Conversation, Drop

_CODE_NAME = re.compile(r"[a-z]{2,3}")


@dataclass(frozen=True)
class Language:
    """Keeps conversations in the wanted languages."""

    languages: tuple[str, ...] = ("en",)
    """ISO 639 codes, as fastText writes them: en, de, zh."""
    turns: Turns = "user"
    """Whose words count: the `first` query, every query (`user`), or `all` turns."""
    min_letters: int = FEWEST_LETTERS
    """A turn with fewer letters, code and addresses aside, is not asked by itself."""
    min_confidence: float | int = LEAST_CONFIDENCE
    """Confidence, 0-1, below which the classifier's answer on a turn is unknown."""
    unknown: Literal["keep", "drop"] = "keep"
    """What becomes of a conversation whose language cannot be told."""

    def __post_init__(self) -> None:
        strange = [code for code in self.languages if not _CODE_NAME.fullmatch(code)]
        if strange or not self.languages:
            raise SpecError(f"languages {self.languages!r}: codes such as en or de are needed")

    def apply(self, conversations: Iterable[Conversation]) -> Iterator[Conversation | Drop]:
        """Every conversation goes out once, in order."""
        languages = Languages(self.min_letters, self.min_confidence)
        for conversation in conversations:
            answers = [m.content for m in conversation.messages if m.role == "assistant"]
            language, how = languages.told(texts_of(conversation, self.turns), answers)
            if language in self.languages or (language == UNKNOWN and self.unknown == "keep"):
                yield conversation
            else:
                yield Drop(conversation.id, "language", how)
