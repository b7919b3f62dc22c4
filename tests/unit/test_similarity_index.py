"""What the index promises beside exact scores: parts that add up, streams, settings that are checked, real texts."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a
from test_similarity_exact import oracle, rambling, table, without_own

from epigone.errors import SpecError
from epigone.similarity import BleuIndex, Settings, nearest_of_each, nearest_without_index
from epigone.similarity import index as index_module
from epigone.similarity.tokens import Vocabulary

EXP = Settings(smoothing="exp", tokenize="whitespace")


@pytest.fixture(scope="module")
def texts() -> list[str]:
    return rambling(np.random.default_rng(11), 300, 12, 90)


@pytest.fixture(scope="module")
def turns(data_root: Path) -> list[str]:
    """Turns of real conversations, of people and assistants alike."""
    with gzip.open(data_root / "sharegpt" / "sharegpt_sample.json.gz", "rt", encoding="utf-8") as stream:
        conversations = json.load(stream)
    return [turn["value"] for one in conversations for turn in one["conversations"]]


def test_rows_add_up(texts: list[str]) -> None:
    index = BleuIndex.build(texts, EXP)
    whole = index.nearest()
    parts = [index.nearest(rows=range(at, min(at + 77, 300))) for at in range(0, 300, 77)]
    np.testing.assert_array_equal(np.concatenate([part.scores for part in parts]), whole.scores)
    np.testing.assert_array_equal(np.concatenate([part.partners for part in parts]), whole.partners)
    queries, partners, scores = index.pairs_above(30)
    inside = (queries >= 50) & (queries < 250)
    part = index.pairs_above(30, rows=range(50, 250))
    for got, wanted in zip(part, (queries[inside], partners[inside], scores[inside])):
        np.testing.assert_array_equal(got, wanted)
    assert len(index.nearest(rows=range(9, 9)).scores) == 0


def test_rows_of_queries(texts: list[str]) -> None:
    index = BleuIndex.build(texts[:200], EXP)
    whole, part = index.nearest(texts[200:]), index.nearest(texts[200:], rows=range(40, 90))
    np.testing.assert_array_equal(part.partners, whole.partners[40:90])
    np.testing.assert_array_equal(index.pairs_above(0, texts[200:], rows=range(40, 90))[0].min(), 40)


@pytest.mark.parametrize("rows", [range(0, 9), range(-1, 2), range(0, 4, 2), range(4, -1, -1)])
def test_rows_outside_are_refused(rows: range) -> None:
    with pytest.raises(SpecError, match="there are 3 queries"):
        BleuIndex.build(["a", "b", "c"]).nearest(rows=rows)


def test_streams_are_read_in_batches(texts: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches of any size give the same answer, and equal scores keep the first text of all batches."""
    texts = [*texts, *texts[:150]]
    queries = texts[:40]
    whole, each = nearest_without_index(queries, texts, EXP), nearest_of_each(texts, queries, EXP)
    assert whole.partners.max() < 300
    monkeypatch.setattr(index_module, "TEXTS_AT_ONCE", 37)
    part, each_part = nearest_without_index(queries, iter(texts), EXP), nearest_of_each(iter(texts), queries, EXP)
    np.testing.assert_array_equal(part.partners, whole.partners)
    np.testing.assert_array_equal(part.scores, whole.scores)
    np.testing.assert_array_equal(each_part.partners, each.partners)


def test_nothing_to_compare() -> None:
    assert BleuIndex.build([]).nearest().scores.shape == (0,)
    assert BleuIndex.build(["a b c d"]).nearest().partners.tolist() == [-1]
    assert BleuIndex.build([]).nearest(["a"]).partners.tolist() == [-1]
    assert BleuIndex.build(["a"]).nearest([]).partners.tolist() == []
    assert nearest_without_index(["a"], [], Settings()).partners.tolist() == [-1]
    assert nearest_of_each([], ["a"], Settings()).partners.tolist() == []
    assert nearest_of_each(["a"], [], Settings()).partners.tolist() == [-1]
    assert [len(array) for array in BleuIndex.build([]).pairs_above(0)] == [0, 0, 0]


def test_ties_take_the_first() -> None:
    index = BleuIndex.build(["one two three four five", "go on", "one two three four six", "go on", "go on"], EXP)
    assert index.nearest().partners.tolist() == [2, 3, 0, 1, 1]


def test_choices_are_checked() -> None:
    with pytest.raises(SpecError, match="0 to 1"):
        Settings(smoothing="floor", smooth_value=2)
    with pytest.raises(SpecError, match="never below 0"):
        BleuIndex.build(["a"]).pairs_above(-1)


def test_signature_names_what_matters() -> None:
    assert Settings().signature == "BLEU-4 13a cased none"
    chosen = Settings(smoothing="floor", tokenize="whitespace", lowercase=True)
    assert chosen.signature == "BLEU-4 whitespace lowercased floor[0.1]"


def test_threads_do_not_matter(texts: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    index = BleuIndex.build(texts, EXP)
    found = []
    for num_threads in ("1", "3"):
        monkeypatch.setenv("NUMBA_NUM_THREADS", num_threads)
        found.append(index.nearest().partners)
    np.testing.assert_array_equal(*found)


def test_tokens_of_real_turns(turns: list[str]) -> None:
    """Two texts have the same ids where sacrebleu's tokens are the same: the ids spell its tokens, one for one."""
    turns = turns[::5]
    tokens = Vocabulary(Settings()).tokenise(turns)
    expected = [token for turn in turns for token in Tokenizer13a()(turn.rstrip()).split()]
    assert len(tokens.ids) == len(expected)
    assert len(set(zip(tokens.ids.tolist(), expected))) == len(set(expected)) == len(set(tokens.ids.tolist()))


@pytest.mark.parametrize("smoothing", ["none", "exp", "floor"])
def test_real_turns_against_brute_force(turns: list[str], smoothing: str) -> None:
    few = [turn[:300] for turn in turns[::240]]
    chosen = Settings(smoothing=smoothing)  # pyright: ignore[reportArgumentType]
    scores, found = without_own(table(few, few, chosen)), BleuIndex.build(few, chosen).nearest()
    np.testing.assert_allclose(found.scores, scores.max(axis=1), rtol=0, atol=1e-9)
    np.testing.assert_array_equal(found.partners, np.where(found.scores > 0, scores.argmax(axis=1), -1))


def test_every_real_score_is_its_pairs(turns: list[str]) -> None:
    """Among thousands of turns: each score is sacrebleu's score of the pair, and no random other text beats it."""
    turns = turns[::3]
    chosen, rng = Settings(smoothing="exp"), np.random.default_rng(5)
    found, bleu = BleuIndex.build(turns, chosen).nearest(), oracle(chosen)
    for query in rng.choice(len(turns), 40, replace=False).tolist():
        if found.partners[query] >= 0:
            assert bleu(turns[query], turns[found.partners[query]]) == pytest.approx(found.scores[query], abs=1e-9)
        others = (int(other) for other in rng.choice(len(turns), 5) if other != query)
        assert max(bleu(turns[query], turns[other]) for other in others) <= found.scores[query] + 1e-9
