"""synthesise: a few seed examples -> a dataset of many, made by asking a teacher for more (Appendix A of the paper).

In: a component of `prompts`, a teacher, a filter against leaks. Out: `datasets/`: records.parquet, conversations that
`tokenize` reads; prompts.jsonl, what they ask, for `collect`; raw.jsonl, every reply as it came, from which the backend
`replay` plays it again; dropped.jsonl and dropped.parquet, whatever of the replies is not in the dataset, with the
reason; card.json. A run that was cut off goes on behind its last whole round.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import ClassVar

from epigone.datasets import DatasetWriter, write_dataset
from epigone.errors import WorkError
from epigone.interfaces import Filter, Grown, LanguageModel, PromptGenerator, Rounds
from epigone.records import Conversation, Drop, DroppedConversation, Prompt
from epigone.reporting.collection_card import card_of, day_of, is_simulated, write_card
from epigone.spec import Component
from epigone.store import write_records
from epigone.synthesis.recorder import Recorder
from epigone.synthesis.rounds import DUPLICATES, ENOUGH, LEAKS, PARSER

ROUNDS_FOLDER = "rounds"


@dataclass(frozen=True)
class Synthesise:
    """Options of making examples."""

    generator: Component
    """How they are made: a component of `prompts`."""
    teacher: Component
    """Who is asked: a component of `backends`."""
    rounds: Rounds = field(default_factory=Rounds)
    """How many, in rounds of how many prompts, and when to stop."""
    leaks: Component | None = None
    """What must not be asked: a component of `curation`; None: nothing is looked for."""
    name: str = "synthetic"
    """What the dataset is called."""
    teacher_name: str = "teacher"
    """What the teacher is called in the raw replies."""
    terms: str = ""
    """The terms of the teacher's provider, in words or as an address; they go onto the card."""

    kind: ClassVar[str] = "datasets"
    version: ClassVar[int] = 1

    @property
    def slug(self) -> str:
        """The dataset's name."""
        return self.name

    @property
    def effort(self) -> float:
        """Seconds on one core, roughly."""
        return 60.0

    def run(self, inputs: Callable[[object], Path], out: Path) -> dict[str, object]:
        """Ask, read, sift, write. Raises WorkError where nothing is left."""
        generator, teacher = self.generator.make(inputs), self.teacher.make(inputs)
        leaks = self.leaks.make(inputs) if self.leaks else None
        assert isinstance(generator, PromptGenerator) and isinstance(teacher, LanguageModel)
        assert leaks is None or isinstance(leaks, Filter)
        recorder = Recorder(teacher, self.teacher_name, out / ROUNDS_FOLDER, self.rounds.prompts_per_round)
        grown = generator.grow(recorder, self.rounds, leaks)
        self._check(grown)
        first, last = map(day_of, recorder.times())
        num_replies = recorder.finish(out / "raw.jsonl")
        _write(grown, out)
        card = card_of(
            self.teacher,
            self.teacher_name,
            inputs,
            parameters=_options(generator) | {"seed": self.rounds.seed},
            prompts=f"{self.generator.folder}/{self.generator.name}: {self.rounds.num_examples:,} examples wanted",
            num_prompts=recorder.num_asked,
            num_answers=num_replies - recorder.num_failed,
            terms=self.terms,
            days=("", "") if is_simulated(self.teacher) else (first, last),
        )
        write_card(out, card)
        return ledger(grown, recorder.num_asked, recorder.num_failed)

    def _check(self, grown: Grown) -> None:
        if not grown.kept:
            reasons = Counter(f"{each.filter}: {each.reason}" for each in grown.dropped)
            first = next((m.content[:80] for d in grown.dropped for m in d.messages), "")
            raise WorkError(
                f"{self.teacher_name}: no example of {len(grown.dropped)} was kept ({dict(reasons)}); the first is "
                f"{first!r}: ask a model that follows instructions, longer replies, or loosen the filter"
            )


def _options(generator: PromptGenerator) -> dict[str, object]:
    """Every option of a generator, those that were not given too."""
    return {f.name: getattr(generator, f.name) for f in fields(generator)}  # pyright: ignore[reportArgumentType]


def ledger(grown: Grown, num_asked: int, num_failed: int) -> dict[str, object]:
    """The counts: parsed = kept + duplicates + leaked + surplus; malformed beside them."""
    by = Counter(drop.filter for drop in grown.dropped)
    reasons = Counter(f"{drop.filter}: {drop.reason}" for drop in grown.dropped)
    return {
        "num_asked": num_asked,
        "num_failed": num_failed,
        "num_parsed": len(grown.kept) + len(grown.dropped) - by[PARSER],
        "num_malformed": by[PARSER],
        "num_leaked": by[LEAKS],
        "num_duplicates": by[DUPLICATES],
        "num_surplus": by[ENOUGH],
        "num_kept": len(grown.kept),
        "dropped": dict(sorted(reasons.items())),
        "rounds": [each._asdict() for each in grown.rounds],
        "ended": grown.ended,
    }


def _write(grown: Grown, out: Path) -> None:
    write_dataset(out / "records.parquet", grown.kept)
    write_records(out / "prompts.jsonl", _prompts(grown.kept))
    write_records(out / "dropped.jsonl", [Drop(d.id, d.reason, d.detail, d.filter) for d in grown.dropped])
    with DatasetWriter(out / "dropped.parquet", DroppedConversation) as writer:
        for dropped in grown.dropped:
            writer.write(dropped)


def _prompts(kept: Sequence[Conversation]) -> list[Prompt]:
    """What the conversations ask, without the answers."""
    return [Prompt(each.id, messages=each.messages[:-1]) for each in kept]
