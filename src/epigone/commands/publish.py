"""What `epigone publish` does: show what of a checkpoint would go to a model hub, warn of its terms, send it there.

In: a checkpoint's folder with its card, the hub's name for it. Out: files, sizes, warnings and the card; without
--dry-run, the files on the hub, by the token in HF_TOKEN. What tells of this machine (spec.json, summary.json, logs)
stays here. Source: https://huggingface.co/docs/huggingface_hub/guides/upload
"""

import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError
from rich.console import Console
from rich.markdown import Markdown

from epigone.errors import ArtifactError, SpecError, WorkError
from epigone.reporting.provenance import licence_of, lineage, warnings

CARD = "README.md"
_STAY = {"DONE", "spec.json", "summary.json", "train_log.jsonl"}


@dataclass(frozen=True)
class Parcel:
    """What would go to the hub."""

    folder: Path
    repo: str
    files: Sequence[tuple[str, int]]
    """Name within the folder, and bytes."""
    warnings: Sequence[str]
    card: str

    def plain(self) -> dict[str, object]:
        """As JSON."""
        files = [{"file": name, "bytes": size} for name, size in self.files]
        return {"repo": self.repo, "files": files, "warnings": list(self.warnings), "card": self.card}


def run_publish(folder: Path, repo: str, *, dry_run: bool, private: bool, quiet: bool = False) -> dict[str, object]:
    """Show, and without `dry_run` send.

    Raises SpecError, ArtifactError for what cannot be sent, WorkError where the hub refuses.
    """
    parcel = pack(folder, repo)
    if not quiet:
        _show(parcel)
    if not dry_run:
        send(parcel, _api(), private=private)
    return parcel.plain() | {"sent": not dry_run}


def pack(folder: Path, repo: str) -> Parcel:
    """What of a checkpoint would go to the hub.

    Raises SpecError for a name that no hub takes, ArtifactError for a folder that is no checkpoint or has no card.
    """
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repo):
        raise SpecError(f"{repo!r} is no name of a repository; write OWNER/NAME")
    if not (folder / "config.json").is_file():
        raise ArtifactError(f"{folder} is no checkpoint: it has no config.json; give runs/checkpoints/NAME--HASH")
    if not (folder / CARD).is_file():
        raise ArtifactError(f"{folder} has no {CARD}; nothing is published without a card: train it anew, or write one")
    paths = sorted(p for p in folder.rglob("*") if p.is_file() and p.name not in _STAY and p.suffix != ".partial")
    files = [(str(path.relative_to(folder)), path.stat().st_size) for path in paths]
    card = (folder / CARD).read_text(encoding="utf-8")
    return Parcel(folder, repo, files, _warnings(folder, card), card)


def send(parcel: Parcel, api: HfApi, *, private: bool) -> None:
    """Create the repository unless it is there, and upload. Raises WorkError with what the hub said."""
    try:
        api.create_repo(parcel.repo, private=private, exist_ok=True)
        names = [name for name, _ in parcel.files]
        api.upload_folder(repo_id=parcel.repo, folder_path=parcel.folder, allow_patterns=names)
    except (HfHubHTTPError, OSError) as error:
        raise WorkError(f"{parcel.repo}: the hub did not take it: {error}") from error


def _warnings(folder: Path, card: str) -> list[str]:
    if not (folder / "spec.json").is_file():  # not made here: its own card has to say it
        return warnings([], licence_of(folder))
    told = card.partition("\n## Terms\n")[2]
    found = [line.removeprefix("- ") for line in told.splitlines() if line.startswith("- ")]
    return found or warnings(lineage([folder]), licence_of(folder))


def _api() -> HfApi:
    token = os.environ.get("HF_TOKEN")
    if not token:
        raise SpecError("publishing needs a token: set HF_TOKEN, or add --dry-run to see what would be sent")
    return HfApi(token=token)


def _show(parcel: Parcel) -> None:
    console = Console(file=sys.stderr, highlight=False)
    console.print(f"{parcel.folder} -> {parcel.repo}")
    for name, size in parcel.files:
        console.print(f"  {size:>15,} bytes  {name}")
    for text in parcel.warnings:
        console.print(f"warning: {text}", style="yellow")
    console.rule("README.md")
    console.print(Markdown(parcel.card.partition("\n---\n")[2] or parcel.card))
