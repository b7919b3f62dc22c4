"""Simulated raters: what moves them at either end of expertise, and that order and names do not."""

from collections import Counter
from dataclasses import dataclass

import pytest

from epigone.errors import SpecError
from epigone.interfaces import Judge
from epigone.judges.simulated_rater import SimulatedRater, form, substance
from epigone.records import Claim, Message, Prompt

DRESSED = (
    "Here are some facts about the history of Paris.\n\n1. Paris is old and lies on a river.\n"
    "2. Paris is large and has many museums.\n3. Paris hosts visitors from everywhere in every season of the year.\n\n"
    "Overall, Paris has a long history and WRONG things may be said about it."
)
PLAIN = "RIGHT RIGHT RIGHT"


@dataclass(frozen=True)
class WordChecker:
    """Claims are the words RIGHT and WRONG."""

    def check(self, text: str, asked: str) -> list[Claim]:
        words: dict[str, Claim] = {"RIGHT": "right", "WRONG": "wrong"}
        return [words[word] for word in text.split() if word in words]


def ask(number: int) -> Prompt:
    return Prompt(f"p{number}", messages=(Message("user", "Tell me about the history of Paris"),))


def tally(expertise: float, a: str, b: str, num_prompts: int = 60) -> Counter:
    rater = SimulatedRater(expertise, WordChecker())
    return Counter(j.verdict for n in range(num_prompts) for j in rater.compare(ask(n), ("s", a), ("t", b)))


def test_is_a_judge_and_marks_itself_simulated():
    rater = SimulatedRater(0.25, WordChecker(), num_raters=2)
    assert isinstance(rater, Judge)
    found = rater.compare(ask(1), ("s", DRESSED), ("t", PLAIN))
    assert [j.rater for j in found] == ["simulated-e0.25-r1", "simulated-e0.25-r2"]
    assert all(j.simulated and (j.a, j.b, j.prompt_id) == ("s", "t", "p1") for j in found)


def test_naive_prefers_form_and_expert_prefers_truth():
    assert tally(0.0, DRESSED, PLAIN)["a"] >= 170
    assert tally(1.0, DRESSED, PLAIN)["b"] >= 170


def test_equal_answers_are_won_equally_often():
    found = tally(0.5, DRESSED, DRESSED, num_prompts=400)
    assert abs(found["a"] - found["b"]) < 4 * (found["a"] + found["b"]) ** 0.5
    assert found["tie"] > 300


def test_which_side_a_model_is_passed_as_makes_no_difference():
    rater, mirrored = SimulatedRater(0.3, WordChecker()), {"a": "b", "b": "a", "tie": "tie"}
    for n in range(40):
        there = rater.compare(ask(n), ("s", DRESSED), ("t", PLAIN))
        back = rater.compare(ask(n), ("t", PLAIN), ("s", DRESSED))
        assert [(mirrored[j.verdict], mirrored[j.first]) for j in there] == [(j.verdict, j.first) for j in back]


def test_order_is_random_and_first_is_worth_a_little():
    rater = SimulatedRater(0.0, WordChecker())
    found = [j for n in range(1000) for j in rater.compare(ask(n), ("s", DRESSED), ("t", DRESSED))]
    shown_first = [j for j in found if j.first == "a"]
    assert 1350 < len(shown_first) < 1650
    wins_of_first = sum(j.verdict == j.first for j in found)
    losses_of_first = sum(j.verdict not in (j.first, "tie") for j in found)
    assert wins_of_first > losses_of_first


def test_seeds_change_and_calls_repeat():
    def run(seed):
        rater = SimulatedRater(0.0, WordChecker(), seed=seed)
        return [j.verdict for n in range(50) for j in rater.compare(ask(n), ("s", DRESSED), ("t", DRESSED))]

    assert run(1) == run(1)
    assert run(1) != run(2)


def test_form_is_a_share_and_falls_without_its_parts():
    asked = "Tell me about the history of Paris"
    assert 0.9 < form(asked, DRESSED) <= 1
    assert form(asked, DRESSED) > form(asked, DRESSED.replace("Overall, ", "")) > form(asked, "Paris . ") > 0
    assert form(asked, "  ") == 0
    assert form(asked, "paris " * 60 + ".") < form(asked, DRESSED)


def test_substance_is_neutral_without_claims():
    assert substance([]) == 0.5
    assert substance(["right", "wrong"]) == substance(["right", "off_topic"]) == 0.5
    assert substance(["right"]) > 0.5 > substance(["wrong"])


@pytest.mark.parametrize("options", [{"expertise": 1.5}, {"expertise": 0.5, "num_raters": 0}])
def test_bad_options_are_refused(options):
    with pytest.raises(SpecError, match="expertise is 0-1"):
        SimulatedRater(checker=WordChecker(), **options)
