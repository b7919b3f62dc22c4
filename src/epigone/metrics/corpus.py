"""What is in a dataset of conversations, in one pass that keeps counts and lengths and lets the texts go.

In: Conversations, one at a time, and who tells languages and counts tokens. Out: Contents. A query is a user's turn; a
first query is the first of a conversation. A word is what stands between blanks, so a text in a script without blanks
counts as few.
Source: section 3.2 and Appendix A of arXiv 2305.15717, for what is looked at.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from epigone.metrics.lengths import Lengths, LengthTally
from epigone.metrics.openings import MOST_WORDS, Openings
from epigone.records import Conversation, Message

Queries = Literal["first", "all"]
Amount = Literal["conversations", "messages", "words", "tokens", "characters"]
ROLES = ("system", "user", "assistant", "tool")
MOST_SOURCES, MOST_LANGUAGES, MOST_OPENINGS = 200, 200, 100
"""Names that are kept, the most frequent: more than a page shows, so that two datasets can be laid side by side."""
_BATCH = 256


@dataclass(frozen=True, slots=True)
class RoleAmounts:
    """What was said in one role; `num_tokens` is -1 where no tokenizer was given."""

    role: str
    num_messages: int
    num_words: int
    num_characters: int
    num_tokens: int


@dataclass(frozen=True, slots=True)
class Counted:
    """A name and how often it was met."""

    name: str
    num: int


@dataclass(frozen=True, slots=True)
class Contents:
    """Everything that one pass finds."""

    num_conversations: int
    roles: tuple[RoleAmounts, ...]
    traits: dict[str, int]
    """What conversations and messages have: system prompts, reasoning, tool calls, missing answers."""
    query_words: Lengths
    answer_words: Lengths
    turns: Lengths
    """Messages of user and assistant in a conversation."""
    languages: tuple[Counted, ...]
    num_languages: int
    sources: tuple[Counted, ...]
    num_sources: int
    openings: tuple[tuple[Counted, ...], ...]
    """The most frequent first words, first two words, first three words of the queries that were looked at."""
    num_openings: int

    @property
    def num_messages(self) -> int:
        """Messages in all roles."""
        return sum(role.num_messages for role in self.roles)

    @property
    def num_words(self) -> int:
        """Words in all roles."""
        return sum(role.num_words for role in self.roles)

    @property
    def num_tokens(self) -> int | None:
        """Tokens in all roles; None where they were not counted."""
        return None if any(r.num_tokens < 0 for r in self.roles) else sum(r.num_tokens for r in self.roles)


TRAITS = {
    "system_prompt": "conversations with a system prompt",
    "several_queries": "conversations with more than one query",
    "no_query": "conversations without a query",
    "no_answer": "conversations without an answer",
    "ends_with_query": "conversations that end with a query nobody answered",
    "reasoning": "messages with reasoning kept apart",
    "tool_calls": "messages with tool calls",
    "tool_results": "messages with a tool's result",
    "empty_answers": "answers without text or tool call",
}


def queries_of(conversation: Conversation, which: Queries) -> list[str]:
    """The first query of a conversation, or all; what is blank is none."""
    found = [m.content for m in conversation.messages if m.role == "user" and m.content.strip()]
    return found[:1] if which == "first" else found


class Tally:
    """Adds up conversations."""

    def __init__(
        self,
        language: Callable[[Sequence[str], Sequence[str]], str],
        count_tokens: Callable[[Sequence[str]], Sequence[int]] | None,
        queries: Queries = "first",
    ) -> None:
        self._language, self._count_tokens, self._queries = language, count_tokens, queries
        self._num_conversations = 0
        self._amounts: dict[str, Counter[Amount]] = {role: Counter() for role in ROLES}
        self._traits = Counter[str]()
        self._query_words, self._answer_words, self._turns = LengthTally(), LengthTally(), LengthTally()
        self._languages, self._sources = Counter[str](), Counter[str]()
        self._openings = Openings()
        self._waiting: list[tuple[str, str]] = []

    def add(self, conversation: Conversation) -> None:
        """Count one conversation."""
        self._num_conversations += 1
        self._sources[conversation.source or "(not said)"] += 1
        for message in conversation.messages:
            self._add_message(message)
        spoken = [m.role for m in conversation.messages if m.role in ("user", "assistant")]
        self._turns.add(len(spoken))
        asked = queries_of(conversation, "all")
        answers = [m.content for m in conversation.messages if m.role == "assistant"]
        self._languages[self._language(asked, answers)] += 1
        for query in asked[:1] if self._queries == "first" else asked:
            self._openings.add(query)
        self._traits.update(name for name, holds in _conversation_traits(conversation, spoken, asked).items() if holds)

    def _add_message(self, message: Message) -> None:
        num_words = len(message.content.split())
        told = f"{message.reasoning}\n{message.content}" if message.reasoning else message.content
        amounts = self._amounts[message.role]
        amounts["messages"] += 1
        amounts["words"] += num_words + len(message.reasoning.split())
        amounts["characters"] += len(message.content) + len(message.reasoning)
        if message.role == "user":
            self._query_words.add(num_words)
        elif message.role == "assistant":
            self._answer_words.add(num_words)
        self._traits.update(name for name, holds in _message_traits(message).items() if holds)
        if self._count_tokens:
            self._waiting.append((message.role, told))
            if len(self._waiting) >= _BATCH:
                self._count_waiting()

    def _count_waiting(self) -> None:
        if self._count_tokens and self._waiting:
            for (role, _), num in zip(self._waiting, self._count_tokens([text for _, text in self._waiting])):
                self._amounts[role]["tokens"] += num
        self._waiting.clear()

    def contents(self) -> Contents:
        """What was counted."""
        self._count_waiting()
        return Contents(
            num_conversations=self._num_conversations,
            roles=tuple(self._role(role) for role in ROLES),
            traits={name: self._traits[name] for name in TRAITS},
            query_words=self._query_words.lengths(),
            answer_words=self._answer_words.lengths(),
            turns=self._turns.lengths(),
            languages=_top(self._languages, MOST_LANGUAGES),
            num_languages=len(self._languages.keys() - {"unknown"}),
            sources=_top(self._sources, MOST_SOURCES),
            num_sources=len(self._sources),
            openings=tuple(
                tuple(Counted(*pair) for pair in self._openings.top(size, MOST_OPENINGS))
                for size in range(1, MOST_WORDS + 1)
            ),
            num_openings=self._openings.num_queries,
        )

    def _role(self, role: str) -> RoleAmounts:
        found = self._amounts[role]
        num_tokens = found["tokens"] if self._count_tokens else -1
        return RoleAmounts(role, found["messages"], found["words"], found["characters"], num_tokens)


def _conversation_traits(conversation: Conversation, spoken: Sequence[str], asked: Sequence[str]) -> dict[str, bool]:
    return {
        "system_prompt": any(m.role == "system" for m in conversation.messages),
        "several_queries": len(asked) > 1,
        "no_query": not asked,
        "no_answer": "assistant" not in spoken,
        "ends_with_query": bool(spoken) and spoken[-1] == "user",
    }


def _message_traits(message: Message) -> dict[str, bool]:
    return {
        "reasoning": bool(message.reasoning.strip()),
        "tool_calls": bool(message.tool_calls.strip()),
        "tool_results": message.role == "tool",
        "empty_answers": message.role == "assistant" and not (message.content.strip() or message.tool_calls.strip()),
    }


def _top(counts: Counter[str], most: int) -> tuple[Counted, ...]:
    """The most frequent, equal ones by alphabet; what is left is told by the totals."""
    return tuple(Counted(*pair) for pair in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:most])
