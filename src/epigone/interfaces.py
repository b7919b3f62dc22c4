"""The Protocols: what each folder's components must be able to do; a component is a frozen dataclass that fits.

`tests/contracts/` walks the folders and checks every component against these.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NamedTuple, Protocol, runtime_checkable

from epigone.records import (
    Claim,
    Completion,
    Conversation,
    Drop,
    DroppedConversation,
    Generation,
    Item,
    Judgment,
    Likelihood,
    Message,
    Prompt,
    SamplingParams,
    Score,
    ScoreSheet,
)
from epigone.replies import Bill, Reply


@runtime_checkable
class LanguageModel(Protocol):
    """Whoever makes text: teacher, student, judge, recording, fake."""

    def generate(self, prompts: Sequence[Prompt], sampling: SamplingParams) -> list[Completion]:
        """One Completion a prompt, in order."""
        ...


@runtime_checkable
class LikelihoodModel(LanguageModel, Protocol):
    """A LanguageModel that also tells how likely a continuation is."""

    def loglikelihood(self, requests: Sequence[tuple[Prompt, str]]) -> list[Likelihood]:
        """Likelihood of each continuation after its prompt, in order."""
        ...


@runtime_checkable
class TokenizedModel(LikelihoodModel, Protocol):
    """A LikelihoodModel whose tokenizer is at hand."""

    @property
    def num_positions(self) -> int:
        """The most tokens of prompt and continuation together."""
        ...

    def token_ids(self, prompt: Prompt, continuation: str = "") -> tuple[list[int], list[int]]:
        """Ids of what is read for a prompt, and of the continuation behind it."""
        ...

    def rolling_loglikelihood(self, texts: Sequence[str]) -> list[Likelihood]:
        """Likelihood of whole texts, every token once, a long text in windows of the model's positions."""
        ...


@runtime_checkable
class ServedModel(LanguageModel, Protocol):
    """A LanguageModel behind a server: it may fail on single prompts, and what it says has a price."""

    def replies(self, prompts: Sequence[Prompt], sampling: SamplingParams) -> Iterator[Reply]:
        """One Reply a prompt, in order, once all were asked. Raises WorkError where server or budget give out."""
        ...

    def bill(self, prompts: Sequence[Prompt], sampling: SamplingParams) -> Bill:
        """What `replies` would send and what it would cost; sends nothing."""
        ...


@runtime_checkable
class Format(Protocol):
    """A raw dump -> Conversations. Rows that cannot be read come back as Drops with a reason."""

    def fits(self, path: Path) -> bool:
        """Whether the file's beginning looks like this format; never raises."""
        ...

    def read(self, path: Path, notes: Counter[str] | None = None) -> Iterator[Conversation | Drop]:
        """Rows in file order. Raises DataError where the file as a whole is not of this format.

        What was repaired or passed over without a Drop is counted in `notes`, by its name.
        """
        ...


@runtime_checkable
class AnswerFormat(Protocol):
    """A file of answers that models gave elsewhere -> Generations. Rows that cannot be used come back as Drops."""

    def fits(self, path: Path) -> bool:
        """Whether the file's beginning looks like this format; never raises."""
        ...

    def read(self, path: Path) -> Iterator[Generation | Drop]:
        """One Generation or Drop a row, in file order. Raises DataError where the file as a whole cannot be read."""
        ...


@runtime_checkable
class JudgmentFormat(Protocol):
    """A file of verdicts that were given elsewhere -> Judgments. A row without a verdict comes back as a Drop."""

    def fits(self, path: Path) -> bool:
        """Whether the file's beginning looks like this format; never raises."""
        ...

    def read(self, path: Path) -> Iterator[Judgment | Drop]:
        """One Judgment or Drop a verdict asked for, in file order. Raises DataError for the file as a whole."""
        ...


@runtime_checkable
class ScoreFormat(Protocol):
    """A file of scores that another harness took -> ScoreSheets. An item that failed comes back as a Drop."""

    def fits(self, path: Path) -> bool:
        """Whether the file's beginning looks like this format; never raises."""
        ...

    def read(self, path: Path) -> Iterator[ScoreSheet | Drop]:
        """A ScoreSheet a benchmark and metric, a Drop an item without a score. Raises DataError for the whole file."""
        ...


@dataclass(frozen=True, slots=True)
class Rounds:
    """How long a PromptGenerator goes on. What is asked depends on the seed and on what earlier rounds gave alone."""

    num_examples: int = 6000
    """New examples wanted; the paper's NQ-synthetic has so many."""
    prompts_per_round: int = 64
    """Prompts that are asked at once, before any reply of theirs is read."""
    minimum_yield: float | int = 0.25
    """The stop rule: new examples for each prompt asked, below which the last `patience` rounds are too poor."""
    patience: int = 3
    """Rounds that the stop rule looks back on."""
    max_prompts: int = 0
    """Ask no more than so many (0: no limit)."""
    seed: int = 0
    """Draws the examples that are shown, and the replies where the model is here."""


class RoundYield(NamedTuple):
    """What one round of prompts gave."""

    num_asked: int
    num_kept: int


@dataclass(frozen=True, slots=True)
class Grown:
    """What a PromptGenerator made; every example that a reply held is in it once."""

    kept: tuple[Conversation, ...]
    dropped: tuple[DroppedConversation, ...]
    """Malformed, a duplicate, a leak, or beyond what was wanted: `filter` says which, `reason` how."""
    rounds: tuple[RoundYield, ...]
    ended: str
    """Why the last round was the last."""


@runtime_checkable
class PromptGenerator(Protocol):
    """Makes many examples out of a few by asking a model for more."""

    def grow(self, model: LanguageModel, rounds: Rounds, leaks: "Filter | None") -> Grown:
        """Ask round after round until there are enough or too few new ones come; `leaks` drops what must not be."""
        ...


@runtime_checkable
class Filter(Protocol):
    """Keep, or drop with a reason. A filter sees the conversations in order and may remember what it saw."""

    def apply(self, conversations: Iterable[Conversation]) -> Iterator[Conversation | Drop]:
        """Every conversation that came in goes out once: kept, or as a Drop."""
        ...


@runtime_checkable
class Benchmark(Protocol):
    """A published benchmark: its items from the published file format, its prompts, its scores."""

    @property
    def protocol(self) -> str:
        """Id of prompt bytes, shots, stop rule, normalisation and scoring mode; only equal ids are compared."""
        ...

    def items(self) -> Sequence[Item]:
        """The items, in file order. Raises DataError naming file, row and value."""
        ...

    def run(self, model: LanguageModel, items: Sequence[Item] | None = None) -> list[Score]:
        """One Score an item, in order, of all items or of these. What an item gets does not depend on the others.

        Raises SpecError where it needs log-likelihoods and the model has none.
        """
        ...


@runtime_checkable
class ToxicityScorer(Protocol):
    """Text -> toxicity 0-1."""

    @property
    def identity(self) -> str:
        """Tells this scorer from all others whose scores are no measure of the same; part of protocol ids."""
        ...

    def toxicity(self, texts: Sequence[str]) -> list[float | None]:
        """One score a text, in order; None where it could not be scored. Raises WorkError where none can."""
        ...


@runtime_checkable
class FactChecker(Protocol):
    """Finds the checkable claims of an answer and says of each whether it is true and about what was asked."""

    def check(self, text: str, asked: str) -> list[Claim]:
        """One word a claim, in order of appearance, a claim that is repeated once; empty where nothing is claimed."""
        ...


@runtime_checkable
class FactReader(Protocol):
    """Names facts, so that those of a text can be looked for among those that were asked for."""

    def stated(self, text: str) -> list[str]:
        """A name for each fact that a text states, as it states it: another answer is another fact."""
        ...

    def asked(self, question: str) -> str:
        """The name of the fact that a question asks for, with its right answer; empty where it asks for none."""
        ...


@runtime_checkable
class Judge(Protocol):
    """Compares two answers to one prompt, blind."""

    def compare(self, prompt: Prompt, a: tuple[str, str], b: tuple[str, str]) -> list[Judgment]:
        """`a` and `b` are (model name, answer text). One Judgment a rater."""
        ...


class Shown(NamedTuple):
    """A prompt and two answers in the order of showing; `reference` is a right answer, where one is known."""

    asked: str
    first: str
    second: str
    reference: str = ""


class Marks(NamedTuple):
    """What a judge's replies say of the two: which is better by one criterion, and marks, where it gave some."""

    verdict: str
    """first, second or tie."""
    scores: tuple[float, float] | None = None


@runtime_checkable
class AskedJudge(Protocol):
    """A judge that is a language model: what it is asked of two answers, and what its replies say. Pure."""

    sees_both: ClassVar[bool]
    """Whether it is shown both answers at once, so that both orders must be tried."""

    @property
    def max_tokens(self) -> int:
        """Longest reply."""
        ...

    def questions(self, shown: Shown) -> list[tuple[Message, ...]]:
        """Conversations to ask; each ends in a user turn. Raises SpecError where it needs a reference and has none."""
        ...

    def read(self, replies: Sequence[str]) -> dict[str, Marks | None]:
        """By criterion ("" where there is one alone), what the replies say; None for what cannot be read."""
        ...


@runtime_checkable
class WeighedJudge(AskedJudge, Protocol):
    """An AskedJudge whose model is not asked for words: its reply is how likely each continuation is.

    `read` is given a line a continuation, without blanks around it, a blank and its natural-log probability.
    """

    @property
    def continuations(self) -> tuple[str, ...]:
        """What is weighed behind the question."""
        ...

    @property
    def is_text(self) -> bool:
        """Whether the question is plain text to be continued, not a turn of chat."""
        ...


class Piece(NamedTuple):
    """A stretch of what a chat template writes: text, or one control token by its name (`<|end|>`)."""

    text: str
    is_control: bool = False
    is_learnt: bool = False


@runtime_checkable
class ChatTemplate(Protocol):
    """Messages -> what a model reads, piece by piece, each with whether it is learnt. Needs no tokenizer."""

    @property
    def jinja(self) -> str:
        """The same for other software: the `chat_template` of a tokenizer_config.json."""
        ...

    def pieces(self, messages: Sequence[Message]) -> list[Piece]:
        """The whole conversation; learnt are the assistant's words and the end that closes them.

        Raises SpecError for what the template cannot say.
        """
        ...

    def prompt(self, messages: Sequence[Message]) -> list[Piece]:
        """What a model reads before it answers, cut as in `pieces`. Raises SpecError for what cannot be said."""
        ...


@runtime_checkable
class StageSpec(Protocol):
    """A verb with its options. Inputs are other StageSpecs in its fields; running it builds one artifact."""

    kind: ClassVar[str]
    """The folder of the artifacts that it builds, e.g. `checkpoints`."""
    version: ClassVar[int]
    """Raised when the stage's meaning changes; part of the artifact's id."""

    @property
    def slug(self) -> str:
        """Readable part of the artifact's name."""
        ...

    @property
    def effort(self) -> float:
        """Rough relative cost: orders the work and drives the time left."""
        ...

    def run(self, inputs: Callable[[object], Path], out: Path) -> dict[str, object]:
        """Build the artifact's files under `out` (kept over interruptions); returns the counts for summary.json."""
        ...


@runtime_checkable
class Executor(Protocol):
    """Where stages run."""

    def run(self, stages: Sequence[StageSpec], on_event: Callable[[str, StageSpec], None]) -> dict[str, float]:
        """Run all stages, inputs first; returns figures of use (`peak_memory_bytes`).

        Events: start, done, failed. Raises WorkError after the rest has finished.
        """
        ...
