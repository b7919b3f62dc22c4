"""Raters that guess, tie or take what is shown first are flagged, those who look are not; a real crowd."""

import csv
from collections import Counter

import numpy as np
import pytest
from scipy import stats

from epigone.metrics.raters import rater_quality
from epigone.records import Judgment

MIRROR = {"a": "b", "b": "a", "tie": "tie"}


def panel(seed: int = 0, num_units: int = 60, skill: float = 0.75, spammers: tuple[str, ...] = ()) -> list[Judgment]:
    """Six raters who look, and spammers by name, on every unit; sides and orders change from rater to rater."""
    rng = np.random.default_rng(seed)
    found = []
    for unit in range(num_units):
        truth = str(rng.choice(["a", "b", "tie"], p=[0.45, 0.35, 0.2]))
        for rater in (*(f"looks {k}" for k in range(6)), *spammers):
            first = str(rng.choice(["a", "b"]))
            guess = str(rng.choice(["a", "b", "tie"]))
            second = MIRROR[first]
            habit = {"guesses": guess, "ties": "tie", "takes first": first, "takes second": second}
            verdict = habit.get(rater, truth if rng.random() < skill else guess)
            if rng.random() < 0.5:
                found.append(Judgment(f"p{unit}", "x", "y", verdict, rater, first, seconds=float(unit)))
            else:
                found.append(Judgment(f"p{unit}", "y", "x", MIRROR[verdict], rater, MIRROR[first], seconds=float(unit)))
    return found


SPAMMERS = {
    "guesses": "near chance",
    "ties": "nearly always ties",
    "takes first": "nearly always the first shown",
    "takes second": "nearly always the second shown",
}


@pytest.mark.parametrize("spammer", list(SPAMMERS))
def test_who_does_not_look_is_flagged_with_the_reason(spammer: str) -> None:
    found = {q.rater: q for q in rater_quality(panel(spammers=(spammer,)))}
    assert found[spammer].flag == SPAMMERS[spammer]
    assert " of " in found[spammer].reason
    assert {q.flag for q in found.values() if q.rater != spammer} == {""}


def test_who_looks_is_rarely_flagged() -> None:
    flags = [q.flag for seed in range(40) for q in rater_quality(panel(seed, 25, skill=0.5))]
    assert np.mean([flag != "" for flag in flags]) < 0.02


def test_figures_by_hand() -> None:
    rows = [
        ("p", "r1", "a", "a"),
        ("p", "r2", "a", "b"),
        ("p", "r3", "b", "a"),
        ("q", "r1", "tie", "unknown"),
        ("q", "r2", "b", "a"),
        ("q", "r3", "b", "b"),
        ("alone", "r1", "b", "b"),
    ]
    found = {q.rater: q for q in rater_quality([Judgment(p, "x", "y", v, r, f) for p, r, v, f in rows])}
    # On p r1 faces a split, r3 two for a; on q r1 faces two for b; alone nobody else rated.
    one = found["r1"]
    assert (one.num_ratings, one.num_compared, one.agreement) == (3, 1, 0.0)
    assert one.tie_share == pytest.approx(1 / 3) and one.first_share == 1.0
    three = found["r3"]
    assert (three.num_compared, three.agreement, three.chance, three.first_share) == (1, 0.0, 0.0, 0.5)
    assert three.median_seconds is None and three.flag == three.reason == ""
    assert rater_quality([]) == []


def test_chance_and_p_are_those_of_independent_verdicts() -> None:
    judgments = panel(3, 40, spammers=("guesses",))
    found = next(q for q in rater_quality(judgments) if q.rater == "guesses")
    by_unit: dict[str, list[tuple[str, str]]] = {}
    for j in judgments:
        by_unit.setdefault(j.prompt_id, []).append((j.rater, j.verdict if j.a == "x" else MIRROR[j.verdict]))
    own, others = [], []
    for rows in by_unit.values():
        tally = Counter(verdict for rater, verdict in rows if rater != "guesses").most_common(2)
        if len(tally) == 1 or tally[0][1] > tally[1][1]:
            own.append(dict(rows)["guesses"])
            others.append(tally[0][0])
    chance = sum(own.count(v) * others.count(v) for v in MIRROR) / len(own) ** 2
    agreed = sum(a == b for a, b in zip(own, others))
    assert found.num_compared == len(own) and found.agreement == pytest.approx(agreed / len(own))
    assert found.chance == pytest.approx(chance)
    expected = stats.binomtest(agreed, len(own), chance, alternative="greater").pvalue
    assert found.p_above_chance == pytest.approx(expected)
    assert found.median_seconds == 19.5


def test_a_rater_alone_is_not_compared() -> None:
    found = rater_quality([Judgment(f"p{k}", "x", "y", "a", "r", "a") for k in range(5)])
    assert (found[0].agreement, found[0].chance, found[0].p_above_chance, found[0].flag) == (None, None, None, "")
    shown = rater_quality([Judgment(f"p{k}", "x", "y", "a", "r", "a") for k in range(10)])
    assert shown[0].flag == "nearly always the first shown"


def test_a_real_crowd(data_root) -> None:
    with open(data_root / "human_ratings/llmfao/crowd-comparisons.csv", encoding="utf-8") as file:
        words = {"left": "a", "right": "b", "tie": "tie"}
        rows = list(csv.DictReader(file))
    found = rater_quality(
        [Judgment(r["prompt"], r["left"], r["right"], words[r["winner"]], r["worker"], "a") for r in rows]
    )
    print("", Counter(q.flag for q in found), *(q for q in found if q.flag), sep="\n")
    assert len(found) == 124 and sum(q.num_ratings for q in found) == 8931
    assert 0 < sum(q.flag != "" for q in found) < 15
