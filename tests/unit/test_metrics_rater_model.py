"""A rater fitted to votes: beside statsmodels, from votes whose weights are known, and on prompts held out."""

import math
from itertools import pairwise

import numpy as np
import pytest
from statsmodels.miscmodels.ordinal_model import OrderedModel

from epigone.errors import DataError
from epigone.metrics.known_answers import Known, is_right, known_by_rater, known_verdicts
from epigone.metrics.rater_model import FEATURES, Comparison, features, fitted
from epigone.records import Judgment

TRUE = {"log words": 0.8, "list": 1.5, "right": -1.0}
FIRST, TIE = 0.3, 0.6


def simulated_votes(n=4000, *, num_prompts=40, weights=TRUE, first=FIRST, seed=0, orders=("a", "b")):
    """Votes by the model's own chances, with answers whose other features do not vary."""
    rng = np.random.default_rng(seed)
    votes = []
    for number in range(n):
        a, b = (np.zeros(len(FEATURES)) for _ in "ab")
        for side in (a, b):
            side[FEATURES.index("log words")] = rng.normal(4, 1)
            side[FEATURES.index("list")] = rng.integers(2)
            side[FEATURES.index("right")] = rng.integers(2)
        shown = orders[rng.integers(len(orders))]
        u = sum(weight * (a - b)[FEATURES.index(name)] for name, weight in weights.items())
        u += first * (1 if shown == "a" else -1)
        for_a, for_b = 1 / (1 + math.exp(TIE - u)), 1 / (1 + math.exp(TIE + u))
        verdict = rng.choice(["a", "tie", "b"], p=[for_a, 1 - for_a - for_b, for_b])
        votes.append(Comparison(a.tolist(), b.tolist(), shown, str(verdict), f"p{number % num_prompts}"))
    return votes


def test_the_fit_is_that_of_an_ordered_logit():
    """With one order of showing, the place and the tie are the two thresholds of any ordered logit."""
    votes = simulated_votes(400, orders=("a",))
    names = [FEATURES.index(name) for name in TRUE]
    x = np.asarray([np.subtract(v.a, v.b)[names] for v in votes])
    y = np.asarray([["b", "tie", "a"].index(v.verdict) for v in votes])
    oracle = OrderedModel(y, x, distr="logit").fit(method="bfgs", maxiter=500, gtol=1e-8, disp=False)
    found = fitted(votes, name="one", num_raters=1, ridge=0)
    assert [found.features[name] for name in TRUE] == pytest.approx(list(oracle.params[:3]), abs=2e-4)
    low = float(oracle.params[3])
    high = low + math.exp(oracle.params[4])
    assert (found.tie, found.first) == pytest.approx(((high - low) / 2, -(high + low) / 2), abs=2e-4)
    assert set(found.left_out) == set(FEATURES) - set(TRUE)


def test_known_weights_come_back_and_held_out_votes_are_foretold():
    found = fitted(simulated_votes(2500), name="known", num_raters=3)
    for name, value in {**TRUE, "first": FIRST, "tie": TIE}.items():
        got = {**found.features, "first": found.first, "tie": found.tie}[name]
        assert abs(got - value) < 4 * found.errors[name] and 0 < found.errors[name] < 0.15
    held = found.held_out
    assert held.gain.low > 0.1 and held.log_loss.high < held.usual_log_loss.low
    assert held.calibration_error.value < 0.05
    assert held.accuracy.value - held.usual_accuracy.value == pytest.approx(held.gain.value)
    assert held.num_folds == 20 and found.num_prompts == 40 and found.num_votes == held.gain.n == 2500


def test_votes_that_follow_nothing_are_not_foretold():
    found = fitted(simulated_votes(1500, weights=dict.fromkeys(TRUE, 0.0), first=0.0), name="noise", num_raters=1)
    assert found.held_out.gain.low < 0.02 and found.held_out.gain.high < 0.06
    assert all(abs(slope) < 5 * max(found.errors[name], 0.02) for name, slope in found.features.items())


def test_what_cannot_be_fitted_says_why():
    with pytest.raises(DataError, match="no vote whose two answers are at hand"):
        fitted([], name="none", num_raters=0)
    with pytest.raises(DataError, match="votes on 1 prompts"):
        fitted(simulated_votes(20, num_prompts=1), name="one", num_raters=1)


def test_features_of_an_answer():
    text = "Rivers of France:\n\n- **Seine**\n- Loire\n\n```\nx = 1\n```"
    found = dict(zip(FEATURES, features("Name rivers of France", text, right=True), strict=True))
    words = ["rivers", "of", "france", "seine", "loire", "x", "1"]
    assert found["log words"] == pytest.approx(math.log1p(len(words)))
    assert (found["list"], found["bold"], found["code"], found["refuses"], found["right"]) == (1, 1, 1, 0, 1)
    assert found["asked"] == pytest.approx(2 / 3)  # "name" does not return
    again = features("", "so so so so", right=False)
    pairs = list(pairwise(["so", "so", "so", "so"]))
    assert again[FEATURES.index("fresh")] == pytest.approx(len(set(pairs)) / len(pairs))


@pytest.mark.parametrize(
    ("answer", "reference", "right"),
    [
        ("She bought 10 apples, so 12 are left.", "10", False),
        ("First 3, then the answer is ten.", "10", True),
        ("About 1,000 of them", "1000", True),
        ("No number here", "10", False),
        ("The vendor is Nike.", "NIKE", True),
        ("The vendor is Nikon.", "NIKE", False),
    ],
)
def test_a_right_answer_is_told_from_a_wrong_one(answer, reference, right):
    assert is_right(answer, reference) is right


def test_what_raters_made_of_comparisons_with_a_known_answer():
    right = {("p", "A"): True, ("p", "B"): False, ("q", "A"): True, ("q", "B"): True}
    rows = [("p", "a", "r1"), ("p", "tie", "r2"), ("q", "a", "r1"), ("z", "a", "r1")]
    judgments = [Judgment(prompt, "A", "B", verdict, rater, "a") for prompt, verdict, rater in rows]
    judgments.append(Judgment("p", "B", "A", "b", "r1", "a"))
    known = known_verdicts(right, judgments)
    assert known == {0: "a", 1: "a", 4: "b"}
    assert known_by_rater(judgments, known) == {"r1": Known(2, 2), "r2": Known(1, 0)}
