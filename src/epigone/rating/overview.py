"""What a researcher looks at while people rate: coverage, agreement, time, raters to look into, who is preferred.

In: Ratings. Out: an Overview: pure functions. What cannot be told yet is None, never 0.
Source: metrics/agreement, metrics/raters, metrics/preference.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from epigone.errors import DataError
from epigone.metrics.agreement import Agreement, agreement
from epigone.metrics.preference import Preference, win_or_tie_rate
from epigone.metrics.raters import rater_quality
from epigone.rating.ratings import RaterFacts, Rating, Ratings
from epigone.records import Judgment

NUM_RESAMPLES = 500
FEWEST_ATTENTION = 2
"""Attention checks that one must have missed before a rater is flagged for it: one may be a slip."""
ALL = "all fields"


@dataclass(frozen=True, slots=True)
class RaterLine:
    """One rater on the dashboard; `flag` and `reason` are empty where nothing stands out."""

    facts: RaterFacts
    agreement: float | None
    median_seconds: float | None
    flag: str
    reason: str


@dataclass(frozen=True, slots=True)
class RateLine:
    """Wins or ties of one model against another, among raters of one field or all."""

    a: str
    b: str
    domain: str
    num_raters: int
    preference: Preference


@dataclass(frozen=True, slots=True)
class Overview:
    """All of it."""

    num_asked: int
    num_given: int
    num_pairs: int
    num_pairs_complete: int
    num_masked: int
    agreement: Agreement | None
    median_seconds: float | None
    raters: tuple[RaterLine, ...]
    rates: tuple[RateLine, ...]

    @property
    def coverage(self) -> float:
        """Share of the ratings asked for that are there, 0-1."""
        return self.num_given / self.num_asked if self.num_asked else 0.0


def overview(found: Ratings) -> Overview:
    """Everything that the votes so far show."""
    judgments = [rating.judgment for rating in found.ratings]
    per_pair = Counter((j.prompt_id, j.a, j.b) for j in judgments)
    num_raters = found.num_asked // found.num_pairs if found.num_pairs else 0
    return Overview(
        num_asked=found.num_asked,
        num_given=len(judgments),
        num_pairs=found.num_pairs,
        num_pairs_complete=sum(count >= num_raters for count in per_pair.values()),
        num_masked=found.num_masked,
        agreement=_agreement(judgments),
        median_seconds=median(times) if (times := [j.seconds for j in judgments if j.seconds is not None]) else None,
        raters=tuple(rater_lines(found.raters, judgments)),
        rates=tuple(rate_lines(found.ratings)),
    )


def rater_lines(facts: Sequence[RaterFacts], judgments: Sequence[Judgment]) -> list[RaterLine]:
    """Every rater beside what the others said; missed attention checks come before habits."""
    quality = {q.rater: q for q in rater_quality(judgments)}
    found: list[RaterLine] = []
    for one in facts:
        known = quality.get(one.rater)
        flag, reason = missed_checks(one) or ((known.flag, known.reason) if known else ("", ""))
        timed = known.median_seconds if known else None
        found.append(RaterLine(one, known.agreement if known else None, timed, flag, reason))
    return found


def rate_lines(ratings: Sequence[Rating]) -> list[RateLine]:
    """For each pair of models over all raters, then by the field that raters declared, as far as there are several."""
    by_models: defaultdict[tuple[str, str], list[Rating]] = defaultdict(list)
    for rating in ratings:
        by_models[rating.judgment.a, rating.judgment.b].append(rating)
    found: list[RateLine] = []
    for (a, b), rated in by_models.items():
        domains = sorted({rating.domain for rating in rated})
        for domain in [ALL, *(domains if len(domains) > 1 else ())]:
            judgments = [r.judgment for r in rated if domain in (ALL, r.domain)]
            num_raters = len({judgment.rater for judgment in judgments})
            found.append(RateLine(a, b, domain, num_raters, win_or_tie_rate(judgments, a)))
    return found


def missed_checks(facts: RaterFacts) -> tuple[str, str] | None:
    """Flag and reason where a rater missed at least `FEWEST_ATTENTION` attention checks and half of them."""
    num_missed = facts.num_attention - facts.num_attention_right
    if num_missed < FEWEST_ATTENTION or 2 * num_missed < facts.num_attention:
        return None
    return "missed attention checks", f"{num_missed} of {facts.num_attention} attention checks answered wrongly"


def _agreement(judgments: Sequence[Judgment]) -> Agreement | None:
    try:
        return agreement(judgments, num_resamples=NUM_RESAMPLES)
    except DataError:
        return None
