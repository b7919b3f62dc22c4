"""The readers on published files: as many answers, verdicts and ties as the data's own READMEs and counts say."""

import csv
import glob
from collections import Counter
from pathlib import Path

import pytest
from recordings_cases import read

from epigone.recordings.load import kind_of, read_answers, read_judgments
from epigone.rows import prompt_id_of

ALPACA = "alpaca_eval/results"


def verdicts(path: Path) -> Counter[str]:
    return Counter(judgment.verdict for judgment in read_judgments(path).rows)


@pytest.mark.parametrize("model", ["alpaca-7b", "gpt-3.5-turbo-0301", "gpt-3.5-turbo-0613", "text_davinci_003"])
def test_alpaca_eval_outputs(data_root: Path, model: str) -> None:
    recording = read_answers(data_root / ALPACA / model / "model_outputs.json")
    assert (recording.format, len(recording.rows), recording.drops) == ("alpaca_eval", 805, ())
    assert {answer.model for answer in recording.rows} == {model}
    assert len({answer.prompt_id for answer in recording.rows}) == 805
    assert sum(not answer.text for answer in recording.rows) == (2 if model == "text_davinci_003" else 0)


def test_alpaca_farm_asks_what_alpaca_eval_asks(data_root: Path) -> None:
    """All 805 rows have AlpacaEval's text once the input follows its instruction after a blank line."""
    (farm,) = glob.glob(str(data_root / "alpaca_farm" / "*.json"))
    evaluated = read_answers(data_root / ALPACA / "gpt-3.5-turbo-0301" / "model_outputs.json").rows
    assert [a.messages for a in read_answers(Path(farm)).rows] == [a.messages for a in evaluated]


def test_alpaca_eval_annotations(data_root: Path) -> None:
    recording = read_judgments(data_root / ALPACA / "gpt-3.5-turbo-0301/alpaca_eval_gpt4/annotations.json.gz")
    assert Counter(j.verdict for j in recording.rows) == {"b": 716, "a": 83, "tie": 5}
    assert [(d.id, d.reason) for d in recording.drops] == [("row-132", "no verdict")]
    assert {(j.a, j.b, j.panel, j.first, j.is_person) for j in recording.rows} == {
        ("text_davinci_003", "gpt-3.5-turbo-0301", "alpaca_eval_gpt4", "unknown", False)
    }
    assert verdicts(data_root / ALPACA / "alpaca-7b/alpaca_eval_gpt4") == {"a": 584, "b": 205, "tie": 16}
    answers = read_answers(data_root / ALPACA / "gpt-3.5-turbo-0301/model_outputs.json").rows
    assert {j.prompt_id for j in recording.rows} < {a.prompt_id for a in answers}


def test_vicuna_answers(data_root: Path) -> None:
    recording = read_answers(data_root / "vicuna80" / "answer")
    assert recording.drops == () and recording.format == "fastchat"
    assert set(Counter(a.model for a in recording.rows).values()) == {80}
    assert {"gpt35", "vicuna-13b", "vicuna-7b-20230322-fp16"} < {a.model for a in recording.rows}
    questions = read(data_root / "vicuna80" / "question.jsonl")
    asked = {str(q["question_id"]): q["text"] for q in questions}
    assert all(a.messages[0].content == asked[a.prompt_id] for a in recording.rows)


def test_vicuna_reviews(data_root: Path) -> None:
    """13 files of 80; every verdict is that of the published pair of marks, every answer id is known."""
    recording = read_judgments(data_root / "vicuna80" / "review")
    assert len(recording.rows) == 13 * 80 and recording.drops == ()
    ids = {f"answer:{a.answer_id}={a.model}" for a in read_answers(data_root / "vicuna80" / "answer").rows}
    assert {side for j in recording.rows for side in (j.a, j.b)} <= ids
    assert {j.panel for j in recording.rows} == {"gpt-4-0328"}
    raters = {"gpt-4-0328-default", "gpt-4-0328-generic", "gpt-4-0328-coding", "gpt-4-0328-math"}
    assert {j.rater for j in recording.rows} == raters
    files = sorted((data_root / "vicuna80" / "review").rglob("*.jsonl"))
    published = [tuple(row["score"]) for file in files for row in read(file)]
    assert [j.scores for j in recording.rows] == published
    assert verdicts(files[-2]) == {"a": 52, "tie": 16, "b": 12}


def test_llmfao(data_root: Path) -> None:
    folder = data_root / "human_ratings" / "llmfao"
    recording = read_judgments(folder / "crowd-comparisons.csv")
    assert Counter(j.verdict for j in recording.rows) == {"tie": 3471, "a": 2911, "b": 2549}
    assert len({j.rater for j in recording.rows}) == 124 and all(j.is_person for j in recording.rows)
    for name in ("gpt3", "gpt4"):
        judged = read_judgments(folder / f"{name}-crowd-comparisons.csv").rows
        assert len(judged) == 2139 and {(j.panel, j.is_person) for j in judged} == {(name, False)}
    answers = read_answers(folder / "results.jsonl").rows
    assert len(answers) == 1133 and len({a.model for a in answers}) == 70 and all(a.messages for a in answers)
    assert {side for j in recording.rows for side in (j.a, j.b)} <= {a.model for a in answers}
    assert {j.prompt_id for j in recording.rows} <= {a.prompt_id for a in answers}


def test_mechanical_turk(data_root: Path) -> None:
    """900 assignments of three questions, each verdict that of the published cell; c says equal."""
    (file,) = (data_root / "human_ratings" / "dexperts").rglob("*.csv")
    recording = read_judgments(file)
    assert len(recording.rows) == 2700 and recording.drops == ()
    with file.open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    for criterion in ("Fluent", "Positive", "Topic"):
        found = [j for j in recording.rows if j.criterion == criterion]
        assert [j.verdict for j in found] == [
            "tie" if r[f"Answer.q{criterion}"] == "c" else r[f"Answer.q{criterion}"] for r in rows
        ]
        assert [(j.a, j.b) for j in found] == [(r["Input.sourcea"], r["Input.sourceb"]) for r in rows]
        assert [j.prompt_id for j in found] == [prompt_id_of(r["Input.sentprefix"]) for r in rows]
        assert [j.seconds for j in found] == [float(r["WorkTimeInSeconds"]) for r in rows]
    assert len({j.rater for j in recording.rows}) == 900


def test_sharegpt(data_root: Path) -> None:
    """2,544 entries, each once."""
    recording = read_answers(data_root / "sharegpt" / "sharegpt_sample.json.gz")
    assert len(recording.rows) + len(recording.drops) == 2544
    reasons = Counter(drop.reason for drop in recording.drops)
    assert reasons == {"prompt answered twice": 201, "no question": 46, "no answer to a question": 5}


def test_fastchat_reference_answers(data_root: Path) -> None:
    recording = read_answers(data_root / "fastchat_llm_judge" / "mt_bench" / "reference_answer")
    assert len(recording.rows) == 30 and {a.model for a in recording.rows} == {"gpt-4"}
    assert all(a.messages for a in recording.rows)


def test_kinds(data_root: Path) -> None:
    assert kind_of(data_root / "vicuna80" / "answer") == "answers"
    assert kind_of(data_root / "human_ratings" / "dexperts") == "judgments"
    assert kind_of(data_root / ALPACA / "alpaca-7b" / "alpaca_eval_gpt4" / "annotations.json.gz") == "judgments"
