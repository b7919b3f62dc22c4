"""Links from a number to the items that it was counted over, in the pages beside the report.

In: what was measured, on which models. Out: relative links whose hash names benchmark and models; `Beside`, all that a
report knows of the pages beside it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode

from epigone.reporting.analysis_measures import ASKED_IN, SCORED
from epigone.reporting.evaluated import ModelData
from epigone.reporting.items.rows import FACTS, FREE, PAGE, StudyItems
from epigone.reporting.items.telling import Telling


@dataclass(frozen=True, slots=True)
class Beside:
    """The pages beside a report: how many items they hold, which of them tell something, where numbers lead."""

    num_items: int = 0
    telling: tuple[Telling, ...] = ()
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    """By the name of an arm, those of its models among the items, one a seed."""
    lead: tuple[str, ...] = ()
    """Models that stand beside it: teacher and base."""
    artifacts: tuple[tuple[str, str, str], ...] = ()
    """Model, what of it, id of the artifact."""

    def href(self, arm: str, metric: str) -> str:
        """Where the items behind a number are; of what was counted, its artifacts; empty without pages beside."""
        if not self.num_items:
            return ""
        name = benchmark_of(metric)
        return link(name, (*self.lead, *self.names.get(arm, ()))) if name else "#artifacts"


def benchmark_of(metric: str) -> str:
    """The benchmark whose items a metric was counted over; empty for what was counted otherwise."""
    if metric in SCORED:
        name = SCORED[metric][0]
        return FREE if name == FACTS else name
    if metric.endswith(("_known", "_unknown")):
        return ASKED_IN
    return FREE if metric.startswith(("style_", "preference_", "empty_")) else ""


def link(benchmark: str, models: Iterable[str] = (), place: int | None = None) -> str:
    """A link to a benchmark's items with these models side by side, or to one item by its place."""
    told = [("benchmark", benchmark), *(("show", name) for name in dict.fromkeys(models))]
    return f"{PAGE}#{urlencode(told if place is None else [*told, ('item', str(place))])}"


def artifacts_of(items: StudyItems, models: Iterable[ModelData]) -> tuple[tuple[str, str, str], ...]:
    """A row an artifact: whose, what of it, its id."""
    labels = [who.label for who in items.models]
    return tuple(
        (label, what.replace("_", " "), found)
        for label, model in zip(labels, models, strict=True)
        for what, found in model.artifacts.items()
    )
