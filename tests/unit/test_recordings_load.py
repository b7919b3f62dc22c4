"""Files and folders of recordings: formats found by content, errors with a way out; the stages and Replay on top."""

import gzip
import json
from pathlib import Path

import pytest
from recordings_cases import CASES, FILES, LM_EVAL, Case, array, jsonl

from epigone.backends.replay import Replay
from epigone.errors import DataError, SpecError, WorkError
from epigone.recordings.load import kind_of, read_answers, read_judgments, read_scores
from epigone.records import Completion, Drop, Generation, Judgment, Message, Prompt, SamplingParams, ScoreSheet
from epigone.rows import prompt_id_of
from epigone.spec import Input, read_stage
from epigone.stages.read_answers import ReadAnswers
from epigone.stages.read_judgments import ReadJudgments
from epigone.stages.read_scores import ReadScores
from epigone.store import Store, read_records, read_summary

READERS = {"answers": read_answers, "judgments": read_judgments, "scores": read_scores}
OUTPUTS = [{"instruction": f"Say {i}", "output": f"{i}!", "generator": "m"} for i in range(3)]


def put(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


# -- load --------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.kind}/{case.format}/{case.name}")
@pytest.mark.parametrize("packed", [False, True])
def test_every_format_is_found_by_its_content(case: Case, packed: bool, tmp_path: Path) -> None:
    """Under any name, gzipped or not, and by one component of one kind alone."""
    path = put(tmp_path / "some.data", gzip.compress(case.data) if packed else case.data)
    assert kind_of(path) == case.kind
    found = READERS[case.kind](path)
    assert found.format == case.format and found.rows
    assert found == READERS[case.kind](path, case.format)


def test_kinds_of_scores() -> None:
    assert kind_of(FILES / "quiz.eval") == kind_of(FILES / "quiz.json") == kind_of(LM_EVAL) == "scores"


def test_a_folder_is_read_in_order_and_keeps_a_ledger(tmp_path: Path) -> None:
    put(tmp_path / "b" / "one.json", array(OUTPUTS))
    put(tmp_path / "a" / "two.jsonl", jsonl([row | {"generator": "n"} for row in OUTPUTS] + [{"instruction": 1}]))
    put(tmp_path / "c.json", array(OUTPUTS[:1]))
    put(tmp_path / "notes.txt", b"hello")
    put(tmp_path / ".hidden" / "x.json", array(OUTPUTS))
    (tmp_path / "b" / "up").symlink_to(tmp_path)
    recording = read_answers(tmp_path)
    assert [(a.model, a.text) for a in recording.rows] == [("n", f"{i}!") for i in range(3)] + [
        ("m", f"{i}!") for i in range(3)
    ]
    assert [(d.id, d.reason) for d in recording.drops] == [
        ("a/two.jsonl: row-4", "no prompt"),
        (prompt_id_of("Say 0"), "prompt answered twice"),
        ("notes.txt", "no known format"),
    ]
    assert read_answers(tmp_path, "alpaca_eval") == recording


def test_an_artifact_is_its_records_alone(tmp_path: Path) -> None:
    row = {"prompt_id": "p", "messages": [], "text": "t", "finish_reason": "stop", "model": "m"}
    put(tmp_path / "records.jsonl", jsonl([row, row | {"prompt_id": "q", "sample": 1}]))
    put(tmp_path / "sharegpt.json", array([{"id": "x", "conversations": []}]))
    put(tmp_path / "DONE", b"{}")
    assert read_answers(tmp_path).rows == (Generation("p", (), "t", "stop", "m"),)
    assert [a.prompt_id for a in read_answers(tmp_path, "generations", sample=1).rows] == ["q"]


def test_what_is_in_no_known_format(tmp_path: Path) -> None:
    path = put(tmp_path / "f.csv", b"who,what\n1,2\n")
    with pytest.raises(DataError, match=r"no known format \(answers: alpaca_eval, fastchat, .*begins with 'who,what"):
        read_answers(path)
    with pytest.raises(DataError, match=r"no file in this folder .* judgments: alpaca_eval"):
        read_judgments(tmp_path)
    with pytest.raises(DataError, match=r"answers: alpaca_eval.*; judgments: .*; scores: inspect_log"):
        kind_of(path)
    with pytest.raises(DataError, match="check the path"):
        read_scores(tmp_path / "none")
    with pytest.raises(DataError, match="gzip stream is damaged"):
        read_answers(put(tmp_path / "x.gz", gzip.compress(b"x" * 99)[:-4]))
    preferences = [{"instruction": "a", "output_1": "", "output_2": "", "generator_1": "x", "preference": 1}]
    with pytest.raises(DataError, match="it holds judgments: read it as such"):
        read_scores(put(tmp_path / "annotations.json", array(preferences)))


def test_two_formats_or_options_without_one(tmp_path: Path) -> None:
    both = OUTPUTS[0] | {"conversations": []}
    with pytest.raises(DataError, match="looks like alpaca_eval and sharegpt; name the format"):
        read_answers(put(tmp_path / "a.json", array([both])))
    assert read_answers(tmp_path / "a.json", "alpaca_eval").rows
    with pytest.raises(SpecError, match="options sample need the name of the format"):
        read_answers(tmp_path / "a.json", sample=1)
    with pytest.raises(SpecError, match="Did you mean 'alpaca_eval'"):
        read_answers(tmp_path / "a.json", "alpaca_evil")
    put(
        tmp_path / "c.jsonl",
        jsonl([{"prompt_id": "p", "a": "x", "b": "y", "verdict": "a", "rater": "r", "first": "a"}]),
    )
    with pytest.raises(DataError, match="holds answers and judgments; say which"):
        kind_of(tmp_path)


# -- stages ------------------------------------------------------------------------------------------------------------
def test_read_answers_stage(tmp_path: Path) -> None:
    rows = [*OUTPUTS, OUTPUTS[0], *(row | {"generator": "other"} for row in OUTPUTS)]
    source = Input(str(put(tmp_path / "outputs.json", array(rows))))
    store = Store(tmp_path / "runs")
    folder = store.build(ReadAnswers(source, name="Mine (7B)/x", model="m"))
    assert folder.name.startswith("Mine-7B-x--")
    assert [a.text for a in read_records(folder / "records.jsonl", Generation)] == ["0!", "1!", "2!"]
    assert [d.reason for d in read_records(folder / "dropped.jsonl", Drop)] == ["prompt answered twice"]
    summary = read_summary(folder)
    names = ("num_rows", "num_kept", "num_dropped", "num_other_models", "model", "format")
    assert [summary[name] for name in names] == [7, 3, 1, 3, "m", "alpaca_eval"]
    assert read_summary(store.build(ReadAnswers(source, name="other")))["model"] == "other"
    for model, message in (
        ("", "holds several models; say which by NAME=PATH or the option model; there are, most alike first: other, m"),
        ("z", "no model 'z'"),
    ):
        with pytest.raises(DataError, match=message):
            store.build(ReadAnswers(source, name="nobody", model=model))
    many = [OUTPUTS[0] | {"generator": f"m{i}"} for i in range(15)]
    with pytest.raises(DataError, match=r"m10, m11 and 3 more"):
        store.build(ReadAnswers(Input(str(put(tmp_path / "many.json", array(many)))), name="x"))
    with pytest.raises(DataError, match="nothing in it could be used"):
        store.build(
            ReadAnswers(Input(str(put(tmp_path / "bad.json", array([{"instruction": "", "output": 1}])))), name="x")
        )


def test_the_only_model_needs_no_name(tmp_path: Path) -> None:
    store = Store(tmp_path / "runs")
    source = Input(str(put(tmp_path / "outputs.json", array(OUTPUTS))))
    first = store.build(ReadAnswers(source, name="student"))
    assert read_summary(first)["model"] == "m"
    again = store.build(ReadAnswers(Input("records.jsonl", of=ReadAnswers(source, name="student")), name="student"))
    assert (again / "records.jsonl").read_bytes() == (first / "records.jsonl").read_bytes()
    assert Replay(str(first)).generate([Prompt(prompt_id_of("Say 1"))], SamplingParams(1)) == [
        Completion("1!", 1, "unknown")
    ]


def test_read_judgments_stage(tmp_path: Path) -> None:
    source = put(tmp_path / "verdicts.txt", b"1\n\n2\ntie\n")
    spec = {"source": {"file": str(source)}, "name": "people_on", "format": "verdict_list"}
    spec["options"] = [["model_a", "x"], ["model_b", "y"]]
    stage = read_stage(put(tmp_path / "spec.json", json.dumps(spec).encode()), "read_judgments")
    folder = Store(tmp_path / "runs").build(stage)
    assert [j.verdict for j in read_records(folder / "records.jsonl", Judgment)] == ["a", "b", "tie"]
    assert [d.id for d in read_records(folder / "dropped.jsonl", Drop)] == ["2"]
    summary = read_summary(folder)
    assert [summary[n] for n in ("num_rows", "num_kept", "num_dropped", "format")] == [4, 3, 1, "verdict_list"]
    empty = put(
        tmp_path / "annotations.json", array([{"instruction": "a", "output_1": 1, "output_2": 2, "preference": None}])
    )
    with pytest.raises(DataError, match="holds no verdict; 1 rows were left out"):
        Store(tmp_path / "runs").build(ReadJudgments(Input(str(empty)), name="x"))


def test_read_scores_stage(tmp_path: Path) -> None:
    folder = Store(tmp_path / "runs").build(ReadScores(Input(str(LM_EVAL)), name="student"))
    sheets = read_records(folder / "records.jsonl", ScoreSheet)
    assert len(sheets) == 4 and sheets[0].scores[0].item_id == "0"
    summary = read_summary(folder)
    assert [summary[n] for n in ("num_sheets", "num_kept", "num_scores", "models")] == [
        4,
        4,
        24,
        ["made-up/tiny-student"],
    ]
    log = json.loads((FILES / "quiz.json").read_text())
    both = put(tmp_path / "both" / "other.json", json.dumps(log | {"eval": log["eval"] | {"model": "other"}}).encode())
    put(both.with_name("quiz.json"), json.dumps(log).encode())
    for model, models in (("", ["mockllm/model", "other"]), ("other", ["other"])):
        folder = Store(tmp_path / "runs").build(ReadScores(Input(str(both.parent)), name="logs", model=model))
        assert read_summary(folder)["models"] == models
    failed = put(tmp_path / "failed.json", json.dumps(log | {"samples": []}).encode())
    with pytest.raises(DataError, match="holds no score; 0 were left out"):
        Store(tmp_path / "runs").build(ReadScores(Input(str(failed)), name="failed"))
    only = Store(tmp_path / "runs").build(ReadScores(Input(str(next(LM_EVAL.glob("results*")))), name="aggregates"))
    assert all(sheet.aggregate and not sheet.scores for sheet in read_records(only / "records.jsonl", ScoreSheet))


# -- replay ------------------------------------------------------------------------------------------------------------
def test_replay_of_what_was_recorded_elsewhere(tmp_path: Path) -> None:
    """Prompts are found by their id, else by the text of the last user message."""
    path = put(tmp_path / "outputs.json", array([*OUTPUTS, OUTPUTS[0] | {"generator": "other", "output": "no"}]))
    asked = [
        Prompt("mine", messages=(Message("user", "Hi"), Message("assistant", "Hi"), Message("user", "Say  1"))),
        Prompt(prompt_id_of("Say 0"), text="whatever"),
        Prompt("text", text="Say 2"),
    ]
    replay = Replay(str(path), model="m")
    assert [c.text for c in replay.generate(asked, SamplingParams(1))] == ["1!", "0!", "2!"]
    with pytest.raises(DataError, match="holds several models; say which by NAME=PATH or the option model"):
        Replay(str(path)).generate(asked, SamplingParams(1))
    with pytest.raises(WorkError, match=r"no recorded answer for prompt 'x' \(1 of 1"):
        replay.generate([Prompt("x", text="Say 9")], SamplingParams(1))
    with pytest.raises(DataError, match="check the path"):
        Replay(str(tmp_path / "none")).generate(asked, SamplingParams(1))
    answers = tmp_path / "t" / "answer"
    put(tmp_path / "t" / "question.jsonl", jsonl([{"question_id": 1, "text": "Why?"}]))
    put(answers / "answer_x.jsonl", jsonl([{"question_id": 1, "answer_id": "A", "text": "so it is"}]))
    for prompt in (Prompt("1", text="?"), Prompt("z", messages=(Message("user", "Why?"),))):
        assert Replay(str(answers)).generate([prompt], SamplingParams(1)) == [Completion("so it is", 3, "unknown")]
