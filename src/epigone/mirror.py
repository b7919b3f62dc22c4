"""An object store behind the artifacts' root: what is built is sent there, what is not here is fetched from there.

    EPIGONE_MIRROR=s3://bucket/runs       any URL that fsspec knows, with the package for its service (s3fs, gcsfs)

In: an artifact's id and its folder. Out: the folder whole, or copies of its files. DONE goes last and is looked for
first, so that an artifact is whole there or not there; every file that is fetched must have the size and the hash that
DONE says. Machines without a shared folder share their artifacts so: each has a root of its own.
"""

import hashlib
import importlib
import json
import os
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, cast

from epigone.errors import ArtifactError, SpecError

VARIABLE = "EPIGONE_MIRROR"
DONE = "DONE"


@dataclass(frozen=True)
class Mirror:
    """The place that a URL names."""

    url: str

    @staticmethod
    def named() -> "Mirror | None":
        """That of the environment, if it names one."""
        url = os.environ.get(VARIABLE, "").rstrip("/")
        return Mirror(url) if url else None

    def has(self, artifact_id: str) -> bool:
        """Whether an artifact is whole there. Raises SpecError where there is no such place."""
        return bool(self._files.exists(self._at(artifact_id, DONE)))

    def spec(self, artifact_id: str) -> object:
        """What an artifact there was built from."""
        return cast(dict[str, object], json.loads(self._read(artifact_id, "spec.json"))).get("spec")

    def fetch(self, artifact_id: str, folder: Path, scratch: Path) -> None:
        """A copy of an artifact in its folder, whole at once. Raises ArtifactError where it is not what DONE says."""
        listing = json.loads(self._read(artifact_id, DONE))
        partial = scratch / f"fetched-{uuid.uuid4().hex}"
        try:
            for name, entry in cast(dict[str, dict[str, object]], listing["files"]).items():
                self._fetch_file(artifact_id, name, entry, partial)
            (partial / DONE).write_text(json.dumps(listing, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
            folder.parent.mkdir(parents=True, exist_ok=True)
            if not (folder / DONE).exists():  # else another process was faster
                partial.rename(folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def send(self, artifact_id: str, folder: Path) -> None:
        """Copies of an artifact's files, DONE last; nothing where it is there already."""
        if self.has(artifact_id):
            return
        names = json.loads((folder / DONE).read_text())["files"]
        for name in (*names, DONE):
            target = self._at(artifact_id, name)
            self._files.makedirs(target.rpartition("/")[0], exist_ok=True)
            self._files.put_file(str(folder / name), target)

    def _fetch_file(self, artifact_id: str, name: str, entry: dict[str, object], into: Path) -> None:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts:  # a listing is data that others wrote
            raise ArtifactError(f"{self.url}/{artifact_id}/{DONE} names {name!r}, which is no file of an artifact")
        target = into / path
        target.parent.mkdir(parents=True, exist_ok=True)
        self._files.get_file(self._at(artifact_id, name), str(target))
        with target.open("rb") as handle:
            digest = hashlib.file_digest(handle, "sha256").hexdigest()
        if (target.stat().st_size, digest) != (entry["bytes"], entry["sha256"]):
            raise ArtifactError(
                f"{self.url}/{artifact_id}/{name} is not what {DONE} says; "
                f"delete {self.url}/{artifact_id} and run again"
            )

    def _read(self, artifact_id: str, name: str) -> bytes:
        return bytes(self._files.cat_file(self._at(artifact_id, name)))

    def _at(self, artifact_id: str, name: str) -> str:
        return f"{self._root}/{artifact_id}/{name}"

    @property
    def _root(self) -> str:
        return str(self._files._strip_protocol(self.url)).rstrip("/")

    @property
    def _files(self) -> Any:
        """fsspec's file system of the URL; it keeps its instances. Slow to import, and seldom needed."""
        try:
            return importlib.import_module("fsspec.core").url_to_fs(self.url)[0]
        except (ValueError, ImportError) as error:
            raise SpecError(
                f"{VARIABLE}={self.url}: {error}; name a place that fsspec knows, e.g. s3://bucket/runs"
            ) from error
