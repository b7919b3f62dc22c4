"""curate: raw dumps -> a dataset that one can defend (section 3 and footnote 3 of the paper).

In: dumps in one published format, or datasets. Out: `datasets/`: records.parquet; dropped.jsonl with the reason of
every row that was left out, and dropped.parquet with its text. Streams: what is in memory is what a filter remembers.
"""

import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

from epigone.datasets import DatasetWriter, Waiting
from epigone.errors import DataError, WorkError
from epigone.interfaces import Filter, Format, StageSpec
from epigone.progress import noting
from epigone.records import Conversation, Drop, DroppedConversation
from epigone.reporting.collection_card import carry_cards
from epigone.spec import Artifact, Component, Input
from epigone.store import RecordWriter

Source = Input | StageSpec | Artifact


@dataclass(frozen=True)
class Curate:
    """Options of a curation."""

    source: Source | tuple[Source, ...]
    """The dump, or several of one format, read in this order."""
    format: Component
    """The dumps' format, a component of `formats`."""
    filters: tuple[Component, ...] = ()
    """Applied in this order; each keeps a conversation or drops it with a reason."""
    name: str = "dataset"
    """What the dataset is called."""

    kind: ClassVar[str] = "datasets"
    version: ClassVar[int] = 2

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
        sources = self.source if isinstance(self.source, tuple) else (self.source,)
        paths = [inputs(source) for source in sources]
        ledger = Ledger([f"{number}-{f.name}" for number, f in enumerate(self.filters, start=1)])
        # of all that is read here, filters' files too, the dumps alone say how far the curation has come
        dumps = noting(lambda: f"{ledger.num_read:,} rows read", of={path.name for path in paths})
        with ExitStack() as files, dumps:
            kept = files.enter_context(DatasetWriter(out / "records.parquet", Conversation))
            texts = files.enter_context(DatasetWriter(out / "dropped.parquet", DroppedConversation))
            reasons = files.enter_context(RecordWriter(out / "dropped.jsonl"))

            def left_out(drop: Drop, conversation: Conversation | None) -> None:
                ledger.count(drop, own=conversation is not None)
                reasons.write(drop)
                texts.write(_with_text(drop, conversation))

            rows = _readable(form, paths, ledger, left_out)
            for name, component in zip(ledger.filters, self.filters, strict=True):
                rule = component.make(inputs)
                assert isinstance(rule, Filter)
                scratch = Path(files.enter_context(tempfile.TemporaryDirectory(dir=out, suffix=".partial")))
                rows = _filtered(rule, name, rows, left_out, scratch)
            for conversation in rows:
                kept.write(conversation)
            carry_cards(paths, out)
            if not kept.num_rows:
                raise DataError(f"{_named(paths)}: all {ledger.num_read} rows were dropped: {ledger.reasons()}")
        return ledger.summary(kept.num_rows)


def curated(sources: Sequence[tuple[Source, Component]], filters: tuple[Component, ...], name: str) -> Curate:
    """A curation of dumps with their formats: several are read first, each by a stage of its own, so side by side."""
    if len(sources) == 1:
        return Curate(sources[0][0], sources[0][1], filters, name)
    read = tuple(Curate(source, form, name=f"{name}-{n}") for n, (source, form) in enumerate(sources, start=1))
    return Curate(read, Component.of("formats", "dataset"), filters, name)


@dataclass
class Ledger:
    """Counts of a curation: read = kept + dropped by each filter and reason + unreadable by reason."""

    filters: list[str]
    num_read: int = 0
    unreadable: Counter[str] = field(default_factory=Counter[str])
    """Rows that the format, or a dataset's own curation before this one, left out."""
    dropped: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    notes: Counter[str] = field(default_factory=Counter[str])
    """What the format repaired or passed over without leaving out a row."""

    def count(self, drop: Drop, *, own: bool) -> None:
        """Take note of a row that is left out."""
        if own:
            self.dropped[drop.filter, drop.reason] += 1
        else:
            self.num_read += 1
            self.unreadable[f"{drop.filter}: {drop.reason}" if drop.filter else drop.reason] += 1

    def reasons(self) -> dict[str, int]:
        """How many rows by reason, whoever left them out."""
        found = Counter(self.unreadable)
        for (_, reason), number in self.dropped.items():
            found[reason] += number
        return dict(sorted(found.items()))

    def summary(self, num_kept: int) -> dict[str, object]:
        """The ledger for summary.json. Raises WorkError where it does not add up."""
        steps: list[dict[str, object]] = []
        left = self.num_read - self.unreadable.total()
        for name in self.filters:
            dropped = {reason: n for (which, reason), n in sorted(self.dropped.items()) if which == name}
            steps.append({"filter": name, "num_in": left, "dropped": dropped})
            left -= sum(dropped.values())
        if left != num_kept:
            raise WorkError(f"the ledger does not add up: {self.num_read} rows read, {num_kept} kept, {self.reasons()}")
        return {
            "num_read": self.num_read,
            "num_kept": num_kept,
            "dropped": self.reasons(),
            "unreadable": dict(sorted(self.unreadable.items())),
            "filters": steps,
            "notes": dict(sorted(self.notes.items())),
        }


LeftOut = Callable[[Drop, Conversation | None], None]


def _readable(form: Format, paths: Iterable[Path], ledger: Ledger, left_out: LeftOut) -> Iterator[Conversation]:
    for path in paths:
        for row in form.read(path, ledger.notes):
            if isinstance(row, Drop):
                left_out(row, None)
            else:
                ledger.num_read += 1
                yield row


def _filtered(
    rule: Filter, name: str, conversations: Iterable[Conversation], left_out: LeftOut, scratch: Path
) -> Iterator[Conversation]:
    """What the rule keeps. Raises WorkError where it loses, invents or reorders a conversation."""
    within = Waiting(scratch)

    def handed_in() -> Iterator[Conversation]:
        for conversation in conversations:
            within.push(conversation)
            yield conversation

    for row in rule.apply(handed_in()):
        came = within.pop() if len(within) else None
        if came is None or came.id != row.id:
            raise WorkError(f"the filter {name} gave back {row.id!r} where {came.id if came else 'nothing'!r} was due")
        if isinstance(row, Drop):
            left_out(replace(row, filter=name), came)
        else:
            yield row
    if num_lost := len(within):
        raise WorkError(f"the filter {name} lost {num_lost} conversations, the first is {within.pop().id!r}")


def _with_text(drop: Drop, conversation: Conversation | None) -> DroppedConversation:
    messages, source = (conversation.messages, conversation.source) if conversation else ((), "")
    return DroppedConversation(drop.id, drop.reason, drop.detail, drop.filter, messages, source)


def _named(paths: list[Path]) -> str:
    return str(paths[0]) if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} more"
