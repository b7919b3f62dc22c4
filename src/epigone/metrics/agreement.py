"""How far raters agree, and how far a judge's verdicts lie from a crowd's on the same comparisons.

In: Judgments, or arrays of verdicts. Out: Krippendorff's alpha, Cohen's kappa and raw agreement as Estimates; offsets
of a judge against a crowd. A unit is one prompt, one pair of answers and one criterion; verdicts are turned so that
a < b. Of a rater's several verdicts on one unit (such as both orders) the majority counts once.

Alpha is 1 for perfect agreement, 0 for that of verdicts dealt out at random, and not a number where all verdicts are
the same. Its interval draws units; on the interval scale a tie lies half way between a and b.
Source: Krippendorff, Content Analysis (2004), ch. 11; Cohen (1960), https://doi.org/10.1177/001316446002000104
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from epigone.errors import DataError
from epigone.metrics.preference import majority
from epigone.metrics.resampling import NUM_RESAMPLES, Array, Draws, item_weights, ratios, weighted_sums
from epigone.records import Estimate, Judgment, Verdict

Unit = tuple[str, str, str, str]
"""Prompt id, the two models in order, criterion."""
Share = Callable[[Judgment], float | None]
"""What an offset compares, 0-1; None where a judgment does not say."""

Side = Literal["a", "b", "unknown"]
VERDICTS: tuple[Verdict, ...] = ("a", "tie", "b")
MARKS = np.array([1.0, 0.5, 0.0])
FLIPPED: dict[Verdict, Verdict] = {"a": "b", "b": "a", "tie": "tie"}
OTHER: dict[Side, Side] = {"a": "b", "b": "a", "unknown": "unknown"}


@dataclass(frozen=True, slots=True)
class Agreement:
    """Agreement of all raters. `raw` is the share of pairs of verdicts on one unit that are the same."""

    alpha: Estimate
    alpha_interval: Estimate
    """Alpha with a tie half way between a and b."""
    raw: Estimate
    num_units: int
    num_single: int
    """Units with one rater, which say nothing about agreement."""
    num_raters: int
    num_verdicts: int


def agreement(judgments: Sequence[Judgment], *, seed: int = 0, num_resamples: int = NUM_RESAMPLES) -> Agreement:
    """Agreement over units with two raters or more. Raises DataError where there is none."""
    by_unit = verdicts_by_unit(judgments)
    counts = np.asarray(
        [[list(v.values()).count(word) for word in VERDICTS] for v in by_unit.values()], dtype=np.float64
    )
    num_single = int((counts.sum(axis=1) < 2).sum()) if len(counts) else 0
    if num_single == len(counts):
        raise DataError(f"none of {len(counts)} units has two raters: there is no agreement to speak of")
    return Agreement(
        alpha=krippendorff_alpha(counts, seed=seed, num_resamples=num_resamples),
        alpha_interval=krippendorff_alpha(counts, MARKS, seed=seed, num_resamples=num_resamples),
        raw=raw_agreement(counts, seed=seed, num_resamples=num_resamples),
        num_units=len(counts) - num_single,
        num_single=num_single,
        num_raters=len({rater for verdicts in by_unit.values() for rater in verdicts}),
        num_verdicts=int(counts.sum()),
    )


def unit_of(judgment: Judgment) -> Unit:
    """The comparison that a judgment is about, whichever side was called a."""
    low, high = sorted((judgment.a, judgment.b))
    return judgment.prompt_id, low, high, judgment.criterion


def oriented(judgment: Judgment) -> Judgment:
    """The same judgment with the two models in alphabetical order."""
    if judgment.a <= judgment.b:
        return judgment
    return replace(
        judgment,
        a=judgment.b,
        b=judgment.a,
        verdict=FLIPPED[judgment.verdict],
        first=OTHER[judgment.first],
        share_a=None if judgment.share_a is None else 1 - judgment.share_a,
        scores=None if judgment.scores is None else judgment.scores[::-1],
    )


def verdicts_by_unit(judgments: Iterable[Judgment]) -> dict[Unit, dict[str, Verdict]]:
    """Unit -> rater -> verdict, in alphabetical order of the models."""
    found: defaultdict[Unit, defaultdict[str, list[Verdict]]] = defaultdict(lambda: defaultdict(list))
    for judgment in judgments:
        turned = oriented(judgment)
        found[unit_of(turned)][turned.rater].append(turned.verdict)
    return {unit: {rater: majority(v)[0] for rater, v in raters.items()} for unit, raters in found.items()}


def consensus(judgments: Iterable[Judgment], rater: str = "majority") -> list[Judgment]:
    """One judgment a unit: the verdict of most raters (a tie where none has most), as if one rater had given it.

    Which answer was shown first stays known where it was the same for all.
    """
    orders: defaultdict[Unit, set[Side]] = defaultdict(set)
    turned = [oriented(judgment) for judgment in judgments]
    for judgment in turned:
        orders[unit_of(judgment)].add(judgment.first)
    found: list[Judgment] = []
    for unit, verdicts in verdicts_by_unit(turned).items():
        first: Side = orders[unit].pop() if len(orders[unit]) == 1 else "unknown"
        verdict, _ = majority(list(verdicts.values()))
        found.append(Judgment(unit[0], unit[1], unit[2], verdict, rater, first, criterion=unit[3]))
    return found


def krippendorff_alpha(
    counts: Array, marks: Array | None = None, *, seed: int = 0, num_resamples: int = NUM_RESAMPLES
) -> Estimate:
    """Alpha from how often each of v values was given to each of u units, (u, v).

    On the interval scale where `marks` (v,) say how far the values lie apart, else nominal. Missing verdicts are simply
    not counted, and units with fewer than two say nothing.
    """
    paired = _paired(counts)
    values = np.arange(counts.shape[1], dtype=np.float64) if marks is None else marks
    apart = values[:, None] - values
    distances = (apart != 0).astype(np.float64) if marks is None else apart**2
    disagreed = np.einsum("uv,uw,vw->u", paired, paired, distances) / (paired.sum(axis=1) - 1)
    totals = np.column_stack([disagreed, paired])
    weights = item_weights(len(paired), seed, num_resamples)
    point = _alphas(totals.sum(axis=0)[None, :], distances)
    samples = _alphas(weighted_sums(weights, totals), distances)
    scale = "nominal" if marks is None else "interval"
    return _over_units(point, samples, len(paired), f"Krippendorff's alpha, {scale}", seed)


def _paired(counts: Array) -> Array:
    return counts[counts.sum(axis=1) >= 2]


def _alphas(totals: Array, distances: Array) -> Array:
    disagreed, given = totals[:, 0], totals[:, 1:]
    by_chance = np.einsum("rv,rw,vw->r", given, given, distances)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(by_chance > 0, 1 - disagreed * (given.sum(axis=1) - 1) / by_chance, np.nan)


def _over_units(point: Array, samples: Array, n: int, name: str, seed: int) -> Estimate:
    """A resample in which all verdicts are the same has no coefficient: the point stands in for it."""
    samples = np.where(np.isfinite(samples), samples, point)
    found = Draws(point, samples[:, None], n, seed=seed).estimate()
    return replace(found, method=f"{name}, bootstrap over units")


def raw_agreement(counts: Array, *, seed: int = 0, num_resamples: int = NUM_RESAMPLES) -> Estimate:
    """Share of pairs of verdicts on one unit that are the same; `counts` (u, v) as above."""
    paired = _paired(counts)
    sizes = paired.sum(axis=1)
    same = (paired * (paired - 1)).sum(axis=1) / (sizes - 1)
    found = ratios(same[:, None], sizes[:, None], seed=seed, num_resamples=num_resamples).estimate()
    return replace(found, method=found.method.replace("items", "units"))


def cohen_kappa(
    one: Sequence[str],
    two: Sequence[str],
    *,
    values: Sequence[str] = VERDICTS,
    seed: int = 0,
    num_resamples: int = NUM_RESAMPLES,
) -> Estimate:
    """Agreement of two raters on the same units beyond chance; not a number where both say one thing only.

    `values` are all that may be said: verdicts, or categories. Raises DataError where the units are not the same.
    """
    if len(one) != len(two) or not one:
        raise DataError(f"kappa needs two verdicts on every unit, got {len(one)} and {len(two)}")
    size, place = len(values), {value: i for i, value in enumerate(values)}
    cells = [size * place[a] + place[b] for a, b in zip(one, two)]
    table = np.eye(size * size)[cells]
    samples = _kappas(weighted_sums(item_weights(len(one), seed, num_resamples), table), size)
    return _over_units(_kappas(table.sum(axis=0)[None, :], size), samples, len(one), "Cohen's kappa", seed)


def _kappas(tables: Array, size: int) -> Array:
    cells = tables.reshape(-1, size, size) / tables.sum(axis=1)[:, None, None]
    same = np.einsum("rvv->r", cells)
    by_chance = np.einsum("rv,rv->r", cells.sum(axis=1), cells.sum(axis=2))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(by_chance < 1 - 1e-12, (same - by_chance) / (1 - by_chance), np.nan)


def verdict_pairs(one: Iterable[Judgment], two: Iterable[Judgment]) -> tuple[list[Verdict], list[Verdict]]:
    """The majority verdicts of two panels on the units that both rated, in one order."""
    first, second = ({unit_of(j): j for j in consensus(judgments)} for judgments in (one, two))
    shared = [unit for unit in first if unit in second]
    return [first[unit].verdict for unit in shared], [second[unit].verdict for unit in shared]


def offset(
    judge: Iterable[Judgment],
    crowd: Iterable[Judgment],
    share: Share,
    *,
    seed: int = 0,
    num_resamples: int = NUM_RESAMPLES,
) -> Estimate | None:
    """Mean share by the judge minus that by the crowd, on the units that both rated; None where there is none.

    A unit's share is the mean over its judgments; set `consensus(crowd)` in for its majority. Prompts are drawn, each
    with all its units; n counts units.
    """
    sides = [_unit_shares(judgments, share) for judgments in (judge, crowd)]
    shared = [unit for unit in sides[0] if unit in sides[1]]
    if not shared:
        return None
    prompts = {prompt_id: row for row, prompt_id in enumerate(sorted({unit[0] for unit in shared}))}
    rows = np.asarray([prompts[unit[0]] for unit in shared])
    num_units = _by_row(rows, [1.0] * len(shared))
    by_judge, by_crowd = (
        ratios(_by_row(rows, [side[unit] for unit in shared]), num_units, seed=seed, num_resamples=num_resamples)
        for side in sides
    )
    return replace((by_judge - by_crowd).estimate(), n=len(shared), method="paired bootstrap over prompts")


def _by_row(rows: NDArray[np.int64], values: Sequence[float]) -> Array:
    return np.bincount(rows, weights=np.asarray(values)).astype(np.float64)[:, None]


def _unit_shares(judgments: Iterable[Judgment], share: Share) -> dict[Unit, float]:
    found: defaultdict[Unit, list[float]] = defaultdict(list)
    for judgment in judgments:
        value = share(judgment)
        if value is not None:
            found[unit_of(judgment)].append(value)
    return {unit: sum(values) / len(values) for unit, values in found.items()}


def share_of_a(judgment: Judgment) -> float:
    """How far a is preferred, 0-1, as the source says it or by the verdict."""
    return float(MARKS[VERDICTS.index(judgment.verdict)]) if judgment.share_a is None else judgment.share_a


def share_of(model: str) -> Share:
    """The share of one model where it is compared, ties as halves."""

    def share(judgment: Judgment) -> float | None:
        if model not in (judgment.a, judgment.b):
            return None
        return share_of_a(judgment) if judgment.a == model else 1 - share_of_a(judgment)

    return share


def share_tied(judgment: Judgment) -> float:
    """1 for a tie."""
    return float(judgment.verdict == "tie")


def share_of_first(judgment: Judgment) -> float | None:
    """The share of the answer that was shown first."""
    if judgment.first == "unknown":
        return None
    return share_of_a(judgment) if judgment.first == "a" else 1 - share_of_a(judgment)


def share_of_longer(lengths: Mapping[tuple[str, str], float | int]) -> Share:
    """The share of the longer answer, by its length at (prompt id, model); equally long answers say nothing."""

    def share(judgment: Judgment) -> float | None:
        a, b = (lengths.get((judgment.prompt_id, model)) for model in (judgment.a, judgment.b))
        if a is None or b is None or a == b:
            return None
        return share_of_a(judgment) if a > b else 1 - share_of_a(judgment)

    return share
