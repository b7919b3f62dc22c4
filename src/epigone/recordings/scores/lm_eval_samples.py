"""lm-evaluation-harness, item by item: samples_TASK_DATE.jsonl {"doc_id", "doc", "resps", "filter", "metrics", ...}.

In: such a file, in the folder that the harness names after the model (with / written __). Out: one ScoreSheet a filter
and metric, and a Drop an item and metric that holds no number. Two runs share a protocol where task, filter, metric and
the hashes of all documents and prompts are the same.
Source: https://github.com/EleutherAI/lm-evaluation-harness (evaluation_tracker.py and evaluator.py).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from epigone.metrics.answers import protocol_id
from epigone.records import Drop, Score, ScoreSheet
from epigone.rows import bare_name, beginning, finite, identity, read_array_or_rows, shown

_NAMED = re.compile(r"samples_(?P<task>.+?)(?:_\d{4}-\d{2}-\d{2}T[\d.:+-]+)?")
_FIELDS = ("doc_id", "doc", "target", "arguments", "resps", "filtered_resps", "filter", "metrics")


@dataclass
class _Sheet:
    """One filter and metric while its rows are read."""

    scores: dict[str, Score] = field(default_factory=dict[str, Score])
    hashes: list[str] = field(default_factory=list[str])


@dataclass(frozen=True)
class LMEvalSamples:
    """Reads logged samples; task and model come from the names of file and folder."""

    def fits(self, path: Path) -> bool:
        """Rows with doc_id and resps."""
        names = beginning(path).keys()
        return "doc_id" in names and bool({"resps", "filtered_resps"} & names)

    def read(self, path: Path) -> Iterator[ScoreSheet | Drop]:
        """Drops in file order, then the sheets. Raises DataError where a line is no JSON object."""
        sheets: dict[tuple[str, str], _Sheet] = {}
        for number, row in read_array_or_rows(path):
            item_id = identity(row.get("doc_id")) or identity(row.get("doc_hash")) or f"row-{number}"
            metrics = _metrics(row)
            if not metrics:
                yield Drop(item_id, "no metrics", f"row {number}: metrics is {shown(row.get('metrics'))}")
            for metric in metrics:
                sheet = sheets.setdefault((identity(row.get("filter")) or "none", metric), _Sheet())
                sheet.hashes.append(_hash(row, item_id))
                if drop := _unusable(row, metric, item_id, sheet):
                    yield drop
                else:
                    value = _value(row.get(metric))
                    assert value is not None
                    sheet.scores[item_id] = Score(item_id, {metric: value}, _prompt(row), _reply(row))
        named = _NAMED.fullmatch(bare_name(path))
        task, model = named["task"] if named else bare_name(path), path.absolute().parent.name.replace("__", "/")
        for (filtered, metric), sheet in sheets.items():
            if sheet.scores:
                protocol = protocol_id(f"lm-eval-{task}-{filtered}-{metric}", prompts=sorted(sheet.hashes))
                benchmark = task if filtered == "none" else f"{task} ({filtered})"
                yield ScoreSheet(model, benchmark, metric, protocol, tuple(sheet.scores.values()))


def _metrics(row: dict[str, object]) -> list[str]:
    """The row's metrics, each once; where an older row does not list them, its other fields that are numbers."""
    listed = row.get("metrics")
    if isinstance(listed, list):
        return list(dict.fromkeys(name for name in listed if isinstance(name, str) and name))
    return [name for name, value in row.items() if name not in _FIELDS and _value(value) is not None]


def _unusable(row: dict[str, object], metric: str, item_id: str, sheet: _Sheet) -> Drop | None:
    if _value(row.get(metric)) is None:
        return Drop(item_id, "no number", f"{metric} is {shown(row.get(metric))}")
    if item_id in sheet.scores:
        return Drop(item_id, "item scored twice", metric)
    return None


def _value(value: object) -> float | None:
    return float(value) if isinstance(value, bool) else finite(value)


def _hash(row: dict[str, object], item_id: str) -> str:
    """What the item and its prompt were."""
    return (identity(row.get("doc_hash")) or item_id) + identity(row.get("prompt_hash"))


def _prompt(row: dict[str, object]) -> str:
    """The first argument of the first request: {"gen_args_0": {"arg_0": ...}}, or lists in older files."""
    value = row.get("arguments")
    for _ in range(2):
        if isinstance(value, dict):
            value = next(iter(value.values()), None)
        elif isinstance(value, list):
            value = value[0] if value else None
    return value if isinstance(value, str) else ""


def _reply(row: dict[str, object]) -> str:
    """What was scored, where it is a text; a choice by likelihood has none."""
    value = row.get("filtered_resps")
    first = value[0] if isinstance(value, list) and value else value
    return first if isinstance(first, str) else ""
