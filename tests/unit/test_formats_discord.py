"""Channels of Discord, made up: every way in which a bot's answer says, or does not say, what it answers."""

import json
from collections import Counter
from pathlib import Path

import pytest

from epigone.formats.discord import Discord
from epigone.records import Conversation, Drop

BOT, OTHER = ("b", "Parrot"), ("m", "Keeper")


class Channel:
    """Writes messages as DiscordChatExporter does; ids count up from 1."""

    def __init__(self) -> None:
        self.messages: list[dict] = []

    def says(self, author: str | tuple[str, str], content: str, **more: object) -> str:
        author_id, name = author if isinstance(author, tuple) else (author, f"user-{author}")
        message = {"id": str(len(self.messages) + 1), "type": "Default", "content": content, "mentions": []} | more
        message["author"] = {"id": author_id, "name": name, "isBot": author in (BOT, OTHER)}
        self.messages.append(message)
        return str(message["id"])

    def replies(self, author: str | tuple[str, str], to: str, content: str) -> str:
        return self.says(author, content, type="Reply", reference={"messageId": to, "channelId": "9"})

    def read(self, tmp_path: Path, notes: Counter[str] | None = None, **options: object) -> list[Conversation | Drop]:
        path = tmp_path / "channel.json"
        header = {"guild": {"id": "1"}, "channel": {"id": "9"}, "dateRange": {}}
        path.write_text(json.dumps(header | {"messages": self.messages, "messageCount": len(self.messages)}))
        assert Discord().fits(path)
        return list(Discord(**options).read(path, notes))


def pairs(rows: list[Conversation | Drop]) -> list[tuple[str, str]]:
    return [(row.messages[0].content, row.messages[1].content) for row in rows if isinstance(row, Conversation)]


def test_by_reference_whatever_lies_between(tmp_path: Path) -> None:
    channel = Channel()
    first, second = channel.says("1", "One?"), channel.says("2", "<@b> two?")
    channel.says("3", "nobody asked")
    channel.replies("3", first, "I would not know")
    channel.replies(BOT, second, "Two.")
    channel.replies(BOT, first, "One.")
    channel.replies(BOT, first, "One, again.")
    assert pairs(channel.read(tmp_path)) == [("two?", "Two."), ("One?", "One."), ("One?", "One, again.")]


def test_by_mention_and_by_prefix_where_the_bot_never_refers(tmp_path: Path) -> None:
    channel = Channel()
    channel.says("1", "!chat one?")
    channel.says("2", "@Parrot, two?")
    channel.says("3", "what a day")
    channel.says(BOT, "One.")
    channel.says(BOT, "Two.")
    channel.says(BOT, "I was updated.")
    channel.says("3", "and three?")
    channel.says("1", "!chat four?")
    channel.says(BOT, "Three.", mentions=[{"id": "3"}])
    rows = channel.read(tmp_path)
    assert pairs(rows) == [("one?", "One."), ("two?", "Two."), ("and three?", "Three.")]
    assert [(r.id, r.reason) for r in rows if isinstance(r, Drop)] == [("6", "its prompt is not in the export")]


def test_prefixes_are_whole_words_and_an_option(tmp_path: Path) -> None:
    channel = Channel()
    channel.says("1", "!chatter is fun")
    channel.says("2", "?? why")
    channel.says(BOT, "Because.")
    assert pairs(channel.read(tmp_path)) == []
    assert pairs(channel.read(tmp_path, prefixes=("??",))) == [("why", "Because.")]


def test_a_bot_that_refers_answers_nobody_when_it_does_not(tmp_path: Path) -> None:
    channel = Channel()
    asked = channel.says("1", "!chat one?")
    channel.replies(BOT, asked, "One.")
    channel.says("2", "!chat two?")
    channel.says(BOT, "Back in five minutes.")
    rows = channel.read(tmp_path)
    assert pairs(rows) == [("one?", "One.")] and len(rows) == 2


def test_an_echo_shows_the_prompt(tmp_path: Path) -> None:
    channel = Channel()
    channel.says(BOT, "> **two\nlines?** - <@1> \n\nYes: **bold** - indeed", type="20", interaction={"id": "7"})
    channel.says(BOT, "> **ERROR: Something went wrong, please try again later!**", type="20")
    rows = channel.read(tmp_path)
    assert pairs(rows) == [("two\nlines?", "Yes: **bold** - indeed")]
    assert isinstance(rows[1], Drop) and rows[1].reason == "error reply"


@pytest.mark.parametrize(("cut", "glue"), [(1_995, ""), (1_700, "\n")])
def test_split_messages_are_joined(tmp_path: Path, cut: int, glue: str) -> None:
    """Where a message was full it was cut inside a line; where it was not, Discord took the line's end away."""
    channel = Channel()
    channel.says("1", "q" * cut)
    asked = channel.says("1", "and so on?")
    channel.replies(BOT, asked, "a" * cut)
    channel.says("2", "so long")
    channel.says(BOT, "b" * cut)
    channel.says(OTHER, "Level up!")
    channel.says(BOT, "c")
    channel.says(BOT, "Another thing.")
    rows = channel.read(tmp_path)
    assert pairs(rows) == [(f"{'q' * cut}{glue}and so on?", f"{'a' * cut}{glue}{'b' * cut}{glue}c")]
    assert isinstance(rows[1], Drop) and len(rows) == 2


def test_what_is_no_answer_is_counted(tmp_path: Path) -> None:
    channel, notes = Channel(), Counter[str]()
    asked = channel.says("1", "", attachments=[{"id": "5"}])
    channel.replies(BOT, asked, "A cat.")
    channel.replies(BOT, "404", "What?")
    channel.replies(BOT, channel.says("1", "And?"), "")
    channel.says("2", "Joined the server.", type="GuildMemberJoin")
    channel.says("8", "Pinned a message.", type="ChannelPinnedMessage", reference={"messageId": asked})
    channel.says(OTHER, "")
    channel.messages.append(None)  # pyright: ignore[reportArgumentType]
    rows = channel.read(tmp_path, notes)
    assert [row.reason for row in rows if isinstance(row, Drop)] == [
        "empty prompt",
        "its prompt is not in the export",
        "not a message",
        "empty answer",
    ]
    assert notes == {"people's messages": 2, "notices passed over": 2, "other bots' messages passed over": 1}


def test_who_the_bot_is(tmp_path: Path) -> None:
    channel = Channel()
    for _ in range(3):
        channel.says(OTHER, "Level up!")
    asked = channel.says("1", "One?")
    channel.replies(BOT, asked, "One.")
    assert pairs(channel.read(tmp_path)) == [("One?", "One.")]  # whoever answers, not whoever talks most
    assert pairs(channel.read(tmp_path, bot="b")) == pairs(channel.read(tmp_path, bot="Parrot")) == [("One?", "One.")]
    assert pairs(channel.read(tmp_path, bot="user-1")) == []
    (nobody,) = channel.read(tmp_path, bot="Polly")
    assert isinstance(nobody, Drop) and nobody.reason == "no bot in the channel"


def test_a_cut_export(tmp_path: Path) -> None:
    channel = Channel()
    channel.replies(BOT, channel.says("1", "One?"), "One.")
    channel.replies(BOT, channel.says("1", "Two?"), "Two.")
    channel.read(tmp_path)
    path = tmp_path / "channel.json"
    path.write_bytes(path.read_bytes()[:-90])
    kept, lost = Discord(salvage=True).read(path)
    assert pairs([kept]) == [("One?", "One.")]
    assert isinstance(lost, Drop) and lost.reason == "truncated file" and "3 whole entries" in lost.detail
