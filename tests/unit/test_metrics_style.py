"""Table 2 by its fixed rules: figures of real answers to the printed digit, and each rule on small texts."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from epigone.errors import DataError
from epigone.metrics.style import StylePairs, compare, features, shuffled, unigram_f1

ALPACA = {  # teacher gpt-3.5-turbo-0301: list, summary, unigram, length, used prompts
    "gpt-3.5-turbo-0613": (94.6, 29.6, 49.45, 0.800, 805),
    "alpaca-7b": (23.0, 0.0, 35.09, 0.589, 805),
    "text_davinci_003": (30.2, 0.0, 30.46, 0.571, 803),
}
VICUNA = {  # teacher gpt35
    "llama-13b": (54.5, 0.0, 28.74, 0.258, 79),
    "alpaca-13b": (8.7, 0.0, 34.68, 0.366, 80),
    "vicuna-13b": (91.3, 42.1, 48.05, 0.551, 80),
    "bard": (82.6, 42.1, 42.99, 0.363, 80),
}


@pytest.fixture
def data() -> Path:
    if not os.environ.get("EPIGONE_DATA"):
        pytest.skip("EPIGONE_DATA is unset: it names the folder of real data this test reads")
    return Path(os.environ["EPIGONE_DATA"])


def alpaca(data: Path, model: str) -> list[str]:
    rows = json.loads((data / "alpaca_eval/results" / model / "model_outputs.json").read_text())
    return [row["output"] for row in rows]


def vicuna(data: Path, model: str) -> list[str]:
    lines = (data / "vicuna80/answer" / f"answer_{model}.jsonl").read_text().splitlines()
    return [row["text"] for row in sorted(map(json.loads, lines), key=lambda row: row["question_id"])]


def table_2(pairs: StylePairs) -> tuple[float, float, float, float, int]:
    used = pairs.used == 1
    return (
        100 * pairs.list_both.sum() / pairs.list_teacher.sum(),
        100 * pairs.summary_both.sum() / pairs.summary_teacher.sum(),
        100 * pairs.unigram[used].mean(),
        float(np.corrcoef(pairs.words_teacher[used], pairs.words[used])[0, 1]),
        int(used.sum()),
    )


@pytest.mark.parametrize("model", list(ALPACA))
def test_alpaca_eval_to_the_printed_digit(data, model):
    pairs = compare(alpaca(data, "gpt-3.5-turbo-0301"), alpaca(data, model))
    assert table_2(pairs) == pytest.approx(ALPACA[model], abs=0.0501) and pairs.num_empty == 805 - ALPACA[model][4]
    assert table_2(pairs)[2:4] == pytest.approx(ALPACA[model][2:4], abs=0.00501)
    assert table_2(pairs)[3] == pytest.approx(ALPACA[model][3], abs=0.000501)
    if model == "gpt-3.5-turbo-0613":
        assert (pairs.list_teacher.sum(), pairs.summary_teacher.sum()) == (296, 54)


@pytest.mark.parametrize("model", list(VICUNA))
def test_vicuna_80_to_the_printed_digit(data, model):
    pairs = compare(vicuna(data, "gpt35"), vicuna(data, model))
    assert table_2(pairs) == pytest.approx(VICUNA[model], abs=0.0501)
    assert table_2(pairs)[2:4] == pytest.approx(VICUNA[model][2:4], abs=0.00501)
    assert table_2(pairs)[3] == pytest.approx(VICUNA[model][3], abs=0.000501)


def test_random_pairs_agree_less(data):
    teacher, other = alpaca(data, "gpt-3.5-turbo-0301"), alpaca(data, "gpt-3.5-turbo-0613")
    paired, floor = table_2(compare(teacher, other)), table_2(compare(teacher, shuffled(other)))
    assert all(low < high - 0.1 for low, high in zip(floor[:4], paired[:4]))


@pytest.mark.parametrize(
    ("text", "has_list"),
    [
        ("- one\n- two", True),
        ("1. one\n2) two", True),
        ("(1) one\nand\n(2) two", True),
        ("\u2022 one\n* two", True),
        ("- one only", False),
        ("1.one\n2.two", False),
        ("1234. one\n1235. two", False),
        ("```\n- one\n- two\n```", False),
        ("text - one\ntext - two", False),
    ],
)
def test_list_rule(text, has_list):
    assert features(text).has_list is has_list


@pytest.mark.parametrize(
    ("text", "has_summary"),
    [
        ("One.\n\nOverall, two.", True),
        ("One.\n\n**In summary:** two.", True),
        ("One.\n\nTo summarise, two.\n\n```\ncode\n```", True),
        ("Overall, one paragraph only.", False),
        ("One.\n\n- Overall an item", False),
        ("One.\n\nOveralls are trousers.", False),
        ("One.\n\nOverall, two.\n\nThree.", False),
    ],
)
def test_summary_rule(text, has_summary):
    assert features(text).has_summary is has_summary


def test_unigram_f1_clips_counts():
    assert unigram_f1(features("the The cat's!"), features("the dog")) == pytest.approx(2 * 1 / 5)
    assert unigram_f1(features("a b c"), features("C, b. A")) == 1
    assert unigram_f1(features("a"), features("b")) == 0


def test_empty_answers_are_left_out_and_counted():
    pairs = compare(["- a\n- b", "- a\n- b", "x"], ["  ", "- a\n- b", ""])
    assert pairs.num_empty == 2
    assert (pairs.list_teacher.sum(), pairs.list_both.sum(), pairs.used.sum()) == (1, 1, 1)
    with pytest.raises(DataError, match="same prompts"):
        compare(["a"], [])


def test_shuffling_moves_every_answer():
    texts = [str(number) for number in range(20)]
    moved = shuffled(texts)
    assert sorted(moved) == sorted(texts)
    assert all(before != after for before, after in zip(texts, moved))
