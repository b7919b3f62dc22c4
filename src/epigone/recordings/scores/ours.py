"""Our own scores: the records.jsonl of a scores artifact, with the protocol that its summary.json names.

In: such a file beside its summary.json. Out: one ScoreSheet a metric, named after the protocol; whose scores they are
stands in neither file, so that the audit must be told (MODEL=PATH). Counts that say nothing of how well a model did are
left out. Source: Score in epigone.records, epigone.stages.evaluate.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from epigone.errors import DataError
from epigone.records import Drop, Score, ScoreSheet
from epigone.rows import beginning, finite, identity, read_array_or_rows, shown

TEXTS = ("prompt", "reply", "parsed", "group")
COUNTS = frozenset({"length_words", "num_tokens", "num_claims", "num_shots", "parsed"})


@dataclass(frozen=True)
class Ours:
    """Reads scores as they were written."""

    def fits(self, path: Path) -> bool:
        """Rows with item_id, metrics and reply."""
        return {"item_id", "metrics", "reply"} <= beginning(path).keys()

    def read(self, path: Path) -> Iterator[ScoreSheet | Drop]:
        """Drops in file order, then the sheets. Raises DataError where a line is no object or no protocol is named."""
        sheets: dict[str, dict[str, Score]] = {}
        for number, row in read_array_or_rows(path):
            item_id = identity(row.get("item_id")) or f"row-{number}"
            metrics = row.get("metrics")
            if not isinstance(metrics, dict):
                yield Drop(item_id, "no metrics", f"row {number}: metrics is {shown(metrics)}")
                continue
            for metric, plain in metrics.items():
                value = finite(plain)
                if value is None:
                    yield Drop(item_id, "no number", f"row {number}: {metric} is {shown(plain)}")
                elif metric not in COUNTS:
                    prompt, reply, parsed, group = (str(row.get(name, "")) for name in TEXTS)
                    found = Score(item_id, {metric: value}, prompt, reply, parsed, group)
                    sheets.setdefault(metric, {})[item_id] = found
        protocol = _protocol(path)
        benchmark = protocol.partition("--")[0]
        for metric, scores in sheets.items():
            yield ScoreSheet("", benchmark, metric, protocol, tuple(scores.values()))


def _protocol(path: Path) -> str:
    summary = path.with_name("summary.json")
    try:
        found = json.loads(summary.read_text(encoding="utf-8"))
        return str(found["protocol"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path}: its protocol is not known, since {summary.name} beside it names none ({error!r}); give the whole "
            "folder of a scores artifact"
        ) from error
