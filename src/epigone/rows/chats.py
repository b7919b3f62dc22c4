"""Turns as dumps have them -> messages of a conversation, or a Drop with the reason.

In: a row's turns: {"role", "content"} as OpenAI writes them, or {"from", "value"} as ShareGPT does. Out: Conversations
and Drops. Used by the formats, which never import one another.
Sources: https://platform.openai.com/docs/api-reference/chat for roles, tool calls and content parts; FastChat's
data/clean_sharegpt.py (https://github.com/lm-sys/FastChat) for the speakers.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

from epigone.entries import Notes
from epigone.errors import DataError
from epigone.records import Conversation, Document, Drop, Message, Role
from epigone.rows import rows_or_drops, shown
from epigone.rows.replies import ERROR_REPLY, UNENDED, answer_message

EMPTY_PROMPT = "empty prompt"
EMPTY_CONVERSATION = "empty conversation"
NOT_CHAT = "not in message form"
NOT_TEXT = "a part that is not text"
ERRORS_OUT = "error replies taken out with their questions"
REPEATED_ID = "ids given twice, numbered"
USERS = ("human", "user")
ANSWERERS = ("gpt", "chatgpt", "assistant", "bing", "bard")
SPEAKERS: dict[str, Role] = {
    "system": "system",
    **dict.fromkeys(USERS, "user"),
    **dict.fromkeys(ANSWERERS, "assistant"),
}
ROLES: dict[str, Role] = {
    "system": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "developer": "system",  # OpenAI's later name for it
    "function": "tool",  # OpenAI's earlier name for it
}
_BANNER = re.compile(r"\*This (?:chat )?conversation is shared from")  # put in by sharing sites; no system prompt
PART = re.compile(r"(?P<base>.+)_(?P<start>\d{1,9})", re.DOTALL)

Turn = tuple[str, str]
Kept = TypeVar("Kept", Conversation, Document)
Fields = dict[str, object]
Making = Callable[[int, Fields, Notes], Iterable[Kept | Drop]]
"""A row's number and fields -> what the row holds."""


def one_turn(row_id: str, prompt: object, answer: object, source: str, notes: Notes) -> Conversation | Drop:
    """One prompt and its answer."""
    asked = prompt.strip() if isinstance(prompt, str) else ""
    said = answer.strip() if isinstance(answer, str) else ""
    if not asked:
        return Drop(row_id, EMPTY_PROMPT if said else EMPTY_CONVERSATION, f"the prompt is {shown(prompt)}")
    message = answer_message(said, notes)
    if isinstance(message, str):
        return Drop(row_id, message, shown(said[-80:] if said else answer))
    return Conversation(row_id, (Message("user", asked), message), source)


def each_row(path: Path, made: Making[Kept], *, salvage: bool, notes: Notes | None) -> Iterator[Kept | Drop]:
    """What `made` makes of each row (its number, the row) of an array or of JSON lines, no id twice.

    What is no object, and with `salvage` what was lost to damage, is a Drop. Raises DataError.
    """
    notes = Counter() if notes is None else notes
    return named_apart(_each_row(path, made, salvage, notes), notes)


def _each_row(path: Path, made: Making[Kept], salvage: bool, notes: Notes) -> Iterator[Kept | Drop]:
    for found in rows_or_drops(path, salvage=salvage, notes=notes):
        if isinstance(found, Drop):
            yield found
        else:
            yield from made(*found, notes)


def named_apart(found: Iterable[Kept | Drop], notes: Notes) -> Iterator[Kept | Drop]:
    """The same, so that no two Conversations have one id: ID, ID#2, ID#3."""
    seen: Counter[str] = Counter()
    for row in found:
        if not isinstance(row, Drop):
            seen[row.id] += 1
            if seen[row.id] > 1:
                notes[REPEATED_ID] += 1
                row = _renamed(row, f"{row.id}#{seen[row.id]}")
        yield row


def _renamed(row: Kept, row_id: str) -> Kept:
    if isinstance(row, Document):
        return Document(row_id, row.text)
    return Conversation(row_id, row.messages, row.source)


def chat(row_id: str, turns: object, source: str, where: str, notes: Notes) -> Conversation | Drop:
    """A row's list of {"role", "content"} as a Conversation. An error reply is taken out with its question."""
    if not isinstance(turns, list):
        return Drop(row_id, NOT_CHAT, f"{where}: messages are {shown(turns)}; a list is needed")
    if not turns:
        return Drop(row_id, EMPTY_CONVERSATION, f"{where}: no messages")
    messages: list[Message] = []
    num_errors = 0
    try:
        for place, turn in enumerate(turns):
            message = _chat_message(turn, f"{where}, message {place}", notes)
            if message:
                messages.append(message)
            else:
                num_errors += 1
                _take_question(messages, notes)
    except ReplyError as error:
        return Drop(row_id, error.reason, str(error))
    if num_errors and not any(message.role == "assistant" for message in messages):
        return Drop(row_id, ERROR_REPLY, f"{where}: no other answer")
    return Conversation(row_id, tuple(messages), source)


class ReplyError(DataError):
    """A turn that cannot be kept, and the reason in two or three words."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{detail} ({reason})" if reason != NOT_CHAT else detail)
        self.reason = reason


def _chat_message(turn: object, where: str, notes: Notes) -> Message | None:
    """A turn as a Message; None for an error reply. Raises ReplyError."""
    if not isinstance(turn, dict):
        raise ReplyError(NOT_CHAT, f"{where} is {shown(turn)}; an object with role and content is needed")
    named = turn.get("role")
    role = ROLES.get(named) if isinstance(named, str) else None
    if role is None:
        raise ReplyError(NOT_CHAT, f"{where}: role {shown(named)}; allowed: {', '.join(ROLES)}")
    calls = _calls(turn)
    content = _content(turn.get("content"), where, may_be_empty=bool(calls) or role == "tool")
    thought = turn.get("reasoning_content") or turn.get("reasoning")
    reasoning = thought if isinstance(thought, str) else ""
    if role == "assistant" and content.strip():
        message = answer_message(content, notes)
        if message == ERROR_REPLY and not calls:
            return None
        if isinstance(message, str):
            raise ReplyError(message, f"{where}: {shown(content[-80:])}")
        content = content if message.content == content.strip() else message.content
        reasoning = reasoning or message.reasoning
    answered = turn.get("tool_call_id") or (turn.get("name") if named == "function" else "")
    return Message(role, content, reasoning, calls, answered if isinstance(answered, str) else "")


def _calls(turn: dict[str, object]) -> str:
    """Tool calls as JSON text, the earlier `function_call` as the one call that it is."""
    calls = turn.get("tool_calls") or ([turn["function_call"]] if turn.get("function_call") else "")
    return calls if isinstance(calls, str) else json.dumps(calls, ensure_ascii=False)


def _content(value: object, where: str, *, may_be_empty: bool) -> str:
    """Text, or parts of type text joined; null only where `may_be_empty`."""
    if isinstance(value, list):
        texts: list[str] = []
        for part in value:
            text = part.get("text") if isinstance(part, dict) else part
            if not isinstance(text, str):
                kind = part.get("type") if isinstance(part, dict) else part
                raise ReplyError(NOT_TEXT, f"{where}: holds {shown(kind)}; only text is read")
            texts.append(text)
        value = "".join(texts)
    if value is None and may_be_empty:
        return ""
    if not isinstance(value, str) or (not value.strip() and not may_be_empty):
        raise ReplyError(NOT_CHAT, f"{where}: content is {shown(value)}; a non-empty string is needed")
    return value


def _take_question(messages: list[Message], notes: Notes) -> None:
    """Take out the question that an error reply stands below."""
    notes[ERRORS_OUT] += 1
    while messages and messages[-1].role == "user":
        messages.pop()


def speaker_turns(row: dict[str, object]) -> list[Turn] | None:
    """A row's `conversations` as (speaker, text); None where it holds something else."""
    conversations = row.get("conversations")
    if not isinstance(conversations, list):
        return None
    turns: list[Turn] = []
    for turn in conversations:
        speaker, value = (turn.get("from"), turn.get("value")) if isinstance(turn, dict) else (None, None)
        if not isinstance(speaker, str) or not isinstance(value, str):
            return None
        turns.append((speaker, value))
    return turns


def dialogue(
    row_id: str, turns: Sequence[Turn], source: str, notes: Notes, *, answered_by: Sequence[str] = ANSWERERS
) -> Conversation | Drop:
    """Such turns as a Conversation that begins with a question, or the reason for which they are none."""
    if not turns:
        return Drop(row_id, EMPTY_CONVERSATION)
    strangers = [speaker for speaker, _ in turns if speaker not in SPEAKERS]
    if strangers:
        return Drop(row_id, "unknown speaker", f"{strangers[0]!r}; known: {', '.join(SPEAKERS)}")
    others = [s for s, _ in turns if SPEAKERS[s] == "assistant" and s not in answered_by]
    if others:
        return Drop(row_id, "another teacher", others[0])
    messages, reason = _messages(turns, notes)
    if reason == UNENDED:
        return Drop(row_id, UNENDED)
    if not any(message.role == "assistant" for message in messages):
        return Drop(row_id, reason or "no answer to a question")
    for place, (one, two) in enumerate(pairwise(messages)):
        if one.role == two.role == "assistant":
            return Drop(row_id, "two answers in a row", f"messages {place} and {place + 1}: a question is missing")
    return Conversation(row_id, tuple(messages), source)


def parts_join(first: Iterable[tuple[str, Sequence[Turn]]]) -> bool:
    """Whether (id, turns) with ids ID_K are parts of conversations, K the place of the first turn, and no names."""
    wholes: dict[str, list[Turn]] = {}
    num_joined, num_apart = 0, 0
    for entry_id, turns in first:
        part = PART.fullmatch(entry_id)
        if not part or not turns:
            continue
        start, whole = int(part["start"]), wholes.get(part["base"], [])
        overlap = len(whole) - start
        if whole and overlap >= 0:
            is_joined = whole[start : start + len(turns)] == list(turns[:overlap])
            num_joined, num_apart = num_joined + is_joined, num_apart + (not is_joined)
            whole = [*whole, *turns[overlap:]] if is_joined else whole
        wholes[part["base"]] = whole or ([] if start else list(turns))
    return num_joined >= num_apart


def _messages(turns: Iterable[Turn], notes: Notes) -> tuple[list[Message], str]:
    """The messages, and why an answer was left out, if one was."""
    messages: list[Message] = []
    reason = ""
    for speaker, value in turns:
        role, content = SPEAKERS[speaker], value.strip()
        if not content or (role == "system" and _BANNER.match(content)):
            continue
        if role == "assistant" and not any(message.role == "user" for message in messages):
            continue
        message = answer_message(content, notes) if role == "assistant" else Message(role, content)
        if isinstance(message, str):
            reason = message
            if message == ERROR_REPLY:
                _take_question(messages, notes)
            continue
        if role != "assistant" and messages and messages[-1].role == role:
            messages[-1] = Message(role, f"{messages[-1].content}\n\n{content}")
        else:
            messages.append(message)
    return messages, reason
