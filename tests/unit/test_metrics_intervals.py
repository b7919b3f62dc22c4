"""Intervals against closed forms and scipy; the draws that all of them share."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from epigone.errors import DataError
from epigone.metrics.intervals import correlation, estimate, mcnemar, minimum_difference, paired_difference
from epigone.metrics.resampling import item_weights, means, ratios, seed_weights


def bits(rng, share: float, n: int = 320) -> np.ndarray:
    return (rng.random(n) < share).astype(float)


def test_interval_of_a_share_matches_the_normal_approximation():
    values = np.repeat([1.0, 0.0], [170, 150])
    found = estimate([values])
    half = 1.96 * np.sqrt(found.value * (1 - found.value) / 320)
    assert found.value == pytest.approx(170 / 320)
    assert found.low == pytest.approx(found.value - half, abs=0.006)
    assert found.high == pytest.approx(found.value + half, abs=0.006)
    assert (found.n, found.num_seeds) == (320, 1)


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    rng = np.random.default_rng(0)
    found = [estimate([bits(rng, 0.3)], num_resamples=1000) for _ in range(400)]
    assert 0.91 <= np.mean([e.low <= 0.3 <= e.high for e in found]) <= 0.98


def test_intervals_over_seeds_hold_the_spread_between_seeds():
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(300):
        by_seed = [bits(rng, np.clip(0.5 + 0.08 * rng.standard_normal(), 0, 1)) for _ in range(8)]
        found = estimate(by_seed, num_resamples=1000)
        hits += found.low <= 0.5 <= found.high
    assert 0.9 <= hits / 300 <= 0.99


def test_seed_weights_have_the_variance_of_a_mean_of_seeds():
    for num_seeds in (2, 3, 5):
        values = np.arange(num_seeds, dtype=float)
        drawn = seed_weights(num_seeds, 0, 20000) @ values
        assert drawn.mean() == pytest.approx(values.mean(), abs=0.03)
        assert drawn.var() == pytest.approx(values.var(ddof=1) / num_seeds, rel=0.06)


def test_item_weights_are_draws_with_replacement():
    weights = item_weights(50, 3, 4000)
    assert (weights.sum(axis=1) == 50).all()
    assert weights.var() == pytest.approx(1 - 1 / 50, rel=0.05)
    assert not np.array_equal(item_weights(50, 4, 4000), weights)


def test_paired_difference_is_narrower_than_unpaired():
    rng = np.random.default_rng(2)
    base = bits(rng, 0.5)
    student = np.where(rng.random(320) < 0.1, 1 - base, base)
    paired = paired_difference([student], [base])
    assert paired.value == pytest.approx((student - base).mean())
    exact = 1.96 * (student - base).std() / np.sqrt(320)
    assert (paired.high - paired.low) / 2 == pytest.approx(exact, rel=0.08)
    with pytest.raises(DataError, match="same items"):
        paired_difference([student], [base[:-1]])


def test_all_right_and_all_wrong_get_the_exact_bound():
    for value in (0.0, 1.0):
        found = estimate([np.full(30, value)])
        exact = stats.binomtest(int(30 * value), 30).proportion_ci(0.95, method="exact")
        assert (found.low, found.high) == pytest.approx((exact.low, exact.high))
        assert found.method == "exact binomial"


def test_seeds_of_different_length_and_missing_values():
    assert estimate([[1.0, 0.0], [1.0, 1.0, 1.0]]).value == pytest.approx(0.75)
    for bad in ([], [[]], [[1.0, float("nan")]]):
        with pytest.raises(DataError, match="finite value"):
            means(bad)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=40))
def test_ratio_counts_only_items_with_a_denominator(rows):
    over, under = (np.asarray(column, dtype=float)[:, None] for column in zip(*rows))
    over = over * (under > 0)
    draws = ratios(over, under, num_resamples=200)
    assert draws.n == sum(u > 0 for _, u in rows)
    if draws.n:
        assert draws.value == pytest.approx(over.sum() / under.sum())
        found = draws.estimate()
        each = (over / np.maximum(under, 1))[under > 0]
        if found.method != "exact binomial":
            assert each.min() - 1e-6 <= found.low <= found.high <= each.max() + 1e-6
    else:
        assert np.isnan(draws.points).all()


def test_correlation_matches_scipy():
    rng = np.random.default_rng(3)
    x = rng.normal(100, 30, 400)
    y = 0.6 * x + rng.normal(0, 24, 400)
    found = correlation(x, y)
    reference = stats.pearsonr(x, y)
    exact = reference.confidence_interval()
    assert found.value == pytest.approx(reference.statistic)
    assert (found.low, found.high) == pytest.approx((exact.low, exact.high), abs=0.02)


def test_mcnemar_matches_the_binomial_test():
    rng = np.random.default_rng(4)
    for shift in (0.0, 0.1, 0.3):
        a, b = bits(rng, 0.5 + shift), bits(rng, 0.5)
        only_a, only_b = int(((a == 1) & (b == 0)).sum()), int(((a == 0) & (b == 1)).sum())
        assert mcnemar(a, b) == pytest.approx(stats.binomtest(only_a, only_a + only_b).pvalue)
    assert mcnemar([1, 0], [1, 0]) == 1.0


def test_minimum_difference_is_shown_with_80_percent_power():
    rng, n, share = np.random.default_rng(5), 400, 0.4
    gap = minimum_difference(n, share)
    a, b = rng.binomial(n, share - gap / 2, 20000) / n, rng.binomial(n, share + gap / 2, 20000) / n
    pooled = (a + b) / 2
    shown = (b - a) / np.sqrt(2 * pooled * (1 - pooled) / n) > 1.96
    assert shown.mean() == pytest.approx(0.8, abs=0.03)
    assert minimum_difference(n, share, 0.75) == pytest.approx(gap / 2)
    assert minimum_difference(n, 0.0) > 0


def test_what_lies_between_0_and_1_has_an_interval_there_too() -> None:
    few = np.array([[0.0, 0.0, 2.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    estimate = ratios(few, np.full((3, 3), 2.0)).estimate()
    assert 0.0 <= estimate.low < estimate.value < estimate.high <= 1.0
    free = ratios(few * 3, np.full((3, 3), 2.0)).estimate()
    assert free.low < 0.0  # a statistic without bounds keeps its own interval
