"""compare_items: one model on a benchmark's items as published, and on variants of them or other items.

In: scores of the items as published, and of each variant. Out: `studies/`: probe.json, tables/probe.csv. Variants are
paired with the published items by id; items of another file have no partner, and their difference is an unpaired one.
Scores that differ in more than their items (model, benchmark, any option but its test_folder) are refused.
Source: section 5 of arXiv 2305.15717, contamination as a confounder. That accuracy falls where only the form of the
questions changes is a sign of it, and no proof: other words may be harder, and a model may know a text in all forms.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar, cast

from epigone.errors import SpecError, WorkError
from epigone.interfaces import StageSpec
from epigone.metrics.intervals import estimate, mcnemar, paired_difference
from epigone.metrics.resampling import means
from epigone.records import Estimate, Score
from epigone.reporting.tables import comma_separated
from epigone.spec import Artifact
from epigone.store import read_records, write_json, write_text

ITEMS = "test_folder"
"""The benchmark's option that says which items are asked."""
COLUMNS = ("variant", "paired", "accuracy_as_published", "accuracy", "difference", "low", "high", "n", "method", "p")


@dataclass(frozen=True)
class Variant:
    """Scores of other items, and what they are called."""

    name: str
    """For people."""
    scores: StageSpec | Artifact
    """The artifact of `evaluate`."""
    is_paired: bool = True
    """Whether its items are the published ones in another form, under their ids."""


@dataclass(frozen=True)
class CompareItems:
    """Options of the comparison."""

    published: StageSpec | Artifact
    """Scores of the items as published."""
    variants: tuple[Variant, ...]
    """Scores of the others."""
    name: str = "probe"
    """The model and benchmark, for people."""
    metric: str = "accuracy"
    """What is compared, 0 or 1 an item."""

    kind: ClassVar[str] = "studies"
    version: ClassVar[int] = 1

    @property
    def slug(self) -> str:
        """The name."""
        return self.name.replace("_", "-").replace("/", "-")

    @property
    def effort(self) -> float:
        """Seconds on one core, roughly."""
        return 0.5

    def run(self, inputs: Callable[[object], Path], out: Path) -> dict[str, object]:
        """Compare. Raises SpecError where scores differ in more than their items, WorkError where no item is shared."""
        folder = inputs(self.published)
        published, how = self._values(folder), _how(folder)
        rows: list[dict[str, object]] = []
        for variant in self.variants:
            other = inputs(variant.scores)
            _refuse(variant.name, how, _how(other))
            found = self._paired if variant.is_paired else self._unpaired
            rows.append(
                {"variant": variant.name, "is_paired": variant.is_paired} | found(published, self._values(other))
            )
        told: dict[str, object] = {"published": asdict(estimate([list(published.values())])), "variants": rows}
        write_json(out / "probe.json", told)
        write_text(out / "tables" / "probe.csv", comma_separated(COLUMNS, map(_plain, rows)))
        return told

    def _values(self, folder: Path) -> dict[str, float]:
        scores = read_records(folder / "records.jsonl", Score)
        found = {score.item_id: score.metrics[self.metric] for score in scores if self.metric in score.metrics}
        if not found:
            raise WorkError(f"{folder}: no item has the metric {self.metric!r}")
        return found

    def _paired(self, published: dict[str, float], other: dict[str, float]) -> dict[str, object]:
        shared = [item for item in published if item in other]
        if not shared:
            raise WorkError(f"{self.name}: no item of the variant is one of the {len(published)} published ones")
        a, b = [other[item] for item in shared], [published[item] for item in shared]
        return {
            "accuracy": asdict(estimate([a])),
            "accuracy_as_published": asdict(estimate([b])),
            "difference": asdict(paired_difference([a], [b])),
            "p": mcnemar(a, b),
            "num_lost": sum(x < y for x, y in zip(a, b, strict=True)),
            "num_won": sum(x > y for x, y in zip(a, b, strict=True)),
            "num_unpaired": len(published) + len(other) - 2 * len(shared),
        }

    def _unpaired(self, published: dict[str, float], other: dict[str, float]) -> dict[str, object]:
        a, b = list(other.values()), list(published.values())
        apart = (means([a], seed=1) - means([b])).estimate()  # another seed: equal n must not pair the draws
        difference = Estimate(apart.value, apart.low, apart.high, apart.n, "bootstrap over two sets of items")
        return {
            "accuracy": asdict(estimate([a])),
            "accuracy_as_published": asdict(estimate([b])),
            "difference": asdict(difference),
            "p": None,
        }


def _how(folder: Path) -> dict[str, object]:
    """Everything that shaped scores but their items, by name; of shards that were joined, what the first says."""
    spec = cast(dict[str, object], json.loads((folder / "spec.json").read_text())["spec"])
    if spec.get("stage") == "join_scores":
        first = cast(list[dict[str, str]], spec["shards"])[0]
        return _how(folder.parent.parent / first["artifact"])
    benchmark, model = spec.get("benchmark"), spec.get("model")
    if not isinstance(benchmark, dict) or model is None:
        raise SpecError(f"{folder} holds no scores of `evaluate`, so that it cannot be seen how they came about")
    told = cast(dict[str, object], benchmark)
    options = {str(name): value for name, value in cast(list[list[object]], told["options"]) if name != ITEMS}
    return {"model": model, "benchmark": told["name"], **{f"option {name}": value for name, value in options.items()}}


def _refuse(name: str, one: dict[str, object], other: dict[str, object]) -> None:
    if different := [key for key in sorted({*one, *other}) if one.get(key) != other.get(key)]:
        key = different[0]
        raise SpecError(
            f"{name}: its scores differ from those of the published items in {', '.join(different)} ({other.get(key)} "
            f"against {one.get(key)}), and only in the items they may; evaluate both in one way"
        )


def _plain(row: dict[str, object]) -> list[object]:
    parts = {name: cast(dict[str, object], row[name]) for name in ("accuracy_as_published", "accuracy", "difference")}
    difference = [parts["difference"][name] for name in ("value", "low", "high", "n", "method")]
    shown = row["p"] if row["p"] is not None else ""
    return [row["variant"], row["is_paired"], *(parts[k]["value"] for k in list(parts)[:2]), *difference, shown]
