"""How far the raters of a panel agree among themselves, and how far a judge's verdicts lie from a crowd's.

In: judgments by panel and criterion, lengths of answers. Out: Agreement rows and RaterRows. Every pair of panels of one
criterion is set side by side where they rated the same comparisons; a judge is measured against people where there are
people, else the second panel against the first.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

from epigone.metrics import agreement as agreeing
from epigone.metrics.raters import rater_quality
from epigone.records import Estimate, Judgment
from epigone.reporting.audit.findings import Agreement, RaterRow

MIN_UNITS = 10
"""Fewer shared comparisons say nothing of agreement."""

Groups = Mapping[tuple[str, str], Sequence[Judgment]]


def agreement_rows(
    groups: Groups, lengths: Mapping[tuple[str, str], float], models: Sequence[str]
) -> tuple[Agreement, ...]:
    """Alpha of every panel with several raters; kappa and offsets of every two panels; `models` get their own "
    "offset."""
    rows: list[Agreement] = []
    for (panel, criterion), found in groups.items():
        rows += _within(_named(panel, criterion), found)
    for one, two in combinations(groups, 2):
        if one[1] == two[1]:
            judge, crowd = sorted((one, two), key=lambda g: any(j.is_person for j in groups[g]))
            rows += _between(judge[0], crowd[0], groups[judge], groups[crowd], lengths, models)
    return tuple(row for row in rows if row.estimate.value == row.estimate.value)


def _named(panel: str, criterion: str) -> str:
    return f"{panel}, {criterion}" if criterion else panel


def _within(name: str, found: Sequence[Judgment]) -> Iterator[Agreement]:
    several = [v for v in agreeing.verdicts_by_unit(found).values() if len(v) > 1]
    if len(several) < MIN_UNITS:
        return
    measured = agreeing.agreement(found)
    yield Agreement(name, f"alpha, {measured.num_raters} raters", measured.alpha)
    yield Agreement(name, "alpha, a tie half way", measured.alpha_interval)
    yield Agreement(name, "pairs of ratings that are the same", measured.raw)


def _between(
    judge: str,
    crowd: str,
    of_judge: Sequence[Judgment],
    of_crowd: Sequence[Judgment],
    lengths: Mapping[tuple[str, str], float],
    models: Sequence[str],
) -> Iterator[Agreement]:
    one, two = agreeing.verdict_pairs(of_judge, of_crowd)
    if len(one) < MIN_UNITS:
        return
    name = f"{judge} and {crowd}"
    yield Agreement(name, "kappa of majorities", agreeing.cohen_kappa(one, two))
    less = f"{judge} minus {crowd}"
    shares = {
        "share of ties": agreeing.share_tied,
        "share of the first shown": agreeing.share_of_first,
        "share of the longer answer": agreeing.share_of_longer(lengths),
        **{f"share of {model}": agreeing.share_of(model) for model in models},
    }
    for what, share in shares.items():
        found = agreeing.offset(of_judge, of_crowd, share)
        if found and found.n >= MIN_UNITS:
            yield Agreement(less, what, found)


def rater_rows(groups: Groups) -> tuple[RaterRow, ...]:
    """Every rater of a panel of several, flagged ones first."""
    rows: list[RaterRow] = []
    for (panel, criterion), found in groups.items():
        if len({j.rater for j in found}) < 3:
            continue
        for r in rater_quality(found):
            rows.append(
                RaterRow(
                    panel=_named(panel, criterion),
                    rater=r.rater,
                    num_ratings=r.num_ratings,
                    agreement=_value(r.agreement),
                    chance=_value(r.chance),
                    tie_share=r.tie_share,
                    first_share=_value(r.first_share),
                    median_seconds=_value(r.median_seconds),
                    flag=r.flag,
                )
            )
    return tuple(sorted(rows, key=lambda r: (not r.flag, r.panel, r.rater)))


def _value(found: float | Estimate | None) -> float | None:
    if isinstance(found, Estimate):
        found = found.value
    return found if found is not None and found == found else None
