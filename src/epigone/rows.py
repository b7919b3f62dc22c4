"""Reads the rows of published files: JSON lines, plain or gzipped, with errors that name file, row and value.

In: a path. Out: (row number from 1, the row as a dict). Used by formats, benchmarks and curation; writes nothing.
Source: https://jsonlines.org (one JSON value a line, UTF-8, separated by a line feed).
"""

import codecs
import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path

from epigone.errors import DataError
from epigone.records import Message, Prompt

GZIP_MAGIC = b"\x1f\x8b"
ROLES = ("system", "user", "assistant")


def read_text(path: Path) -> str:
    """The whole file as text, gunzipped where it is gzip; lone bytes of a character cut at the very end are left out.

    Raises DataError where the file is missing, its gzip stream is cut, or it is not UTF-8.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    if data.startswith(GZIP_MAGIC):
        try:
            data = gzip.decompress(data)
        except (EOFError, OSError, zlib.error) as error:
            raise DataError(f"{path}: the gzip stream is damaged ({error}); fetch the file again") from error
    try:
        return codecs.getincrementaldecoder("utf-8-sig")().decode(data)
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: byte {error.start} is not UTF-8; convert the file to UTF-8") from error


def read_rows(path: Path) -> Iterator[tuple[int, dict[str, object]]]:
    """(row number from 1, row) of a JSON-lines file; blank lines are passed over. Raises DataError."""
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(
                f"{path}: row {number} is not JSON ({error}); the file must hold one JSON object a line "
                f"(is it cut off, or a JSON array?)"
            ) from error
        if not isinstance(row, dict):
            raise DataError(f"{path}: row {number} is a JSON {type(row).__name__}; an object {{...}} is needed")
        yield number, row


def text_field(row: dict[str, object], name: str, where: str) -> str:
    """A row's field that must be a string with something in it. Raises DataError; `where` says file and row."""
    value = row.get(name)
    if not isinstance(value, str) or not value.strip():
        raise DataError(
            f"{where}: field {name!r} is {_shown(row, name)}; a non-empty string is needed (fields: {', '.join(row)})"
        )
    return without_surrogates(value)


def messages_field(row: dict[str, object], where: str) -> tuple[Message, ...]:
    """A row's `messages`: a list of {"role": system | user | assistant, "content": text}. Raises DataError."""
    messages = row.get("messages")
    if not isinstance(messages, list) or not messages:
        raise DataError(f"{where}: field 'messages' is {_shown(row, 'messages')}; a non-empty list is needed")
    return tuple(_message(turn, f"{where}, message {place}") for place, turn in enumerate(messages))


def read_prompts(path: Path) -> list[Prompt]:
    """Prompts as JSON lines {"id", "messages"}, the last message the user's.

    Raises DataError naming file and row, since a prompt that is silently missing would shift what is compared.
    """
    prompts: list[Prompt] = []
    for number, row in read_rows(path):
        where = f"{path}: row {number}"
        messages = messages_field(row, where)
        if messages[-1].role != "user":
            raise DataError(f"{where}: the last message is the {messages[-1].role}'s; a prompt ends in the user's")
        prompts.append(Prompt(text_field(row, "id", where), messages=messages))
    return prompts


def without_surrogates(text: str) -> str:
    r"""Text with lone surrogates (a JSON "\ud83d" without its other half) replaced by U+FFFD, so that it encodes."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _message(turn: object, where: str) -> Message:
    if not isinstance(turn, dict):
        raise DataError(f"{where} is {str(turn)[:60]!r}; an object with role and content is needed")
    role = turn.get("role")
    for allowed in ROLES:
        if role == allowed:
            return Message(allowed, text_field(turn, "content", where))
    raise DataError(f"{where}: role {role!r}; allowed: {', '.join(ROLES)}")


def _shown(row: dict[str, object], name: str) -> str:
    return repr(row[name])[:80] if name in row else "missing"
