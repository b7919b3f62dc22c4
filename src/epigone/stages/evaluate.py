"""evaluate: one model on one benchmark, every item kept (sections 4.1 and 4.3 of the paper).

In: a model (backend), a benchmark with its published files. Out: `scores/`: records.jsonl, one Score an item.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from epigone.errors import WorkError
from epigone.interfaces import Benchmark, LanguageModel
from epigone.records import Score
from epigone.spec import Component
from epigone.store import write_records


@dataclass(frozen=True)
class Evaluate:
    """Options of an evaluation."""

    model: Component
    """Who is measured: a component of `backends`."""
    benchmark: Component
    """On what: a component of `benchmarks`."""
    name: str
    """Model and benchmark, for people."""

    kind: ClassVar[str] = "scores"
    version: ClassVar[int] = 1

    @property
    def slug(self) -> str:
        """Model and benchmark."""
        return self.name.replace("_", "-")

    @property
    def effort(self) -> float:
        """Seconds on one core, roughly."""
        return 0.5

    def run(self, inputs: Callable[[object], Path], out: Path) -> dict[str, object]:
        """Score every item. Raises WorkError where the model answered none."""
        model, benchmark = self.model.make(inputs), self.benchmark.make(inputs)
        assert isinstance(benchmark, Benchmark) and isinstance(model, LanguageModel)
        scores = benchmark.run(model)
        if not scores:
            raise WorkError(f"{self.name}: the benchmark has no items; check its file and its limit")
        write_records(out / "records.jsonl", scores)
        return {"protocol": benchmark.protocol, "num_items": len(scores), "means": _means(scores)}


def _means(scores: list[Score]) -> dict[str, float]:
    names = sorted({name for score in scores for name in score.metrics})
    values = {name: [s.metrics[name] for s in scores if name in s.metrics] for name in names}
    return {name: round(sum(v) / len(v), 4) for name, v in values.items()}
