"""Before anybody is paid: what the planned comparisons can show, by an independent count."""

import json
import math

import numpy as np
import pytest

from epigone.commands.crowd import Sources, Wanted, run_crowd
from epigone.commands.rating_sources import fewest_of_a_pair
from epigone.rating.offers import TIE_SHARE, WANTED_DIFFERENCE, power_of, power_told


def share_shown(n: int, difference: float, num_studies: int = 4000) -> float:
    """How many of simulated studies tell the win share from one half: a z test of the mean of 1, 0.5 and 0."""
    rng = np.random.default_rng(0)
    win = (1 - TIE_SHARE) / 2 + difference
    counts = rng.multinomial(n, [win, TIE_SHARE, 1 - TIE_SHARE - win], size=num_studies)
    mean = (counts[:, 0] + counts[:, 1] / 2) / n
    return float((np.abs(mean - 0.5) > 1.959964 * math.sqrt((0.25 - TIE_SHARE / 4) / n)).mean())


def test_the_difference_that_is_told_is_shown_by_four_studies_in_five():
    for n in (80, 255):
        power = power_of(n)
        assert share_shown(n, power.smallest) == pytest.approx(0.8, abs=0.04)
        assert f"{100 * power.smallest:.0f} points" in power_told(power)
    assert share_shown(power_of(80).num_needed, WANTED_DIFFERENCE) == pytest.approx(0.8, abs=0.04)


def test_too_few_show_nothing():
    assert power_of(2).smallest is None and "show nothing" in power_told(power_of(2))


def test_the_cost_comes_with_it(tmp_path, capsys):
    for model in ("one", "two", "three"):
        rows = [
            {"id": str(n), "model": model, "messages": [{"role": "user", "content": f"Question {n}?"},
             {"role": "assistant", "content": f"{model} {n}"}]}
            for n in range(30 if model == "three" else 40)
        ]  # fmt: skip
        (tmp_path / f"{model}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    sources = Sources([str(tmp_path / f"{model}.jsonl") for model in ("one", "two", "three")])
    found = run_crowd(Wanted(sources, {"platform": "mechanical_turk"}), None, dry_run=True, quiet=False)
    assert found["num_comparisons"] == 70 and found["power"]["num_comparisons"] == 30
    assert found["power"]["smallest"] == power_of(30).smallest
    assert "30 comparisons of a pair of models show a win share" in capsys.readouterr().err.replace("\n", " ")
    with pytest.raises(ValueError, match="empty"):
        fewest_of_a_pair([])
