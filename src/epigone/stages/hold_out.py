"""hold_out: the prompts that a study is evaluated on, out of those that its training data do not hold.

In: prompts that were filtered, or chosen where teacher and base model differ (`select`). Out: `prompts/`:
records.jsonl, the held-out prompts; origins.jsonl, source and published category of each; labels.jsonl and raw.jsonl,
where a model sorted them; choosing.jsonl, of a hard set, the split by which it was chosen. Both models have answered
that split; no claim may rest on it, since prompts that were picked for a large difference show a larger one than they
would again. The two splits share no prompt.
Source: section 4.1 of the paper (arXiv 2305.15717), 255 held-out prompts; the hard set is ours.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from epigone.curation import PromptOrigin
from epigone.errors import DataError, SpecError
from epigone.interfaces import LanguageModel, StageSpec
from epigone.metrics.categories import Label, category_of, prompt_of
from epigone.records import Prompt, SamplingParams
from epigone.rows import read_prompts
from epigone.spec import Artifact, Component
from epigone.store import read_records, write_records
from epigone.synthesis.recorder import Recorder
from epigone.synthesis.selection import random_order


@dataclass(frozen=True)
class HoldOut:
    """Options of holding prompts out."""

    filtered: StageSpec | Artifact
    """What `filter_prompts` left."""
    num: int = 255
    """How many are held out (0: all)."""
    hard: StageSpec | Artifact | None = None
    """The artifact of `select` by disagreement: `num_probes` prompts, then the hard ones; unset: drawn at random."""
    num_probes: int = 0
    """Of `hard`: how many prompts were answered by both to choose the others; they are set apart."""
    sorter: Component | None = None
    """Who sorts the held-out prompts into the categories of Table 5, by their last user turn; unset: nobody."""
    seed: int = 0
    """Draws the prompts where they are not chosen; more of them hold the fewer."""
    name: str = "held-out"
    """What the set is called."""

    kind: ClassVar[str] = "prompts"
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        """Raises SpecError for numbers that cannot be."""
        if self.num < 0 or (self.hard is not None) != (self.num_probes > 0):
            raise SpecError(
                f"num={self.num}, num_probes={self.num_probes}: probes belong to a hard set, and only there"
            )

    @property
    def slug(self) -> str:
        """The name."""
        return self.name

    @property
    def effort(self) -> float:
        """Seconds on one core, roughly."""
        return 0.1

    def run(self, inputs: Callable[[object], Path], out: Path) -> dict[str, object]:
        """Draw, or set the split apart. Raises DataError where fewer prompts are left than wanted."""
        folder = inputs(self.filtered)
        prompts = read_prompts(folder / "records.jsonl")
        if self.hard is None:
            chosen, choosing = self._drawn(prompts, folder), list[Prompt]()
        else:
            ordered = read_prompts(inputs(self.hard) / "records.jsonl")
            choosing, chosen = ordered[: self.num_probes], ordered[self.num_probes :]
            write_records(out / "choosing.jsonl", choosing)
        origins = {row.prompt_id: row for row in read_records(folder / "origins.jsonl", PromptOrigin)}
        rows = [origins[prompt.id] for prompt in chosen]
        labels = self._labels(chosen, inputs, out)
        write_records(out / "records.jsonl", chosen)
        write_records(out / "origins.jsonl", rows)
        return {
            "num_left": len(prompts),
            "num_kept": len(chosen),
            "num_choosing": len(choosing),
            "sources": _counted([row.source for row in rows]),
            "categories": _counted([row.category for row in rows if row.category]),
            "num_without_category": sum(not row.category for row in rows),
            "table_5": _counted([label.category for label in labels]),
            "num_unsorted": len(chosen) - len(labels),
        }

    def _labels(self, prompts: Sequence[Prompt], inputs: Callable[[object], Path], out: Path) -> list[Label]:
        """A category of each prompt, as a model says; of a reply that names none, none."""
        if self.sorter is None:
            return []
        model = self.sorter.make(inputs)
        assert isinstance(model, LanguageModel)
        recorder = Recorder(model, self.sorter.name, out / "raw")
        asked = [prompt_of(prompt.id, prompt.messages[-1].content) for prompt in prompts]
        replies = recorder.generate(asked, SamplingParams(max_tokens=16))
        recorder.finish(out / "raw.jsonl")
        found = [
            Label(prompt.id, category, self.sorter.name, reply.text)
            for prompt, reply in zip(prompts, replies, strict=True)
            if (category := category_of(reply.text))
        ]
        write_records(out / "labels.jsonl", found)
        return found

    def _drawn(self, prompts: Sequence[Prompt], folder: Path) -> list[Prompt]:
        """So many, in the order in which they stand."""
        if len(prompts) < self.num:
            raise DataError(
                f"{folder}: {len(prompts)} prompts are left, {self.num} are to be held out; give more sources, loosen "
                "a filter, or hold out fewer (0: all)"
            )
        places = sorted(random_order(len(prompts), self.seed)[: self.num or None])
        return [prompts[place] for place in places]


def _counted(names: Sequence[str]) -> dict[str, int]:
    """How often each occurs, the most frequent first."""
    return dict(sorted(Counter(names).items(), key=lambda pair: (-pair[1], pair[0])))
