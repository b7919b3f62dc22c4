"""A study's parameters as options of the command line."""

import pytest

from epigone.commands.study_options import described, made
from epigone.errors import SpecError


def test_options_reach_the_study():
    study = made("testbed", ["--seeds", "3", "--scale=small"])
    assert study.name == "testbed-3-seeds-small"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sed", "3"], "testbed has no option --sed; it has: --seeds, --scale"),
        (["--seeds", "x"], "--seeds is a whole number, not 'x'"),
        (["--seeds", "1", "2"], "--seeds wants one value"),
        (["--seeds"], "--seeds wants one value"),
        (["3"], "what is '3'"),
    ],
)
def test_wrong_options_are_named(arguments, message):
    with pytest.raises(SpecError, match=message):
        made("testbed", arguments)


def test_what_a_study_needs_is_said():
    with pytest.raises(SpecError, match="real_small needs --model;"):
        made("real_small", ["--amounts", "1K"])
    with pytest.raises(SpecError, match="a command of its own: epigone audit"):
        made("audit", [])


def test_help_tells_every_option_with_its_default():
    text = described("real_small")
    assert "imitation tokens of each student. [30K 100K]" in text and "[needed]" in text
    assert "real_small, testbed" in described("") and "audit" not in described("")


def test_a_group_of_options_keeps_what_was_not_given():
    study = made("false_promise", ["--scale", "0.5", "--learning-rate", "0.01", "--discord", "none", "--amounts", "4M"])
    trained = next(place.audit.models[2].answers.model.options for place in study.report.families)
    student = dict(trained)["path"]
    assert student.name == "gpt2-xl-broad-2M" and student.recipe.learning_rate == 0.01
    assert student.recipe.batch_size == 64 and student.recipe.warmup_steps == 500
    assert "--learning-rate      peak of the schedule. [0.002]" in described("false_promise")
    assert "--learning-rate      peak of the schedule. [2e-05]" in described("modern")
    with pytest.raises(SpecError, match=r"false_promise has no option --sharegtp; it has: --bases, .*--sharegpt"):
        made("false_promise", ["--sharegtp", "x"])
