"""Telling answers apart: scikit-learn's ridge regression and AUC, a plain bootstrap, and answers with a known truth."""

import json
import time
from collections import Counter

import numpy as np
import pytest
from scipy.sparse import csr_array, vstack
from sklearn.linear_model import Ridge
from sklearn.metrics import roc_auc_score

from epigone.errors import DataError
from epigone.metrics.discrimination import (
    NUM_COLUMNS,
    RIDGE,
    auc_draws,
    featurise,
    fold_scores,
    gram,
    tell_apart,
    tell_apart_features,
)
from epigone.metrics.resampling import item_weights

WORDS = [
    "river",
    "stone",
    "light",
    "paper",
    "green",
    "winter",
    "table",
    "garden",
    "market",
    "silver",
    "window",
    "summer",
]


def answers(rng, n: int, habit: float = 0.0) -> list[str]:
    """Random words; with a probability of `habit` a word comes in capitals."""
    drawn = [[str(word) for word in rng.choice(WORDS, size=rng.integers(8, 20))] for _ in range(n)]
    return [" ".join(w.upper() if rng.random() < habit else w for w in words) for words in drawn]


def test_an_answer_is_its_hashed_ngrams() -> None:
    row = featurise(["abab"])
    grams = Counter("\nabab\n"[i : i + size] for size in (2, 3, 4) for i in range(7 - size))
    assert row.shape == (1, NUM_COLUMNS) and row.nnz == len(grams) == 11  # no collision among so few
    length = np.sqrt(sum((1 + np.log(count)) ** 2 for count in grams.values()))
    assert sorted(row.data) == pytest.approx(sorted((1 + np.log(c)) / length for c in grams.values()))
    assert featurise(["ba", "ab"])[[1]].indices.tolist() == featurise(["ab"]).indices.tolist()


def test_answers_of_every_kind_have_features() -> None:
    texts = ["", " \n\t", "4", "\u4f60\u597d", "\ud83d", "x" * 10_000, "x" * 4000 + "y"]
    rows = featurise(texts)
    assert (np.diff(rows.indptr) > 0).tolist() == [False, False, True, True, True, True, True]
    assert (rows[[5]] != rows[[6]]).nnz == 0  # cut after 4,000 characters
    assert featurise([]).shape == (0, NUM_COLUMNS)


def test_hashes_collide_no_more_than_by_chance() -> None:
    codes = [chr(0x4E00 + k) for k in range(2000)]
    found = featurise(["".join(codes)])
    expected = NUM_COLUMNS * (1 - np.exp(-3 * 2001 / NUM_COLUMNS))
    assert found.nnz == pytest.approx(expected, rel=0.01)


def test_products_of_rows_are_those_of_full_matrices() -> None:
    rng = np.random.default_rng(0)
    rows = featurise([*answers(rng, 100), "", "quite another one"])
    full = rows[:, np.unique(rows.indices)].toarray()
    assert gram(rows) == pytest.approx(full @ full.T, abs=1e-12)


def oracle_scores(one: csr_array, two: csr_array, fold: np.ndarray) -> np.ndarray:
    rows = csr_array(vstack([one, two]))
    full, labels, folds = (
        rows[:, np.unique(rows.indices)].toarray(),
        np.repeat([1.0, -1.0], len(fold)),
        np.tile(fold, 2),
    )
    scores = np.zeros(len(labels))
    for number in np.unique(fold):
        train = folds != number
        scores[~train] = Ridge(alpha=RIDGE, solver="cholesky").fit(full[train], labels[train]).predict(full[~train])
    return scores


def test_scores_are_those_of_ridge_regression_fold_by_fold() -> None:
    rng = np.random.default_rng(1)
    one, two = featurise(answers(rng, 37, 0.2)), featurise(answers(rng, 37, 0.1))
    fold = np.argsort(np.argsort(np.random.default_rng([4, 37, 3]).permutation(37))) % 5
    used, *scores = fold_scores(one, two, num_folds=5, seed=4)
    assert used.all()
    assert np.concatenate(scores) == pytest.approx(oracle_scores(one, two, fold), abs=1e-7)


def test_auc_and_interval_are_those_of_a_plain_bootstrap() -> None:
    rng = np.random.default_rng(2)
    one, two = featurise(answers(rng, 40, 0.2)), featurise(answers(rng, 40, 0.1))
    _, first, second = fold_scores(one, two)

    def auc(rows: np.ndarray) -> float:
        return float(roc_auc_score(np.repeat([1, 0], len(rows)), np.concatenate([first[rows], second[rows]])))

    draws = auc_draws(one, two, num_resamples=200)
    expected = [auc(np.repeat(np.arange(40), w.astype(int))) for w in item_weights(40, 0, 200)]
    assert draws.value == pytest.approx(auc(np.arange(40)))
    assert draws.samples[:, 0] == pytest.approx(expected, abs=1e-6)
    found = tell_apart_features(one, two)
    assert 0 < found.low < found.value < found.high < 1 and found.n == 40
    assert found == auc_draws(one, two).estimate()


def test_equal_answers_cannot_be_told_apart() -> None:
    texts = answers(np.random.default_rng(3), 60)
    found = tell_apart(texts, texts)
    assert (found.value, found.low, found.high) == (0.5, 0.5, 0.5)


def test_answers_of_one_model_are_told_apart_by_luck_alone() -> None:
    rng = np.random.default_rng(4)
    values = [tell_apart(answers(rng, 100), answers(rng, 100)).value for _ in range(30)]
    assert np.mean(values) == pytest.approx(0.5, abs=0.03)
    hits = 0
    for _ in range(30):
        found = tell_apart(answers(rng, 100), answers(rng, 100))
        hits += found.low <= 0.5 <= found.high
    assert hits >= 24


def test_what_a_prompt_is_about_does_not_help() -> None:
    rng = np.random.default_rng(5)
    topics = ["".join(rng.choice(list("abcdefghij"), size=30)) for _ in range(80)]
    one, two = ([f"{topic} {text}" for topic, text in zip(topics, answers(rng, 80))] for _ in range(2))
    assert tell_apart(one, two).value == pytest.approx(0.5, abs=0.1)


def test_a_habit_is_told_apart() -> None:
    rng = np.random.default_rng(6)
    plain = answers(rng, 80)
    assert tell_apart(plain, [f"Sure! {text}" for text in answers(rng, 80)]).value > 0.99
    often, seldom = (tell_apart(answers(rng, 80), answers(rng, 80, habit)).value for habit in (0.3, 0.03))
    assert 0.55 < seldom < often


def test_prompts_without_an_answer_are_left_out_of_both() -> None:
    rng = np.random.default_rng(7)
    one, two = answers(rng, 50, 0.3), answers(rng, 50)
    one[3], two[3], two[10] = "", "only here", "  "
    found = auc_draws(featurise(one), featurise(two), num_resamples=100)
    assert found.n == 48 and len(found.samples) == 100
    weights = item_weights(50, 0, 100)
    used, first, second = fold_scores(featurise(one), featurise(two))
    assert np.flatnonzero(~used).tolist() == [3, 10]
    rows = np.repeat(np.arange(48), weights[7][used].astype(int))
    expected = roc_auc_score(np.repeat([1, 0], len(rows)), np.concatenate([first[rows], second[rows]]))
    assert found.samples[7, 0] == pytest.approx(expected, abs=1e-6)


def test_differences_are_paired() -> None:
    rng = np.random.default_rng(8)
    teacher, close, far = (featurise(answers(rng, 80, habit)) for habit in (0.0, 0.02, 0.3))
    difference = auc_draws(far, teacher) - auc_draws(close, teacher)
    assert difference.estimate().low > 0


def test_too_few_and_unequal_prompts() -> None:
    with pytest.raises(DataError, match="got 2 and 1"):
        tell_apart(["a", "b"], ["a"])
    with pytest.raises(DataError, match="answered 2 prompts, fewer than the 5 folds"):
        tell_apart(["a", "b", ""], ["a", "b", "c"])
    assert 0 <= tell_apart(["aa", "bb"], ["cc", "dd"], num_folds=2).value <= 1


def test_real_answers(data_root) -> None:
    def vicuna(model: str) -> list[str]:
        lines = (data_root / f"vicuna80/answer/answer_{model}.jsonl").read_text(encoding="utf-8").splitlines()
        return [row["text"] for row in sorted(map(json.loads, lines), key=lambda row: row["question_id"])]

    def alpaca(model: str) -> list[str]:
        path = data_root / f"alpaca_eval/results/{model}/model_outputs.json"
        return [row["output"] for row in json.loads(path.read_text(encoding="utf-8"))]

    found = {}
    for teacher, read, others in (
        ("gpt35", vicuna, ("vicuna-13b", "alpaca-13b", "llama-13b")),
        ("gpt-3.5-turbo-0301", alpaca, ("gpt-3.5-turbo-0613", "alpaca-7b", "text_davinci_003")),
    ):
        of_teacher = featurise(read(teacher))
        for other in others:
            started = time.perf_counter()
            found[other] = tell_apart_features(featurise(read(other)), of_teacher)
            print(f"\n{teacher} {other} {time.perf_counter() - started:.2f} s {found[other]}")
    assert found["vicuna-13b"].high < min(found["alpaca-13b"].low, found["llama-13b"].low)
    assert found["gpt-3.5-turbo-0613"].high < found["alpaca-7b"].low
    assert all(0.7 < e.value < 0.99 for e in found.values())
