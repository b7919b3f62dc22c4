"""What `epigone list` and `epigone gc` do: the artifacts under a root, what needs them, and what nothing needs.

In: a root. Out: plain values for --json; a table for people. An artifact needs those that its spec.json names; studies
are what artifacts are kept for. Only whole artifacts (with DONE) count: what is being built is left alone.
"""

import fnmatch
import json
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from rich.console import Console
from rich.table import Table

from epigone.errors import ArtifactError, SpecError

STUDIES = "studies"
MIB = 2**20
DAY_SECONDS = 86_400


@dataclass(frozen=True)
class Found:
    """One artifact on disk."""

    id: str
    num_bytes: int
    age_seconds: float | int
    needs: frozenset[str]
    """Ids of the artifacts that its spec names."""


def found_under(root: Path, now: float | int) -> list[Found]:
    """Every whole artifact, by id. Raises SpecError where there is no root, ArtifactError for a broken spec.json."""
    if not root.is_dir():
        raise SpecError(f"there is no folder {root}; give the root of the artifacts with --root")
    return [_read(done.parent, now) for done in sorted(root.glob("*/*/DONE"))]


def needed_by(artifacts: Sequence[Found]) -> dict[str, list[str]]:
    """By id, the artifacts that name it."""
    users: dict[str, list[str]] = {artifact.id: [] for artifact in artifacts}
    for artifact in artifacts:
        for need in artifact.needs & users.keys():
            users[need].append(artifact.id)
    return users


def unneeded(artifacts: Sequence[Found], keep: Sequence[str]) -> list[Found]:
    """What neither a study, nor an artifact that a glob of `keep` fits, needs over however many steps.

    Raises SpecError for a glob that fits nothing.
    """
    for glob in keep:
        if not any(_fits(artifact, glob) for artifact in artifacts):
            raise SpecError(f"--keep {glob} fits no artifact; epigone list names them")
    by_id = {artifact.id: artifact for artifact in artifacts}
    open_ids = [a.id for a in artifacts if a.id.startswith(f"{STUDIES}/") or any(_fits(a, glob) for glob in keep)]
    kept: set[str] = set()
    while open_ids:
        if (id_ := open_ids.pop()) not in kept and id_ in by_id:
            kept.add(id_)
            open_ids += by_id[id_].needs
    return [artifact for artifact in artifacts if artifact.id not in kept]


def run_list(root: Path, *, quiet: bool) -> dict[str, object]:
    """Show every artifact. Raises EpigoneError."""
    artifacts = found_under(root, time.time())
    users = needed_by(artifacts)
    table = Table("artifact", "MiB", "days old", "needed by", box=None)
    for artifact in artifacts:
        own = users[artifact.id]
        more = f" and {len(own) - 1} more" if len(own) > 1 else ""
        table.add_row(*_told(artifact), f"{own[0]}{more}" if own else "")
    console = Console(quiet=quiet, width=None if Console().is_terminal else 200)
    console.print(table)
    console.print(f"{len(artifacts)} artifacts, {_mib(artifacts)} MiB", highlight=False)
    rows = [_plain(artifact) | {"needed_by": users[artifact.id]} for artifact in artifacts]
    return {"artifacts": rows}


def run_gc(root: Path, keep: Sequence[str], *, delete: bool, quiet: bool) -> dict[str, object]:
    """Show, or delete, what nothing that is kept needs. Raises EpigoneError."""
    artifacts = unneeded(found_under(root, time.time()), keep)
    table = Table("artifact", "MiB", "days old", box=None)
    for artifact in artifacts:
        table.add_row(*_told(artifact))
        if delete:
            _remove(root / artifact.id)
    console = Console(quiet=quiet, width=None if Console().is_terminal else 200)
    console.print(table)
    done = "deleted" if delete else "would be deleted; --delete does it"
    console.print(f"{len(artifacts)} artifacts, {_mib(artifacts)} MiB: {done}", highlight=False)
    return {"is_deleted": delete, "artifacts": [_plain(artifact) for artifact in artifacts]}


def _read(folder: Path, now: float | int) -> Found:
    try:
        spec: object = json.loads((folder / "spec.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{folder / 'spec.json'} cannot be read ({error}); move the artifact away") from error
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    age = max(0, now - (folder / "DONE").stat().st_mtime)
    return Found(f"{folder.parent.name}/{folder.name}", size, age, frozenset(_named(spec)))


def _named(value: object) -> Iterator[str]:
    """Every artifact that a resolved spec names."""
    if isinstance(value, Mapping):
        for key, part in cast(Mapping[str, object], value).items():
            if key == "artifact" and isinstance(part, str):
                yield part
            else:
                yield from _named(part)
    elif isinstance(value, list):
        for part in cast(list[object], value):
            yield from _named(part)


def _remove(folder: Path) -> None:
    """DONE goes first: what is left of a deletion that was cut off is no artifact."""
    (folder / "DONE").unlink()
    shutil.rmtree(folder)


def _fits(artifact: Found, glob: str) -> bool:
    return any(fnmatch.fnmatchcase(name, glob) for name in (artifact.id, artifact.id.partition("/")[2]))


def _told(artifact: Found) -> tuple[str, str, str]:
    return artifact.id, f"{artifact.num_bytes / MIB:.1f}", f"{artifact.age_seconds / DAY_SECONDS:.1f}"


def _mib(artifacts: Sequence[Found]) -> str:
    return f"{sum(artifact.num_bytes for artifact in artifacts) / MIB:,.1f}"


def _plain(artifact: Found) -> dict[str, object]:
    kind, _, name = artifact.id.partition("/")
    return {
        "id": artifact.id,
        "kind": kind,
        "name": name,
        "num_bytes": artifact.num_bytes,
        "age_seconds": round(artifact.age_seconds),
    }
