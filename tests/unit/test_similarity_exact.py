"""Scores and partners of every search against brute force with sacrebleu, on random and on awkward texts."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sacrebleu.metrics.bleu import BLEU

from epigone.similarity import BleuIndex, Neighbours, Settings, nearest_of_each, nearest_without_index

TOKENIZERS = {"13a": "13a", "whitespace": "none"}
CHOICES = [
    Settings(smoothing=smoothing, smooth_value=value, tokenize=tokenize, lowercase=lowercase)
    for smoothing, value in (("none", 0.1), ("exp", 0.1), ("floor", 0.1), ("floor", 1), ("floor", 0))
    for tokenize in ("13a", "whitespace")
    for lowercase in (False, True)
]
WORDS = [
    "a",
    "A",
    "b",
    "the",
    "The",
    ".",
    "end.",
    "1,000",
    "x-y",
    "3-",
    "&amp;",
    "don't",
    "\U0001f600",
    "你好。",
    "\ud800",
]
AWKWARD = [
    *("", " ", "\n", "a", "a", "A", "a a a a a a", "a a a a a a a", "b b", ".", "...", "a.b.c,d"),
    *("<skipped>", "end-\nless", "a\u2028b\x85c\x1cd\u00a0e", "\ud800 \udfff", "İI\u0307ß"),
    *("the cat sat on the mat", "the cat sat on the mat", "The cat sat on the mat.", "on the mat the cat sat"),
    *("你好，世界。你好，世界。", "你好，世界。", "مرحبا بالعالم", "naïve café naïve"),
    *("x1 x2 x3 x4", "y1 y2 y3 y4", "x4 x3 x2 x1", "a b c d e f g h", "h g f e d c b a", "b a d c f e h g"),
]  # fmt: skip


def oracle(chosen: Settings) -> Callable[[str, str], float]:
    value = float(chosen.smooth_value) if chosen.smoothing == "floor" else None
    metric = BLEU(
        lowercase=chosen.lowercase,
        tokenize=TOKENIZERS[chosen.tokenize],
        smooth_method=chosen.smoothing,
        smooth_value=value,
        effective_order=True,
    )
    return lambda hypothesis, reference: metric.sentence_score(hypothesis, [reference]).score


def table(hypotheses: Sequence[str], references: Sequence[str], chosen: Settings) -> NDArray[np.float64]:
    bleu = oracle(chosen)
    scores = [[bleu(hypothesis, reference) for reference in references] for hypothesis in hypotheses]
    return np.array(scores, dtype=np.float64).reshape(len(hypotheses), len(references))


def without_own(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    scores = scores.copy()
    np.fill_diagonal(scores, 0)
    return scores


def agree(found: Neighbours, scores: NDArray[np.float64]) -> None:
    """The best score of each row, and the first column that has it, or -1 where the best is 0."""
    assert len(found.scores) == len(found.partners) == len(scores)
    if scores.size == 0:
        assert not found.scores.any() and (found.partners == -1).all()
        return
    best = scores.max(axis=1)
    np.testing.assert_allclose(found.scores, best, rtol=0, atol=1e-9)
    np.testing.assert_array_equal(found.partners, np.where(best > 0, scores.argmax(axis=1), -1))


def agree_above(
    found: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]],
    scores: NDArray[np.float64],
    threshold: float | int,
) -> None:
    queries, partners = np.nonzero(scores > threshold)
    np.testing.assert_array_equal(found[0], queries)
    np.testing.assert_array_equal(found[1], partners)
    np.testing.assert_allclose(found[2], scores[queries, partners], rtol=0, atol=1e-9)


def check_among(texts: Sequence[str], chosen: Settings) -> None:
    scores, index = without_own(table(texts, texts, chosen)), BleuIndex.build(texts, chosen)
    agree(index.nearest(), scores)
    agree(index.nearest(hypothesis="indexed"), scores.T)
    for threshold in (0, 7.5, 50, 100):
        agree_above(index.pairs_above(threshold), scores, threshold)
    agree_above(index.pairs_above(20, hypothesis="indexed"), scores.T, 20)


def check_between(queries: Sequence[str], texts: Sequence[str], chosen: Settings) -> None:
    forward, backward = table(queries, texts, chosen), table(texts, queries, chosen)
    index = BleuIndex.build(texts, chosen)
    agree(index.nearest(queries), forward)
    agree(index.nearest(queries, hypothesis="indexed"), backward.T)
    agree_above(index.pairs_above(10, queries), forward, 10)
    agree_above(index.pairs_above(10, queries, hypothesis="indexed"), backward.T, 10)
    agree(nearest_without_index(queries, iter(texts), chosen), forward)
    agree(nearest_without_index(queries, iter(texts), chosen, hypothesis="text"), backward.T)
    agree(nearest_of_each(iter(texts), queries, chosen), backward)
    agree(nearest_of_each(iter(texts), queries, chosen, hypothesis="prompt"), forward.T)


@st.composite
def bags(draw: st.DrawFn, most: int = 8) -> list[str]:
    """Texts over few words, so that many n-grams are shared and many scores are equal."""
    words = draw(st.lists(st.sampled_from(WORDS), min_size=1, max_size=5, unique=True))
    text = st.lists(st.sampled_from(words), max_size=14).map(" ".join)
    return draw(st.lists(text, max_size=most))


@pytest.mark.parametrize("chosen", CHOICES, ids=repr)
@given(texts=bags())
@settings(max_examples=6, suppress_health_check=[HealthCheck.too_slow])
def test_texts_among_themselves(texts: list[str], chosen: Settings) -> None:
    check_among(texts, chosen)


@pytest.mark.parametrize("chosen", CHOICES, ids=repr)
@given(queries=bags(5), texts=bags(6))
@settings(max_examples=4, suppress_health_check=[HealthCheck.too_slow])
def test_queries_against_texts(queries: list[str], texts: list[str], chosen: Settings) -> None:
    check_between(queries, texts, chosen)


@given(texts=st.lists(st.text(max_size=40), max_size=8), chosen=st.sampled_from(CHOICES))
@settings(max_examples=40)
def test_any_characters(texts: list[str], chosen: Settings) -> None:
    check_among(texts, chosen)


@pytest.mark.parametrize("chosen", CHOICES, ids=repr)
def test_awkward_texts(chosen: Settings) -> None:
    check_among(AWKWARD, chosen)
    check_between([*AWKWARD[::2], "unheard of", "the cat"], AWKWARD, chosen)


def rambling(rng: np.random.Generator, num_texts: int, size: int, num_words: int) -> list[str]:
    """Texts with Zipf's frequencies; the lengths differ widely, so that length classes and bounds have work to do."""
    shares = 1 / np.arange(1, num_words + 1)
    shares /= shares.sum()
    lengths = np.exp(rng.normal(np.log(size), 0.9, num_texts)).astype(int)
    return [" ".join(f"w{n}" for n in rng.choice(num_words, length, p=shares)) for length in lengths]


@pytest.mark.parametrize("smoothing", ["none", "exp", "floor"])
@pytest.mark.parametrize("seed", range(3))
def test_texts_of_all_lengths(smoothing: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    texts = rambling(rng, 45, 4 + 6 * seed, 12 * 4**seed)
    chosen = Settings(smoothing=smoothing, tokenize="whitespace")  # pyright: ignore[reportArgumentType]
    check_among(texts, chosen)
    check_between(rambling(rng, 15, 9, 25), texts, chosen)


@pytest.mark.parametrize("smoothing", ["none", "exp"])
def test_templates(smoothing: str) -> None:
    """All n-grams but a few are in every text: postings are as long as they can be, and walked only in part."""
    rng = np.random.default_rng(7)
    frame = [f"f{n}" for n in range(40)]
    texts = []
    for _ in range(60):
        words = list(frame)
        for place in (5, 19, 33):
            words[place] = f"s{place}{rng.integers(6)}"
        texts.append(" ".join(words[: 30 + int(rng.integers(11))]))
    check_among(texts, Settings(smoothing=smoothing, tokenize="whitespace"))  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("smoothing", ["exp", pytest.param("none", marks=pytest.mark.slow)])
def test_very_long_texts(smoothing: str) -> None:
    texts = [*rambling(np.random.default_rng(3), 2, 20_000, 400), "w1 " * 20_000, "w1 w2 w3 w4 w5", "w1", ""]
    chosen = Settings(smoothing=smoothing, tokenize="whitespace")  # pyright: ignore[reportArgumentType]
    scores, index = without_own(table(texts, texts, chosen)), BleuIndex.build(texts, chosen)
    agree(index.nearest(), scores)
    agree(index.nearest(hypothesis="indexed"), scores.T)
