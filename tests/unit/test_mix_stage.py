"""Mixtures: every beginning keeps the weights, amounts are nested, each row says where it is from."""

from pathlib import Path

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from epigone.datasets import RandomAccess, read_dataset, write_dataset
from epigone.errors import DataError, SpecError
from epigone.records import Conversation, Message
from epigone.spec import Component, Input
from epigone.stages.curate import Curate
from epigone.stages.mix import Mix, Part, mixture_order
from epigone.store import Store, read_summary, write_records

COUNTS = st.lists(st.integers(1, 40), min_size=1, max_size=30)


@given(st.lists(st.tuples(COUNTS, st.integers(1, 9)), min_size=1, max_size=4), st.integers(0, 3))
def test_every_beginning_keeps_the_weights(parts: list[tuple[list[int], int]], seed: int) -> None:
    """Walked row by row: no part is ever ahead of another by more than one row of its own, for its weight."""
    counts = [numpy.array(tokens, dtype=numpy.int64) for tokens, _ in parts]
    weights = [float(weight) for _, weight in parts]
    which, rows = mixture_order(counts, weights, seed=seed)
    assert len({*zip(which.tolist(), rows.tolist())}) == len(rows)
    given_by_part, largest = [0.0] * len(parts), [max(tokens) / w for (tokens, _), w in zip(parts, weights)]
    for part, row in zip(which.tolist(), rows.tolist()):
        assert given_by_part[part] == min(given_by_part)
        given_by_part[part] += counts[part][row] / weights[part]
        assert max(given_by_part) - min(given_by_part) <= max(largest) + 1e-9


@given(st.lists(COUNTS, min_size=1, max_size=4), st.integers(0, 3))
def test_going_on_leaves_nothing_out(parts: list[list[int]], seed: int) -> None:
    counts = [numpy.array(tokens, dtype=numpy.int64) for tokens in parts]
    which, rows = mixture_order(counts, [1.0] * len(parts), seed=seed, when_short="go on")
    everything = [(part, row) for part, tokens in enumerate(parts) for row in range(len(tokens))]
    assert sorted(zip(which.tolist(), rows.tolist())) == everything


def dataset(folder: Path, name: str, num_words: list[int]) -> Curate:
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.jsonl"
    rows = [
        Conversation(f"{name}{i}", (Message("user", "w " * n), Message("assistant", "w")))
        for i, n in enumerate(num_words)
    ]
    write_records(path, rows)
    return Curate(Input(str(path)), Component.of("formats", "messages"), name=name)


def built(store: Store, mix: Mix) -> Path:
    for part in mix.parts:
        store.build(part.dataset)
    return store.build(mix)


def test_amounts_are_nested_and_say_their_shares(tmp_path: Path) -> None:
    parts = (Part("one", dataset(tmp_path, "one", [9] * 60), 3), Part("two", dataset(tmp_path, "two", [4] * 80), 1))
    folder = built(Store(tmp_path / "runs"), Mix(parts, amounts=(100, 200, 400)))
    rows = read_dataset(folder / "records.parquet")
    amounts = read_summary(folder)["amounts"]
    assert [a["amount"] for a in amounts] == [100, 200, 400]
    for amount in amounts:
        taken = rows[: amount["num_rows"]]
        num_tokens = sum(len(m.content.split()) for c in taken for m in c.messages)
        assert num_tokens == amount["num_tokens"] >= amount["amount"] > num_tokens - 10
        own = sum(len(m.content.split()) for c in taken for m in c.messages if c.source.startswith("one/one.jsonl"))
        assert amount["shares"]["one"] == pytest.approx(own / num_tokens) == pytest.approx(0.75, abs=0.1)
    assert sorted(p.name for p in folder.iterdir()) == ["DONE", "records.parquet", "spec.json", "summary.json"]


def test_without_weights_everything_is_there(tmp_path: Path) -> None:
    parts = (Part("one", dataset(tmp_path, "one", [9] * 7)), Part("two", dataset(tmp_path, "two", [4] * 700)))
    rows = read_dataset(built(Store(tmp_path / "runs"), Mix(parts)) / "records.parquet")
    assert len(rows) == 707 == len({c.id for c in rows})


def test_what_is_not_there_is_an_error(tmp_path: Path) -> None:
    store, part = Store(tmp_path / "runs"), Part("one", dataset(tmp_path, "one", [9] * 7))
    with pytest.raises(DataError, match="800 tokens were asked for, the mixture holds 70"):
        built(store, Mix((part,), amounts=(800,)))
    with pytest.raises(SpecError, match="different names"):
        built(store, Mix((part, part)))
    with pytest.raises(SpecError, match="all above 0, or all 0"):
        built(store, Mix((part, Part("two", part.dataset, 2))))


def test_random_access_is_the_dataset(tmp_path: Path) -> None:
    rows = [
        Conversation(str(i), (Message("user", f"q{i}"), Message("assistant", "", "why", "[]"))) for i in range(1200)
    ]
    write_dataset(tmp_path / "records.parquet", rows)
    (tmp_path / "scratch").mkdir()
    opened = RandomAccess(tmp_path / "records.parquet", tmp_path / "scratch")
    assert len(opened) == 1200 and [opened[i] for i in (1199, 0, 511, 512)] == [rows[i] for i in (1199, 0, 511, 512)]
    with pytest.raises(IndexError):
        opened[1200]
