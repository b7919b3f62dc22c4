"""The nouns: everything that travels between stages, as frozen dataclasses.

Records go to disk as one JSON object a row (`epigone.store`), with exactly these field names. Probabilities are 0-1.
Source: the way of the data in ARCHITECTURE.md; the paper's terms (arXiv 2305.15717).
"""

from dataclasses import dataclass, field
from typing import Literal

Role = Literal["system", "user", "assistant", "tool"]
Verdict = Literal["a", "b", "tie"]
Claim = Literal["right", "wrong", "off_topic"]
"""Of a claim in an answer: off_topic is true, but about something that was not asked."""
ArmRole = Literal["teacher", "second_sample", "base", "student"]
ArmData = Literal["none", "broad", "local_strict", "local_supported", "replay_only"]


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: Role
    content: str
    reasoning: str = ""
    """What the model thought before it answered (`<think>`), apart from the answer."""
    tool_calls: str = ""
    """Calls that the assistant made, as the JSON array that the source holds; empty where there are none."""
    tool_call_id: str = ""
    """Of a tool's result: the call that it answers."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """A dialogue as training data; `source` names where it was read."""

    id: str
    messages: tuple[Message, ...]
    source: str = ""


@dataclass(frozen=True, slots=True)
class Document:
    """Plain pre-training text."""

    id: str
    text: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a LanguageModel is asked: `messages` in chat form, or `text` to be continued. Exactly one is set."""

    id: str
    messages: tuple[Message, ...] = ()
    text: str = ""


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How a reply is drawn. `temperature` 0 is greedy; `stop` strings end the reply and are cut off.

    Of the likeliest tokens, only the `top_k` best (0: all) and, of these, the fewest that hold `top_p` of the
    probability are drawn from.
    """

    max_tokens: int
    temperature: float = 0.0
    seed: int = 0
    stop: tuple[str, ...] = ()
    top_p: float = 1.0
    top_k: int = 0


@dataclass(frozen=True, slots=True)
class Completion:
    """What a LanguageModel returns. `mean_logprob` is the mean natural-log probability of its tokens, if known.

    `finish_reason` is unknown for a recording that does not say why its text ends.
    """

    text: str
    num_tokens: int
    finish_reason: Literal["stop", "length", "content_filter", "tool_calls", "unknown"]
    mean_logprob: float | None = None
    reasoning: str = ""
    """What the model thought before it answered, apart from the answer."""
    seconds: float | None = field(default=None, compare=False)
    """How long it took from its turn to its end, where somebody looked at a clock; no part of what was said."""


@dataclass(frozen=True, slots=True)
class Likelihood:
    """Log-likelihood (natural log, summed) of a continuation of `num_tokens` tokens, in chat form too."""

    logprob: float
    num_tokens: int
    is_greedy: bool | None = None
    """Whether each of its tokens is the likeliest in its place; None where nobody tells."""


@dataclass(frozen=True, slots=True)
class Response:
    """A teacher's stored answer. `sample` tells independent answers to one prompt apart."""

    prompt_id: str
    messages: tuple[Message, ...]
    text: str
    finish_reason: str
    model: str
    sample: int = 0
    reasoning: str = ""
    """What the teacher thought before it answered."""


@dataclass(frozen=True, slots=True)
class Generation:
    """A student's or base model's stored answer, or any model's where it was recorded elsewhere.

    Of a recording, `messages` is empty where the prompt's text is not known, and `answer_id` is the published id by
    which judgments refer to the answer.
    """

    prompt_id: str
    messages: tuple[Message, ...]
    text: str
    finish_reason: str
    model: str
    answer_id: str = ""


@dataclass(frozen=True, slots=True)
class Drop:
    """A row that was left out, and why; `filter` names the rule of a curation, empty where the row was unreadable."""

    id: str
    reason: str
    detail: str = ""
    filter: str = ""


@dataclass(frozen=True, slots=True)
class DroppedConversation:
    """A Drop beside the conversation that it left out; `messages` is empty where no conversation could be read."""

    id: str
    reason: str
    detail: str
    filter: str
    messages: tuple[Message, ...] = ()
    source: str = ""


@dataclass(frozen=True, slots=True)
class Item:
    """One question of a benchmark. `answers` are all accepted texts; `options` the choices, `label` the right one."""

    id: str
    question: str
    answers: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    label: int = -1
    group: str = ""


@dataclass(frozen=True, slots=True)
class Sample:
    """One of the replies to an item that was asked several times: what was read from it, and what came of it."""

    reply: str
    parsed: str = ""
    reason: str = ""
    """In one word, why it was right or not: passed, timeout."""
    detail: str = ""
    metrics: dict[str, float] = field(default_factory=dict[str, float])


@dataclass(frozen=True, slots=True)
class Score:
    """One item's outcome on one benchmark. A metric that could not be measured is absent, never 0."""

    item_id: str
    metrics: dict[str, float]
    prompt: str
    reply: str
    parsed: str = ""
    group: str = ""
    samples: tuple[Sample, ...] = ()
    """All replies, where there may be several; `reply` and `parsed` are then those of the first."""


@dataclass(frozen=True, slots=True)
class AskedTokens:
    """Token ids of what a model was asked for one item: a prompt, and the continuations that were scored behind it."""

    item_id: str
    prompt: tuple[int, ...]
    continuations: tuple[tuple[int, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with what it rests on: interval at 95 % unless `method` says otherwise, n items, number of seeds."""

    value: float
    low: float
    high: float
    n: int
    method: str
    num_seeds: int = 1


@dataclass(frozen=True, slots=True)
class Judgment:
    """One rater's verdict on two blind answers to one prompt; humans, judges and simulated raters write the same.

    `a` and `b` name the models, or their answers by published id (`answer:ID`, or `answer:ID=NAME` where the recording
    says whose it is); `first` says which of the two was shown first.
    """

    prompt_id: str
    a: str
    b: str
    verdict: Verdict
    rater: str
    first: Literal["a", "b", "unknown"]
    simulated: bool = False
    panel: str = ""
    """Whose verdicts are pooled: a crowd, or a judge over its prompts. Empty: the rater stands alone."""
    is_person: bool = False
    criterion: str = ""
    """What was asked for, where a source asks for several things (fluency, topic)."""
    share_a: float | None = None
    """How far `a` is preferred, 0-1, where the source says it in fractions; 0.5 is a tie."""
    scores: tuple[float, float] | None = None
    """The marks that `a` and `b` were given, on the source's own scale."""
    seconds: float | None = None
    """How long the rater took."""


@dataclass(frozen=True, slots=True)
class ScoreSheet:
    """One model on one benchmark as another harness recorded it: scores by item, or only their aggregate."""

    model: str
    benchmark: str
    metric: str
    protocol: str
    scores: tuple[Score, ...] = ()
    aggregate: Estimate | None = None
    """Value and interval as published, where the single items are not at hand."""


@dataclass(frozen=True, slots=True)
class Arm:
    """One arm of a study: a cell without its seed. Token counts are the nominal amounts of the grid."""

    role: ArmRole
    base: str
    num_params: int = 0
    pretrain_tokens: int = 0
    data: ArmData = "none"
    imitation_tokens: int = 0
    replay_tokens: int = 0
    treatment: str = field(default="", metadata={"left_out_at_default": True})
    """What else was done to its training, in words: `KL to base`."""

    @property
    def name(self) -> str:
        """Readable and unique within a study, e.g. `w64 broad 120K + replay 60K`, `w64 broad 120K, KL to base`."""
        if self.role in ("teacher", "second_sample"):
            return self.base
        amount = f" {_thousands(self.imitation_tokens)}" if self.imitation_tokens else ""
        replay = f" + replay {_thousands(self.replay_tokens)}" if self.replay_tokens else ""
        if self.data == "replay_only":
            return f"{self.base} replay only {_thousands(self.replay_tokens)}"
        what = self.role if self.data == "none" else self.data.replace("_", " ")
        return f"{self.base} {what}{amount}{replay}{f', {self.treatment}' if self.treatment else ''}"


def _thousands(num_tokens: int) -> str:
    return f"{num_tokens // 1000}K"


@dataclass(frozen=True, slots=True)
class Result:
    """A metric of one arm, pooled over its seeds; `per_seed` shows the spread, `protocol` what may be compared."""

    arm: Arm
    metric: str
    estimate: Estimate
    protocol: str
    per_seed: tuple[float, ...] = ()
    minimum_difference: float | None = None


@dataclass(frozen=True, slots=True)
class Trend:
    """Change of a metric per doubling of `axis`, with a word: rising, falling, flat within +-d, undecided."""

    metric: str
    axis: Literal["imitation_tokens", "num_params", "pretrain_tokens"]
    series: str
    slope: Estimate
    word: str
    points: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, slots=True)
class AxisVerdict:
    """One axis of one student: where base, student and teacher stand, the share of the gap closed, and a word."""

    axis: Literal["capability", "style", "preference"]
    metric: str
    base: Estimate | None
    student: Estimate
    teacher: Estimate | None
    gap_closed: Estimate | None
    word: Literal["gain", "no gain", "regression", "undecided"]
    ceiling: Estimate | None = None


@dataclass(frozen=True, slots=True)
class ArmVerdict:
    """What a student got: style only, local gain, broad gain, regression, undecided; and one sentence of why."""

    arm: Arm
    word: str
    sentence: str
    axes: tuple[AxisVerdict, ...]


@dataclass(frozen=True, slots=True)
class Prediction:
    """Written before the first full run: the sign and rough size expected of one contrast.

    The contrast is `metric` of `arm` minus that of `against` (both Arm.name); without `against` the value itself;
    with `slope_axis` the change per doubling along the arms whose series is `arm`. `cause` is what was found afterwards
    where it did not come out; it changes nothing in the outcome.
    """

    id: str
    phenomenon: str
    paper: str
    metric: str
    arm: str
    expected_low: float
    expected_high: float
    against: str = ""
    slope_axis: str = ""
    about: Literal["size", "amount", "base quality", "other"] = "other"
    cause: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A prediction beside what was observed: holds, fails or undecided, and whether the size was as expected."""

    prediction: Prediction
    observed: Estimate | None
    word: Literal["holds", "fails", "undecided", "not measured"]
    size_as_expected: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence of an example answer; `truth` as in Figure 2: that of its claims, mixed, or none (nothing claimed).

    `begins` is what it begins: a paragraph, a line, or nothing but itself.
    """

    text: str
    truth: Literal["right", "wrong", "off_topic", "mixed", "none"]
    begins: Literal["paragraph", "line", ""] = ""


@dataclass(frozen=True, slots=True)
class Example:
    """One prompt with several models' answers, side by side."""

    prompt: str
    answers: tuple[tuple[str, tuple[Sentence, ...]], ...]


@dataclass(frozen=True, slots=True)
class Findings:
    """Everything a report shows. Built from scores and judgments alone, so a report can be rebuilt at any time."""

    title: str
    study_id: str
    num_seeds: int
    results: tuple[Result, ...]
    trends: tuple[Trend, ...]
    verdicts: tuple[ArmVerdict, ...]
    outcomes: tuple[Outcome, ...]
    examples: tuple[Example, ...]
    not_measured: dict[str, str] = field(default_factory=dict[str, str])
    notes: tuple[str, ...] = ()
