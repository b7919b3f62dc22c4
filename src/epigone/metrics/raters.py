"""Which raters can be trusted, from their judgments alone: agreement with the others, ties, and what is shown first.

In: Judgments of several raters on the same comparisons. Out: one RaterQuality a rater, with a flag and its reason.

A rater is held against the majority of the others on each unit (prompt, pair, criterion); units without others, or
whose others are split, do not count. Chance is the agreement expected of two who give their verdicts as often as the
rater and as those majorities do, but independently. The flags:
- nearly always ties              at least 90 % ties of ten ratings or more, where the others tie less (p < 0.001).
- nearly always the first shown   at least 90 % of ten wins or more go to the first shown (p < 0.001 of a fair coin).
- nearly always the second shown  the same on the other side.
- near chance                     agreement not above chance (p > 0.05) and below the panel's (p < 0.01): with few
                                  ratings bad luck flags nobody. Where most of a panel guesses, none stands out.
Source: leave-one-out agreement as in Snow et al. (2008), https://aclanthology.org/D08-1027; thresholds are ours.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from scipy.special import bdtr, bdtrc

from epigone.metrics.agreement import VERDICTS, Unit, oriented, unit_of
from epigone.metrics.preference import majority
from epigone.records import Judgment, Verdict

NEARLY_ALWAYS = 0.9
MIN_RATINGS = 10
SURE, UNLIKELY, BY_CHANCE = 0.001, 0.01, 0.05


@dataclass(frozen=True, slots=True)
class RaterQuality:
    """One rater. `num_compared` units had a majority of others; what could not be measured is None."""

    rater: str
    num_ratings: int
    num_compared: int
    agreement: float | None
    chance: float | None
    p_above_chance: float | None
    """Exact binomial p of agreeing so often by chance."""
    tie_share: float
    first_share: float | None
    """Of the ratings with a winner and a known order, how many went to the answer shown first."""
    median_seconds: float | None
    flag: str
    reason: str


@dataclass(frozen=True, slots=True)
class _Record:
    """What one rater did: own verdicts beside the majority of the others, and all own judgments."""

    rater: str
    judgments: tuple[Judgment, ...]
    pairs: tuple[tuple[Verdict, Verdict], ...]

    @property
    def num_agreed(self) -> int:
        return sum(own == others for own, others in self.pairs)

    @property
    def num_ties(self) -> int:
        return sum(j.verdict == "tie" for j in self.judgments)

    @property
    def firsts(self) -> list[int]:
        """1 for every win of the answer shown first, 0 for one of the second."""
        return [int(j.verdict == j.first) for j in self.judgments if j.verdict != "tie" and j.first != "unknown"]

    @property
    def chance(self) -> float:
        """Agreement expected of independent verdicts with the same marginals."""
        own, others = (Counter(verdicts) for verdicts in zip(*self.pairs))
        return sum(own[verdict] * others[verdict] for verdict in VERDICTS) / len(self.pairs) ** 2


def rater_quality(judgments: Sequence[Judgment]) -> list[RaterQuality]:
    """Every rater's quality, those with most ratings first."""
    records = _records(judgments)
    num_compared = sum(len(r.pairs) for r in records)
    usual = sum(r.num_agreed for r in records) / num_compared if num_compared else 0.0
    ties = sum(r.num_ties for r in records) / max(len(judgments), 1)
    found = [_quality(record, usual, ties) for record in records]
    return sorted(found, key=lambda quality: (-quality.num_ratings, quality.rater))


def _records(judgments: Sequence[Judgment]) -> list[_Record]:
    by_unit: defaultdict[Unit, list[Judgment]] = defaultdict(list)
    own: defaultdict[str, list[Judgment]] = defaultdict(list)
    for judgment in judgments:
        by_unit[unit_of(judgment)].append(oriented(judgment))
        own[judgment.rater].append(judgment)
    pairs: defaultdict[str, list[tuple[Verdict, Verdict]]] = defaultdict(list)
    for members in by_unit.values():
        for judgment in members:
            others: list[Verdict] = [j.verdict for j in members if j.rater != judgment.rater]
            if others and not (found := majority(others))[1]:
                pairs[judgment.rater].append((judgment.verdict, found[0]))
    return [_Record(rater, tuple(rows), tuple(pairs[rater])) for rater, rows in own.items()]


def _quality(record: _Record, usual: float, ties: float) -> RaterQuality:
    n, agreed, firsts = len(record.pairs), record.num_agreed, record.firsts
    chance = record.chance if n else None
    p = None if chance is None else at_least(agreed, n, chance)
    flag, reason = _habit(record, ties)
    if not flag and chance is not None and p is not None and p > BY_CHANCE and at_most(agreed, n, usual) < UNLIKELY:
        flag, reason = (
            "near chance",
            f"agrees with the others on {agreed} of {n}, by chance {chance:.0%}, all {usual:.0%}",
        )
    timed = [j.seconds for j in record.judgments if j.seconds is not None]
    return RaterQuality(
        rater=record.rater,
        num_ratings=len(record.judgments),
        num_compared=n,
        agreement=agreed / n if n else None,
        chance=chance,
        p_above_chance=p,
        tie_share=record.num_ties / len(record.judgments),
        first_share=sum(firsts) / len(firsts) if firsts else None,
        median_seconds=median(timed) if timed else None,
        flag=flag,
        reason=reason,
    )


def _habit(record: _Record, ties: float) -> tuple[str, str]:
    """The flag of a rater who does not look, and the reason; empty for one who does."""
    n, num_ties, firsts = len(record.judgments), record.num_ties, record.firsts
    if n >= MIN_RATINGS and num_ties >= NEARLY_ALWAYS * n and at_least(num_ties, n, ties) < SURE:
        return "nearly always ties", f"{num_ties} of {n} ratings are ties, of all raters' {ties:.0%}"
    for word, num_wins in (("first", sum(firsts)), ("second", len(firsts) - sum(firsts))):
        often = len(firsts) >= MIN_RATINGS and num_wins >= NEARLY_ALWAYS * len(firsts)
        if often and at_least(num_wins, len(firsts), 0.5) <= SURE:
            return f"nearly always the {word} shown", f"{num_wins} of {len(firsts)} wins went to the {word} shown"
    return "", ""


def at_least(k: int, n: int, share: float) -> float:
    """Chance of k or more of n, each with this share."""
    return float(bdtrc(k - 1, n, share)) if k else 1.0


def at_most(k: int, n: int, share: float) -> float:
    """Chance of k or fewer of n, each with this share."""
    return float(bdtr(k, n, share))
