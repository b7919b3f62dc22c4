"""Reads a file or folder of recordings: finds out its format by its content, unless it is named.

In: a path. Out: a Recording: the records and the Drops, in file order. A folder's files are taken in sorted order, all
the way down, hidden ones left out; of an artifact (a folder with DONE) its records.jsonl alone.
Source: the components of recordings/answers, recordings/judgments and recordings/scores.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path
from typing import Generic, Literal, TypeVar

from epigone import discover
from epigone.errors import DataError, SpecError
from epigone.interfaces import AnswerFormat, JudgmentFormat, ScoreFormat
from epigone.records import Drop, Generation, Judgment, ScoreSheet
from epigone.rows import answered_once, head, read_text

Kind = Literal["answers", "judgments", "scores"]
KINDS: tuple[Kind, ...] = ("answers", "judgments", "scores")
Row = TypeVar("Row", Generation, Judgment, ScoreSheet)
OfModel = TypeVar("OfModel", Generation, ScoreSheet)
Found = Generation | Judgment | ScoreSheet | Drop
_MOST_NAMED = 12


@dataclass(frozen=True)
class Recording(Generic[Row]):
    """What was recorded, and what of it could not be used; the formats of a folder are joined by commas."""

    format: str
    rows: tuple[Row, ...]
    drops: tuple[Drop, ...]


def read_answers(path: Path, format: str = "", **options: object) -> Recording[Generation]:
    """The answers of a file or folder; `options` are those of the component `format`. Raises DataError, SpecError."""
    formats, found = _read(path, "answers", format, options)
    answers = answered_once(row for row in found if isinstance(row, Generation | Drop))
    return _recording(formats, answers, Generation)


def read_judgments(path: Path, format: str = "", **options: object) -> Recording[Judgment]:
    """The judgments of a file or folder; `options` are those of the component `format`. Raises DataError, SpecError."""
    return _recording(*_read(path, "judgments", format, options), Judgment)


def read_scores(path: Path, format: str = "", **options: object) -> Recording[ScoreSheet]:
    """The scores of a file or folder; `options` are those of the component `format`. Raises DataError, SpecError."""
    formats, found = _read(path, "scores", format, options)
    return _recording(formats, _by_items(found), ScoreSheet)


def kind_of(path: Path) -> Kind:
    """What a file or folder holds. Raises DataError where that is nothing known, or of several kinds."""
    files = _files(path)
    found: list[Kind] = [kind for kind in KINDS if any(_fitting(kind, file) for file in files)]
    if len(found) != 1:
        raise DataError(f"{path}: holds {' and '.join(found)}; say which is meant") if found else _unknown(path, KINDS)
    return found[0]


def only_model(rows: Sequence[OfModel], model: str, name: str, path: Path) -> tuple[OfModel, ...]:
    """The rows of `model`; without it of the model called `name`, or of the only one there is. Raises DataError."""
    models = list(dict.fromkeys(row.model for row in rows))
    wanted = model or (name if name in models else "")
    if not wanted and len(models) == 1:
        wanted = models[0]
    if not models:
        raise DataError(f"{path}: nothing in it could be used; see the reasons in what was left out")
    if wanted not in models:
        named = sorted(models, key=lambda m: -SequenceMatcher(None, m.lower(), (model or name).lower()).ratio())
        more = f" and {len(models) - _MOST_NAMED} more" if len(models) > _MOST_NAMED else ""
        several = "holds several models; say which by NAME=PATH or the option model"
        what = f"has no model {model!r}" if model else several
        raise DataError(f"{path}: {what}; there are, most alike first: {', '.join(named[:_MOST_NAMED])}{more}")
    return tuple(row for row in rows if row.model == wanted)


def _read(path: Path, kind: Kind, format: str, options: Mapping[str, object]) -> tuple[str, list[Found]]:
    """The formats' names and everything that they gave, ids of a folder's Drops with their file's name."""
    if options and not format:
        raise SpecError(f"{path}: the options {', '.join(options)} need the name of the format that they belong to")
    formats: list[str] = []
    found: list[Found] = []
    for file in _files(path):
        name = _format_of(file, kind, format, is_alone=not path.is_dir())
        place = "" if file == path else str(file.relative_to(path))
        if not name:
            found.append(Drop(place, "no known format", f"begins with {head(file)[:60]!r}"))
            continue
        formats.append(name)
        component = discover.make(f"recordings.{kind}", name, dict(options))
        assert isinstance(component, AnswerFormat | JudgmentFormat | ScoreFormat)
        found += _placed(component.read(file), place)
    if not formats:
        raise _unknown(path, (kind,))
    return ", ".join(dict.fromkeys(formats)), found


def _by_items(found: Sequence[Found]) -> Iterator[Found]:
    """A Drop in place of each aggregate whose single items were read too: a run is one sheet, not two."""
    known = {(row.model, row.benchmark, row.metric) for row in found if isinstance(row, ScoreSheet) and row.scores}
    for row in found:
        is_repeated = isinstance(row, ScoreSheet) and (row.model, row.benchmark, row.metric) in known
        if isinstance(row, ScoreSheet) and is_repeated and not row.scores:
            yield Drop(f"{row.benchmark} {row.metric}", "aggregate of items that are at hand", row.model)
        else:
            yield row


def _placed(found: Iterable[Found], place: str) -> Iterator[Found]:
    for row in found:
        yield dataclasses.replace(row, id=f"{place}: {row.id}") if place and isinstance(row, Drop) else row


def _format_of(file: Path, kind: Kind, format: str, *, is_alone: bool) -> str:
    """The format to read a file with; empty where a folder's file is of none, or not of the one that was named."""
    if format and is_alone:
        return format
    fitting = _fitting(kind, file, [format] if format else None)
    if len(fitting) > 1:
        raise DataError(f"{file}: looks like {' and '.join(fitting)}; name the format")
    if not fitting and is_alone:
        raise _unknown(file, (kind,))
    return fitting[0] if fitting else ""


def _fitting(kind: Kind, file: Path, names: Sequence[str] | None = None) -> list[str]:
    found: list[str] = []
    for name in discover.names(f"recordings.{kind}") if names is None else names:
        component = discover.make(f"recordings.{kind}", name, {})
        assert isinstance(component, AnswerFormat | JudgmentFormat | ScoreFormat)
        if component.fits(file):
            found.append(name)
    return found


def _unknown(path: Path, kinds: Sequence[Kind]) -> DataError:
    """What is known, what the file begins with, and what else it may be."""
    known = "; ".join(f"{kind}: {', '.join(discover.names(f'recordings.{kind}'))}" for kind in kinds)
    if path.is_dir():
        return DataError(f"{path}: no file in this folder is in a known format; known are {known}")
    text = head(path) or read_text(path)
    others = [kind for kind in KINDS if kind not in kinds and _fitting(kind, path)]
    hint = f"; it holds {' and '.join(others)}: read it as such" if others else ""
    return DataError(f"{path}: is in no known format ({known}); it begins with {text[:60]!r}{hint}")


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    if (path / "DONE").is_file():
        return [path / "records.jsonl"]
    found: list[Path] = []
    try:
        entries = sorted(path.iterdir())
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check its permissions") from error
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if not entry.is_dir():
            found.append(entry)
        elif not entry.is_symlink():  # a link back up would never end
            found += _files(entry)
    return found


def _recording(formats: str, found: Iterable[Found], cls: type[Row]) -> Recording[Row]:
    rows: list[Row] = []
    drops: list[Drop] = []
    for row in found:
        if isinstance(row, Drop):
            drops.append(row)
        elif isinstance(row, cls):
            rows.append(row)
    return Recording(formats, tuple(rows), tuple(drops))
