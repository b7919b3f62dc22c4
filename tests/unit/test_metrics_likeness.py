"""Likeness: real answers to the printed digit, every rule on small texts, the distance's two fixed points."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from epigone.metrics.first_look import WINDOW, first_look
from epigone.metrics.likeness import (
    PARTS,
    Yardstick,
    levels,
    likeness,
    look,
    moved_to_other_prompts,
)

ALPACA = {  # teacher gpt-3.5-turbo-0301: list, summary, unigram, length
    "gpt-3.5-turbo-0613": (0.946, 0.296, 0.4945, 0.800),
    "alpaca-7b": (0.230, 0.0, 0.3509, 0.589),
    "text_davinci_003": (0.302, 0.0, 0.3046, 0.571),
}
VICUNA = {
    "llama-13b": (0.545, 0.0, 0.2874, 0.258),
    "alpaca-13b": (0.087, 0.0, 0.3468, 0.366),
    "vicuna-13b": (0.913, 0.421, 0.4805, 0.551),
    "bard": (0.826, 0.421, 0.4299, 0.363),
}


def looks(texts):
    return [look(text) for text in texts]


def alpaca(root: Path, model: str) -> list[str]:
    return [r["output"] for r in json.loads((root / f"alpaca_eval/results/{model}/model_outputs.json").read_text())]


def vicuna(root: Path, model: str) -> list[str]:
    lines = (root / f"vicuna80/answer/answer_{model}.jsonl").read_text().splitlines()
    return [row["text"] for row in sorted(map(json.loads, lines), key=lambda row: row["question_id"])]


@pytest.mark.parametrize("model", ALPACA)
def test_table_2_on_alpaca_eval(data_root: Path, model: str) -> None:
    found = likeness(looks(alpaca(data_root, "gpt-3.5-turbo-0301")), looks(alpaca(data_root, model)))
    values = [found[name].value for name in ("list", "summary", "unigram", "length")]
    assert values == pytest.approx(ALPACA[model], abs=5e-4)


@pytest.mark.parametrize("model", VICUNA)
def test_table_2_on_vicuna(data_root: Path, model: str) -> None:
    found = likeness(looks(vicuna(data_root, "gpt35")), looks(vicuna(data_root, model)))
    values = [found[name].value for name in ("list", "summary", "unigram", "length")]
    assert values == pytest.approx(VICUNA[model], abs=5e-4)


@pytest.mark.parametrize(
    ("text", "bold", "headers"),
    [
        ("plain", False, False),
        ("a **word** here", True, False),
        ("an __underlined__ one", True, False),
        ("snake__case__name", False, False),
        ("2 ** 3 ** 4", False, False),
        ("# Title\ntext", False, True),
        ("#hashtag", False, False),
        ("```\n# comment\n**x**\n```", False, False),
    ],
)
def test_bold_and_headers(text: str, bold: bool, headers: bool) -> None:
    seen = first_look(text)
    assert (seen.bold, seen.headers) == (bold, headers)


def test_hedges_refusals_and_names() -> None:
    seen = first_look("It might rain. Perhaps it won't, but it usually does here, I think.")
    assert seen.hedges_per_100_words == pytest.approx(100 * 4 / 13)
    assert first_look("I'm sorry, but I cannot help with that.").refuses
    assert not first_look("Here is how: " + "words " * 60 + "I cannot stress this enough.").refuses
    assert first_look("As an AI language model, I have no feelings.").names_itself
    assert first_look("I was trained by OpenAI.").names_itself
    assert not first_look("AI is a field of research.").names_itself


@given(st.lists(st.integers(0, 40), min_size=1, max_size=200))
def test_vocabulary_is_the_mean_over_all_windows(numbers: list[int]) -> None:
    words = [f"w{n}" for n in numbers]
    windows = [words[i : i + WINDOW] for i in range(max(1, len(words) - WINDOW + 1))]
    wanted = np.mean([len(set(window)) / len(window) for window in windows])
    assert first_look(" ".join(words)).vocabulary == pytest.approx(wanted)


def test_other_definitions() -> None:
    teacher = looks(["- a\n- b", "one two", "x\n\nRemember to rest."])
    other = looks(["* a\n* b", "- one\n- two", "y\n\nI hope this helps."])
    found = likeness(teacher, other)
    assert found["list_agreement"].value == pytest.approx(2 / 3)
    assert found["summary_loose"].value == 1.0 and found["summary_loose"].n == 1
    assert "summary" not in found  # no teacher's answer closes with one by the strict rule
    assert found["unigram_types"].value == pytest.approx((1 + 1 + 0) / 3)


def test_empty_answers_are_left_out_of_every_metric() -> None:
    teacher, other = looks(["a b", "c d e f", "g"]), looks(["a b", "", "g"])
    found = likeness(teacher, other)
    assert {d.n for name, d in found.items() if name not in ("list", "summary", "length", "length_log")} == {2}
    assert found["unigram"].value == 1.0
    distances = Yardstick(teacher).distances(other)
    assert math.isnan(distances.by_prompt[1]) and distances.total.n == 2


words = st.lists(
    st.sampled_from(["the", "cat", "sat", "- x\n- y\n", "**bold**", "perhaps", "Overall", "\n\n", "."]), min_size=1
)
texts = st.lists(words.map(" ".join).filter(str.strip), min_size=6, max_size=12)


@given(texts)
def test_the_teacher_itself_is_at_distance_nought(answers: list[str]) -> None:
    mine = looks(answers)
    found = Yardstick(mine).distances(mine)
    assert found.total.value == 0 and all(part.value == 0 for part in found.parts.values())
    assert set(found.parts) == set(PARTS)


def test_answers_to_other_questions_are_at_distance_one(data_root: Path) -> None:
    mine = looks(alpaca(data_root, "gpt-3.5-turbo-0301"))
    yardstick = Yardstick(mine)
    far = [yardstick.distances(moved_to_other_prompts(mine, seed)).total.value for seed in range(3)]
    assert far == pytest.approx([1.0] * 3, abs=0.05)
    nearer = yardstick.distances(looks(alpaca(data_root, "gpt-3.5-turbo-0613"))).total.value
    imitator = yardstick.distances(looks(alpaca(data_root, "alpaca-7b"))).total.value
    assert nearer < imitator < 1


def test_a_random_pairing_leaves_no_answer_in_place() -> None:
    mine = looks([f"answer number {n}" for n in range(9)])
    moved = moved_to_other_prompts(mine, seed=3)
    assert sorted(map(id, moved)) == sorted(map(id, mine))
    assert not any(a is b for a, b in zip(mine, moved, strict=True))


def test_levels_stand_alone() -> None:
    found = levels(looks(["- a\n- b", "plain", ""]))
    assert found["list"].value == 0.5 and found["list"].n == 2
    assert found["words"].value == pytest.approx(1.5)
    assert levels(looks(["", " "])) == {}
