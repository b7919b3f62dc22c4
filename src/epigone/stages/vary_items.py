"""vary_items: a multiple-choice benchmark's questions in another form, under the same ids.

In: files in a layout of `rows.choices`, such as MMLU's. Out: `items/`: test.parquet, which `benchmarks/mmlu` reads as
its test_folder; dropped.jsonl, the items without a variant and why; raw.jsonl, every reply of a model that was asked
for other words, from which `backends/replay` gives the same again.
Source: section 5 of arXiv 2305.15717; `epigone.metrics.item_variants`.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from epigone.errors import SpecError, WorkError
from epigone.interfaces import LanguageModel
from epigone.metrics import item_variants
from epigone.records import Drop, Item, SamplingParams
from epigone.rows.choices import read_split, write_items
from epigone.spec import Component, Input
from epigone.store import write_records
from epigone.synthesis.recorder import Recorder
from epigone.synthesis.selection import random_order

VARIANTS = ("as_published", "shuffled", "paraphrased")


@dataclass(frozen=True)
class VaryItems:
    """Options of varying items."""

    source: Input
    """The folder or file of the questions."""
    variant: str
    """as_published, shuffled (the options) or paraphrased (the question)."""
    model: Component | None = None
    """Who says questions in other words, where they are paraphrased: a component of `backends`."""
    limit: int = 0
    """Only so many items, drawn at random by `seed` (0: all); every variant has the same."""
    seed: int = 0
    """Draws the items, the orders of options, and replies at a temperature."""
    max_tokens: int = 512
    """Longest reply."""

    kind: ClassVar[str] = "items"
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        """Raises SpecError for a variant that there is not, or a model too few or too many."""
        if self.variant not in VARIANTS:
            raise SpecError(f"variant={self.variant!r} is not among {', '.join(VARIANTS)}")
        if (self.model is not None) != (self.variant == "paraphrased"):
            raise SpecError("a model says questions in other words: give one for paraphrased, and for nothing else")

    @property
    def slug(self) -> str:
        """The variant."""
        return self.variant.replace("_", "-")

    @property
    def effort(self) -> float:
        """Seconds on one core, roughly."""
        return 5.0 if self.model else 0.5

    def run(self, inputs: Callable[[object], Path], out: Path) -> dict[str, object]:
        """Read, draw, vary. Raises WorkError where no item has a variant."""
        every = [item for items in read_split(inputs(self.source), "test").values() for item in items]
        chosen = sorted(random_order(len(every), self.seed)[: self.limit or None])
        items = [every[place] for place in chosen]
        kept, left_out = item_variants.split(items, self._varied(items, inputs, out))
        if not kept:
            raise WorkError(f"not one of {len(items)} items has a variant, the first since: {left_out[0][1]}")
        write_items(out / "test.parquet", kept)
        write_records(out / "dropped.jsonl", [Drop(item.id, reason, item.question[:200]) for item, reason in left_out])
        reasons = Counter(reason.partition(":")[0] for _, reason in left_out)
        return {
            "num_available": len(every),
            "num_items": len(items),
            "num_kept": len(kept),
            "dropped": dict(sorted(reasons.items())),
        }

    def _varied(self, items: Sequence[Item], inputs: Callable[[object], Path], out: Path) -> Sequence[Item | str]:
        if self.variant == "shuffled":
            return [item_variants.shuffled(item, self.seed) for item in items]
        if self.model is None:
            return items
        model = self.model.make(inputs)
        assert isinstance(model, LanguageModel)
        recorder = Recorder(model, "paraphraser", out / "raw")
        prompts = [item_variants.paraphrase_prompt(item) for item in items]
        replies = recorder.generate(prompts, SamplingParams(self.max_tokens, seed=self.seed))
        recorder.finish(out / "raw.jsonl")
        return [item_variants.paraphrased(item, reply.text) for item, reply in zip(items, replies, strict=True)]
