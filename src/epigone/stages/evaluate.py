"""evaluate: one model on one benchmark, every item kept (sections 4.1 and 4.3 of the paper).

In: a model (backend), a benchmark with its published files; all items, some drawn at random, or one shard of them. Out:
`scores/`: records.jsonl, one Score an item; tokens.jsonl, the token ids of what was asked, where the model's tokenizer
is at hand; the summary has a mean of each metric with its interval and n. Items are asked a portion at a time and each
portion is kept, so that an interrupted evaluation goes on behind the last whole portion and gives the same bytes.
Source: docs/decisions/0021.
"""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np

from epigone.errors import SpecError, WorkError
from epigone.interfaces import Benchmark, LanguageModel, TokenizedModel
from epigone.metrics.intervals import summary_of_items
from epigone.progress import tell
from epigone.records import AskedTokens, Completion, Item, Likelihood, Prompt, SamplingParams, Score
from epigone.spec import Component
from epigone.store import read_records, write_records

PORTION_ITEMS = 128
"""Items asked at once: what an interruption costs at most, and what a shard is made of."""
PORTIONS = "portions"


@dataclass(frozen=True)
class Evaluate:
    """Options of an evaluation. Raises SpecError for a shard that there is not."""

    model: Component
    """Who is measured: a component of `backends`."""
    benchmark: Component
    """On what: a component of `benchmarks`."""
    name: str
    """Model and benchmark, for people."""
    limit: int = 0
    """Ask only so many items, drawn at random by `seed` (0: all); a larger limit holds the items of a smaller one."""
    seed: int = 0
    """Draws the items of a limited evaluation."""
    shard: int = 0
    """Which part of the items, from 0."""
    num_shards: int = 1
    """In how many parts the items are cut."""

    kind: ClassVar[str] = "scores"
    version: ClassVar[int] = 2

    def __post_init__(self) -> None:
        if not 0 <= self.shard < self.num_shards:
            raise SpecError(f"shard={self.shard}: with num_shards={self.num_shards} give 0 to {self.num_shards - 1}")
        if self.limit < 0:
            raise SpecError(f"limit={self.limit}: give a number of items, or 0 for all")

    @property
    def slug(self) -> str:
        """Model and benchmark, and the shard where there are several."""
        part = f"-{self.shard + 1}of{self.num_shards}" if self.num_shards > 1 else ""
        return self.name.replace("_", "-") + part

    @property
    def effort(self) -> float:
        """Seconds on one core, roughly."""
        return 0.5 / self.num_shards

    def run(self, inputs: Callable[[object], Path], out: Path) -> dict[str, object]:
        """Score every item. Raises WorkError where there is none, or where the benchmark loses one."""
        model, benchmark = self.model.make(inputs), self.benchmark.make(inputs)
        assert isinstance(benchmark, Benchmark) and isinstance(model, LanguageModel)
        items = benchmark.items()
        if not items:
            raise WorkError(f"{self.name}: the benchmark has no items; check its file and its limit")
        wanted = drawn(items, self.limit, self.seed)
        if not (out / "records.jsonl").exists():
            self._ask(benchmark, model, part_of(wanted, self.shard, self.num_shards), out)
        shutil.rmtree(out / PORTIONS, ignore_errors=True)
        scores = read_records(out / "records.jsonl", Score)
        return {
            "protocol": benchmark.protocol,
            "num_available": len(items),
            **summary_of_items([s.metrics for s in scores]),
        }

    def _ask(self, benchmark: Benchmark, model: LanguageModel, portions: list[Sequence[Item]], out: Path) -> None:
        """records.jsonl, written last, and tokens.jsonl, out of the portions, of which the missing ones are asked."""
        folders = [out / PORTIONS / f"{number:06}" for number in range(len(portions))]
        total, done = sum(map(len, portions)), 0
        for portion, folder in zip(portions, folders, strict=True):
            if not (folder / "scores.jsonl").exists():
                self._ask_portion(benchmark, model, portion, folder)
            done += len(portion)
            tell(done, total, "items")
        tokens = [row for folder in folders for row in read_records(folder / "tokens.jsonl", AskedTokens)]
        if tokens:
            write_records(out / "tokens.jsonl", tokens)
        scores = (row for folder in folders for row in read_records(folder / "scores.jsonl", Score))
        write_records(out / "records.jsonl", scores)

    def _ask_portion(self, benchmark: Benchmark, model: LanguageModel, items: Sequence[Item], folder: Path) -> None:
        watched = _Watched(model) if isinstance(model, TokenizedModel) else None
        scores = benchmark.run(watched or model, items)
        if [score.item_id for score in scores] != [item.id for item in items]:
            raise WorkError(
                f"{self.name}: {len(items)} items from {items[0].id!r} on gave {len(scores)} scores or other ids; "
                "items need ids of their own, and a benchmark one score for each, in order"
            )
        write_records(folder / "tokens.jsonl", watched.rows() if watched else [])
        write_records(folder / "scores.jsonl", scores)


@dataclass(frozen=True)
class _Watched:
    """A model that remembers the token ids of what it is asked."""

    model: TokenizedModel
    asked: dict[tuple[str, tuple[int, ...]], list[tuple[int, ...]]] = field(default_factory=dict)

    def generate(self, prompts: Sequence[Prompt], sampling: SamplingParams) -> list[Completion]:
        for prompt in prompts:
            self._note(prompt, "")
        return self.model.generate(prompts, sampling)

    def loglikelihood(self, requests: Sequence[tuple[Prompt, str]]) -> list[Likelihood]:
        for prompt, continuation in requests:
            self._note(prompt, continuation)
        return self.model.loglikelihood(requests)

    @property
    def num_positions(self) -> int:
        return self.model.num_positions

    def token_ids(self, prompt: Prompt, continuation: str = "") -> tuple[list[int], list[int]]:
        return self.model.token_ids(prompt, continuation)

    def rolling_loglikelihood(self, texts: Sequence[str]) -> list[Likelihood]:
        return self.model.rolling_loglikelihood(texts)

    def rows(self) -> list[AskedTokens]:
        """One row an item and prompt, in the order of asking."""
        return [AskedTokens(item_id, prompt, tuple(tails)) for (item_id, prompt), tails in self.asked.items()]

    def _note(self, prompt: Prompt, continuation: str) -> None:
        ids, tail = self.model.token_ids(prompt, continuation)
        tails = self.asked.setdefault((prompt.id, tuple(ids)), [])
        if tail:
            tails.append(tuple(tail))


def drawn(items: Sequence[Item], limit: int, seed: int) -> list[Item]:
    """All items, or `limit` of them drawn at random, in their order."""
    if not limit or limit >= len(items):
        return list(items)
    chosen = np.random.default_rng(seed).permutation(len(items))[:limit]
    return [items[place] for place in sorted(chosen.tolist())]


def part_of(items: Sequence[Item], shard: int, num_shards: int) -> list[Sequence[Item]]:
    """The portions of one shard: every portion is the same whatever the number of shards, so its answers are too."""
    portions = [items[start : start + PORTION_ITEMS] for start in range(0, len(items), PORTION_ITEMS)]
    first, last = (len(portions) * part // num_shards for part in (shard, shard + 1))
    return portions[first:last]
