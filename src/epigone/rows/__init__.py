"""Reads the rows of published files: JSON lines, JSON arrays, CSV, plain or packed, with errors that name the place.

In: a path. Out: (row number from 1, the row as a dict), streamed. Used by formats, benchmarks, curation and recordings;
writes nothing. Lone surrogates (a JSON "\\ud83d" without its other half) are U+FFFD in every row, so that rows can be
written. Beside it: `chats` (turns -> messages) and `replies` (what an answer's text is), used by the formats.
Sources: https://jsonlines.org (one JSON value a line, UTF-8, separated by a line feed); RFC 4180 for CSV.
"""

import csv
import hashlib
import io
import json
import math
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from epigone.entries import Entry, Loss, Notes, parsed, read_entries, read_lines, without_surrogates
from epigone.errors import DataError
from epigone.records import Drop, Generation, Message, Prompt, Role
from epigone.streams import first_text, text_chunks, text_lines

__all__ = ["parsed", "without_surrogates"]  # what of `entries` is used wherever rows are
ROLES: tuple[Role, ...] = ("system", "user", "assistant")
HEAD_CHARS = 65_536
TRUNCATED = "truncated file"
_SPACE = re.compile(r"\s*")
_DECODER = json.JSONDecoder()

Row = tuple[int, dict[str, object]]


def read_text(path: Path) -> str:
    """The whole file as text, unpacked; lone bytes of a character cut at the very end are left out.

    Raises DataError where the file is missing, its gzip or zstd stream is damaged, or it is not UTF-8.
    """
    return "".join(chunk.text for chunk in text_chunks(path))


def read_rows(path: Path) -> Iterator[Row]:
    """(row number from 1, row) of a JSON-lines file; blank lines are passed over. Raises DataError."""
    return _objects(read_lines(path), path, "row")


def read_array_or_rows(path: Path) -> Iterator[Row]:
    """(number from 1, row) of a JSON array of objects, or of JSON lines. Raises DataError, also where it is cut off."""
    return _objects(read_entries(path), path, "entry")


def rows_or_drops(path: Path, *, salvage: bool, notes: Notes | None) -> Iterator[Row | Drop]:
    """The same, a Drop in place of what is no object; with `salvage` a Drop, too, for what was lost to damage."""
    for found in read_entries(path, salvage=salvage, notes=notes):
        if isinstance(found, Loss):
            yield lost(found, path)
        elif isinstance(row := found[1], dict):
            yield found[0], row
        else:
            yield Drop(f"row-{found[0]}", "not an object", shown(row))


def first_rows(path: Path, num_rows: int = 100) -> list[dict[str, object]]:
    """The first rows of an array or of JSON lines, as many as can be read. Never raises."""
    rows: list[dict[str, object]] = []
    try:
        for found in rows_or_drops(path, salvage=True, notes=None):
            if isinstance(found, tuple):
                rows.append(found[1])
            if len(rows) == num_rows:
                break
    except DataError:
        pass  # what was read tells enough
    return rows


def lost(loss: Loss, path: Path) -> Drop:
    """What could not be read, as the one Drop that stands for it."""
    if loss.line:
        return Drop(f"row-{loss.line}", "line is not JSON", str(loss))
    return Drop(f"{path.name}: bytes {loss.start} to {loss.end}", TRUNCATED, str(loss))


def read_document(path: Path) -> dict[str, object]:
    """A file that is one JSON object. Raises DataError."""
    text = read_text(path)
    try:
        document = parsed(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not JSON ({error}); fetch the file again if it is cut off") from error
    if not isinstance(document, dict):
        raise DataError(f"{path}: holds {shown(document)}; one object {{...}} is needed")
    return document


def read_table(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """(row number, row by column) of a CSV file whose first row, number 1, names the columns.

    Raises DataError where a name comes twice, a row has more or fewer fields, or a quotation mark is never closed.
    """
    reader = csv.reader(text_lines(path), strict=True)
    number, names = 0, list[str]()
    try:
        for fields in filter(None, reader):
            number += 1
            if number == 1:
                names = fields
                if repeated := [name for name in names if names.count(name) > 1]:
                    raise DataError(f"{path}: two columns are named {repeated[0]!r}; rename one")
            elif len(fields) != len(names):
                raise DataError(
                    f"{path}: row {number} has {len(fields)} fields, the first row names {len(names)} columns; "
                    f"fetch the file again if it is cut off, or repair the row"
                )
            else:
                yield number, dict(zip(names, fields, strict=True))
    except csv.Error as error:
        raise DataError(
            f"{path}: the row after row {number} is not CSV ({error}); repair its quotation marks"
        ) from error


def head(path: Path) -> str:
    """The file's first 64K characters, unpacked; empty where it cannot be read. Never raises."""
    return first_text(path, 4 * HEAD_CHARS, or_nothing=True)[:HEAD_CHARS]


def beginning(path: Path) -> dict[str, object]:
    """The fields of the first row of JSON lines or of an array, or of a file that is one object, in its first 64K.

    A field whose value is cut off there is None; empty where there is no such row. Never raises.
    """
    text = first_text(path, 4 * HEAD_CHARS)[:HEAD_CHARS]
    at = _after_space(text, 0)
    if text[at : at + 1] == "[":
        at = _after_space(text, at + 1)
    fields: dict[str, object] = {}
    if text[at : at + 1] != "{":
        return fields
    try:
        while text[at : at + 1] in ("{", ","):
            name, at = _DECODER.raw_decode(text, _after_space(text, at + 1))
            fields[str(name)] = None
            at = _after_space(text, at)
            if text[at : at + 1] == ":":
                fields[str(name)], at = _DECODER.raw_decode(text, _after_space(text, at + 1))
                at = _after_space(text, at)
    except (ValueError, RecursionError):
        pass  # cut off, or no JSON from here on: what was seen tells enough
    return fields


def columns(path: Path) -> list[str]:
    """The fields of the first row of a CSV file; empty where there is none. Never raises."""
    try:
        return next(csv.reader(io.StringIO(head(path), newline="")), [])
    except csv.Error:
        return []


def nearby(path: Path, name: str, num_up: int) -> Path | None:
    """The file or folder `name` that lies beside `path`, or up to `num_up` folders further up."""
    folders = [path.parent, *path.parent.parents][: num_up + 1]
    return next((folder / name for folder in folders if (folder / name).exists()), None)


def bare_name(path: Path) -> str:
    """A file's name without `.gz` or `.zst` and without one ending such as `.jsonl`."""
    name = path.name.removesuffix(".gz").removesuffix(".zst")
    return name.rpartition(".")[0] or name


def prompt_id_of(text: str) -> str:
    """`p` and 12 hex digits of the SHA-256 of the text with single blanks: the id where a source gives none."""
    return "p" + hashlib.sha256(" ".join(text.split()).encode("utf-8", "replace")).hexdigest()[:12]


def instruction_of(row: dict[str, object]) -> str:
    """What an Alpaca row asks: its `instruction`, and its `input` after a blank line; empty where it asks nothing."""
    asked, given = row.get("instruction"), row.get("input") or ""
    if not isinstance(asked, str) or not isinstance(given, str):
        return ""
    return (f"{asked}\n\n{given}" if given.strip() else asked) if asked.strip() else given


def identity(value: object) -> str:
    """An id as text, whether it was written as text or as a whole number; empty where it is neither."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip() if isinstance(value, str | int) and not isinstance(value, bool) else ""


def finite(value: object) -> float | None:
    """A number as a float; None for anything else, truth values, NaN and what no float holds."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def shown(value: object) -> str:
    """A value in a message: short, and safe for whatever JSON holds."""
    return f"a JSON {type(value).__name__}" if isinstance(value, dict | list) else repr(value)[:80]


def answered_once(found: Iterable[Generation | Drop]) -> Iterator[Generation | Drop]:
    """The same rows, a Drop in place of each further answer of a model to a prompt."""
    seen: set[tuple[str, str]] = set()
    for row in found:
        if isinstance(row, Generation):
            key = (row.model, row.prompt_id)
            if key in seen:
                yield Drop(row.answer_id or row.prompt_id, "prompt answered twice", f"{row.model}: {row.prompt_id}")
                continue
            seen.add(key)
        yield row


def text_field(row: dict[str, object], name: str, where: str) -> str:
    """A row's field that must be a string with something in it. Raises DataError; `where` says file and row."""
    value = row.get(name)
    if not isinstance(value, str) or not value.strip():
        raise DataError(
            f"{where}: field {name!r} is {_field(row, name)}; a non-empty string is needed (fields: {', '.join(row)})"
        )
    return without_surrogates(value)


def messages_field(row: dict[str, object], where: str) -> tuple[Message, ...]:
    """A row's `messages`: a list of {"role": system | user | assistant, "content": text}. Raises DataError."""
    messages = row.get("messages")
    if not isinstance(messages, list) or not messages:
        raise DataError(f"{where}: field 'messages' is {_field(row, 'messages')}; a non-empty list is needed")
    return tuple(_message(turn, f"{where}, message {place}") for place, turn in enumerate(messages))


def role_of(value: object) -> Role | None:
    """The role that a value names, if it does."""
    for role in ROLES:
        if value == role:
            return role
    return None


def read_prompts(path: Path) -> list[Prompt]:
    """Prompts as JSON lines {"id", "messages"}, the last message the user's; rows of our answers (prompt_id) are some.

    Raises DataError naming file and row, since a prompt that is silently missing would shift what is compared.
    """
    prompts: list[Prompt] = []
    for number, row in read_rows(path):
        where = f"{path}: row {number}"
        messages = messages_field(row, where)
        if messages[-1].role != "user":
            raise DataError(f"{where}: the last message is the {messages[-1].role}'s; a prompt ends in the user's")
        name = "prompt_id" if "prompt_id" in row and "id" not in row else "id"
        prompts.append(Prompt(text_field(row, name, where), messages=messages))
    return prompts


def _message(turn: object, where: str) -> Message:
    if not isinstance(turn, dict):
        raise DataError(f"{where} is {str(turn)[:60]!r}; an object with role and content is needed")
    role = role_of(turn.get("role"))
    if role is None:
        raise DataError(f"{where}: role {shown(turn.get('role'))}; allowed: {', '.join(ROLES)}")
    return Message(role, text_field(turn, "content", where))


def _field(row: dict[str, object], name: str) -> str:
    return shown(row[name]) if name in row else "missing"


def _objects(found: Iterator[Entry | Loss], path: Path, what: str) -> Iterator[Row]:
    for entry in found:
        assert not isinstance(entry, Loss)
        number, row = entry
        if not isinstance(row, dict):
            raise DataError(f"{path}: {what} {number} is {shown(row)}; an object {{...}} is needed")
        yield number, row


def _after_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at
