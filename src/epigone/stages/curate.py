"""curate: a raw dump -> a dataset that one can defend (section 3 and footnote 3 of the paper).

In: a dump in a published format. Out: `datasets/`: records.parquet, and dropped.jsonl with every reason.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from epigone.datasets import write_dataset
from epigone.errors import DataError
from epigone.interfaces import Filter, Format
from epigone.records import Conversation, Drop
from epigone.spec import Component, Input
from epigone.store import write_records


@dataclass(frozen=True)
class Curate:
    """Options of a curation."""

    source: Input
    """The dump."""
    format: Component
    """The dump's format, a component of `formats`."""
    filters: tuple[Component, ...] = ()
    """Applied in this order; each keeps a conversation or drops it with a reason."""
    name: str = "dataset"
    """What the dataset is called."""

    kind: ClassVar[str] = "datasets"
    version: ClassVar[int] = 1

    @property
    def slug(self) -> str:
        """The dataset's name."""
        return self.name

    @property
    def effort(self) -> float:
        """Seconds on one core, roughly."""
        return 0.5

    def run(self, inputs: Callable[[object], Path], out: Path) -> dict[str, object]:
        """Read, filter, write. Raises DataError where nothing is left."""
        form = self.format.make(inputs)
        assert isinstance(form, Format)
        kept, dropped = _split(form.read(inputs(self.source)))
        num_read = len(kept) + len(dropped)
        for component in self.filters:
            rule = component.make(inputs)
            assert isinstance(rule, Filter)
            kept, more = _split(rule.apply(kept))
            dropped += more
        if not kept:
            raise DataError(f"{inputs(self.source)}: all {num_read} conversations were dropped: {_reasons(dropped)}")
        assert num_read == len(kept) + len(dropped), "a filter lost or invented a conversation"
        write_dataset(out / "records.parquet", kept)
        write_records(out / "dropped.jsonl", dropped)
        return {"num_read": num_read, "num_kept": len(kept), "dropped": _reasons(dropped)}


def _split(rows: Iterable[Conversation | Drop]) -> tuple[list[Conversation], list[Drop]]:
    kept: list[Conversation] = []
    dropped: list[Drop] = []
    for row in rows:
        if isinstance(row, Drop):
            dropped.append(row)
        else:
            kept.append(row)
    return kept, dropped


def _reasons(dropped: list[Drop]) -> dict[str, int]:
    return dict(sorted(Counter(drop.reason for drop in dropped).items()))
