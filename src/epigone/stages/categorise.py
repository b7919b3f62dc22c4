"""categorise: a random sample of a dataset's first queries, each sorted into a category of Table 5 by a model.

In: a datasets artifact, any LanguageModel. Out: `categories/`: records.jsonl, a Label a query; dropped.jsonl, the
queries whose reply named no category, with what the model said: they are missing, never a label.
Source: Table 5 of arXiv 2305.15717, where one person sorted 50 queries; asking a model is ours.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from epigone.datasets import iterate_dataset
from epigone.errors import WorkError
from epigone.interfaces import LanguageModel, StageSpec
from epigone.metrics.categories import CATEGORIES, Label, category_of, prompt_of
from epigone.metrics.query_sample import QuerySample
from epigone.records import Drop, SamplingParams
from epigone.spec import Artifact, Component
from epigone.store import write_records


@dataclass(frozen=True)
class Categorise:
    """Options of a category audit by a model."""

    dataset: StageSpec | Artifact
    """The dataset."""
    model: Component
    """Who sorts: a component of `backends`."""
    rater: str
    """What the model is called beside its shares."""
    num_sampled: int = 50
    """How many queries."""
    seed: int = 0
    """Draws them; the same number and seed draw those of a description."""

    kind: ClassVar[str] = "categories"
    version: ClassVar[int] = 1

    @property
    def slug(self) -> str:
        """Who sorted."""
        return "".join(c if c.isalnum() or c in ".-" else "-" for c in self.rater).strip("-.") or "model"

    @property
    def effort(self) -> float:
        """Seconds on one core, roughly."""
        return 0.5 * self.num_sampled

    def run(self, inputs: Callable[[object], Path], out: Path) -> dict[str, object]:
        """Ask once for each query. Raises WorkError where not one reply named a category."""
        model = self.model.make(inputs)
        assert isinstance(model, LanguageModel)
        sample = QuerySample(self.num_sampled, self.seed)
        for conversation in iterate_dataset(inputs(self.dataset) / "records.parquet"):
            sample.offer(conversation)
        texts = {query.query_id: query.text for query in sample.queries()}
        prompts = [prompt_of(query_id, text) for query_id, text in texts.items()]
        completions = model.generate(prompts, SamplingParams(max_tokens=16)) if prompts else []
        labels: list[Label] = []
        dropped: list[Drop] = []
        for prompt, completion in zip(prompts, completions, strict=True):
            category = category_of(completion.text)
            if category is None:
                dropped.append(Drop(prompt.id, "no category in the reply", completion.text[:200]))
            else:
                labels.append(Label(prompt.id, category, self.rater, completion.text))
        if prompts and not labels:
            raise WorkError(
                f"{self.rater}: none of {len(prompts)} replies names one of {', '.join(CATEGORIES)}; the first is "
                f"{completions[0].text[:80]!r}: ask a model that follows instructions"
            )
        write_records(out / "records.jsonl", labels)
        write_records(out / "dropped.jsonl", dropped)
        return {"num_queries": len(prompts), "num_labelled": len(labels), "num_dropped": len(dropped)}
