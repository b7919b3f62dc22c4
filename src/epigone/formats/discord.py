"""Discord channels as DiscordChatExporter writes them: a prompt and the bot's reply to it, paired.

In: {"guild", "channel", "messages": [...]}, a file a channel, in order of time. Out: Conversation or Drop, one for each
answer of the bot. A reply is paired by the message that it refers to, by the slash command's echo of the prompt
(`> **prompt** - <@user>`), by whom it mentions, or by the prefix or mention with which the bot was asked. Messages that
were split at Discord's 2,000 characters are joined, the bot's and the asker's.
Sources: https://github.com/Tyrrrz/DiscordChatExporter (JsonMessageWriter.cs) for the layout; section 3.2 of the paper
(arXiv 2305.15717) for the use of a bot's channel.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from epigone.entries import Loss, Notes, read_members
from epigone.records import Conversation, Drop
from epigone.rows import beginning, identity, lost, shown
from epigone.rows.chats import named_apart, one_turn
from epigone.rows.replies import ERROR_REPLY, is_error_reply

SPLIT_AT = 2_000
"""Characters that a message of Discord holds."""
_FILLED_FROM = SPLIT_AT // 2  # a shorter message was not split
_CUT_FROM = SPLIT_AT - 10  # a longer one was cut where it was full, not at the end of a line
_MOST_WAITING = 100
NO_PROMPT = "its prompt is not in the export"
_SPOKEN = ("Default", "Reply", "20", "23", "ChatInputCommand", "ContextMenuCommand", "ApplicationCommand")
_ECHO = re.compile(r"> \*\*(?P<prompt>.+?)\*\* - <@!?(?P<user>\d+)>[ \t]*\n*(?P<answer>.*)", re.DOTALL)
_PEOPLE, _BOTS, _NOTICES = "people's messages", "other bots' messages passed over", "notices passed over"


@dataclass(frozen=True)
class Discord:
    """Pairs prompts with the bot's answers; an answer whose prompt is not in the file is a Drop.

    What people wrote to one another, other bots' messages and notices of the server are counted, not dropped.
    """

    bot: str = ""
    """Name or id of the bot; empty for the bot that answers most."""
    prefixes: tuple[str, ...] = ("!chat", "!ask", "!gpt", "/chat", "/ask", "/gpt")
    """What a prompt for the bot may begin with; taken off."""
    salvage: bool = False
    """Go on with what is whole where the file is damaged; the loss is a Drop."""

    def fits(self, path: Path) -> bool:
        """One object with guild, channel and messages."""
        return {"guild", "channel"} <= beginning(path).keys()

    def read(self, path: Path, notes: Notes | None = None) -> Iterator[Conversation | Drop]:
        """Answers in order. The file is read twice. Raises DataError where it is damaged or no such export."""
        notes = Counter() if notes is None else notes
        return named_apart(self._answers(path, notes), notes)

    def _answers(self, path: Path, notes: Notes) -> Iterator[Conversation | Drop]:
        channel = self._surveyed(path, notes)
        if not channel.bot:
            yield Drop(path.name, "no bot in the channel", "name who answers with the option bot")
        number = 0
        for found in read_members(path, "messages", salvage=self.salvage, notes=notes):
            if isinstance(found, Loss):
                yield from (answer.row(path.name, notes) for answer in channel.end())
                yield lost(found, path)
            elif found[0] == "messages":
                number += 1
                if isinstance(found[1], dict):
                    yield from (answer.row(path.name, notes) for answer in channel.hear(_message(found[1])))
                else:
                    yield Drop(f"message-{number}", "not a message", shown(found[1]))
        yield from (answer.row(path.name, notes) for answer in channel.end())

    def _surveyed(self, path: Path, notes: Notes) -> "_Channel":
        """A first look at all messages: who the bot is, how it answers, and which messages it refers to."""
        num_answers, num_direct = Counter[str](), Counter[str]()
        names: dict[str, str] = {}
        referred: Counter[str] = Counter()
        for found in read_members(path, "messages", salvage=self.salvage):
            if isinstance(found, Loss) or found[0] != "messages" or not isinstance(found[1], dict):
                continue
            message = _message(found[1])
            is_meant = self.bot in (message.name, message.author) if self.bot else message.is_bot
            if is_meant and message.is_spoken:
                names[message.author] = message.name
                referred[message.refers_to] += 1
                num_answers[message.author] += bool(message.content)
                num_direct[message.author] += bool(message.refers_to or _ECHO.match(message.content))
        weights = {author: (num_direct[author], num_answers[author]) for author in names}
        bot = max(weights, key=weights.__getitem__) if weights else ""
        is_direct = 2 * num_direct[bot] >= num_answers[bot]
        return _Channel(bot, names.get(bot, ""), self.prefixes, referred, notes, is_direct=is_direct)


@dataclass(frozen=True)
class _Message:
    """A message of the export, as far as it is looked at."""

    id: str
    author: str
    name: str
    is_bot: bool
    is_spoken: bool
    content: str
    refers_to: str
    mentions: tuple[str, ...]


def _message(row: dict[str, object]) -> _Message:
    """Missing and strange fields count as empty."""
    author, reference, mentions = row.get("author"), row.get("reference"), row.get("mentions")
    author = author if isinstance(author, dict) else {}
    people = [entry for entry in mentions if isinstance(entry, dict)] if isinstance(mentions, list) else []
    content = row.get("content")
    return _Message(
        id=identity(row.get("id")),
        author=identity(author.get("id")),
        name=identity(author.get("name")),
        is_bot=author.get("isBot") is True,
        is_spoken=identity(row.get("type")) in _SPOKEN,
        content=content if isinstance(content, str) else "",
        refers_to=identity(reference.get("messageId")) if isinstance(reference, dict) else "",
        mentions=tuple(identity(person.get("id")) for person in people),
    )


@dataclass
class _Answer:
    """The bot's answer so far, and what was asked; `asked` is None where that is not in the file."""

    id: str
    asked: str | None
    text: str
    last_part: str
    is_direct: bool
    """Whether it says itself what it answers: by a reference or an echo."""

    def row(self, source: str, notes: Notes) -> Conversation | Drop:
        """As a Conversation, or as a Drop with the reason."""
        if is_error_reply(self.text):
            return Drop(self.id, ERROR_REPLY, shown(self.text.strip()))
        if self.asked is None:
            return Drop(self.id, NO_PROMPT, shown(self.text.strip()))
        return one_turn(self.id, self.asked, self.text, source, notes)


@dataclass
class _Channel:
    """What was said so far, as far as a later answer may need it."""

    bot: str
    bot_name: str
    prefixes: tuple[str, ...]
    referred: Counter[str]
    """How often the bot will still refer to a message."""
    notes: Notes
    is_direct: bool
    """Whether the bot as a rule says what it answers; then a plain message of it answers nobody who merely waits."""
    prompts: dict[str, tuple[str, str]] = field(default_factory=dict[str, tuple[str, str]])
    """By id, author and text of the messages that the bot will refer to."""
    last_of: dict[str, str] = field(default_factory=dict[str, str])
    """By author, what they said last."""
    waiting: list[str] = field(default_factory=list[str])
    """Authors who addressed the bot and have no answer."""
    is_asked_since: bool = False
    """Whether somebody addressed the bot after its last message."""
    answer: _Answer | None = None
    before: _Message | None = None

    def hear(self, message: _Message) -> list[_Answer]:
        """The answer that is whole, now that this message has come."""
        if not message.is_spoken:
            self.notes[_NOTICES] += 1
        elif message.author == self.bot and self.bot:
            return self._hear_bot(message)
        elif message.is_bot:
            self.notes[_BOTS] += 1
        else:
            self._hear_person(message)
        return []

    def end(self) -> list[_Answer]:
        """The answer that is under way."""
        answer, self.answer = self.answer, None
        return [answer] if answer else []

    def _hear_person(self, message: _Message) -> None:
        self.notes[_PEOPLE] += 1
        author, before = message.author, self.before
        said, is_for_bot = self._for_bot(message)
        if before and before.author == author and not is_for_bot and _was_split(before.content, message):
            said = _joined(self.last_of[author], before.content, message.content)
            is_for_bot = author in self.waiting
            self._keep(before.id, author, said)
        self._keep(message.id, author, said)
        self.last_of[author] = said
        if is_for_bot:
            self._stop_waiting(author)
            self.waiting = [*self.waiting[-_MOST_WAITING:], author]
            self.is_asked_since = True
        self.before = message

    def _keep(self, message_id: str, author: str, said: str) -> None:
        if self.referred[message_id] > 0:
            self.prompts[message_id] = (author, said)

    def _stop_waiting(self, author: str) -> None:
        self.waiting = [other for other in self.waiting if other != author]

    def _for_bot(self, message: _Message) -> tuple[str, bool]:
        """What the message says without the prefix or the bot's name before it, and whether it had either."""
        rest = message.content.lstrip()
        for mark in (*self.prefixes, f"@{self.bot_name}", f"<@{self.bot}>", f"<@!{self.bot}>"):
            if rest.startswith(mark) and not rest[len(mark) : len(mark) + 1].isalnum():
                return rest[len(mark) :].lstrip(" ,:\n"), True
        return message.content, self.bot in message.mentions

    def _hear_bot(self, message: _Message) -> list[_Answer]:
        echo = _ECHO.fullmatch(message.content)
        is_plain = not message.refers_to and not echo
        if is_plain and self.answer and self._goes_on(self.answer, message):
            self.answer.text = _joined(self.answer.text, self.answer.last_part, message.content)
            self.answer.last_part = message.content
            return []
        done = self.end()
        if message.refers_to:
            author, asked = self.prompts.get(message.refers_to, ("", None))
            self.referred[message.refers_to] -= 1
            if self.referred[message.refers_to] <= 0:
                self.prompts.pop(message.refers_to, None)
        elif echo:
            author, asked = echo["user"], echo["prompt"]
        else:
            author = self._addressed(message)
            asked = self.last_of.get(author)
        said = echo["answer"] if echo and not message.refers_to else message.content
        self._stop_waiting(author)
        self.answer = _Answer(message.id, asked, said, message.content, is_direct=not is_plain)
        self.before, self.is_asked_since = message, False
        return done

    def _goes_on(self, answer: _Answer, message: _Message) -> bool:
        is_free = answer.is_direct or not self.is_asked_since
        return is_free and _was_split(answer.last_part, message)

    def _addressed(self, message: _Message) -> str:
        """Whom the answer mentions, else whoever addressed the bot first and waits; empty where there is nobody."""
        named = [author for author in message.mentions if author in self.last_of]
        named += [author for author in self.waiting if f"<@{author}>" in message.content[:40]]
        if named or self.is_direct:
            return named[0] if named else ""
        return self.waiting[0] if self.waiting else ""


def _was_split(before: str, message: _Message) -> bool:
    return len(before) >= _FILLED_FROM and not message.refers_to and bool(message.content)


def _joined(whole: str, before: str, after: str) -> str:
    """Discord takes blanks off a message's ends: where a line ended there, its end is put back."""
    is_cut = len(before) >= _CUT_FROM or before[-1:].isspace() or after[:1].isspace()
    return whole + ("" if is_cut else "\n") + after
