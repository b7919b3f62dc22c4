"""Who is preferred: wins, ties and losses of one model over several ratings a comparison.

In: Judgments of people, judges or simulated raters. Out: one value a prompt, and the share "equal or better".
Source: arXiv 2305.15717, section 4.1 and Figures 1 and 3 (three ratings; equal or better;
mean and one standard deviation).
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from epigone.errors import DataError
from epigone.metrics.intervals import estimate
from epigone.records import Estimate, Judgment, Verdict


@dataclass(frozen=True, slots=True)
class Comparison:
    """The majority of one prompt's ratings, as seen from one model. `split`: no verdict had most ratings, so a tie."""

    outcome: str
    split: bool

    @property
    def at_least_equal(self) -> float:
        """1 for a win or a tie."""
        return float(self.outcome != "loss")


@dataclass(frozen=True, slots=True)
class Preference:
    """Outcomes over all prompts. `sd_of_mean` is the one standard deviation that the paper draws around the mean."""

    wins: int
    ties: int
    losses: int
    num_splits: int
    win_or_tie: Estimate
    sd_of_mean: float


def majority(verdicts: Sequence[Verdict]) -> tuple[Verdict, bool]:
    """The most frequent verdict; without a single most frequent one (such as a three-way split) a tie, and True."""
    if not verdicts:
        raise DataError("a comparison without a rating has no majority; leave it out and count it")
    ranked = Counter(verdicts).most_common()
    if len(ranked) > 1 and ranked[0][1] == ranked[1][1]:
        return "tie", True
    return ranked[0][0], False


def comparisons(judgments: Sequence[Judgment], model: str) -> dict[str, Comparison]:
    """Prompt id -> majority outcome (win, tie, loss) of `model`. Raises DataError for a judgment it is not in."""
    ratings: defaultdict[str, list[Verdict]] = defaultdict(list)
    for judgment in judgments:
        ratings[judgment.prompt_id].append(_from_side(judgment, model))
    words: dict[Verdict, str] = {"a": "win", "b": "loss", "tie": "tie"}
    decided = {prompt_id: majority(verdicts) for prompt_id, verdicts in ratings.items()}
    return {prompt_id: Comparison(words[verdict], split) for prompt_id, (verdict, split) in decided.items()}


def _from_side(judgment: Judgment, model: str) -> Verdict:
    if judgment.a == model:
        return judgment.verdict
    if judgment.b != model:
        raise DataError(f"judgment on {judgment.prompt_id!r} compares {judgment.a!r} and {judgment.b!r}, not {model!r}")
    flipped: dict[Verdict, Verdict] = {"a": "b", "b": "a", "tie": "tie"}
    return flipped[judgment.verdict]


def win_or_tie_rate(judgments: Sequence[Judgment], model: str) -> Preference:
    """Share of prompts on which `model` is judged equal or better, with wins, ties and losses kept apart."""
    found = list(comparisons(judgments, model).values())
    values = np.asarray([c.at_least_equal for c in found], dtype=np.float64)
    tally = Counter(c.outcome for c in found)
    return Preference(
        wins=tally["win"],
        ties=tally["tie"],
        losses=tally["loss"],
        num_splits=sum(c.split for c in found),
        win_or_tie=estimate([values]),
        sd_of_mean=float(values.std(ddof=1) / len(values) ** 0.5) if len(values) > 1 else 0.0,
    )
