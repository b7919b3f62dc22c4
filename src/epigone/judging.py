"""Asking a judge in both orders, several times over, and reading what it said.

In: pairs of answers, a judge (`interfaces.AskedJudge`), texts of its replies. Out: what to ask; Judgments by order and
repeat, Drops for what could not be read, and a Tally. Each order of showing is a rater of the judge's panel, so that a
pair on which the two orders disagree is a tie by majority (a flip). A judge that weighs (`interfaces.WeighedJudge`) has
for texts what its model finds likely. Pure functions, but for the model that is asked.
Source: both orders as in Zheng et al. 2023 (arXiv 2306.05685), section 3.4.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from epigone.errors import SpecError
from epigone.interfaces import AskedJudge, LanguageModel, LikelihoodModel, Marks, Shown, WeighedJudge
from epigone.metrics.answers import protocol_id
from epigone.records import Completion, Drop, Judgment, Prompt, SamplingParams, Verdict

Order = Literal["a", "b"]
_VERDICTS: dict[tuple[str, Order], Verdict] = {
    ("first", "a"): "a",
    ("second", "a"): "b",
    ("first", "b"): "b",
    ("second", "b"): "a",
    ("tie", "a"): "tie",
    ("tie", "b"): "tie",
}

TWO_ANSWERS = """\
Compare two answers to the same request. Judge by whether an answer does what was asked, whether what it says
is true, and whether it is clear. Neither its length, nor its form, nor whether it came first or second makes it better.

<request>
{asked}
</request>

<answer 1>
{first}
</answer 1>

<answer 2>
{second}
</answer 2>"""
"""What judges of two whole answers ask alike, to be formatted with `asked`, `first` and `second`."""
SPECIMEN = Shown("<asked>", "<first>", "<second>", "<reference>")


def protocol_of(name: str, judge: AskedJudge, **shape: object) -> str:
    """Id of what a judge asks and how it is read: verdicts under two ids are those of two judges."""
    return protocol_id(f"judge-{name.rpartition(':')[2]}", judge=judge, asked=str(judge.questions(SPECIMEN)), **shape)


class Pair(NamedTuple):
    """Two models' answers to one prompt."""

    prompt_id: str
    asked: str
    a: str
    b: str
    reference: str = ""


class Look(NamedTuple):
    """One look of a judge at a pair: which answer it is shown first, and for which time."""

    pair: Pair
    first: Order
    repeat: int

    @property
    def shown(self) -> Shown:
        """The two answers as they are shown."""
        both = (self.pair.a, self.pair.b) if self.first == "a" else (self.pair.b, self.pair.a)
        return Shown(self.pair.asked, *both, self.pair.reference)


def looks(judge: AskedJudge, pairs: Sequence[Pair], num_repeats: int) -> list[Look]:
    """Every look, in the order of the pairs; both orders where the judge sees both answers at once."""
    orders: tuple[Order, ...] = ("a", "b") if judge.sees_both else ("a",)
    return [Look(pair, first, k) for pair in pairs for first in orders for k in range(1, num_repeats + 1)]


def questions(judge: AskedJudge, asked: Sequence[Look]) -> list[list[Prompt]]:
    """What is asked at each look."""
    return [
        [
            Prompt(f"{look.pair.prompt_id}/{look.first}/{look.repeat}/{number}", messages=messages)
            for number, messages in enumerate(judge.questions(look.shown), 1)
        ]
        for look in asked
    ]


@dataclass(frozen=True)
class Weighed:
    """A LanguageModel that replies with how likely a model finds each continuation, `A -0.6931` a line."""

    model: LikelihoodModel
    judge: WeighedJudge

    def generate(self, prompts: Sequence[Prompt], sampling: SamplingParams) -> list[Completion]:
        """One Completion a prompt, in order; sampling changes nothing. Raises SpecError where the model tells none."""
        weighed = self.judge.continuations
        asked = [self._as_given(prompt) for prompt in prompts]
        found = iter(self.model.loglikelihood([(prompt, each) for prompt in asked for each in weighed]))
        lines = [[f"{each.strip()} {next(found).logprob:.6f}" for each in weighed] for _ in asked]
        return [Completion("\n".join(each), len(weighed), "stop") for each in lines]

    def _as_given(self, prompt: Prompt) -> Prompt:
        return Prompt(prompt.id, text=prompt.messages[-1].content) if self.judge.is_text else prompt


def asked_by(judge: AskedJudge, model: LanguageModel, *, is_recorded: bool = False) -> LanguageModel:
    """The model as this judge asks it. Raises SpecError for one that can only write where likelihoods are wanted.

    A recording of a judge that weighed (`is_recorded`) holds what it found, and is read as it is.
    """
    if not isinstance(judge, WeighedJudge) or is_recorded:
        return model
    if not isinstance(model, LikelihoodModel):
        raise SpecError(
            "this judge weighs letters by their log-likelihood, which this model does not tell; give a checkpoint, or "
            "a server that does: openai:url=...,model=...,scoring=echo with likelihood:form=text, or "
            "scoring=prompt_logprobs. A server of chat alone can only be asked for words (pairwise)"
        )
    return Weighed(model, judge)


@dataclass
class Tally:
    """How a judge judged, by criterion."""

    num_looks: int = 0
    num_unread: int = 0
    first_wins: int = 0
    second_wins: int = 0
    ties: int = 0
    by_pair: dict[tuple[str, int], list[Verdict]] = field(
        default_factory=lambda: defaultdict[tuple[str, int], list[Verdict]](list)
    )

    def add(self, look: Look, marks: Marks | None) -> None:
        """One reading."""
        self.num_looks += 1
        if marks is None:
            self.num_unread += 1
            return
        self.first_wins += marks.verdict == "first"
        self.second_wins += marks.verdict == "second"
        self.ties += marks.verdict == "tie"
        self.by_pair[look.pair.prompt_id, look.repeat].append(_VERDICTS[marks.verdict, look.first])

    def told(self) -> dict[str, float | int | None]:
        """Counts and shares: unread, flips among the pairs read in both orders, the first place among decided looks."""
        both = [verdicts for verdicts in self.by_pair.values() if len(verdicts) == 2]
        num_flips = sum(verdicts[0] != verdicts[1] for verdicts in both)
        decided = self.first_wins + self.second_wins
        return {
            "num_looks": self.num_looks,
            "num_unread": self.num_unread,
            "num_both_orders": len(both),
            "num_flips": num_flips,
            "flip_rate": num_flips / len(both) if both else None,
            "first_place_share": self.first_wins / decided if decided else None,
            "num_ties": self.ties,
        }


def read(
    judge: AskedJudge, asked: Sequence[Look], replies: Sequence[Sequence[str]], names: tuple[str, str], rater: str
) -> tuple[list[Judgment], list[Drop], dict[str, Tally]]:
    """Judgments and Drops in the order of asking; `names` are the models of the answers a and b."""
    judgments: list[Judgment] = []
    drops: list[Drop] = []
    tallies: dict[str, Tally] = defaultdict(Tally)
    for look, texts in zip(asked, replies, strict=True):
        for criterion, marks in judge.read(texts).items():
            tallies[criterion].add(look, marks)
            if marks is None:
                reason = "no reply" if not any(text.strip() for text in texts) else "unreadable reply"
                where = f"{criterion}: " if criterion else ""
                drops.append(Drop(f"{look.pair.prompt_id} order {look.first}", reason, f"{where}{texts[0][:200]}"))
            else:
                judgments.append(_judgment(look, marks, criterion, names, rater))
    return judgments, drops, dict(tallies)


def unread(judge: AskedJudge, asked: Sequence[Look], replies: Sequence[Sequence[str]]) -> Iterator[int]:
    """Places of the looks of which some criterion could not be read."""
    for place, (_, texts) in enumerate(zip(asked, replies, strict=True)):
        if None in judge.read(texts).values():
            yield place


def _judgment(look: Look, marks: Marks, criterion: str, names: tuple[str, str], rater: str) -> Judgment:
    scores = marks.scores
    if scores is not None and look.first == "b":
        scores = (scores[1], scores[0])
    again = f" time {look.repeat}" if look.repeat > 1 else ""
    return Judgment(
        prompt_id=look.pair.prompt_id,
        a=names[0],
        b=names[1],
        verdict=_VERDICTS[marks.verdict, look.first],
        rater=f"{rater} order {1 if look.first == 'a' else 2}{again}",
        first=look.first,
        panel=rater,
        criterion=criterion,
        scores=scores,
    )
