"""What `epigone show` does: an artifact's spec and counts, and what is in it in the form that its kind is read in.

In: an artifact's folder. Out: text for people, or one JSON object.
"""

import json
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from rich.console import Console

from epigone.commands import show_datasets
from epigone.commands.show_blocks import block_as_json, is_blocks, show_blocks
from epigone.commands.show_scores import is_scores, item_as_json, show_items
from epigone.commands.show_web import show_web
from epigone.errors import ArtifactError, SpecError


def show_artifact(
    folder: Path,
    *,
    num_rows: int,
    skip: int,
    row: int | None = None,
    reason: str = "",
    by_page: bool = False,
    web: bool = False,
    port: int = 0,
    as_json: bool = False,
) -> None:
    """Print an artifact's spec, counts and some records; of blocks or scores, one alone; of a dataset, kept beside
    dropped. With `web`, serve its pages instead, which needs no DONE.

    Raises ArtifactError where there is no artifact, SpecError for an option that does not fit its kind.
    """
    if web:
        show_web(folder, port)
        return
    if not (folder / "DONE").exists():
        raise ArtifactError(f"{folder} is no artifact (no DONE file); give a folder such as runs/scores/NAME--HASH")
    is_dataset = (folder / "records.parquet").exists()
    if (reason or by_page) and not is_dataset:
        raise SpecError(f"--reason and --by-page are for datasets; {folder} is none")
    if row is not None:
        _show_one(folder, row, as_json)
        return
    parts = {name: json.loads((folder / f"{name}.json").read_text()) for name in ("spec", "summary")}
    if is_dataset:
        _show_dataset(parts, show_datasets.pages(folder, num_rows, skip, reason), by_page, as_json)
    else:
        _show_records(folder, parts, range(skip, skip + num_rows), as_json)


def _show_records(folder: Path, parts: dict[str, object], rows: range, as_json: bool) -> None:
    records = _records(folder, rows)
    if as_json:
        sys.stdout.write(json.dumps(parts | {"records": records}) + "\n")
        return
    console = Console()
    console.print_json(json.dumps(parts))
    if is_scores(folder):
        show_items(folder, rows, console)
        return
    for record in records:
        console.rule()
        console.print_json(json.dumps(record))
    if is_blocks(folder):
        show_blocks(folder, rows, console)


def _show_one(folder: Path, row: int, as_json: bool) -> None:
    as_plain, show = (item_as_json, show_items) if is_scores(folder) else (block_as_json, show_blocks)
    if as_json:
        sys.stdout.write(json.dumps(as_plain(folder, row), ensure_ascii=False) + "\n")
    else:
        show(folder, [row], Console(highlight=False))


def _show_dataset(parts: dict[str, object], found: Iterator[show_datasets.Page], by_page: bool, as_json: bool) -> None:
    """The first page, or every page up to the one after which the reader says q."""
    if as_json:
        page = next(found, show_datasets.Page([], []))
        sys.stdout.write(json.dumps(parts | show_datasets.plain(page)) + "\n")
        return
    console = Console()
    console.print_json(json.dumps(parts))
    for page in found if by_page else islice(found, 1):
        show_datasets.show(page, console)
        if by_page and console.is_terminal and console.input("Enter: next page, q: end ").strip() == "q":
            return


def _records(folder: Path, rows: range) -> list[object]:
    path = folder / "records.jsonl"
    if not path.exists():
        return []
    with path.open() as handle:
        return [json.loads(line) for line in islice(handle, rows.start, rows.stop)]
