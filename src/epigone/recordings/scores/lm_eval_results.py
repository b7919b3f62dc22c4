"""lm-evaluation-harness, aggregates: results_DATE.json {"results": {TASK: {"acc,none": ..., "acc_stderr,none": ...}}}.

In: such a file. Out: one ScoreSheet a task, filter and metric with the published value and 1.96 standard errors around
it; a Drop where the harness gives no standard error ("N/A") or no number of items. Items count as `effective` in
n-samples; a group counts those of its subtasks.
Source: https://github.com/EleutherAI/lm-evaluation-harness (evaluation_tracker.py and evaluator.py).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from epigone.errors import DataError
from epigone.metrics.answers import protocol_id
from epigone.records import Drop, Estimate, ScoreSheet
from epigone.rows import beginning, finite, head, identity, read_document, shown

_METRIC_KEY = re.compile(r'"[^",]+_stderr,[^",]+"\s*:')
_NORMAL_95 = 1.96


@dataclass(frozen=True)
class LMEvalResults:
    """Reads aggregated results; the items themselves lie in the samples files, if they were logged."""

    def fits(self, path: Path) -> bool:
        """One object with results whose metrics are named METRIC,FILTER."""
        return "results" in beginning(path) and bool(_METRIC_KEY.search(head(path)))

    def read(self, path: Path) -> Iterator[ScoreSheet | Drop]:
        """One ScoreSheet or Drop a task, filter and metric. Raises DataError where there are no results or no model."""
        document = read_document(path)
        results = _part(document, "results")
        if not results:
            raise DataError(
                f"{path}: field 'results' is {shown(document.get('results'))}; an object of tasks is needed"
            )
        model = identity(document.get("model_name")) or path.absolute().parent.name.replace("__", "/")
        for task, values in results.items():
            keys = [key for key in values if "," in key and "_stderr," not in key] if isinstance(values, dict) else []
            if not keys:
                yield Drop(task, "no metrics", f"results of {task}: {shown(values)}")
            for key in keys:
                yield _sheet(document, model, task, key)


def _sheet(document: dict[str, object], model: str, task: str, key: str) -> ScoreSheet | Drop:
    values = _part(_part(document, "results"), task)
    metric, _, filtered = key.partition(",")
    value, error = finite(values[key]), finite(values.get(f"{metric}_stderr,{filtered}"))
    num_items = _num_items(document, task, ())
    row_id = f"{task} {key}"
    if value is None:
        return Drop(row_id, "no number", f"value is {shown(values[key])}")
    if error is None or error < 0:
        published = shown(values.get(f"{metric}_stderr,{filtered}"))
        return Drop(row_id, "no standard error", f"value {value:.6g}, standard error {published}")
    if num_items < 1:
        return Drop(row_id, "number of items unknown", f"value {value:.6g}; n-samples does not name {task}")
    margin = _NORMAL_95 * error
    estimate = Estimate(value, value - margin, value + margin, num_items, "published standard error")
    protocol = protocol_id(
        f"lm-eval-{task}-{filtered}-{metric}",
        task_hash=identity(_part(document, "task_hashes").get(task)),
        num_shots=identity(_part(document, "n-shot").get(task)),
        version=shown(_part(document, "versions").get(task)),
        num_items=num_items,
    )
    return ScoreSheet(model, task if filtered == "none" else f"{task} ({filtered})", metric, protocol, (), estimate)


def _part(document: dict[str, object], name: str) -> dict[str, object]:
    value = document.get(name)
    return value if isinstance(value, dict) else {}


def _num_items(document: dict[str, object], task: str, above: tuple[str, ...]) -> int:
    """Items of a task, or of all subtasks of a group; 0 where a count is missing. `above` guards against circles."""
    counts = _part(_part(document, "n-samples"), task)
    subtasks = _part(document, "group_subtasks").get(task)
    effective = finite(counts.get("effective", counts.get("original")))
    if effective is not None:
        return int(effective)
    if not isinstance(subtasks, list) or task in above or len(above) > 20:
        return 0
    below = [_num_items(document, name, (*above, task)) for name in subtasks if isinstance(name, str)]
    return sum(below) if all(below) else 0
