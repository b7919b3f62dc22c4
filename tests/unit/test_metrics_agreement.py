"""Alpha and kappa against the packages of that name; offsets of a judge worked out by hand; a real crowd and judges."""

import csv
import math
from collections import defaultdict
from itertools import combinations

import krippendorff
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from epigone.errors import DataError
from epigone.metrics.agreement import (
    MARKS,
    agreement,
    cohen_kappa,
    consensus,
    krippendorff_alpha,
    offset,
    oriented,
    raw_agreement,
    share_of,
    share_of_first,
    share_of_longer,
    share_tied,
    unit_of,
    verdict_pairs,
    verdicts_by_unit,
)
from epigone.metrics.resampling import item_weights
from epigone.records import Judgment

VERDICTS = st.sampled_from(["a", "tie", "b"])
MARK = {"a": 1.0, "tie": 0.5, "b": 0.0}


def rated(prompt_id: str, a: str, b: str, verdict: str, rater: str = "r", first: str = "unknown", **rest) -> Judgment:
    return Judgment(prompt_id, a, b, verdict, rater, first, **rest)


def counted(table: list[list[str | None]]) -> np.ndarray:
    return np.array([[row.count(word) for word in MARK] for row in table], dtype=float)


@settings(max_examples=100)
@given(
    st.integers(2, 5).flatmap(lambda k: st.lists(st.lists(st.none() | VERDICTS, min_size=k, max_size=k), min_size=2))
)
def test_alpha_is_that_of_krippendorff(table: list[list[str | None]]) -> None:
    pairable = {v for row in table if len(row) - row.count(None) > 1 for v in row if v}
    assume(len(pairable) > 1)
    ratings = np.array([[np.nan if v is None else MARK[v] for v in row] for row in table]).T
    for level, marks in (("nominal", None), ("interval", MARKS)):
        expected = krippendorff.alpha(reliability_data=ratings, level_of_measurement=level)
        assert krippendorff_alpha(counted(table), marks, num_resamples=50).value == pytest.approx(expected)


def test_alphas_interval_is_that_of_alpha_on_drawn_units() -> None:
    rng = np.random.default_rng(0)
    truth = rng.choice(["a", "tie", "b"], size=40)
    table = [[str(t if rng.random() < 0.6 else rng.choice(["a", "tie", "b"])) for _ in range(3)] for t in truth]
    found = krippendorff_alpha(counted(table), num_resamples=200)
    ratings = np.array([[MARK[v] for v in row] for row in table])
    expected = [
        krippendorff.alpha(reliability_data=np.repeat(ratings, w.astype(int), axis=0).T, level_of_measurement="nominal")
        for w in item_weights(40, 0, 200)
    ]
    assert (found.low, found.high) == pytest.approx(np.percentile(expected, [2.5, 97.5]))
    assert (found.n, found.method) == (40, "Krippendorff's alpha, nominal, bootstrap over units")


def test_alpha_of_one_verdict_alone_is_not_a_number() -> None:
    same = krippendorff_alpha(counted([["a", "a"], ["a", "a"]]))
    assert all(math.isnan(x) for x in (same.value, same.low, same.high))


@settings(max_examples=100)
@given(st.lists(st.tuples(VERDICTS, VERDICTS), min_size=2, max_size=40))
def test_kappa_is_that_of_scikit_learn(pairs: list[tuple[str, str]]) -> None:
    one, two = zip(*pairs)
    found = cohen_kappa(one, two, num_resamples=50)
    if len({*one, *two}) == 1:
        assert math.isnan(found.value)
    else:
        assert found.value == pytest.approx(cohen_kappa_score(one, two))
        assert found.low <= found.value + 1e-9 or len(pairs) < 20


def test_kappas_interval_is_that_of_kappa_on_drawn_units() -> None:
    rng = np.random.default_rng(1)
    one = rng.choice(["a", "tie", "b"], size=60)
    two = np.where(rng.random(60) < 0.5, one, rng.choice(["a", "tie", "b"], size=60))
    found = cohen_kappa(one.tolist(), two.tolist(), num_resamples=200)
    drawn = [np.repeat(np.arange(60), w.astype(int)) for w in item_weights(60, 0, 200)]
    expected = np.percentile([cohen_kappa_score(one[rows], two[rows]) for rows in drawn], [2.5, 97.5])
    assert (found.low, found.high) == pytest.approx(expected)
    with pytest.raises(DataError, match="got 1 and 2"):
        cohen_kappa(["a"], ["a", "b"])


def test_raw_agreement_is_the_share_of_equal_pairs() -> None:
    table = [["a", "a", "b"], ["tie", "tie", "tie"], ["a", "b", None], ["a", None, None]]
    weights, same = 0.0, 0.0
    for row in table:
        given_verdicts = [v for v in row if v]
        for one, two in combinations(given_verdicts, 2):
            each = 2 / (len(given_verdicts) - 1)  # every verdict counts once, however many others it meets
            weights, same = weights + each, same + each * (one == two)
    assert raw_agreement(counted(table)).value == pytest.approx(same / weights)


def test_units_and_sides() -> None:
    one = rated("p", "x", "y", "a", "r1", "a", share_a=0.8, scores=(3.0, 1.0))
    two = rated("p", "y", "x", "b", "r2", "b", criterion="")
    assert unit_of(one) == unit_of(two) == ("p", "x", "y", "")
    turned = oriented(rated("p", "y", "x", "a", "r1", "b", share_a=0.8, scores=(3.0, 1.0)))
    assert (turned.a, turned.verdict, turned.first) == ("x", "b", "a")
    assert turned.share_a == pytest.approx(0.2) and turned.scores == (1.0, 3.0)
    fluent = rated("p", "x", "y", "tie", "r1", criterion="fluency")
    found = verdicts_by_unit([one, two, fluent])
    assert found == {("p", "x", "y", ""): {"r1": "a", "r2": "a"}, ("p", "x", "y", "fluency"): {"r1": "tie"}}


def test_a_rater_counts_once_a_unit() -> None:
    both_orders = [rated("p", "x", "y", "a", "judge", "a"), rated("p", "y", "x", "a", "judge", "a")]
    assert verdicts_by_unit(both_orders) == {("p", "x", "y", ""): {"judge": "tie"}}
    with pytest.raises(DataError, match="none of 1 units has two raters"):
        agreement(both_orders)
    with pytest.raises(DataError, match="none of 0 units"):
        agreement([])


def test_agreement_of_judgments() -> None:
    rows = [("a", "a", "tie"), ("b", "b", "b"), ("a", "b", "tie"), ("tie", "tie", "a")]
    judgments = [
        rated(f"p{p}", *(("x", "y", v) if r else ("y", "x", {"a": "b", "b": "a"}.get(v, v))), f"r{r}")
        for p, row in enumerate(rows)
        for r, v in enumerate(row)
    ]
    found = agreement([*judgments, rated("q", "x", "y", "a", "r9")])
    ratings = np.array([[MARK[v] for v in row] for row in rows]).T
    for level, estimate in (("nominal", found.alpha), ("interval", found.alpha_interval)):
        expected = krippendorff.alpha(reliability_data=ratings, level_of_measurement=level)
        assert estimate.value == pytest.approx(expected)
    assert (found.num_units, found.num_single, found.num_raters, found.num_verdicts) == (4, 1, 4, 13)
    assert found.raw.value == pytest.approx((1 + 3 + 0 + 1) / 12)


def test_consensus_is_one_judgment_a_unit() -> None:
    found = consensus(
        [
            rated("p", "x", "y", "a", "r1", "a"),
            rated("p", "y", "x", "b", "r2", "b"),
            rated("p", "x", "y", "tie", "r3", "a"),
            rated("q", "x", "y", "a", "r1", "a"),
            rated("q", "x", "y", "b", "r2", "b"),
        ]
    )
    assert [(j.prompt_id, j.verdict, j.first, j.rater) for j in found] == [
        ("p", "a", "a", "majority"),
        ("q", "tie", "unknown", "majority"),
    ]


def test_verdict_pairs_are_on_shared_units() -> None:
    judge = [rated("p", "y", "x", "a"), rated("q", "x", "y", "tie"), rated("only", "x", "y", "a")]
    crowd = [rated("q", "x", "y", "b", "r1"), rated("p", "x", "y", "b", "r1"), rated("p", "x", "y", "b", "r2")]
    assert verdict_pairs(judge, crowd) == (["b", "tie"], ["b", "b"])


def test_offsets_by_hand() -> None:
    judge = [
        rated("p", "x", "y", "a", "j", "a"),
        rated("p", "x", "z", "tie", "j", "b"),
        rated("q", "y", "x", "a", "j", "a"),
        rated("only", "x", "y", "a", "j", "a"),
    ]
    crowd = [
        rated("p", "y", "x", "tie", "r1", "a"),
        rated("p", "x", "y", "b", "r2", "a"),
        rated("p", "x", "y", "b", "r3", "a"),
        rated("p", "x", "z", "b", "r1", "a"),
        rated("q", "y", "x", "b", "r1", "unknown"),
    ]
    of_x = offset(judge, crowd, share_of("x"))
    assert of_x.value == pytest.approx(np.mean([1 - 0.5 / 3, 0.5 - 0, 0 - 1])) and of_x.n == 3
    assert of_x.method == "paired bootstrap over prompts"
    assert offset(judge, consensus(crowd), share_of("x")).value == pytest.approx(np.mean([1 - 0, 0.5, -1]))
    assert offset(judge, crowd, share_tied).value == pytest.approx(np.mean([0 - 1 / 3, 1 - 0, 0]))
    # p x-y: judge 1, crowd (.5 + 0 + 0) / 3; p x-z: judge .5, crowd 0; q: the crowd's order is unknown
    assert offset(judge, crowd, share_of_first).value == pytest.approx(np.mean([1 - 0.5 / 3, 0.5]))
    lengths = {("p", "x"): 9, ("p", "y"): 5, ("p", "z"): 9, ("q", "x"): 1, ("q", "y"): 2}
    assert offset(judge, crowd, share_of_longer(lengths)).value == pytest.approx(np.mean([1 - 0.5 / 3, 1 - 0]))
    assert offset(judge, crowd, share_of("nobody")) is None
    assert share_of("y")(rated("p", "x", "y", "a", share_a=0.7)) == pytest.approx(0.3)


def test_offsets_draw_prompts_with_all_their_units() -> None:
    """Three pairs on each of 30 prompts say the same: three times the units, the same interval."""
    rng = np.random.default_rng(2)
    verdicts = {f"p{p}": rng.choice(["a", "tie", "b"], size=2).tolist() for p in range(30)}

    def panel(side: int, others: str) -> list[Judgment]:
        return [rated(p, "x", other, v[side], f"r{side}") for p, v in verdicts.items() for other in others]

    once, thrice = (offset(panel(0, o), panel(1, o), share_of("x")) for o in ("y", "yzw"))
    assert (once.value, once.low, once.high) == pytest.approx((thrice.value, thrice.low, thrice.high))
    assert (once.n, thrice.n) == (30, 90)


def test_an_offset_that_is_never_negative_keeps_its_own_interval() -> None:
    judge = [rated(f"p{p}", "x", "y", "a") for p in range(20)]
    crowd = [rated(f"p{p}", "x", "y", "b") for p in range(20)]
    found = offset(judge, crowd, share_of("x"))
    assert (found.value, found.low, found.high) == (1, 1, 1)  # no exact binomial bound: this is no share


@pytest.fixture(scope="module")
def panels(data_root) -> dict[str, list[Judgment]]:
    found = defaultdict(list)
    for panel in ("crowd", "gpt3-crowd", "gpt4-crowd"):
        with open(data_root / f"human_ratings/llmfao/{panel}-comparisons.csv", encoding="utf-8") as file:
            for r in csv.DictReader(file):
                verdict = {"left": "a", "right": "b", "tie": "tie"}[r["winner"]]
                found[panel].append(rated(r["prompt"], r["left"], r["right"], verdict, r.get("worker", panel), "a"))
    return found


def test_a_real_crowd_agrees_somewhat(panels) -> None:
    found = agreement(panels["crowd"])
    by_rater = defaultdict(dict)
    for unit, verdicts in verdicts_by_unit(panels["crowd"]).items():
        for rater, verdict in verdicts.items():
            by_rater[rater][unit] = MARK[verdict]
    units = sorted({unit for row in by_rater.values() for unit in row})
    ratings = np.array([[row.get(unit, np.nan) for unit in units] for row in by_rater.values()])
    expected = krippendorff.alpha(reliability_data=ratings, level_of_measurement="nominal")
    print("", found.alpha, found.alpha_interval, found.raw, sep="\n")
    assert found.alpha.value == pytest.approx(expected)
    assert found.alpha.low > 0.2 and found.alpha.high < 0.4
    assert (found.num_units, found.num_single, found.num_raters, found.num_verdicts) == (2124, 15, 124, 8931)


def test_real_judges_beside_the_crowd(panels) -> None:
    kappas = {}
    for judge in ("gpt3-crowd", "gpt4-crowd"):
        own, crowd = verdict_pairs(panels[judge], panels["crowd"])
        kappas[judge] = cohen_kappa(own, crowd)
        assert kappas[judge].value == pytest.approx(cohen_kappa_score(own, crowd))
        print("", judge, kappas[judge], *(offset(panels[judge], panels["crowd"], s) for s in SHARES), sep="\n")
    assert kappas["gpt4-crowd"].low > kappas["gpt3-crowd"].high > 0
    assert offset(panels["gpt4-crowd"], panels["crowd"], share_tied).high < 0


SHARES = (share_of("GPT 4"), share_tied, share_of_first)
