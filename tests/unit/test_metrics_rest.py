"""Preference, calibration and trends on small cases worked out by hand or by simulation."""

import numpy as np
import pytest

from epigone.errors import DataError
from epigone.metrics.calibration import abstention_shares, brier, expected_calibration_error
from epigone.metrics.preference import majority, win_or_tie_rate
from epigone.metrics.resampling import means
from epigone.metrics.trend import slope, trend_word
from epigone.records import Judgment


def rated(prompt_id: str, verdicts: str, a: str = "s", b: str = "t") -> list[Judgment]:
    names = {"a": "a", "b": "b", "=": "tie"}
    return [Judgment(prompt_id, a, b, names[v], f"r{i}", "a") for i, v in enumerate(verdicts)]


def test_majority():
    assert majority(["a", "a", "b"]) == ("a", False)
    assert majority(["tie", "b", "tie"]) == ("tie", False)
    assert majority(["a", "b", "tie"]) == ("tie", True)
    assert majority(["a", "b"]) == ("tie", True)
    with pytest.raises(DataError, match="without a rating"):
        majority([])


def test_win_or_tie_rate_keeps_outcomes_apart_and_reads_both_sides():
    judgments = [
        *rated("p1", "aab"),
        *rated("p2", "bbb"),
        *rated("p3", "ab="),
        *rated("p4", "bb=", a="t", b="s"),
    ]
    found = win_or_tie_rate(judgments, "s")
    assert (found.wins, found.ties, found.losses, found.num_splits) == (2, 1, 1, 1)
    assert found.win_or_tie.value == 0.75 and found.win_or_tie.n == 4
    assert found.sd_of_mean == pytest.approx(np.std([1, 0, 1, 1], ddof=1) / 2)
    with pytest.raises(DataError, match="not 'x'"):
        win_or_tie_rate(judgments, "x")


def test_calibration_error_of_known_cases():
    rng = np.random.default_rng(0)
    told = rng.random(4000)
    honest = (rng.random(4000) < told).astype(float)
    assert expected_calibration_error(told, honest).value < 0.04
    boastful = expected_calibration_error(np.full(200, 0.9), np.repeat([1.0, 0.0], 100))
    assert boastful.value == pytest.approx(0.4, abs=0.11)  # bins of equal confidence are cut by order alone
    sure = expected_calibration_error([1.0] * 50, [0.0] * 50)
    assert sure.value == sure.low == sure.high == 1


def test_brier_and_bad_confidences():
    assert brier([1.0, 0.5], [1, 0]).value == pytest.approx(0.125)
    with pytest.raises(DataError, match="probability 0-1"):
        brier([1.5], [1])
    with pytest.raises(DataError, match="one confidence an answer"):
        expected_calibration_error([0.5], [1, 0])


def test_abstention_shares():
    known, unknown = abstention_shares([1, 0, 1, 1], [1, 1, 0, 0])
    assert known is not None and unknown is not None
    assert (known.value, unknown.value) == (0.5, 1.0)
    assert abstention_shares([1], [1])[1] is None


def draws(rng, shares: list[list[float]]):
    luck = rng.random(300)
    return [means([(luck < s).astype(float) for s in by_seed]) for by_seed in shares]


def test_slope_is_the_change_per_doubling():
    points = [means([np.repeat([1.0, 0.0], [k, 100 - k])]) for k in (20, 30, 40)]
    found = slope([10_000, 20_000, 40_000], points).estimate()
    assert found.value == pytest.approx(0.1)
    assert found.low < 0.1 < found.high
    with pytest.raises(DataError, match="positive amounts"):
        slope([0, 1], points[:2])


def test_trend_words():
    rng = np.random.default_rng(1)
    amounts = [1, 2, 4, 8]
    up = slope(amounts, draws(rng, [[0.2] * 3, [0.35] * 3, [0.5] * 3, [0.65] * 3])).estimate()
    flat = slope(amounts, draws(rng, [[0.5] * 3] * 4)).estimate()
    noisy = slope(amounts, draws(rng, [[0.2, 0.8, 0.5], [0.8, 0.2, 0.5], [0.3, 0.9, 0.6], [0.9, 0.2, 0.7]])).estimate()
    assert [trend_word(e) for e in (up, flat, noisy)] == ["rising", "flat", "undecided"]
    down = slope(amounts, draws(rng, [[0.9] * 3, [0.6] * 3, [0.5] * 3, [0.1] * 3])).estimate()
    assert trend_word(down) == "falling"
    two_seeds = slope(amounts, draws(rng, [[0.2] * 2, [0.35] * 2, [0.5] * 2, [0.65] * 2])).estimate()
    assert trend_word(two_seeds) == "undecided"
