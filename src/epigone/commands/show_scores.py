"""Scored items as a person reads them: what was asked, token for token, what came back, how it was read and scored.

In: a `scores/` artifact and rows. Out: text, or one item as plain data. The token ids are those that were given to the
model when it was asked; a model behind a server keeps its own to itself, and none are shown.
"""

import json
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from rich.console import Console

from epigone.errors import ArtifactError
from epigone.store import read_summary


def is_scores(folder: Path) -> bool:
    """Whether an artifact holds the scores of a benchmark's items."""
    return (folder / "records.jsonl").exists() and "protocol" in read_summary(folder)


def item_as_json(folder: Path, row: int) -> dict[str, object]:
    """One item as plain data: its score, and the token ids of what was asked. Raises ArtifactError."""
    found = next(_items(folder, [row]), None)
    if found is None:
        raise ArtifactError(f"{folder} has {read_summary(folder)['num_items']} items; there is no row {row} (from 0)")
    return {"row": row, **found}


def show_items(folder: Path, rows: Sequence[int], console: Console) -> None:
    """Print items. Raises ArtifactError where a single row that is asked for does not exist."""
    if len(rows) == 1:
        item_as_json(folder, rows[0])
    for item in _items(folder, rows):
        console.rule(f"item {item['item_id']} {item['group']}".rstrip(), style="bright_black")
        _print(console, "prompt", str(item["prompt"]))
        for asked in item["tokens"] if isinstance(item["tokens"], list) else []:
            _print(console, f"its {len(asked['prompt'])} tokens", " ".join(map(str, asked["prompt"])))
            for tail in asked["continuations"]:
                _print(console, "scored behind it", " ".join(map(str, tail)))
        _print(console, "reply", str(item["reply"]))
        _print(console, "read as", str(item["parsed"]))
        _print(console, "scores", ", ".join(f"{k} {v:.4g}" for k, v in dict(item["metrics"]).items()))  # pyright: ignore


def _print(console: Console, what: str, text: str) -> None:
    console.print(what, style="bold", end="  ")
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def _items(folder: Path, rows: Sequence[int]) -> Iterator[dict[str, object]]:
    with (folder / "records.jsonl").open(encoding="utf-8") as handle:
        lines = list(islice(handle, min(rows), max(rows) + 1)) if rows else []
    found = [json.loads(lines[row - min(rows)]) for row in rows if row - min(rows) < len(lines)]
    tokens: dict[str, list[dict[str, object]]] = {item["item_id"]: [] for item in found}
    names = [json.dumps(item_id, ensure_ascii=False) for item_id in tokens]
    if (folder / "tokens.jsonl").exists():
        with (folder / "tokens.jsonl").open(encoding="utf-8") as handle:
            for line in handle:
                if any(line.startswith(f'{{"item_id": {name},') for name in names):
                    asked = json.loads(line)
                    tokens[asked.pop("item_id")].append(asked)
    return ({**item, "tokens": tokens[item["item_id"]]} for item in found)
