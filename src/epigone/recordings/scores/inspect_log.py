"""Logs of Inspect: .json, and .eval, a zip file of header.json and samples/*.json.

In: a log with its samples. Out: one ScoreSheet a scorer, and one a key where a scorer gives several values; a Drop for
a sample that failed, and for each score that is missing or no number. "C" counts 1, "P" 0.5, "I" and "N" 0. The
epochs of a sample are items of their own: `ID`, `ID epoch 2`. Nothing in a log is run; it is only parsed.
Source: https://inspect.aisi.org.uk/eval-logs.html; inspect_ai/log/_log.py (EvalLog, EvalSample).
"""

import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from epigone.errors import DataError
from epigone.metrics.answers import protocol_id
from epigone.records import Drop, Score, ScoreSheet
from epigone.rows import beginning, finite, identity, parsed, read_document, shown

_WORDS = {"C": 1.0, "P": 0.5, "I": 0.0, "N": 0.0}
_ZIP_MAGIC = b"PK\x03\x04"
_MAX_BYTES = 2 * 1024**3
_DAMAGE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, OSError, ValueError, RuntimeError)
Fields = dict[str, object]
Kept = tuple[str, tuple[str, str], Fields]
"""Item id, (prompt, reply), values by scorer: all that stays of a sample."""


@dataclass(frozen=True)
class InspectLog:
    """Reads a finished log; one that ended early gives what it has, and a Drop that says so."""

    def fits(self, path: Path) -> bool:
        """A zip file with header.json, or one object with status and eval."""
        try:
            with path.open("rb") as handle:
                if handle.read(4) == _ZIP_MAGIC:
                    with zipfile.ZipFile(path) as archive:
                        return "header.json" in archive.namelist()
        except (*_DAMAGE, NotImplementedError):
            return False
        return {"version", "status", "eval"} <= beginning(path).keys()

    def read(self, path: Path) -> Iterator[ScoreSheet | Drop]:
        """Drops in file order, then the sheets. Raises DataError where the log is damaged or names no task or model."""
        header, samples = _zipped(path) if _is_zip(path) else _plain(path)
        spec = _part(header, "eval")
        task, model = identity(spec.get("task")), identity(spec.get("model"))
        if not task or not model:
            raise DataError(f"{path}: the log's eval must name task and model; it has: {', '.join(spec) or 'nothing'}")
        if header.get("status") != "success":
            yield Drop(task, "evaluation did not finish", f"status {shown(header.get('status'))}")
        kept: list[Kept] = []
        seen: set[str] = set()
        for number, sample in enumerate(samples, start=1):
            item_id = _item_id(sample, number)
            values, reason = _values(sample), _unusable(sample)
            if reason or item_id in seen:
                yield Drop(item_id, reason or "item scored twice", _message(sample))
            else:
                kept.append((item_id, _gist(sample), values))
            seen.add(item_id)
        yield from _sheets(kept, header, task, model)


def _sheets(kept: list[Kept], header: Fields, task: str, model: str) -> Iterator[ScoreSheet | Drop]:
    """Every sample has a score in each sheet, or a Drop."""
    named = list(dict.fromkeys(name for _, _, values in kept for name in values))
    filled = [name for name in named if any(_number(values.get(name)) is not None for _, _, values in kept)]
    for name in named:
        scores: list[Score] = []
        for item_id, gist, values in kept:
            value = _number(values.get(name))
            if value is not None:
                scores.append(Score(item_id, {name: value}, *gist))
            elif name in values or name in filled:
                yield Drop(item_id, "no score", f"{name} is {shown(values[name]) if name in values else 'missing'}")
        if scores:
            yield ScoreSheet(model, task, name, _protocol(header, task, name), tuple(scores))


def _protocol(header: Fields, task: str, scorer: str) -> str:
    spec = _part(header, "eval")
    config, steps = _part(spec, "config"), _part(header, "plan").get("steps")
    return protocol_id(
        f"inspect-{task}-{scorer}",
        version=spec.get("task_version"),
        dataset=_part(spec, "dataset").get("name"),
        solver=spec.get("solver"),
        steps=[step.get("solver") for step in steps if isinstance(step, dict)] if isinstance(steps, list) else [],
        limit=config.get("limit"),
        epochs=config.get("epochs"),
    )


def _plain(path: Path) -> tuple[Fields, Iterator[Fields]]:
    document = read_document(path)
    samples = document.get("samples")
    if not isinstance(samples, list):
        raise DataError(f"{path}: the log holds no samples; evaluate again with log_samples, or give the whole log")
    return document, (sample if isinstance(sample, dict) else {} for sample in samples)


def _zipped(path: Path) -> tuple[Fields, Iterator[Fields]]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = {info.filename: info for info in archive.infolist()}
    except (*_DAMAGE, NotImplementedError) as error:
        raise DataError(f"{path}: the zip file is damaged ({error}); fetch the log again") from error
    num_bytes = sum(info.file_size for info in members.values())
    if num_bytes > _MAX_BYTES:
        raise DataError(f"{path}: unpacks to {num_bytes} bytes, at most {_MAX_BYTES} (2 GiB) are read; split the log")
    if "header.json" not in members:
        raise DataError(f"{path}: has no header.json, so the evaluation never ended; see `inspect log recover`")
    names = [name for name in members if name.startswith("samples/") and name.endswith(".json")]
    return _member(path, "header.json"), (_member(path, name) for name in names)


def _member(path: Path, name: str) -> Fields:
    try:
        with zipfile.ZipFile(path) as archive:
            content = parsed(archive.read(name).decode())
    except NotImplementedError as error:
        raise DataError(
            f"{path}: {name} is packed in a way that this Python cannot read ({error}); "
            f"run `inspect log convert --to json {path.name} --output-dir FOLDER` and give the JSON log"
        ) from error
    except (*_DAMAGE, KeyError, RecursionError) as error:
        raise DataError(f"{path}: {name} is damaged ({error}); fetch the log again") from error
    if not isinstance(content, dict):
        raise DataError(f"{path}: {name} holds {shown(content)}; an object is needed")
    return content


def _is_zip(path: Path) -> bool:
    try:
        with path.open("rb") as handle:
            return handle.read(4) == _ZIP_MAGIC
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check the path") from error


def _part(fields: Fields, name: str) -> Fields:
    value = fields.get(name)
    return value if isinstance(value, dict) else {}


def _item_id(sample: Fields, number: int) -> str:
    sample_id, epoch = identity(sample.get("id")) or f"sample-{number}", sample.get("epoch", 1)
    return sample_id if epoch == 1 else f"{sample_id} epoch {identity(epoch) or '?'}"


def _values(sample: Fields) -> Fields:
    """What each scorer said, by scorer, or by scorer and key."""
    values: Fields = {}
    for scorer, score in _part(sample, "scores").items():
        value = score.get("value") if isinstance(score, dict) else None
        if isinstance(value, dict) and value:
            values |= {f"{scorer}/{key}": entry for key, entry in value.items()}
        else:
            values[scorer] = value
    return values


def _number(value: object) -> float | None:
    if isinstance(value, str):
        return _WORDS.get(value)
    return float(value) if isinstance(value, bool) else finite(value)


def _unusable(sample: Fields) -> str:
    """Why nothing that this sample was scored counts; empty where it does."""
    if sample.get("error") is not None:
        return "sample failed"
    return "" if _part(sample, "scores") else "no score"


def _message(sample: Fields) -> str:
    return str(_part(sample, "error").get("message", ""))[:200]


def _gist(sample: Fields) -> tuple[str, str]:
    """Prompt and reply as texts."""
    asked = sample.get("input")
    if isinstance(asked, list):
        asked = next((turn for turn in reversed(asked) if isinstance(turn, dict) and turn.get("role") == "user"), None)
    return _text(asked), _text(_part(sample, "output").get("completion"))


def _text(value: object) -> str:
    """A text, the content of a message, or the texts of content in parts."""
    if isinstance(value, dict):
        value = value.get("content", value.get("text"))
    if isinstance(value, list):
        return "\n".join(part["text"] for part in value if isinstance(part, dict) and isinstance(part.get("text"), str))
    return value if isinstance(value, str) else ""
