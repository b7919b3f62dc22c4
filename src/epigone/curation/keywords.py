"""Koala's keyword rule: dialogues that talk about the teacher and its maker are dropped. In no recipe by default.

In: conversations, which stream. Out: the same, those that hold a keyword as Drops naming it.
Source: FILTER_KEYWORDS of process_chat_data.py in https://github.com/young-geng/koala_data_pipeline (Koala,
https://bair.berkeley.edu/blog/2023/04/03/koala): a keyword anywhere in the lower-cased text of any turn. Koala's list
misses "chat gpt" with a blank and finds its words inside longer ones.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from epigone.curation import Turns, texts_of
from epigone.errors import SpecError
from epigone.records import Conversation, Drop

KOALA = ("openai", "chatgpt", "gpt-3", "chadgpt", "gpt3", "chat-gpt", "open-ai", "open ai")


@dataclass(frozen=True)
class Keywords:
    """Drops a conversation in which a keyword occurs, whatever its case, inside longer words too."""

    keywords: tuple[str, ...] = KOALA
    """The keywords; Koala's by default."""
    turns: Turns = "all"
    """Which turns are searched: the `first` query, every query (`user`), or `all` turns as Koala does."""

    def __post_init__(self) -> None:
        if not self.keywords or not all(word.strip() for word in self.keywords):
            raise SpecError(f"keywords {self.keywords!r}: an empty keyword is in every text; name at least one word")

    def apply(self, conversations: Iterable[Conversation]) -> Iterator[Conversation | Drop]:
        """Every conversation goes out once, in order."""
        wanted = [word.lower() for word in self.keywords]
        for conversation in conversations:
            texts = [text.lower() for text in texts_of(conversation, self.turns)]
            found = next((word for text in texts for word in wanted if word in text), None)
            yield Drop(conversation.id, "keyword", f"mentions {found!r}") if found else conversation
