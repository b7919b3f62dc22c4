"""Two studies side by side: paired where the items are the same, refused by name where the protocol is another."""

from dataclasses import replace

import numpy as np
import pytest

from epigone.errors import SpecError
from epigone.metrics.resampling import means
from epigone.records import Estimate
from epigone.reporting.comparison import UNPAIRED, Measurement, compare, render, unpaired

NUM_ITEMS = 400


def measurement(values: list[np.ndarray], *, protocol: str = "p--1", items: str = "same", seeds=(0,)) -> Measurement:
    draws = means(values)
    return Measurement("Right", "percent", protocol, draws.estimate(), draws, seeds, items)


def luck(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random(NUM_ITEMS)


FIRST = measurement([(luck(1) < 0.5).astype(float)])
SECOND = measurement([(luck(1) < 0.6).astype(float)])


def compared(first: Measurement, second: Measurement):
    (found,) = compare({("w8 base", "lama"): first}, {("w8 base", "lama"): second}, ("one", "two")).differences
    return found


def test_a_paired_difference_has_the_interval_of_the_items_that_differ():
    found = compared(FIRST, SECOND)
    gained = (luck(1) < 0.6).astype(float) - (luck(1) < 0.5)
    half = 1.96 * gained.std() / NUM_ITEMS**0.5  # by the central limit theorem
    assert found.is_paired and found.word == "higher"
    assert found.difference.value == pytest.approx(gained.mean())
    assert found.difference.low == pytest.approx(gained.mean() - half, abs=0.004)
    assert found.difference.high == pytest.approx(gained.mean() + half, abs=0.004)
    assert found.smallest == pytest.approx(half / 1.96 * 2.8, rel=0.1)


@pytest.mark.parametrize("change", [{"items": "others"}, {"items": ""}, {"draws": None}, {"seeds": (7,)}])
def test_other_items_or_other_seeds_are_not_paired(change: dict):
    found = compared(FIRST, replace(SECOND, **change))
    assert not found.is_paired and found.difference.method == UNPAIRED
    wide, narrow = (d.difference.high - d.difference.low for d in (found, compared(FIRST, SECOND)))
    assert wide > 1.5 * narrow


def test_of_several_seeds_those_that_both_have_are_paired():
    three = measurement([(luck(n) < 0.5).astype(float) for n in (1, 2, 3)], seeds=(0, 1, 2))
    two = measurement([(luck(n) < 0.5).astype(float) for n in (3, 1)], seeds=(2, 0))
    found = compared(three, two)
    assert found.is_paired and found.difference.num_seeds == 2
    assert (found.difference.value, found.difference.low, found.difference.high) == (0, 0, 0) and found.word == "equal"
    assert found.smallest > 0.05  # nothing differs, yet 400 items hide small differences


def test_unpaired_intervals_add_up_as_those_of_independent_values():
    found = unpaired(Estimate(0.5, 0.4, 0.7, 10, "m"), Estimate(0.6, 0.3, 0.7, 20, "m"))
    assert found.value == pytest.approx(0.1)
    assert found.low == pytest.approx(0.1 - (0.3**2 + 0.2**2) ** 0.5)
    assert found.high == pytest.approx(0.1 + (0.1**2 + 0.1**2) ** 0.5)
    assert found.n == 10


def test_another_protocol_is_refused_by_name():
    other = replace(SECOND, protocol="p--2")
    cells = [
        {("a", "lama"): FIRST, ("a", "nq"): FIRST, ("x", "nq"): FIRST},
        {("a", "lama"): other, ("a", "nq"): SECOND},
    ]
    found = compare(cells[0], cells[1], ("one", "two"))
    assert [(d.cell, d.metric) for d in found.differences] == [("a", "nq")]
    assert found.refused == (("a", "Right", "protocol p--1 in one, p--2 in two"),)
    assert found.alone == (("x",), ())


def test_studies_without_a_cell_in_common_are_refused():
    with pytest.raises(SpecError, match="no cell in common: one has a; two has b"):
        compare({("a", "lama"): FIRST}, {("b", "lama"): SECOND}, ("one", "two"))


def test_the_page_escapes_names_and_has_every_difference():
    cells = [{("<b>", "lama"): each, ("c", "lama"): each} for each in (FIRST, replace(SECOND, protocol="<i>"))]
    cells[1]["c", "lama"] = SECOND
    files = render(compare(cells[0], cells[1], ("one", "two")))
    page = str(files["report.html"])
    assert "&lt;b&gt;" in page and "&lt;i&gt;" in page and "<b>" not in page and "<i>" not in page
    assert "c,lama,p--1,0." in str(files["tables/differences.csv"])
