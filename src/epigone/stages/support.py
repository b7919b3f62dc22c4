"""support: for every benchmark item the nearest training example, and what students gained as a function of it.

In: a dataset, and score sheets of the base model and of students that learnt from it. Out: `studies/`: report.html,
support.json, items.jsonl (every item with its nearest training example), figures/, tables/. The search is exact.
Source: section 4.3 of arXiv 2305.15717; docs/decisions/0027.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from epigone.curation import Turns, texts_of
from epigone.datasets import iterate_dataset
from epigone.errors import DataError, SpecError, WorkError
from epigone.interfaces import Benchmark, StageSpec
from epigone.metrics.support import NUM_BINS, SupportMap, own_parts, support_map
from epigone.records import Score, ScoreSheet
from epigone.reporting.audit.standings import PRIMARY
from epigone.reporting.support import SupportedItem, SupportFindings, render, summary
from epigone.similarity import Settings, nearest_without_index
from epigone.spec import Artifact, Component, Input, Resolver
from epigone.store import read_records, write_records, write_text

TURNS = ("user", "all", "first")


@dataclass(frozen=True)
class ScoredModel:
    """A model and its scores."""

    name: str
    """What the page calls it."""
    scores: StageSpec | Artifact
    """The artifact of `read_scores`."""


@dataclass(frozen=True)
class Support:
    """Options of a support map. Raises SpecError for options that cannot be."""

    dataset: StageSpec | Artifact | Input
    """What the students learnt from: a dataset, or its records.parquet."""
    base: ScoredModel
    """The model before imitation."""
    students: tuple[ScoredModel, ...]
    """Models after it, on the same items."""
    benchmark: str = ""
    """Which one, where the scores are of several: its name as recorded, or what that begins with."""
    metric: str = ""
    """Which metric; by default the one that stands for the benchmark."""
    items: Component | None = None
    """The benchmark, whose items are what is asked; by default it is read off the prompts."""
    turns: str = "user"
    """Which turns of a conversation are examples: user, all, or the first of the user."""
    settings: Settings = field(default_factory=lambda: Settings(smoothing="exp", lowercase=True))
    """How two texts are compared; without smoothing most short questions have no support at all."""
    num_bins: int = NUM_BINS
    """Bins of equally many items."""
    name: str = "support"
    """Dataset and benchmark, for people."""
    title: str = "Where did imitation help?"
    """Headline of the page."""

    kind: ClassVar[str] = "studies"
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if self.turns not in TURNS:
            raise SpecError(f"turns={self.turns!r}: choose one of {', '.join(TURNS)}")
        if not self.students or self.num_bins < 2:
            raise SpecError("a support map needs a student beside the base, and two bins or more")
        names = [model.name for model in (self.base, *self.students)]
        if len(set(names)) < len(names):
            raise SpecError(f"base and students need names of their own, got {', '.join(names)}")

    @property
    def slug(self) -> str:
        """The name."""
        return self.name.replace("_", "-").replace("/", "-")

    @property
    def effort(self) -> float:
        """Seconds on one core, roughly."""
        return 10.0

    def run(self, inputs: Callable[[object], Path], out: Path) -> dict[str, object]:
        """Search, join, count, draw. Raises SpecError for scores of different protocols, WorkError without items."""
        sheet = _chosen(inputs(self.base.scores), self.benchmark, self.metric)
        sheets = {m.name: _like(sheet, m.name, inputs(m.scores)) for m in self.students}
        scores = {name: {s.item_id: s.metrics[sheet.metric] for s in each.scores} for name, each in sheets.items()}
        usable = [s for s in sheet.scores if all(s.item_id in each for each in scores.values())]
        if not usable:
            raise WorkError(f"{self.name}: no item of {sheet.benchmark} was scored for the base and every student")
        asked = self._asked(usable, inputs)
        examples = _Examples(inputs(self.dataset), self.turns)
        found = nearest_without_index([asked[s.item_id] for s in usable], examples.texts(), self.settings)
        near = examples.kept(sorted({int(partner) for partner in found.partners if partner >= 0}))
        items = [
            SupportedItem(
                item_id=score.item_id,
                text=asked[score.item_id],
                support=min(float(bleu) / 100, 1.0),
                nearest=near.get(int(partner), ("", ""))[1],
                conversation=near.get(int(partner), ("", ""))[0],
                base=score.metrics[sheet.metric],
                students={name: each[score.item_id] for name, each in scores.items()},
            )
            for score, bleu, partner in zip(usable, found.scores, found.partners, strict=True)
        ]
        findings = SupportFindings(
            title=self.title,
            study_id=Resolver().id(self),
            benchmark=sheet.benchmark,
            metric=sheet.metric,
            base=self.base.name,
            bleu=self.settings.signature,
            num_examples=examples.num_texts,
            num_left_out=len(sheet.scores) - len(usable),
            items=tuple(items),
            maps={name: self._map(items, name) for name in scores},
        )
        for path, content in render(findings).items():
            write_text(out / path, content)
        write_records(out / "items.jsonl", items)
        return summary(findings)

    def _map(self, items: Sequence[SupportedItem], student: str) -> SupportMap:
        support, base = [each.support for each in items], [each.base for each in items]
        return support_map(support, base, [each.students[student] for each in items], num_bins=self.num_bins)

    def _asked(self, scores: Sequence[Score], inputs: Callable[[object], Path]) -> dict[str, str]:
        """What each item asks. Raises DataError where neither benchmark nor prompts tell."""
        if self.items is not None:
            benchmark = self.items.make(inputs)
            assert isinstance(benchmark, Benchmark)
            known = {item.id: item.question for item in benchmark.items()}
            if missing := [s.item_id for s in scores if s.item_id not in known]:
                raise DataError(
                    f"{self.name}: the benchmark has no item {missing[0]!r}; give the files that were asked"
                )
            return {score.item_id: known[score.item_id] for score in scores}
        groups: defaultdict[str, list[Score]] = defaultdict(list)
        for score in scores:
            groups[score.group].append(score)
        found: dict[str, str] = {}
        for members in groups.values():
            found |= dict(zip((s.item_id for s in members), own_parts([s.prompt for s in members])))
        if empty := [item for item, text in found.items() if not text.strip()]:
            raise DataError(f"{self.name}: the scores do not hold what item {empty[0]!r} asked; name the benchmark")
        return found


class _Examples:
    """The training examples as they stream by, and whose they are."""

    def __init__(self, path: Path, turns: str) -> None:
        self.path = path / "records.parquet" if path.is_dir() else path
        self.turns: Turns = "first" if turns == "first" else "all" if turns == "all" else "user"
        self.num_texts = 0
        self._starts: list[int] = []
        self._ids: list[str] = []

    def texts(self) -> Iterator[str]:
        """Every example. Raises WorkError where there is none."""
        for conversation_id, texts in self._rows():
            self._starts.append(self.num_texts)
            self._ids.append(conversation_id)
            self.num_texts += len(texts)
            yield from texts
        if not self.num_texts:
            raise WorkError(f"{self.path}: holds no training example; give a dataset with user turns")

    def kept(self, numbers: Sequence[int]) -> dict[int, tuple[str, str]]:
        """Conversation and text of some examples, by their number."""
        by_row: defaultdict[int, list[int]] = defaultdict(list)
        for number in numbers:
            by_row[bisect_right(self._starts, number) - 1].append(number)
        found: dict[int, tuple[str, str]] = {}
        for row, (conversation_id, texts) in enumerate(self._rows() if numbers else ()):
            for number in by_row.get(row, ()):
                found[number] = (conversation_id, texts[number - self._starts[row]])
        return found

    def _rows(self) -> Iterator[tuple[str, list[str]]]:
        for conversation in iterate_dataset(self.path):
            yield conversation.id, texts_of(conversation, self.turns)


def _chosen(folder: Path, benchmark: str, metric: str) -> ScoreSheet:
    """The base's sheet. Raises SpecError where it is not clear which one is meant."""
    sheets = [s for s in read_records(folder / "records.jsonl", ScoreSheet) if s.scores]
    fitting = [s for s in sheets if s.benchmark == benchmark] or [
        s for s in sheets if s.benchmark.startswith(benchmark)
    ]
    names = list(dict.fromkeys(s.benchmark for s in fitting))
    if len(names) != 1:
        known = ", ".join(dict.fromkeys(s.benchmark for s in sheets)) or "none with single items"
        raise SpecError(f"{folder}: which benchmark, {benchmark!r}? It holds scores of {known}; name one of them")
    metrics = [s.metric for s in fitting]
    wanted = metric or next((name for name in PRIMARY if name in metrics), sorted(metrics)[0])
    if wanted not in metrics:
        raise SpecError(f"{folder}: {names[0]} has no metric {wanted!r}; it has {', '.join(metrics)}")
    return fitting[metrics.index(wanted)]


def _like(sheet: ScoreSheet, name: str, folder: Path) -> ScoreSheet:
    """A student's sheet of the same benchmark, metric and protocol. Raises SpecError where there is none."""
    sheets = read_records(folder / "records.jsonl", ScoreSheet)
    same = [s for s in sheets if (s.benchmark, s.metric) == (sheet.benchmark, sheet.metric) and s.scores]
    if not same:
        raise SpecError(
            f"{name}: has no scores of {sheet.benchmark} by {sheet.metric}, as the base has; evaluate it so"
        )
    if same[0].protocol != sheet.protocol:
        raise SpecError(
            f"{name}: was scored by {same[0].protocol}, the base by {sheet.protocol}: two protocols are never compared"
        )
    return same[0]
