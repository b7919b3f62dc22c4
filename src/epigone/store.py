"""Artifact folders: the only writer of records.

    ROOT/<kind>/<slug>--<hash8>/   spec.json  records.*  dropped.jsonl  summary.json  DONE (written last: checksums)
    ROOT/.staging/...              where an artifact is built; kept over interruptions, so a stage may go on there

In: specs and records (datasets are Parquet: `epigone.datasets`). Out: folders that are whole or not there. A build is
published by one rename.
"""

import dataclasses
import errno
import fcntl
import hashlib
import json
import os
import platform
import shutil
import time
import types
import typing
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TypeVar, cast

import epigone
from epigone.answers import kept_at
from epigone.errors import ArtifactError, DiskFullError, SpecError
from epigone.interfaces import StageSpec
from epigone.mirror import Mirror
from epigone.progress import ProgressFile, listening
from epigone.spec import Artifact, Input, Resolver, canonical_json, is_stage
from epigone.streams import url_of

T = TypeVar("T")


class Store:
    """The artifacts under one root folder."""

    def __init__(self, root: Path, resolver: Resolver | None = None) -> None:
        self.root = root
        self.resolver = resolver or Resolver()

    def path(self, source: object) -> Path:
        """Where a stage's artifact, or an Input inside one, lies. Raises ArtifactError where it does not exist yet."""
        if isinstance(source, Input):
            path = Path(source.path) if source.of is None else self.path(source.of) / source.path
            if not path.exists() and not (source.of is None and url_of(path)):
                raise ArtifactError(f"there is no {path}; check the path, or build its artifact first")
            return path
        if not isinstance(source, Artifact) and not is_stage(source):
            raise SpecError(f"{source!r} is neither a stage nor an artifact nor a file")
        folder = self.folder(source)
        if not (folder / "DONE").exists() and not self._fetched(folder):
            raise ArtifactError(f"artifact {folder} is not there (no DONE file); run the stage that builds it")
        return folder

    def folder(self, source: StageSpec | Artifact) -> Path:
        """The folder of an artifact, whether it exists or not."""
        return self.root / self.resolver.id(source)

    def staging(self, spec: StageSpec) -> Path:
        """Where an artifact is while it is built."""
        return self.root / ".staging" / self.resolver.id(spec)

    def is_done(self, spec: StageSpec) -> bool:
        """Whether the artifact is whole. Raises ArtifactError where it is corrupt or belongs to another spec."""
        folder, mirror = self.folder(spec), Mirror.named()
        if (folder / "DONE").exists():
            check_sizes(folder)
            stored = _load_json(folder / "spec.json").get("spec")
        elif mirror and mirror.has(self.resolver.id(spec)):
            stored = mirror.spec(self.resolver.id(spec))  # the files come when they are read
        else:
            return False
        if stored != json.loads(canonical_json(self.resolver.resolve(spec))):
            raise ArtifactError(f"{folder} was built from another spec (hash collision); move it away and run again")
        return True

    def _fetched(self, folder: Path) -> bool:
        """Whether an artifact that was not here has come from the mirror."""
        mirror, artifact_id = Mirror.named(), f"{folder.parent.name}/{folder.name}"
        if mirror is None or not mirror.has(artifact_id):
            return False
        scratch = self.root / ".staging"
        scratch.mkdir(parents=True, exist_ok=True)
        mirror.fetch(artifact_id, folder, scratch)
        return True

    def build(self, spec: StageSpec) -> Path:
        """Build and publish the artifact unless it is there. Raises DiskFullError."""
        folder = self.folder(spec)
        try:
            with self._locked(spec):
                if not self.is_done(spec):
                    self._publish(spec, folder)
                if mirror := Mirror.named():
                    self.path(spec)
                    mirror.send(self.resolver.id(spec), folder)
        except Exception as error:
            if _is_disk_full(error):
                raise DiskFullError(f"disk full while building {folder}; free space and run it again") from error
            raise
        return folder

    def _publish(self, spec: StageSpec, folder: Path) -> None:
        if folder.exists():
            raise ArtifactError(f"{folder} exists without DONE, which epigone never leaves; move it away and run again")
        staging = self.staging(spec)
        staging.mkdir(parents=True, exist_ok=True)
        for leftover in list(staging.rglob("*.partial")):  # a write that was cut off: not a file of the artifact
            shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink(missing_ok=True)
        self._fill(spec, staging)
        folder.parent.mkdir(parents=True, exist_ok=True)
        staging.rename(folder)

    def _fill(self, spec: StageSpec, staging: Path) -> None:
        started = time.monotonic()
        with ProgressFile(staging) as told, listening(told), kept_at(self.root, self.resolver.id(spec)):
            summary = spec.run(self.path, staging)
        summary |= {"wall_seconds": round(time.monotonic() - started, 3), "finished_unix": int(time.time())}
        summary |= {"machine": platform.platform(), "python": platform.python_version(), "num_cpus": os.cpu_count()}
        resolved = self.resolver.resolve(spec)
        # DONE alone waits for the disk: with the sizes in it, a file that a power cut took is found out and told of
        write_json(staging / "spec.json", {"spec": resolved, "epigone": epigone.__version__}, waits=False)
        write_json(staging / "summary.json", summary, waits=False)
        _write_done(staging)

    @contextmanager
    def _locked(self, spec: StageSpec) -> Generator[None, None, None]:
        lock = self.root / ".staging" / (self.resolver.id(spec).replace("/", "--") + ".lock")
        lock.parent.mkdir(parents=True, exist_ok=True)
        with lock.open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield


def _is_disk_full(error: Exception) -> bool:
    """Also where a library (safetensors, polars) wraps the system's error in one of its own."""
    known = (errno.ENOSPC, errno.EDQUOT)
    return getattr(error, "errno", None) in known or any(os.strerror(number) in str(error) for number in known)


def check_sizes(folder: Path) -> None:
    """Raise ArtifactError unless every file of the artifact has the size that DONE says."""
    for name, entry in _done_entries(folder).items():
        file = folder / name
        size = file.stat().st_size if file.exists() else None
        if size != entry["bytes"]:
            found = "is missing" if size is None else f"has {size} bytes"
            raise ArtifactError(
                f"{file} {found}, DONE says {entry['bytes']}; delete {folder} and run the command again"
            )


def verify(folder: Path) -> int:
    """Re-hash every file of an artifact; returns how many. Raises ArtifactError naming the first that differs."""
    check_sizes(folder)
    entries = _done_entries(folder)
    for name, entry in entries.items():
        if _sha256(folder / name) != entry["sha256"]:
            raise ArtifactError(f"{folder / name} is not what DONE says (sha256); delete {folder} and run again")
    return len(entries)


def _done_entries(folder: Path) -> dict[str, dict[str, int | str]]:
    files = _load_json(folder / "DONE").get("files")
    if not isinstance(files, dict):
        raise ArtifactError(f"{folder / 'DONE'} has no list of files; delete {folder} and run the command again")
    return cast(dict[str, dict[str, int | str]], files)


def _write_done(folder: Path) -> None:
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != "DONE")
    entries = {str(p.relative_to(folder)): {"bytes": p.stat().st_size, "sha256": _sha256(p)} for p in files}
    write_json(folder / "DONE", {"files": entries})


def _sha256(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _load_json(path: Path) -> dict[str, object]:
    try:
        value: object = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ArtifactError(
            f"{path} cannot be read ({error}); delete {path.parent} and run the command again"
        ) from error
    if not isinstance(value, dict):
        raise ArtifactError(f"{path} holds no JSON object; delete {path.parent} and run the command again")
    return cast(dict[str, object], value)


def write_json(path: Path, value: object, *, waits: bool = True) -> None:
    """Indented, sorted JSON, written whole or not at all."""
    write_text(path, json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n", waits=waits)


def write_text(path: Path, text: str | bytes, *, waits: bool = True) -> None:
    """A file that appears whole or not at all; it `waits` until the disk has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb") as handle:
        handle.write(text.encode() if isinstance(text, str) else text)
        handle.flush()
        if waits:
            os.fsync(handle.fileno())
    partial.rename(path)


def write_records(path: Path, rows: Iterable[object]) -> int:
    """Dataclass rows as JSON lines, in order; returns how many."""
    with RecordWriter(path) as writer:
        for row in rows:
            writer.write(row)
    return writer.num_rows


class RecordWriter:
    """Dataclass rows as JSON lines, one by one; the file appears whole, once the block is left without an error."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.num_rows = 0
        self._partial = path.with_name(path.name + ".partial")
        self._handle = self._partial.open("w", encoding="utf-8")

    def __enter__(self) -> "RecordWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with self._handle as handle:
            if kind is not None:
                return
            handle.flush()
            os.fsync(handle.fileno())
        self._partial.rename(self.path)

    def write(self, row: object) -> None:
        """Add one row."""
        line = json.dumps(dataclasses.asdict(row), ensure_ascii=False)  # pyright: ignore[reportArgumentType]
        self._handle.write(line + "\n")
        self.num_rows += 1


def read_records(path: Path, cls: type[T]) -> list[T]:
    """The rows of a records file. Raises ArtifactError naming file, row and field."""
    rows: list[T] = []
    try:
        with path.open() as handle:
            for line in handle:
                rows.append(cast(T, decode(cls, json.loads(line))))
    except OSError as error:
        raise ArtifactError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, TypeError, KeyError) as error:
        raise ArtifactError(f"{path}, row {len(rows) + 1}: not a {cls.__name__}: {error}") from error
    return rows


def decode(annotation: object, value: object) -> object:
    """Plain JSON data -> the record that an annotation describes (dataclasses, tuples, dicts of plain values)."""
    if isinstance(annotation, type) and dataclasses.is_dataclass(annotation):
        if not isinstance(value, Mapping):
            raise TypeError(f"{value!r} is not an object")
        hints = _hints(annotation)
        entries = cast(Mapping[str, object], value)
        return annotation(**{k: decode(hints[k], v) for k, v in entries.items()})
    if typing.get_origin(annotation) is tuple and isinstance(value, list):
        args = typing.get_args(annotation)
        items = cast(list[object], value)
        inner = args[:1] * len(items) if len(args) == 2 and args[1] is Ellipsis else args
        return tuple(decode(a, v) for a, v in zip(inner, items, strict=True))
    if isinstance(annotation, types.UnionType) and value is not None:
        return decode(typing.get_args(annotation)[0], value)
    if typing.get_origin(annotation) is dict and isinstance(value, Mapping):
        inside: object = typing.get_args(annotation)[1]
        return {key: decode(inside, v) for key, v in cast(Mapping[str, object], value).items()}
    return value


def read_record(path: Path, cls: type[T]) -> T:
    """One record from a JSON file. Raises ArtifactError."""
    try:
        return cast(T, decode(cls, _load_json(path)))
    except (TypeError, KeyError, ValueError) as error:
        raise ArtifactError(f"{path} is not a {cls.__name__}: {error}; delete {path.parent} and run again") from error


_HINTS: dict[type, dict[str, object]] = {}


def _hints(cls: type) -> dict[str, object]:
    if cls not in _HINTS:
        _HINTS[cls] = typing.get_type_hints(cls)
    return _HINTS[cls]


def read_summary(folder: Path) -> dict[str, object]:
    """An artifact's counts."""
    return _load_json(folder / "summary.json")
