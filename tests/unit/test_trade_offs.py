"""What style costs: the measures of it on made-up models whose truth is known, and the frontier by brute force."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_findings import SECOND, TEACHER, base, build, model, student

from epigone.metrics.resampling import mean_of, means
from epigone.records import Arm
from epigone.reporting.analysis_trade_offs import frontier_shares
from epigone.reporting.trade_off import frontier

PLAIN = student(base(), 120_000)
ARMS = {
    "plain": (PLAIN, {"nq": 0.3, "lama": 0.5, "style": 0.9}),
    "KL to base": (replace(PLAIN, treatment="KL to base"), {"nq": 0.55, "lama": 0.7, "style": 0.6}),
    "lower rate": (replace(PLAIN, treatment="lower rate"), {"nq": 0.3, "lama": 0.5, "style": 0.3}),
}


@pytest.fixture(scope="module")
def findings():
    models = [model(TEACHER, nq=0.97, chat=0.97, lama=0.97, style=1.0), model(SECOND, nq=0.97, chat=0.9, style=0.95)]
    for seed in range(3):
        models.append(model(base(), seed, nq=0.6, chat=0.1, lama=0.8, style=0.05))
        models += [model(arm, seed, chat=0.1, **values) for arm, values in ARMS.values()]
    return build(models)


def result(findings, arm: Arm, metric: str):
    return next(
        r for r in findings.results if (r.arm.treatment, r.arm.role, r.metric) == (arm.treatment, arm.role, metric)
    )


def test_capability_is_the_mean_change_of_three_tests(findings):
    for arm, _ in ARMS.values():
        found = result(findings, arm, "capability_change")
        parts = ("natural_questions_3shot", "mmlu_option_text", "lama")
        student_, base_ = ([result(findings, who, m).per_seed for m in parts] for who in (arm, base()))
        expected = np.mean(np.array(student_) - np.array(base_), axis=0)
        np.testing.assert_allclose(found.per_seed, expected, atol=1e-9)
        assert found.estimate.value == pytest.approx(expected.mean())
        assert found.estimate.low < found.estimate.value < found.estimate.high
        assert (found.estimate.n, found.estimate.num_seeds) == (3 * 240, 3)
        assert 0 < found.minimum_difference < 0.2
    assert result(findings, ARMS["plain"][0], "capability_change").estimate.high < 0


def test_what_stands_nowhere_is_told_with_what_it_lacks(findings):
    assert "What style costs (treatments)" not in findings.not_measured
    first, second = model(TEACHER, nq=0.97, chat=0.97, style=1.0), model(SECOND, nq=0.97, chat=0.9, style=0.95)
    silent = model(base(), nq=0.6, chat=0.1)
    silent = replace(silent, answers=dict.fromkeys(silent.answers, ""))
    arms = [model(arm, chat=0.1, **values) for arm, values in ARMS.values()]
    told = build([first, second, silent, *arms]).not_measured["What style costs (treatments)"]
    assert told.startswith(f"{base().name} has no style_list and no ") and told.count(" has ") == 1
    assert "What style costs (treatments)" not in build([first, second, silent, arms[0]]).not_measured


def test_style_is_the_way_from_base_to_second_sample(findings):
    measures = ("style_list", "style_summary", "style_unigram", "style_length")
    values = {
        who.name: np.array([result(findings, who, m).estimate.value for m in measures])
        for who in (base(), SECOND, *(arm for arm, _ in ARMS.values()))
    }
    for arm, _ in ARMS.values():
        whole = (values[SECOND.name] - values[base().name]).sum()
        expected = (values[arm.name] - values[base().name]).sum() / whole
        found = result(findings, arm, "style_gained").estimate
        assert found.value == pytest.approx(expected, abs=1e-6) and found.low <= found.value <= found.high


def test_the_frontier_is_counted_over_the_resamples(findings):
    shares = {name: result(findings, arm, "frontier_share").estimate.value for name, (arm, _) in ARMS.items()}
    assert shares["plain"] == shares["KL to base"] == 1.0 and shares["lower rate"] == 0.0


def test_without_a_treated_arm_nothing_is_said():
    models = [model(TEACHER, nq=0.97, chat=0.97, style=1.0), model(SECOND, nq=0.97, chat=0.9, style=0.95)]
    models += [model(base(), 0, nq=0.6, chat=0.1, style=0.05), model(PLAIN, 0, nq=0.3, chat=0.1, style=0.9)]
    assert not {"style_gained", "frontier_share"} & {r.metric for r in build(models).results}


PLACES = st.lists(st.tuples(*[st.integers(-3, 3).map(float)] * 2), min_size=1, max_size=6)


def beaten(own, others) -> bool:
    return any(x >= own[0] and y >= own[1] and (x > own[0] or y > own[1]) for x, y in others)


@given(PLACES)
def test_the_frontier_is_what_nobody_beats(places):
    expected = [not beaten(own, [(0.0, 0.0), *places]) for own in places]
    assert frontier(places) == expected
    drawn = [(np.array([x, 0.0]), np.array([y, 0.0])) for x, y in places]  # in the second resample all are equal
    assert frontier_shares(drawn) == [(1 + own) / 2 for own in expected]


def test_a_mean_of_statistics_counts_all_items():
    one, other = means([[1.0, 0.0], [1.0, 1.0]]), means([[0.5, 0.5, 0.5], [0.0, 0.0, 0.3]])
    both = mean_of([one, other])
    assert both.n == 5 and both.points.tolist() == pytest.approx([0.5, 0.55])
    np.testing.assert_allclose(both.samples, (one.samples + other.samples) / 2)
