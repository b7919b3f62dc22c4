"""P-values against statsmodels and scipy; the sizes of comparisons of preference against simulation."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests

from epigone.errors import DataError
from epigone.metrics.intervals import comparisons_needed, minimum_difference_of_preference
from epigone.metrics.resampling import means
from epigone.metrics.testing import bootstrap_p, holm, sign_test


@settings(max_examples=15)  # the oracle takes its time
@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_holm_is_that_of_statsmodels(p_values: list[float]) -> None:
    assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1], abs=1e-12)


def test_holm_on_nothing_and_on_what_is_no_p_value() -> None:
    assert holm([]).shape == (0,)
    with pytest.raises(DataError, match="between 0 and 1"):
        holm([0.2, float("nan")])


@given(st.integers(0, 300), st.integers(0, 300))
def test_sign_test_is_that_of_scipy(wins: int, losses: int) -> None:
    expected = stats.binomtest(wins, wins + losses).pvalue if wins + losses else 1.0
    assert sign_test(wins, losses) == pytest.approx(expected)


def test_sign_test_needs_counts() -> None:
    with pytest.raises(DataError, match="counts"):
        sign_test(-1, 3)


def test_bootstrap_p_is_that_of_the_normal_approximation() -> None:
    rng = np.random.default_rng(0)
    for shift in (0.0, 0.08, 0.15):
        values = rng.normal(shift, 1, 500)
        expected = stats.ttest_1samp(values, 0).pvalue
        assert bootstrap_p(means([values])) == pytest.approx(expected, abs=0.03)


def test_bootstrap_p_agrees_with_the_interval_and_is_never_0() -> None:
    rng = np.random.default_rng(1)
    for _ in range(30):
        draws = means([rng.normal(0.13, 1, 200)])
        found, p = draws.estimate(), bootstrap_p(draws)
        assert (p < 0.05) == (found.low > 0 or found.high < 0) or p == pytest.approx(0.05, abs=0.003)
    assert bootstrap_p(means([np.ones(20)])) == pytest.approx(2 / 2001)
    assert bootstrap_p(means([np.zeros(20)])) == 1.0
    assert math.isnan(bootstrap_p(means([np.ones(20)]) - nothing()))


def nothing():
    draws = means([np.ones(20)])
    draws.samples[:] = np.nan
    return draws


def test_bootstrap_p_is_rarely_small_by_chance() -> None:
    rng = np.random.default_rng(2)
    small = [bootstrap_p(means([rng.normal(0, 1, 100)], num_resamples=500)) < 0.05 for _ in range(400)]
    assert 0.02 <= np.mean(small) <= 0.09


@pytest.mark.parametrize(("difference", "tie_share"), [(0.1, 0.0), (0.1, 0.4), (-0.2, 0.2), (0.05, 0.6)])
def test_comparisons_needed_show_the_difference_in_4_of_5_studies(difference: float, tie_share: float) -> None:
    n, rng = comparisons_needed(difference, tie_share=tie_share), np.random.default_rng(3)
    win = 0.5 + difference - tie_share / 2

    def shown(win: float) -> float:
        counts = rng.multinomial(n, [win, tie_share, 1 - tie_share - win], size=20_000)
        wins, ties = counts[:, 0], counts[:, 1]
        null_sd = np.sqrt((1 - ties / n) / 4 / n)
        return float(np.mean(np.abs((wins + ties / 2) / n - 0.5) > 1.96 * null_sd))

    assert shown(win) == pytest.approx(0.8, abs=0.03)
    assert shown(0.5 - tie_share / 2) == pytest.approx(0.05, abs=0.015)


def test_comparisons_needed_are_the_textbooks_for_one_share() -> None:
    """Fleiss, formula for one proportion: ((1.96 sqrt(p0 q0) + 0.8416 sqrt(p1 q1)) / (p1 - p0))^2."""
    assert comparisons_needed(0.1) == math.ceil(((1.959964 * 0.5 + 0.841621 * 0.24**0.5) / 0.1) ** 2) == 194
    assert comparisons_needed(0.1, power=0.9) == 259
    assert comparisons_needed(0.1, tie_share=0.5) < comparisons_needed(0.1)
    assert comparisons_needed(-0.1, 0.8) > comparisons_needed(0.1, 0.8)


@given(st.integers(5, 5000), st.floats(0, 0.9), st.sampled_from([0.5, 0.8, 0.9]))
def test_the_smallest_difference_is_the_inverse(n: int, tie_share: float, power: float) -> None:
    found = minimum_difference_of_preference(n, tie_share, power=power)
    if math.isfinite(found):
        assert comparisons_needed(found, tie_share=tie_share, power=power) in (n, n + 1)
    else:
        with pytest.raises(DataError, match="cannot both be"):
            comparisons_needed((1 - tie_share) / 2 + 0.01, tie_share=tie_share)
        assert comparisons_needed((1 - tie_share) / 2, tie_share=tie_share, power=power) > n


def test_sizes_that_cannot_be() -> None:
    assert minimum_difference_of_preference(1) == math.inf
    assert 0.3 < minimum_difference_of_preference(16) < 0.4
    for wrong in (
        lambda: comparisons_needed(0.0),
        lambda: comparisons_needed(0.6),
        lambda: comparisons_needed(0.3, 0.8),
    ):
        with pytest.raises(DataError):
            wrong()
    with pytest.raises(DataError, match="n must be at least 1"):
        minimum_difference_of_preference(0)
