"""Support: a planted effect is found, none is not, the search is brute force's, what is asked is read off prompts."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import sacrebleu
import statsmodels.api as sm
from scipy.stats import linregress, spearmanr

from epigone.commands.support import Wanted, run_support, stage_of
from epigone.datasets import write_dataset
from epigone.errors import DataError, SpecError, WorkError
from epigone.metrics.support import STEP, own_parts, support_map
from epigone.records import Conversation, Message, Score
from epigone.store import Store, write_json, write_records

HOSTILE = "<script>alert('x')</script>"


def planted(effect: float, n: int = 400, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Support, base and student: what the base has wrong is learnt more often the better supported it is."""
    rng = np.random.default_rng(seed)
    support, base = rng.uniform(size=n), (rng.uniform(size=n) < 0.3).astype(float)
    learnt = rng.uniform(size=n) < 0.2 + effect * (support - 0.5)
    kept = rng.uniform(size=n) < 0.8
    return support, base, np.where(base > 0, kept, learnt).astype(float)


def test_a_planted_effect_is_found() -> None:
    support, base, student = planted(0.35)
    found = support_map(support, base, student)
    assert found.word == "rising"
    assert found.slopes["learnt"].low > 0 and found.slopes["learnt"].low < 0.035 < found.slopes["learnt"].high
    assert found.slopes["kept"].low < 0 < found.slopes["kept"].high
    assert found.slopes["base"].low < 0 < found.slopes["base"].high
    assert found.odds and found.odds.low > 0 and found.rank and found.rank.low > 0
    gains = [each.gain.value for each in found.bins]
    assert len(gains) == 5 and gains[-1] > gains[0] + 0.1
    assert sum(each.gain.n for each in found.bins) == 400
    falling = support_map(1 - support, base, student)
    assert falling.word == "falling"


def test_no_effect_is_not_found() -> None:
    """Intervals at 95 % hold 0 in about 19 of 20 data sets that have no effect."""
    maps = [support_map(*planted(0.0, 200, seed), num_bins=2) for seed in range(30)]
    covered = sum(found.slopes["gain"].low < 0 < found.slopes["gain"].high for found in maps)
    assert covered >= 26
    assert sum(found.word in ("undecided", "flat") for found in maps) == covered


def test_slopes_are_those_of_other_software() -> None:
    support, base, student = planted(0.3, 300)
    found = support_map(support, base, student)
    wrong = base == 0
    assert found.slopes["gain"].value == pytest.approx(STEP * linregress(support, student - base).slope, rel=1e-5)
    assert found.slopes["learnt"].value == pytest.approx(
        STEP * linregress(support[wrong], student[wrong]).slope, rel=1e-5
    )
    assert found.rank and found.rank.value == pytest.approx(spearmanr(support, student - base).statistic, rel=1e-5)
    differ = base != student
    fitted = sm.Logit(student[differ], sm.add_constant(support[differ] / STEP)).fit(disp=0)
    assert found.odds and found.odds.value == pytest.approx(fitted.params[1], rel=0.02)


def test_what_cannot_be_measured_says_why() -> None:
    flat = support_map([0.5] * 20, [0.0, 1.0] * 10, [1.0] * 20)
    assert flat.word == "not measured" and "same support" in flat.not_measured["gain"] and len(flat.bins) == 1
    graded = support_map(np.linspace(0, 1, 20), [0.5] * 20, np.linspace(0, 1, 20))
    assert set(graded.slopes) == {"gain", "base"} and graded.bins[0].minimum_difference is None
    with pytest.raises(DataError, match="same items"):
        support_map([0.1], [0.0], [0.0, 1.0])
    with pytest.raises(DataError, match="between 0 and 1"):
        support_map([30.0, 10.0], [0.0, 1.0], [0.0, 1.0])


@pytest.mark.parametrize(
    ("prompts", "wanted"),
    [
        (["Q: a b?\nA: c\n\nQ: who is it\nA:", "Q: a b?\nA: c\n\nQ: who was it\nA:"], ["who is it", "who was it"]),
        (["where is Rome", "where is Oslo"], ["where is Rome", "where is Oslo"]),
        (["the same", "the same"], ["the same", "the same"]),
        (["Answer.\nwhat\nB. x\n", "Answer.\nwhy\nB. x\n"], ["what", "why"]),
    ],
)
def test_what_is_asked_is_read_off_the_prompts(prompts: list[str], wanted: list[str]) -> None:
    assert own_parts(prompts) == wanted


def scores(folder: Path, values: list[float], questions: list[str], protocol: str = "made-up--1") -> str:
    rows = [Score(f"i{k}", {"exact_match": v}, f"Q: {q}\nA:", "") for k, (v, q) in enumerate(zip(values, questions))]
    folder.mkdir(parents=True)
    write_records(folder / "records.jsonl", rows)
    write_json(folder / "summary.json", {"protocol": protocol})
    return str(folder)


@pytest.fixture
def given(tmp_path: Path) -> Wanted:
    words = np.random.default_rng(3).permutation(120).reshape(30, 4)
    rest = [f"what is the colour of w{a} and w{b} in w{c}" for a, b, c, _ in words]
    questions = [f"{text} {HOSTILE if k == 0 else f'w{words[k][3]}'}" for k, text in enumerate(rest)]
    taught = [*questions[:10], *(q.replace("colour", "size") for q in questions[10:20])]
    rows = [
        Conversation(f"c{k}", (Message("user", "hello there"), Message("assistant", "so"), Message("user", text)))
        for k, text in enumerate(taught)
    ]
    write_dataset(tmp_path / "data--1" / "records.parquet", rows)
    base = scores(tmp_path / "base", [0.0] * 30, questions)
    student = scores(tmp_path / "student", [1.0] * 10 + [0.0] * 20, questions)
    return Wanted(str(tmp_path / "data--1"), base, [student])


def test_items_are_joined_with_their_nearest_example(given: Wanted, tmp_path: Path) -> None:
    found = run_support(given, tmp_path / "runs", quiet=True)
    folder = Path(str(found["artifact"]))
    items = [json.loads(line) for line in (folder / "items.jsonl").read_text().splitlines()]
    examples = ["hello there", *dict.fromkeys(i["nearest"] for i in items)]
    for item in items:
        bleu = [
            sacrebleu.sentence_bleu(
                item["text"], [e], smooth_method="exp", lowercase=True, use_effective_order=True
            ).score
            for e in examples
        ]
        assert 100 * item["support"] == pytest.approx(max(bleu), abs=1e-6)
        assert not item["text"].startswith("Q:") and item["students"].keys() == {"student"}
    assert [round(i["support"], 6) for i in items[:10]] == [1.0] * 10
    assert [i["conversation"] for i in items[:20]] == [f"c{k}" for k in range(20)]
    assert found["students"]["student"]["word"] == "rising" and found["num_examples"] == 40
    page = (folder / "report.html").read_text()
    assert HOSTILE not in page and "&lt;script&gt;" in page
    assert run_support(given, tmp_path / "runs", quiet=True) == found
    assert (folder / "figures" / "support.svg").read_text().startswith("<svg") and (
        folder / "tables" / "slopes.tex"
    ).exists()


def test_scores_that_cannot_be_compared_are_refused(given: Wanted, tmp_path: Path) -> None:
    store = Store(tmp_path / "runs")

    def refused(wanted: Wanted, error: type[Exception], words: str) -> None:
        with pytest.raises(error, match=words):
            stage = stage_of(wanted)
            store.build(stage.base.scores)
            for student in stage.students:
                store.build(student.scores)
            store.build(stage)

    questions = [f"what is {k}" for k in range(30)]
    refused(
        replace(given, scores=[scores(tmp_path / "p", [1.0] * 30, questions, "made-up--2")]), SpecError, "protocols"
    )
    refused(replace(given, metric="accuracy"), SpecError, "it has exact_match")
    refused(replace(given, benchmark="mmlu"), SpecError, "holds scores of made-up")
    refused(replace(given, dataset=given.base), SpecError, "epigone curate")
    refused(replace(given, turns="some"), SpecError, "user, all, first")
    refused(replace(given, scores=[given.base]), SpecError, "names of their own")
    few = tmp_path / "few"
    scores(few, [1.0], ["x"])
    (few / "records.jsonl").write_text((few / "records.jsonl").read_text().replace('"i0"', '"other"'))
    refused(replace(given, scores=[str(few)]), WorkError, "no item")


def test_questions_come_from_the_benchmark_where_it_is_named(given: Wanted, tmp_path: Path) -> None:
    rows = [{"question": f"hello there {k}", "answer": ["x"]} for k in range(30)]
    (tmp_path / "i.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    wanted = replace(given, items=f"natural_questions:path={tmp_path / 'i.jsonl'},num_shots=0")
    with pytest.raises(DataError, match="no item 'i0'"):
        stage = stage_of(wanted)
        store = Store(tmp_path / "runs")
        for each in (stage.base.scores, stage.students[0].scores, stage):
            store.build(each)
