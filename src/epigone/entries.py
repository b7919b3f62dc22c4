"""The entries of a JSON file one by one: of an array, of JSON lines, or of an array inside one object.

In: a path. Out: (number from 1, value), read by the standard library's decoder over chunks of the stream: memory stays
flat and a file that is cut off gives all its whole entries. By default damage is a DataError that says how many
entries end at which byte and how many bytes are lost; with `salvage` the whole entries come first and then a Loss.
Lone surrogates (a JSON "\\ud83d" without its other half) are U+FFFD, and counted in `notes`.
Sources: https://jsonlines.org (one JSON value a line); https://docs.python.org/3/library/json.html (raw_decode).
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from epigone.errors import DataError
from epigone.streams import DamageError, num_bytes_of, text_chunks

MAX_ENTRY_CHARS = 1 << 28
"""An entry that is longer is no entry but damage: a quotation mark is missing."""
SURROGATES = "lone surrogates replaced"
_DECODER = json.JSONDecoder()
_HALF = re.compile(
    r"\\(?:\\u[dD][89a-fA-F]|u[dD][89abAB]..(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB]..\\)u[dD][c-fC-F])", re.DOTALL
)
"""Where a text may hold half a surrogate pair: an escape without its partner, or what only looks like an escape."""
_LONE = re.compile("[\ud800-\udfff]")
_SPACE = re.compile(r"[ \t\n\r]*")
_LONGEST_LITERAL = 16
"""Within so many characters of the end of what was read, a wrong literal or escape may only be cut off."""

T = TypeVar("T")
Entry = tuple[int, object]
Notes = Counter[str]
"""What a reader repaired or passed over, counted by its name."""


@dataclass(frozen=True)
class Loss:
    """What could not be read: bytes `start` to `end` of the unpacked file, after `num_whole` whole entries."""

    num_whole: int
    start: int
    end: int
    why: str
    line: int = 0
    """The line that was lost, of JSON lines that go on after it; 0 where nothing after `start` was read."""

    def __str__(self) -> str:
        """In words, as a Drop's detail has it."""
        if self.line:
            return (
                f"line {self.line}, bytes {self.start} to {self.end}, after {self.num_whole} whole entries: {self.why}"
            )
        lost = f"{self.end - self.start} bytes are lost"
        return f"{self.num_whole} whole entries end at byte {self.start} of {self.end}, {lost}: {self.why}"


def read_entries(path: Path, *, salvage: bool = False, notes: Notes | None = None) -> Iterator[Entry | Loss]:
    """Of a JSON array (the file begins with [), else of JSON lines. Raises DataError."""
    scanner = _Scanner(path, notes)
    if scanner.peek() == "[":
        yield from _told(_array(scanner), path, "the JSON array", salvage=salvage)
    else:
        yield from _lines(scanner, path, salvage=salvage)


def read_lines(path: Path, *, salvage: bool = False, notes: Notes | None = None) -> Iterator[Entry | Loss]:
    """Of JSON lines, whatever they begin with; blank lines are passed over. Raises DataError."""
    yield from _lines(_Scanner(path, notes), path, salvage=salvage)


def read_members(
    path: Path, name: str, *, salvage: bool = False, notes: Notes | None = None
) -> Iterator[tuple[str, object] | Loss]:
    """Of one JSON object: (field, value) each, but the entries of the array `name` one by one. Raises DataError."""
    scanner = _Scanner(path, notes)
    if scanner.peek() != "{":
        raise DataError(f"{path}: begins with {scanner.peek()!r}; one JSON object {{...}} is needed")
    yield from _told(_members(scanner, name), path, "the JSON object", salvage=salvage)


def parsed(text: str) -> object:
    """JSON text -> its value, lone surrogates replaced. Raises ValueError or RecursionError as `json.loads` does."""
    value = json.loads(text)
    return _repaired(value, Counter()) if _HALF.search(text) else value


def without_surrogates(text: str) -> str:
    r"""Text with lone surrogates (a JSON "\ud83d" without its other half) replaced by U+FFFD, so that it encodes."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


class _CutError(Exception):
    """The text cannot be read on as JSON; `loss` says from where. Never leaves this module."""

    def __init__(self, loss: Loss, cause: Exception | None = None) -> None:
        super().__init__(str(loss))
        self.loss = loss
        self.cause = cause


class _Scanner:
    """A place in the text of a file, of which only what is being read is held."""

    def __init__(self, path: Path, notes: Notes | None) -> None:
        self.notes = Counter[str]() if notes is None else notes
        self.num_whole = 0
        self.damage: DamageError | None = None
        """What stopped the stream, if it did not end by itself."""
        self._prefix = f"{path}: "  # of errors; a Loss does not name the file's place on this machine
        self._chunks = text_chunks(path)
        self._text = ""
        self._at = 0
        self._start = -1  # the byte at which the text that is held begins; -1: nothing was read yet
        self._end = 0  # the byte at which it ends
        self._whole_end = 0  # the byte at which the last whole entry ends, unless it is the place below
        self._whole_at = -1
        self._is_ended = False
        self._is_line_ended = False
        self._has_halves = False

    def peek(self) -> str:
        """The next character that is not blank, which stays; empty at the end."""
        while True:
            found = _SPACE.match(self._text, self._at)
            self._at = found.end() if found else self._at
            if self._at < len(self._text) or not self._fill():
                return self._text[self._at : self._at + 1]

    def take(self) -> str:
        """The next character that is not blank, read."""
        char = self.peek()
        self._at += len(char)
        return char

    def value(self) -> object:
        """The JSON value that begins here. Raises _CutError."""
        if not self.peek():
            raise self.cut("the file ends")
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
            except (ValueError, RecursionError) as error:
                if self._is_damage(error) or not self._fill_double():
                    raise self.cut(getattr(error, "msg", str(error)), error) from error
                continue
            is_open = isinstance(value, int | float) and len(self._text) - end < _LONGEST_LITERAL
            num_chars = end - self._at
            if is_open and self._fill():
                continue  # the number may go on
            self._at += num_chars
            return _repaired(value, self.notes) if self._has_halves else value

    def line(self) -> str | None:
        """The rest of the line without its line feed, read; None at the end of the file."""
        looked, self._is_line_ended = self._at, True
        while (end := self._text.find("\n", looked)) < 0:
            looked = len(self._text) - self._at
            if not self._fill_double():
                end, self._is_line_ended = len(self._text), False
                break
        if self._at >= len(self._text):
            return None
        line, self._at = self._text[self._at : end], end + 1
        return line

    def is_last_line(self) -> bool:
        """Whether the line that was just read had no line feed."""
        return not self._is_line_ended

    def lost_line(self, line: str, number: int, why: str) -> Loss:
        """Of the line that was just read."""
        end = self.byte() if self._is_line_ended else self._end
        start = self.byte() - num_bytes_of(line) - self._is_line_ended
        self.mark(0)
        return Loss(self.num_whole, start, end, why, number)

    def read_line(self, line: str) -> object:
        """The value of a line. Raises ValueError, RecursionError."""
        value = json.loads(line)
        return _repaired(value, self.notes) if self._has_halves else value

    def mark(self, num_entries: int = 1) -> None:
        """What was read up to here counts as whole."""
        self.num_whole += num_entries
        self._whole_at = self._at

    def byte(self) -> int:
        """The byte of the unpacked file at which this place lies."""
        return min(max(0, self._start) + num_bytes_of(self._text[: self._at]), self._end)

    def cut(self, why: str, cause: Exception | None = None) -> _CutError:
        """What is lost from the last whole entry on; reads to the end of the file to know how much that is."""
        self._at = len(self._text)
        while self._fill():
            self._at = len(self._text)
        if self.damage:
            why = f"{str(self.damage).removeprefix(self._prefix)}; what follows could not be read at all"
        return _CutError(Loss(self.num_whole, self._whole_end, self._end, why), cause or self.damage)

    def _is_damage(self, error: Exception) -> bool:
        """Whether more text cannot mend it."""
        if not isinstance(error, json.JSONDecodeError):
            return True
        if error.msg.startswith("Unterminated string"):
            return len(self._text) - self._at > MAX_ENTRY_CHARS
        return error.pos < len(self._text) - _LONGEST_LITERAL

    def _fill_double(self) -> bool:
        """As much again as is held, so that a long entry is not begun too often; False where there is no more."""
        wanted = 2 * (len(self._text) - self._at)
        pieces: list[str] = []
        self._drop_read()
        while sum(map(len, pieces)) + len(self._text) <= wanted and (text := self._next()):
            pieces.append(text)
        if not pieces:
            text = self._next()
            pieces = [text] if text else []
        self._extend("".join(pieces))
        return bool(pieces)

    def _fill(self) -> bool:
        text = self._next()
        self._drop_read()
        self._extend(text)
        return bool(text)

    def _extend(self, text: str) -> None:
        self._text += text
        self._has_halves = bool(_HALF.search(self._text))

    def _drop_read(self) -> None:
        """Give up the text that was read."""
        start = max(0, self._start)
        if self._whole_at >= 0:
            self._whole_end, self._whole_at = start + num_bytes_of(self._text[: self._whole_at]), -1
        self._start = start + num_bytes_of(self._text[: self._at])
        self._text, self._at = self._text[self._at :], 0

    def _next(self) -> str:
        """The text of the next chunk; empty at the end. Raises DataError where nothing can be read at all."""
        while not self._is_ended:
            try:
                chunk = next(self._chunks, None)
            except DamageError as damage:
                self.damage, chunk = damage, None
            if chunk is None:
                self._is_ended = True
                break
            if self._start < 0:
                self._start = self._whole_end = chunk.start
            self._end = chunk.end
            if chunk.text:
                return chunk.text
        return ""


def _told(found: Iterator[T], path: Path, what: str, *, salvage: bool) -> Iterator[T | Loss]:
    """The same; where it is cut, a Loss or a DataError."""
    try:
        yield from found
    except _CutError as cut:
        if salvage:
            yield cut.loss
            return
        raise DataError(
            f"{path}: {what} is cut off or damaged: {cut.loss}; fetch the file again, or go on without them (--salvage)"
        ) from cut.cause


def _array(scanner: _Scanner) -> Iterator[Entry]:
    """The entries of the array that the file is."""
    for value in _inside(scanner):
        yield scanner.num_whole, value
    if scanner.peek() or scanner.damage:
        raise scanner.cut(f"something follows the array: {scanner.peek()!r}")


def _inside(scanner: _Scanner) -> Iterator[object]:
    """The entries of the array that begins here."""
    scanner.take()
    scanner.mark(0)
    if scanner.peek() == "]":
        scanner.take()
        return
    while True:
        value = scanner.value()
        scanner.mark()
        yield value
        char = scanner.take()
        if char == "]":
            scanner.mark(0)
            return
        if char != ",":
            raise scanner.cut("the file ends" if not char else f"{char!r} follows an entry; a comma or ] is needed")


def _members(scanner: _Scanner, name: str) -> Iterator[tuple[str, object]]:
    """The fields of the object that the file is, the array `name` entry by entry."""
    scanner.take()
    if scanner.peek() == "}":
        scanner.take()
        return
    char = ","
    while char == ",":
        key = scanner.value() if scanner.peek() == '"' else None
        if not isinstance(key, str) or scanner.take() != ":":
            raise scanner.cut("a field's name and a colon are needed")
        if key == name and scanner.peek() == "[":
            yield from ((key, value) for value in _inside(scanner))
        else:
            yield key, scanner.value()
        char = scanner.take()
    if char != "}" or scanner.peek() or scanner.damage:
        raise scanner.cut("the file ends" if not char else f"{char!r} follows a field; a comma or }} is needed")


def _lines(scanner: _Scanner, path: Path, *, salvage: bool) -> Iterator[Entry | Loss]:
    """The values of the lines."""
    number = 0
    while (line := scanner.line()) is not None:
        number += 1
        if not line.strip():
            continue
        try:
            value = scanner.read_line(line)
        except (ValueError, RecursionError) as error:
            if scanner.damage and scanner.is_last_line():
                break
            loss = scanner.lost_line(line, number, str(error))
            if not salvage:
                raise DataError(
                    f"{path}: row {number} is not JSON ({error}); the file must hold one JSON object a line (is it cut "
                    f"off, or one object over several lines?): {loss}; repair it, or go on without it (--salvage)"
                ) from error
            yield loss
            continue
        scanner.mark()
        yield number, value
    if scanner.damage:
        loss = scanner.cut("").loss
        if not salvage:
            raise DataError(f"{scanner.damage}, or go on without what is lost (--salvage): {loss}") from scanner.damage
        yield loss


def _repaired(value: object, notes: Notes) -> object:
    """Parsed JSON with each lone surrogate replaced and counted."""
    if isinstance(value, str):
        if value.isascii():
            return value
        fixed, num_replaced = _LONE.subn("\ufffd", value)
        if num_replaced:
            notes[SURROGATES] += num_replaced
        return fixed
    if isinstance(value, list):
        return [_repaired(entry, notes) for entry in value]
    if isinstance(value, dict):
        return {_repaired(name, notes): _repaired(entry, notes) for name, entry in value.items()}
    return value
