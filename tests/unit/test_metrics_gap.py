"""The verdict words on simulated base / student / teacher triples with a known truth."""

import numpy as np
import pytest

from epigone.metrics.gap import arm_word, gap_closed
from epigone.metrics.resampling import Draws, means

NUM_TRIPLES, NUM_ITEMS, NUM_RESAMPLES = 400, 320, 1000


def triple(rng, base_rate: float, teacher_rate: float, closed: float, shared: float) -> tuple[Draws, Draws, Draws]:
    """Item scores of a base, a student and a teacher; a share `shared` of the items is decided by one luck for all."""
    rates = (base_rate, base_rate + closed * (teacher_rate - base_rate), teacher_rate)
    common = rng.random(NUM_ITEMS)
    sticks = rng.random(NUM_ITEMS) < shared
    luck = [np.where(sticks, common, rng.random(NUM_ITEMS)) for _ in rates]
    return tuple(means([(x < r).astype(float)], num_resamples=NUM_RESAMPLES) for x, r in zip(luck, rates))


def words(base_rate: float, teacher_rate: float, closed: float, shared: float) -> dict[str, float]:
    rng = np.random.default_rng(7)
    found = [gap_closed(*triple(rng, base_rate, teacher_rate, closed, shared)).word for _ in range(NUM_TRIPLES)]
    return {word: found.count(word) / NUM_TRIPLES for word in ("gain", "no gain", "regression", "undecided")}


WRONG = {
    0.0: ("gain", "regression"),
    0.2: ("no gain", "regression"),
    1.0: ("no gain", "regression"),
    -0.1: ("gain",),
}


@pytest.mark.parametrize(
    ("base_rate", "teacher_rate", "shared"), [(0.5, 0.97, 0.6), (0.5, 0.97, 0.0), (0.16, 0.9, 0.6), (0.75, 0.96, 0.3)]
)
@pytest.mark.parametrize("closed", list(WRONG))
def test_wrong_word_is_rare(closed, base_rate, teacher_rate, shared):
    share = words(base_rate, teacher_rate, closed, shared)
    assert sum(share[word] for word in WRONG[closed]) <= 0.05, share


def seeds_of_noisy_arms(rng, closed: float, num_seeds: int) -> list[Draws]:
    """Base and student differ from seed to seed, the base by 7 points, the student from its mark by 3."""
    base, student, teacher = [], [], (rng.random(NUM_ITEMS) < 0.97).astype(float)
    for _ in range(num_seeds):
        rate = np.clip(0.5 + 0.07 * rng.standard_normal(), 0, 0.9)
        moved = rate + closed * (0.97 - rate) + 0.03 * rng.standard_normal()
        base.append((rng.random(NUM_ITEMS) < rate).astype(float))
        student.append((rng.random(NUM_ITEMS) < moved).astype(float))
    return [means(values, num_resamples=NUM_RESAMPLES) for values in (base, student, [teacher])]


@pytest.mark.parametrize("closed", list(WRONG))
def test_wrong_word_is_rare_over_seeds_that_differ(closed):
    rng = np.random.default_rng(3)
    found = [gap_closed(*seeds_of_noisy_arms(rng, closed, 3)).word for _ in range(200)]
    assert sum(word in WRONG[closed] for word in found) <= 10


@pytest.mark.parametrize("teacher_rate", [0.5, 0.52, 0.48])
def test_teacher_about_equal_to_base_is_undecided(teacher_rate):
    for closed in (0.0, 1.0, 3.0):
        assert words(0.5, teacher_rate, closed, 0.6)["undecided"] >= 0.95


def test_words_are_not_evasive():
    assert words(0.5, 0.97, 1.0, 0.6)["gain"] > 0.95
    flat = words(0.5, 0.97, 0.0, 0.6)
    assert flat["no gain"] > 0.5
    assert flat["no gain"] + flat["undecided"] > 0.95
    assert words(0.5, 0.97, -0.8, 0.6)["regression"] > 0.95


def test_gap_closed_is_the_ratio_of_differences():
    base, student, teacher = ([np.repeat([0.0, 1.0], [n, 100 - n])] for n in (60, 45, 10))
    found = gap_closed(means(base), means(student), means(teacher))
    assert found.closed is not None
    assert found.closed.value == pytest.approx((0.55 - 0.4) / (0.9 - 0.4))
    assert found.closed.low < 0.3 < found.closed.high
    assert found.gap.value == pytest.approx(0.5)


def test_teacher_below_base_has_no_gap_to_close():
    high, low = means([np.repeat([0.0, 1.0], [20, 300])]), means([np.repeat([0.0, 1.0], [300, 20])])
    assert gap_closed(high, low, low).closed is None
    assert gap_closed(high, low, low).word == "undecided"


@pytest.mark.parametrize(
    ("capability", "style", "forgot", "word"),
    [
        (["gain", "gain", "gain"], ["gain"], False, "broad gain"),
        (["gain"], [], False, "local gain"),
        (["gain", "no gain", "no gain"], ["no gain"], False, "local gain"),
        (["no gain", "no gain"], ["gain", "gain", "undecided"], False, "style only"),
        (["regression", "regression"], ["gain", "gain"], True, "style only, forgot"),
        (["regression", "undecided"], ["gain", "no gain"], False, "undecided"),
        (["regression", "no gain"], ["no gain"], True, "regression, forgot"),
        (["undecided", "undecided", "no gain"], ["gain"], False, "undecided"),
        ([], ["gain"], False, "undecided"),
        (["no gain"], [], False, "undecided"),
    ],
)
def test_arm_words(capability, style, forgot, word):
    assert arm_word(capability, style, forgot=forgot) == word
