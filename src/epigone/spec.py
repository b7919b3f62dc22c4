"""Specifications: what to run, as frozen dataclasses that hold one another.

A stage's fields are its options and its inputs. An input is another stage (the DAG is the nesting), an `Input` (a file,
inside an artifact or in the file system), or an `Artifact` named by id. From that follow the resolved spec, the
artifact's id and the order of work. In: dataclasses or JSON. Out: plain dicts and ids. See docs/decisions/0002.
"""

import dataclasses
import hashlib
import json
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeGuard, cast

from epigone import discover
from epigone.errors import SpecError
from epigone.interfaces import StageSpec
from epigone.streams import url_of

Plain = None | bool | int | float | str | list[object] | dict[str, object]


@dataclass(frozen=True)
class Artifact:
    """A finished artifact, named by its id (`checkpoints/w64--1a2b3c4d`)."""

    id: str


Source = StageSpec | Artifact


@dataclass(frozen=True)
class Input:
    """A file or folder that a stage reads: `path` inside the artifact `of`, or in the file system."""

    path: str
    of: StageSpec | Artifact | None = None


@dataclass(frozen=True)
class Component:
    """A component of `folder` by name with its options; options may be Inputs, stages or further Components."""

    folder: str
    name: str
    options: tuple[tuple[str, object], ...] = ()

    @classmethod
    def of(cls, folder: str, name: str, **options: object) -> "Component":
        """Checks the name and the options at once, so that a typo is found before anything runs."""
        allowed = {f.name for f in dataclasses.fields(discover.find(folder, name)) if f.init}
        for option in options:
            if option not in allowed:
                raise SpecError(f"{folder}/{name} has no option {option!r}; it has: {', '.join(sorted(allowed))}")
        return cls(folder, name, tuple(sorted(options.items())))

    def shaping(self) -> list[tuple[str, object]]:
        """The options that shape what the component does: not those with `compare=False`, such as a budget."""
        fields = dataclasses.fields(discover.find(self.folder, self.name))
        return [(name, value) for name, value in self.options if name not in {f.name for f in fields if not f.compare}]

    def make(self, paths: Callable[[object], Path]) -> object:
        """The component itself; Inputs and stages among the options become paths in text form."""
        return discover.make(self.folder, self.name, {k: _made(v, paths) for k, v in self.options})


def _made(value: object, paths: Callable[[object], Path]) -> object:
    if isinstance(value, Component):
        return value.make(paths)
    if isinstance(value, Input | Artifact) or is_stage(value):
        return str(paths(value))
    if isinstance(value, tuple):
        return tuple(_made(part, paths) for part in cast(tuple[object, ...], value))
    return value


def is_stage(value: object) -> TypeGuard[StageSpec]:
    """Whether a value is a stage's spec."""
    return dataclasses.is_dataclass(value) and not isinstance(value, type) and hasattr(value, "kind")


class Resolver:
    """Computes resolved specs and ids, each once. Holds on to what it has seen, so `id()` keys stay valid."""

    def __init__(self) -> None:
        self._ids: dict[int, tuple[object, str]] = {}
        self._hashes: dict[tuple[str, int, int], str] = {}

    def id(self, spec: Source) -> str:
        """`kind/slug--hash8`; the hash covers the resolved spec, the ids of the inputs and the stage's version."""
        if isinstance(spec, Artifact):
            return spec.id
        if id(spec) not in self._ids:
            digest = hashlib.sha256(canonical_json(self.resolve(spec)).encode()).hexdigest()[:8]
            self._ids[id(spec)] = (spec, f"{spec.kind}/{spec.slug}--{digest}")
        return self._ids[id(spec)][1]

    def resolve(self, spec: StageSpec) -> dict[str, object]:
        """The spec as plain data, inputs replaced by their ids (files by path and sha256)."""
        head: dict[str, object] = {"stage": type(spec).__module__.rpartition(".")[2], "version": spec.version}
        return head | {f.name: self._plain(getattr(spec, f.name)) for f in _fields(spec)}

    def written(self, spec: StageSpec) -> dict[str, object]:
        """The spec as a file that `read_stage` takes: inputs by their ids, and what shapes nothing too (budgets)."""
        own = dataclasses.fields(spec)  # pyright: ignore[reportArgumentType]
        return {f.name: self._plain(getattr(spec, f.name), whole=True) for f in own if f.init}

    def _plain(self, value: object, *, whole: bool = False) -> Plain:
        if value is None or isinstance(value, bool | int | float | str):
            return value
        if isinstance(value, Artifact) or is_stage(value):
            return {"artifact": self.id(value)}
        if isinstance(value, Input):
            return self._plain_input(value)
        if isinstance(value, Component):
            options = value.options if whole else value.shaping()
            return {"folder": value.folder, "name": value.name, "options": self._plain(options, whole=whole)}
        if dataclasses.is_dataclass(value):
            own = dataclasses.fields(value) if whole else _fields(value)
            return {f.name: self._plain(getattr(value, f.name), whole=whole) for f in own}
        if isinstance(value, Mapping):
            return {str(k): self._plain(v, whole=whole) for k, v in cast(Mapping[object, object], value).items()}
        if isinstance(value, Sequence):
            return [self._plain(v, whole=whole) for v in cast(Sequence[object], value)]
        raise SpecError(
            f"a spec cannot hold {value!r} ({type(value).__name__}); use numbers, text, tuples, dataclasses"
        )

    def _plain_input(self, value: Input) -> Plain:
        if value.of is not None:
            return {"artifact": self.id(value.of), "path": value.path}
        return {"file": value.path, "sha256": self._sha256(Path(value.path))}

    def _sha256(self, path: Path) -> str:
        if url := url_of(path):
            return hashlib.sha256(url.encode()).hexdigest()  # what lies behind an address is not read to name it
        files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
        digest = hashlib.sha256()
        for file in files:
            try:
                stat = file.stat()
                key = (str(file), stat.st_size, stat.st_mtime_ns)
                if key not in self._hashes:
                    with file.open("rb") as handle:
                        self._hashes[key] = hashlib.file_digest(handle, "sha256").hexdigest()
            except OSError as error:
                raise SpecError(
                    f"cannot read input {path}: {error.strerror}; give the path of an existing file"
                ) from error
            digest.update(f"{file.relative_to(path)} {self._hashes[key]}\n".encode())
        return digest.hexdigest()


def _fields(value: object) -> list["dataclasses.Field[object]"]:
    """The fields that shape what a spec makes: `field(compare=False)` says that one does not (docs/decisions/0016).

    A field that came later and has its default is left out too, so that older ids stay (docs/decisions/0025).
    """
    fields = [f for f in dataclasses.fields(value) if f.compare]  # pyright: ignore[reportArgumentType]
    return [f for f in fields if not ("left_out_at_default" in f.metadata and getattr(value, f.name) == f.default)]


def canonical_json(value: object) -> str:
    """One text for one value: sorted keys, no blanks."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def inputs_of(value: object) -> Iterator[StageSpec]:
    """The stages that a spec (or any value in it) reads directly."""
    for part in parts_of(value):
        if is_stage(part):
            yield part
        else:
            yield from inputs_of(part)


def parts_of(value: object) -> Iterator[object]:
    """What a dataclass, a mapping or a sequence holds directly."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        yield from (getattr(value, f.name) for f in _fields(value))
    elif isinstance(value, Mapping):
        yield from cast(Mapping[object, object], value).values()
    elif isinstance(value, tuple | list):
        yield from cast(Sequence[object], value)


def in_order(targets: Sequence[StageSpec], resolver: Resolver) -> list[StageSpec]:
    """Every stage needed for the targets, inputs before those who read them, each artifact once."""
    seen: dict[str, StageSpec] = {}

    def visit(spec: StageSpec) -> None:
        key = resolver.id(spec)
        if key not in seen:
            for source in inputs_of(spec):
                visit(source)
            seen[key] = spec

    for target in targets:
        visit(target)
    return list(seen.values())


def read_stage(path: Path, verb: str) -> StageSpec:
    """A stage's spec from a JSON file. Raises SpecError naming file, field, value and what was allowed."""
    try:
        plain: object = json.loads(path.read_text())
    except OSError as error:
        raise SpecError(f"cannot read spec {path}: {error.strerror}") from error
    except json.JSONDecodeError as error:
        raise SpecError(f"{path}, line {error.lineno}: not JSON: {error.msg}") from error
    spec = build(discover.find("stages", verb), plain, str(path))
    if not is_stage(spec):
        raise SpecError(f"{path}: {verb!r} is no stage")
    return spec


def build(cls: object, plain: object, where: str) -> object:
    """Plain data -> the dataclass `cls`, checked field by field against its annotations."""
    if isinstance(plain, dict):
        entries = {str(k): v for k, v in cast(dict[object, object], plain).items()}
        special = _special(entries, where)
        if special is not None:
            return special
        members = typing.get_args(cls) if isinstance(cls, types.UnionType) else (cls,)
        fitting = [m for m in members if isinstance(m, type) and dataclasses.is_dataclass(m)]
        return _build_dataclass(cast(type, fitting[0]), entries, where) if fitting else entries
    return _build_value(cls, plain, where)


def _special(entries: dict[str, object], where: str) -> object | None:
    if "stage" in entries:
        fields = {k: v for k, v in entries.items() if k not in ("stage", "version")}
        return build(discover.find("stages", str(entries["stage"])), fields, where)
    if set(entries) == {"artifact"}:
        return Artifact(str(entries["artifact"]))
    if set(entries) == {"artifact", "path"}:
        return Input(str(entries["path"]), Artifact(str(entries["artifact"])))
    if "file" in entries:
        return Input(str(entries["file"]))
    if "folder" in entries and "name" in entries:
        options = cast(Sequence[Sequence[object]], entries.get("options", []))
        made = {str(key): build(object, value, f"{where}.{key}") for key, value in options}
        return Component.of(str(entries["folder"]), str(entries["name"]), **made)
    return None


def _build_dataclass(cls: type, entries: dict[str, object], where: str) -> object:
    hints = typing.get_type_hints(cls)
    allowed = [f.name for f in dataclasses.fields(cls) if f.init]
    for key in entries:
        if key not in allowed:
            raise SpecError(f"{where}: {cls.__name__} has no field {key!r}; it has: {', '.join(allowed)}")
    values = {k: build(hints[k], v, f"{where}.{k}") for k, v in entries.items()}
    try:
        return cls(**values)
    except TypeError as error:
        raise SpecError(f"{where}: {error}") from error


def _build_value(annotation: object, plain: object, where: str) -> object:
    if isinstance(plain, list):
        values = cast(list[object], plain)
        return tuple(
            build(inner, v, f"{where}[{i}]") for i, (inner, v) in enumerate(zip(_inside(annotation, values), values))
        )
    allowed = _scalar_types(annotation)
    if allowed and not isinstance(plain, allowed) and not (float in allowed and isinstance(plain, int)):
        wanted = " or ".join(t.__name__ for t in allowed)
        raise SpecError(f"{where}: {plain!r} is a {type(plain).__name__}; allowed: {wanted}")
    choices = typing.get_args(annotation) if typing.get_origin(annotation) is typing.Literal else ()
    if choices and plain not in choices:
        raise SpecError(f"{where}: {plain!r} is not among {', '.join(map(str, choices))}")
    return plain


def _inside(annotation: object, values: list[object]) -> list[object]:
    """The annotation of each value in a sequence."""
    args = typing.get_args(annotation)
    if typing.get_origin(annotation) is tuple and args[1:] != (Ellipsis,) and len(args) == len(values):
        return list(args)
    return [args[0] if args else object] * len(values)


def _scalar_types(annotation: object) -> tuple[type, ...]:
    members = typing.get_args(annotation) if isinstance(annotation, types.UnionType) else (annotation,)
    scalars = tuple(m for m in members if m in (int, float, str, bool, types.NoneType))
    return cast(tuple[type, ...], scalars) if len(scalars) == len(members) else ()
