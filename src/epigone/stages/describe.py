"""describe: what a dataset holds, or two side by side: counts, lengths, diversity, languages, categories, samples.

In: datasets artifacts, a tokenizer, labels that persons or models gave. Out: `descriptions/`: report.html,
description.json, categorise.html (a page to sort the sampled queries on), figures/, tables/. The same inputs give the
same bytes. Source: section 3.2, Appendix A, Figure 6 and Table 5 of arXiv 2305.15717.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from epigone.datasets import iterate_dataset
from epigone.errors import DataError
from epigone.interfaces import StageSpec
from epigone.metrics.categories import CATEGORIES, Label, agreements, by_rater, shares
from epigone.metrics.corpus import Queries, Tally, queries_of
from epigone.metrics.diversity import Diversity, amounts, curve
from epigone.metrics.languages import Languages
from epigone.metrics.query_sample import QuerySample, SampledQuery
from epigone.metrics.ranks import Lowest
from epigone.records import Conversation, Drop
from epigone.reporting.description.document import render
from epigone.reporting.description.findings import (
    Described,
    Description,
    Dropped,
    Ledger,
    SampledConversation,
    SampledTurn,
)
from epigone.reporting.pictures import with_pictures
from epigone.rows import read_array_or_rows
from epigone.similarity.bleu import Settings
from epigone.similarity.index import BleuIndex
from epigone.spec import Artifact, Input, Resolver
from epigone.store import read_records, read_summary, write_text
from epigone.tokens.tokenizer import Tokenizer

NUM_SHOWN, TURNS_SHOWN, CHARACTERS_SHOWN = 6, 4, 420
_SPEAKERS = {"user": "User", "assistant": "GPT", "system": "System", "tool": "Tool"}


@dataclass(frozen=True)
class Describe:
    """Options of a description."""

    dataset: StageSpec | Artifact
    """The dataset."""
    other: StageSpec | Artifact | None = None
    """Another one to stand beside it, e.g. the same before or after filtering."""
    name: str = "description"
    """The description, for people."""
    tokenizer: Input | None = None
    """A tokenizer.json that counts tokens; without it words stand in for them."""
    labels: tuple[Input, ...] = ()
    """Labels as the sorting page hands them out: JSON lines or an array of query_id, category, rater."""
    categorised: tuple[StageSpec | Artifact, ...] = ()
    """Labels that models gave: categories artifacts."""
    num_sampled: int = 50
    """Queries of each dataset that are sorted into categories."""
    seed: int = 0
    """Draws the samples and the queries of the diversity curve."""
    max_queries: int = 50_000
    """The most queries among which nearest others are looked for."""
    queries: Queries = "first"
    """Whose nearest others are looked for: first queries, or all user turns."""
    smoothings: tuple[Literal["none", "exp", "floor"], ...] = ("exp", "none")
    """Smoothings of sentence BLEU, a curve each."""
    tokenize: Literal["13a", "whitespace"] = "13a"
    """How BLEU cuts texts into tokens."""
    lowercase: bool = False
    """Whether BLEU sees small letters only."""

    kind: ClassVar[str] = "descriptions"
    version: ClassVar[int] = 2

    @property
    def slug(self) -> str:
        """The description's name."""
        return self.name

    @property
    def effort(self) -> float:
        """Seconds on one core, roughly."""
        return 10.0 if self.other is None else 20.0

    def run(self, inputs: Callable[[object], Path], out: Path) -> dict[str, object]:
        """Count, draw, write. Raises DataError where a label is none, ArtifactError where a dataset cannot be read."""
        tokenizer = Tokenizer.load(inputs(self.tokenizer)) if self.tokenizer else None
        folders = [inputs(source) for source in (self.dataset, self.other) if source is not None]
        collected = [_collect(self, folder, tokenizer) for folder in folders]
        sizes = amounts([c.num_queries for c in collected], self.max_queries)
        given = by_rater(self._labels(inputs))
        names = _told_apart([folder.name for folder in folders])
        datasets = tuple(
            Described(
                label=label,
                id=f"{folder.parent.name}/{folder.name}",
                contents=one.tally.contents(),
                diversity=tuple(_diversity(self, one, sizes)),
                ledger=read_ledger(folder),
                samples=one.samples,
                queries=one.sampled,
                shares=tuple(
                    found
                    for rater, of in given.items()
                    if (found := shares([q.query_id for q in one.sampled], rater, of))
                ),
            )
            for label, folder, one in zip(names, folders, collected, strict=True)
        )
        sampled = [q.query_id for d in datasets for q in d.queries]
        description = Description(
            title=" beside ".join(names),
            study_id=Resolver().id(self),
            datasets=datasets,
            tokenizer=Path(self.tokenizer.path).name if self.tokenizer else "",
            seed=self.seed,
            agreements=agreements(given, sampled),
            num_unmatched=sum(query not in set(sampled) for of in given.values() for query in of),
        )
        for name, content in with_pictures(render(replace(description, missing=_missing(description)))):
            write_text(out / name, content)
        return {
            "num_conversations": [d.contents.num_conversations for d in datasets],
            "num_queries": [c.num_queries for c in collected],
            "num_labels": sum(len(of) for of in given.values()),
        }

    def _labels(self, inputs: Callable[[object], Path]) -> Iterator[Label]:
        for source in self.categorised:
            yield from read_records(inputs(source) / "records.jsonl", Label)
        for file in self.labels:
            yield from read_labels(inputs(file))


@dataclass(frozen=True)
class _Collected:
    """What one pass over a dataset leaves behind."""

    tally: Tally
    num_queries: int
    texts: Sequence[str]
    sampled: tuple[SampledQuery, ...]
    samples: tuple[SampledConversation, ...]


def _collect(options: Describe, folder: Path, tokenizer: Tokenizer | None) -> _Collected:
    count = (lambda texts: [len(ids) for ids in tokenizer.encode_batch(texts)]) if tokenizer else None
    tally = Tally(Languages().of_conversation, count, options.queries)
    texts = Lowest[str](options.max_queries, "diversity", options.seed)
    sampled = QuerySample(options.num_sampled, options.seed)
    shown = Lowest[SampledConversation](NUM_SHOWN, "samples", options.seed)
    for conversation in iterate_dataset(folder / "records.parquet"):
        tally.add(conversation)
        shown.offer(_shown(conversation), conversation.source, conversation.id)
        for place, query in enumerate(queries_of(conversation, options.queries)):
            texts.offer(query, conversation.source, conversation.id, str(place), query)
        sampled.offer(conversation)
    return _Collected(tally, texts.num_offered, texts.items(), tuple(sampled.queries()), tuple(shown.items()))


def _shown(conversation: Conversation) -> SampledConversation:
    turns = tuple(
        SampledTurn(_SPEAKERS[m.role], m.content[:CHARACTERS_SHOWN].rstrip(), len(m.content) > CHARACTERS_SHOWN)
        for m in conversation.messages[:TURNS_SHOWN]
    )
    return SampledConversation(conversation.id, turns, max(len(conversation.messages) - TURNS_SHOWN, 0))


def _diversity(options: Describe, one: _Collected, sizes: Sequence[int]) -> Iterator[Diversity]:
    which = "first queries" if options.queries == "first" else "all user turns"
    for smoothing in options.smoothings:
        settings = Settings(smoothing=smoothing, tokenize=options.tokenize, lowercase=options.lowercase)
        points = curve(one.texts, sizes, lambda texts, settings=settings: _nearest(texts, settings))
        yield Diversity(which, one.num_queries, options.tokenize, smoothing, options.lowercase, options.seed, points)


def _nearest(texts: Sequence[str], settings: Settings) -> NDArray[np.float64]:
    return np.asarray(BleuIndex.build(texts, settings).nearest().scores, dtype=np.float64)


def _told_apart(names: Sequence[str]) -> list[str]:
    """NAME--HASH8 as NAME, or as NAME (HASH8) where two datasets bear one name."""
    pairs = [name.rpartition("--")[::2] for name in names]
    several = len({name for name, _ in pairs}) < len(pairs)
    return [f"{name} ({digest})" if several else name or digest for name, digest in pairs]


def _missing(description: Description) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    if not any(d.shares for d in description.datasets):
        found.append(("categories", "nobody sorted the sample; do it on the page, or let a model do it with --ask"))
    few = [d.label for d in description.datasets if not any(c.points for c in d.diversity)]
    if few:
        found.append(("diversity", f"{' and '.join(few)} has fewer than two queries, and none is near to another"))
    bare = [d.label for d in description.datasets if d.ledger is None]
    if bare:
        found.append(("ledger", f"the artifact of {' and '.join(bare)} does not say how many rows were read"))
    return found


def read_ledger(folder: Path) -> Ledger | None:
    """The ledger of a curation, counted from dropped.jsonl; None where the artifact does not say what was read."""
    told = read_summary(folder)
    num_read, num_kept = told.get("num_read"), told.get("num_kept")
    if not isinstance(num_read, int) or not isinstance(num_kept, int):
        return None
    counts = Counter[tuple[str, str]]()
    path = folder / "dropped.jsonl"
    for drop in read_records(path, Drop) if path.exists() else ():
        counts[drop.filter, drop.reason] += 1
    dropped = tuple(Dropped(rule, reason, num) for (rule, reason), num in sorted(counts.items()))
    return Ledger(num_read, num_kept, dropped)


def read_labels(path: Path) -> Iterator[Label]:
    """The labels of a file, one a row. Raises DataError naming file, row, value and what was allowed."""
    for number, row in read_array_or_rows(path):
        query_id, category, rater = row.get("query_id"), row.get("category"), row.get("rater", "person")
        if not isinstance(query_id, str) or not isinstance(rater, str) or not rater.strip():
            raise DataError(f"{path}: row {number} needs the strings query_id and rater; it has: {', '.join(row)}")
        if category not in CATEGORIES:
            allowed = ", ".join(CATEGORIES)
            raise DataError(f"{path}: row {number}: {category!r} is no category; allowed: {allowed}")
        yield Label(query_id, str(category), rater.strip())
