"""Choosing what to ask: at random, or where base and teacher are likely to differ, for the same number of answers."""

import json
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sacrebleu.metrics import BLEU

from epigone.commands.select import Wanted, run_select
from epigone.errors import DataError, SpecError, WorkError
from epigone.records import Completion
from epigone.spec import Component, Input
from epigone.stages.collect import Collect
from epigone.stages.select import Select
from epigone.store import Store, read_summary
from epigone.synthesis.selection import PRIOR, disagreement, expected_disagreement, order_of, random_order

HERE = "test_selection"


def test_answers_are_apart_by_their_words():
    found = disagreement(["a b", "A, b!", "a b c d", "x", "", "?!"], ["c d", "a b", "a b", "", "x", "?!"])
    assert found[:3].tolist() == pytest.approx([1, 0, 1 - 2 * 2 / 6])
    assert np.isnan(found[3:5]).all() and found[5] == 0
    with pytest.raises(ValueError, match="shorter"):
        disagreement(["a"], [])


WORDS = ["who", "sang", "the", "song", "when", "was", "first", "king", "of", "spain"]
texts = st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=6).map(" ".join), min_size=1, max_size=5)


@settings(max_examples=30)
@given(prompts=texts, probes=texts, data=st.data())
def test_the_expectation_is_a_weighted_mean(prompts, probes, data):
    measured = np.array([data.draw(st.sampled_from([0.0, 0.25, 1.0])) for _ in probes])
    bleu = BLEU(lowercase=True, effective_order=True, smooth_method="exp")
    for text, value in zip(prompts, expected_disagreement(prompts, probes, measured)):
        weights = np.array([bleu.sentence_score(text, [probe]).score / 100 for probe in probes])
        wanted = (PRIOR * measured.mean() + weights @ measured) / (PRIOR + weights.sum())
        assert value == pytest.approx(wanted)


def test_the_order_is_of_probes_then_of_expectation():
    prompts = [f"who sang the song number {n}" if n % 2 else f"capital of country {n}" for n in range(20)]
    probes = random_order(20, 3)[:6]
    measured = np.array([1.0 if at % 2 else 0.1 for at in probes])
    assert len({at % 2 for at in probes}) == 2
    order = order_of(prompts, probes, measured, 3)
    assert order[:6] == probes and sorted(order) == list(range(20))
    rest = [at % 2 for at in order[6:]]
    assert rest == sorted(rest, reverse=True), "songs first: there the two differed"
    nothing = order_of(prompts, probes, np.full(6, np.nan), 3)
    assert nothing == random_order(20, 3), "without an answer it is the random order"


@dataclass(frozen=True)
class Knows:
    """A LanguageModel that gives the right answer about some things."""

    capitals: bool = True
    songs: bool = True

    def generate(self, prompts, sampling):
        asked = [p.messages[-1].content for p in prompts]
        known = [self.capitals if text.startswith("capital") else self.songs for text in asked]
        return [
            Completion(f"it is {text.split()[-1]}" if so else "hard to say", 4, "stop")
            for text, so in zip(asked, known)
        ]


@pytest.fixture
def prompts(tmp_path):
    """Prompts of two kinds, 90 each, in turn."""
    path = tmp_path / "prompts.jsonl"
    lines = [f"capital of country {n}" if n % 2 else f"who sang the song number {n}" for n in range(180)]
    rows = [{"id": f"p{n}", "messages": [{"role": "user", "content": text}]} for n, text in enumerate(lines)]
    path.write_text("\n".join(map(json.dumps, rows)))
    return Input(str(path))


BASE = Component.of("backends", f"{HERE}:Knows", songs=False)
TEACHER = Component.of("backends", f"{HERE}:Knows")


def chosen(folder):
    return [json.loads(line)["id"] for line in (folder / "records.jsonl").read_text().splitlines()]


def test_disagreement_asks_about_what_the_base_does_not_know(prompts, tmp_path):
    store = Store(tmp_path / "runs")
    at_random = chosen(store.build(Select(prompts, 60)))
    folder = store.build(Select(prompts, 60, "disagreement", BASE, TEACHER, num_probes=15))
    by_disagreement = chosen(folder)
    assert len(set(at_random)) == len(set(by_disagreement)) == 60
    assert at_random[:15] == by_disagreement[:15], "the probes are the same draw"
    songs = [sum(int(name[1:]) % 2 == 0 for name in names[15:]) for names in (at_random, by_disagreement)]
    assert 12 < songs[0] < 33 and songs[1] == 45
    summary = read_summary(folder)
    assert (summary["num_probes"], summary["num_kept"]) == (15, 60) and 0 < summary["mean_disagreement"] < 1
    choices = [json.loads(line) for line in (folder / "choices.jsonl").read_text().splitlines()]
    assert len(choices) == 180 and sum(c["is_chosen"] for c in choices) == 60
    assert sum(c["disagreement"] is not None for c in choices) == 15
    assert len((folder / "answers.jsonl").read_text().splitlines()) == 30
    asked = store.build(Collect(TEACHER, Input("records.jsonl", Select(prompts, 60))))
    assert read_summary(asked)["num_kept"] == 60, "a collection reads it as it is"
    source = f"{store.resolver.id(Select(prompts, 60))}/records.jsonl"
    assert json.loads((asked / "card.json").read_text())["prompts"] == source


def test_what_cannot_be_chosen(prompts, tmp_path):
    store = Store(tmp_path)
    for options, said in (
        ({"by": "taste"}, "not by 'taste'"),
        ({"by": "disagreement"}, "needs both"),
        ({"num_probes": 9}, "no more"),
    ):
        with pytest.raises(SpecError, match=said):
            Select(prompts, 5, **options)
    with pytest.raises(DataError, match="holds 180 prompts, 181 are to be chosen"):
        store.build(Select(prompts, 181))
    silent = Component.of("backends", "canned")
    with pytest.raises(WorkError, match="not one of 2 probes"):
        store.build(Select(prompts, 10, "disagreement", silent, TEACHER))


def test_the_command(prompts, tmp_path, capsys):
    (tmp_path / "base.json").write_text('{"*": "no idea"}')
    (tmp_path / "teacher.json").write_text('{"*": "it is known"}')
    backends = [f"canned:{tmp_path / name}.json" for name in ("base", "teacher")]
    wanted = Wanted(tmp_path / "prompts.jsonl", 20, "disagreement", *backends, num_probes=3)
    found = run_select(wanted, tmp_path / "runs", quiet=False)
    assert found["num_kept"] == 20 and found["mean_disagreement"] == 1
    assert found["prompts"] in capsys.readouterr().err
    with pytest.raises(SpecError, match="there is no file"):
        run_select(Wanted(tmp_path / "none", 1, "random"), tmp_path / "runs", quiet=True)
