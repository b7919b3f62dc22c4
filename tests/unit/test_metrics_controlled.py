"""The share at equal form: scikit-learn's regression, made-up raters who only count words, a plain loop of refits."""

import gzip
import json
import time

import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from epigone.errors import DataError
from epigone.metrics.controlled import RIDGE, controlled, logistic_fits
from epigone.metrics.resampling import item_weights
from epigone.metrics.style import features


def rated_by_length(rng, n: int = 800, slope: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """Outcomes that depend on length alone, and the answers are mostly shorter; two more features are noise."""
    differences = rng.standard_normal((n, 3)) + np.array([-0.8, 0.3, 0.0])
    return (rng.random(n) < expit(slope * differences[:, 0])).astype(float), differences


def test_coefficients_are_those_of_scikit_learn() -> None:
    y, x = rated_by_length(np.random.default_rng(0), 200)
    for ridge in (RIDGE, 5.0):
        found = controlled(y, x, ["length", "list", "summary"], ridge=ridge, num_resamples=50)
        oracle = LogisticRegression(C=1 / ridge, tol=1e-10, max_iter=1000).fit(x / x.std(axis=0), y)
        assert [e.value for e in found.coefficients.values()] == pytest.approx(oracle.coef_[0], abs=1e-4)
        assert found.controlled.value == pytest.approx(expit(oracle.intercept_[0]), abs=1e-4)


def test_outcomes_between_0_and_1_are_votes_on_both_sides() -> None:
    y, x = rated_by_length(np.random.default_rng(1), 120)
    y[:40] = 0.5
    found = controlled(y, x, ["length", "list", "summary"], num_resamples=50)
    both, twice = np.repeat([0.0, 1.0], 120), np.tile(x / x.std(axis=0), (2, 1))
    oracle = LogisticRegression(C=1 / RIDGE, tol=1e-10, max_iter=1000)
    oracle.fit(twice, both, sample_weight=np.concatenate([1 - y, y]))
    assert [e.value for e in found.coefficients.values()] == pytest.approx(oracle.coef_[0], abs=1e-4)


def test_where_only_length_matters_equal_length_is_equal_preference() -> None:
    y, x = rated_by_length(np.random.default_rng(2))
    length = controlled(y, x[:, :1], ["length"])
    whole = controlled(y, x, ["length", "list", "summary"])
    assert length.raw.high < 0.4
    for found in (length, whole):
        assert found.controlled.value == pytest.approx(0.5, abs=0.06)
        assert found.controlled.low < 0.5 < found.controlled.high
        assert 0.2 < found.explained.low < found.explained.value < found.explained.high < 0.6
    assert length.raw == whole.raw
    assert whole.coefficients["list"].low < 0 < whole.coefficients["list"].high


def test_where_form_does_not_matter_it_explains_nothing() -> None:
    rng = np.random.default_rng(3)
    y, x = (rng.random(800) < 0.3).astype(float), rng.standard_normal((800, 3))
    found = controlled(y, x, ["length", "list", "summary"])
    assert found.controlled.value == pytest.approx(found.raw.value, abs=0.01)
    assert found.explained.value < 0.01 and found.explained.low == 0


def test_explained_is_mcfaddens_r2() -> None:
    y, x = rated_by_length(np.random.default_rng(4))
    found = controlled(y, x[:, :1], ["length"], ridge=1e-6, num_resamples=20)
    fitted = LogisticRegression(C=1e6, tol=1e-10).fit(x[:, :1], y).predict_proba(x[:, :1])[:, 1]
    logs = [float(np.sum(y * np.log(p) + (1 - y) * np.log(1 - p))) for p in (fitted, np.full(800, y.mean()))]
    assert found.explained.value == pytest.approx(1 - logs[0] / logs[1], abs=1e-5)


def test_the_interval_is_that_of_refits_one_by_one() -> None:
    y, x = rated_by_length(np.random.default_rng(5), 80, slope=1.0)
    found = controlled(y, x, ["length", "list", "summary"], num_resamples=60)
    scaled, shares = x / x.std(axis=0), []
    for weights in item_weights(80, 0, 60):
        oracle = LogisticRegression(C=1 / RIDGE, tol=1e-10, max_iter=1000).fit(scaled, y, sample_weight=weights)
        shares.append(expit(oracle.intercept_[0]))
    assert (found.controlled.low, found.controlled.high) == pytest.approx(np.percentile(shares, [2.5, 97.5]), abs=1e-3)
    assert found.controlled.method == "logistic regression on length, list, summary, bootstrap over items"


def test_intervals_cover_the_truth() -> None:
    rng = np.random.default_rng(6)
    found = [controlled(*rated_by_length(rng, 150, 1.0), ["a", "b", "c"], num_resamples=200) for _ in range(150)]
    assert 0.88 <= np.mean([f.controlled.low <= 0.5 <= f.controlled.high for f in found]) <= 0.99


def test_outcomes_that_form_decides_wholly_stay_finite() -> None:
    x = np.linspace(-2, 1, 60)[:, None]
    found = controlled((x[:, 0] > 0).astype(float), x, ["length"])
    assert np.isfinite([found.coefficients["length"].high, found.explained.high]).all()
    assert found.explained.value > 0.85
    for outcome in (0.0, 0.5, 1.0):
        same = controlled(np.full(60, outcome), x, ["length"])
        assert same.controlled.value == pytest.approx(outcome, abs=1e-3)
        assert same.explained.value == 0 and same.raw.value == outcome


def test_features_that_do_not_differ_are_left_out_and_named() -> None:
    y, x = rated_by_length(np.random.default_rng(7), 100)
    x[:, 1] = 0.3
    found = controlled(y, x, ["length", "list", "summary"])
    assert list(found.coefficients) == ["length", "summary"]
    assert found.left_out == {"list": "the same difference on every prompt"}
    nothing = controlled(y, np.zeros((100, 1)), ["list"])
    assert nothing.controlled.value == pytest.approx(nothing.raw.value, abs=1e-3) and nothing.coefficients == {}


def test_what_cannot_be_read() -> None:
    for y, x, names, message in (
        ([0.0, 1.0], np.ones((2, 1)), ["a", "b"], "of that shape"),
        ([0.0, 1.0], np.ones((3, 1)), ["a"], "of that shape"),
        ([0.0, 1.5], np.ones((2, 1)), ["a"], "between 0 and 1"),
        ([0.0, 1.0], np.array([[1.0], [np.nan]]), ["a"], "finite"),
    ):
        with pytest.raises(DataError, match=message):
            controlled(y, x, names)


def test_all_fits_at_once_are_each_at_their_optimum() -> None:
    y, x = rated_by_length(np.random.default_rng(8), 60, slope=4.0)
    columns, penalties = np.column_stack([np.ones(60), x]), np.array([1e-4, 0.1, 0.1, 0.1])
    weights = item_weights(60, 1, 300).astype(float)
    found = logistic_fits(columns, y, weights, penalties)
    slopes = (weights * (y - expit(found @ columns.T))) @ columns - penalties * found
    assert np.abs(slopes).max() < 1e-6


def test_length_in_a_real_judges_verdicts(data_root) -> None:
    path = data_root / "alpaca_eval/results/gpt-3.5-turbo-0301/alpaca_eval_gpt4/annotations.json.gz"
    rows = [row for row in json.loads(gzip.decompress(path.read_bytes())) if row["preference"] is not None]
    sides = [[features(row[side]) for row in rows] for side in ("output_1", "output_2")]
    assert {row["generator_2"] for row in rows} == {"gpt-3.5-turbo-0301"}
    outcomes = np.array([{0: 0.5, 1: 0.0, 2: 1.0}[int(row["preference"])] for row in rows])
    form = np.array([[[np.log1p(f.num_words), f.has_list, f.has_summary] for f in side] for side in sides], dtype=float)
    started = time.perf_counter()
    found = [controlled(outcomes, (form[1] - form[0])[:, :k], ["log words", "list", "summary"][:k]) for k in (1, 3)]
    print(f"\n{time.perf_counter() - started:.2f} s for both", *found, sep="\n")
    assert found[0].coefficients["log words"].low > 0 and found[0].controlled.value < found[0].raw.value
