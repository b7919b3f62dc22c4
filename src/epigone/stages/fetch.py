"""fetch: a checkpoint on the model hub -> a checkpoint here, so that what is made from it names its content.

In: hf://OWNER/NAME, or hf://OWNER/NAME@REVISION. Out: `checkpoints/`: weights, config and tokenizer as published; where
the hub's cache lies on the same file system, the weights are there once (hard links). Source: `models.hub`.
"""

import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from epigone.errors import SpecError
from epigone.models.hub import SCHEME, here


@dataclass(frozen=True)
class Fetch:
    """Options of a download."""

    source: str
    """hf://OWNER/NAME or hf://OWNER/NAME@REVISION; without a revision what the hub has at the first run."""

    kind: ClassVar[str] = "checkpoints"
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if not self.source.startswith(SCHEME):
            raise SpecError(f"{self.source!r} is not on the hub; write hf://OWNER/NAME, or give the folder itself")

    @property
    def slug(self) -> str:
        """The model's name, and its revision."""
        return re.sub(r"[^A-Za-z0-9.]+", "-", self.source.rpartition("/")[2]).strip("-")

    @property
    def effort(self) -> float:
        """Seconds, roughly: it waits for the network."""
        return 60.0

    def run(self, inputs: Callable[[object], Path], out: Path) -> dict[str, object]:
        """Fetch what is missing. Raises SpecError for a name that is none, WorkError where it cannot be fetched."""
        folder, num_bytes = here(self.source), 0
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            target = out / file.relative_to(folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)
            _link(file.resolve(), target)
            num_bytes += target.stat().st_size
        # the cache names the folder of a snapshot after its commit
        return {"source": self.source, "commit": folder.name, "num_bytes": num_bytes}


def _link(file: Path, target: Path) -> None:
    try:
        os.link(file, target)
    except OSError:  # another file system, or one without links
        shutil.copyfile(file, target)
