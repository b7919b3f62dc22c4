"""Preference by expertise: simulated raters of known expertise, statsmodels beside the fit, what is too little."""

import numpy as np
import pytest
import statsmodels.api as sm

from epigone.errors import DataError
from epigone.metrics.expertise import by_expertise, shrunk
from epigone.metrics.known_answers import Known
from epigone.records import Judgment

NUM_RATERS, NUM_VOTES = 80, 40
SLOPE = -0.5
"""Of the made-up raters: log-odds of finding the student equal or better, for ten points more expertise."""


def made_up(seed=0, *, slope=SLOPE, num_known=12, spread=0.35):
    """Raters of known expertise, their known answers and their votes on student and teacher."""
    rng = np.random.default_rng(seed)
    true = 0.95 - spread * rng.random(NUM_RATERS) * 1.2
    known = {f"r{n}": Known(num_known, int(rng.binomial(num_known, p))) for n, p in enumerate(true)}
    judgments = []
    for n, p in enumerate(true):
        chance = 1 / (1 + np.exp(-(0.4 + slope * (p - 0.75) / 0.1)))
        for prompt in rng.permutation(120)[:NUM_VOTES]:
            wins = rng.random() < chance
            a, b = ("student", "teacher") if rng.random() < 0.5 else ("teacher", "student")
            verdict = "tie" if wins and rng.random() < 0.3 else ("a" if (a == "student") == wins else "b")
            judgments.append(Judgment(f"p{prompt}", a, b, verdict, f"r{n}", "a"))
    return judgments, known, true


def test_the_slope_of_known_expertise_comes_back_and_raw_shares_would_be_too_flat():
    slopes, flat, num_covering = [], [], 0
    for seed in range(6):
        judgments, known, _ = made_up(seed, num_known=20)
        found = by_expertise(judgments, "student", known, num_resamples=100)
        num_covering += found.slope.low < SLOPE < found.slope.high
        assert found.word == "falls with expertise"
        slopes.append(found.slope.value)
        x = [[1.0, (known[j.rater].num_right / known[j.rater].num_known - 0.75) / 0.1] for j in judgments]
        y = [float(j.verdict == "tie" or (j.verdict == "a") == (j.a == "student")) for j in judgments]
        flat.append(sm.GLM(y, np.asarray(x), family=sm.families.Binomial()).fit().params[1])
    assert num_covering >= 5  # of six 95 % intervals
    assert np.median(slopes) == pytest.approx(SLOPE, abs=0.12)
    assert np.median(flat) > SLOPE + 0.12  # less steep


def test_the_fit_is_statsmodels_own():
    judgments, known, _ = made_up(1)
    expertise, mean, _ = shrunk(known)
    found = by_expertise(judgments, "student", known, ridge=0, num_resamples=20)
    x = sm.add_constant([(expertise[j.rater] - mean) / 0.1 for j in judgments])
    y = [float(j.verdict == "tie" or (j.verdict == "a") == (j.a == "student")) for j in judgments]
    oracle = sm.GLM(y, x, family=sm.families.Binomial()).fit()
    assert found.slope.value == pytest.approx(oracle.params[1], abs=1e-4)
    assert found.slope.n == found.num_judgments == len(judgments) == NUM_RATERS * NUM_VOTES
    by_name = {third.name: third for third in found.thirds}
    rates = [by_name[name].rate.value for name in ("lowest third", "middle third", "highest third")]
    assert rates == sorted(rates, reverse=True)
    assert sum(third.num_raters for third in found.thirds) == NUM_RATERS
    assert sum(third.rate.n for third in found.thirds) == len(judgments)


def test_expertise_without_an_effect_is_undecided_and_the_intervals_cover():
    words = []
    for seed in range(6):
        judgments, known, _ = made_up(seed, slope=0.0)
        words.append(by_expertise(judgments, "student", known, num_resamples=60).word)
    assert words.count("undecided") >= 5


def test_shares_are_drawn_to_the_mean_the_more_the_fewer_known_ones_there_are():
    _, known, true = made_up(3, num_known=10)
    expertise, _, reliability = shrunk(known)
    raw = np.asarray([known[f"r{n}"].num_right / 10 for n in range(NUM_RATERS)])
    drawn = np.asarray([expertise[f"r{n}"] for n in range(NUM_RATERS)])
    assert ((drawn - true) ** 2).mean() < ((raw - true) ** 2).mean()
    assert 0.2 < reliability < 0.9
    uneven = {**known, "few": Known(1, 0), "many": Known(400, 0), "none": Known(0, 0)}
    expertise, mean, _ = shrunk(uneven)
    assert expertise["many"] < 0.05 < expertise["few"] < mean and "none" not in expertise


def test_too_little_is_not_measured_and_says_why():
    judgments, known, _ = made_up(0)
    few = by_expertise([j for j in judgments if j.rater in ("r1", "r2")], "student", known)
    assert few.slope is None and few.word == "not measured" and "80 judgments of 2 raters" in few.why
    alike = by_expertise(judgments, "student", {rater: Known(10, 9) for rater in known})
    assert alike.slope is None and "no more than by luck" in alike.why
    with pytest.raises(DataError, match="expertise is not known"):
        by_expertise(judgments, "student", {})
    with pytest.raises(DataError, match="not 'nobody'"):
        by_expertise(judgments, "nobody", known)
