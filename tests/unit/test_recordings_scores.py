"""Scores of other harnesses: our means and counts beside what those tools say of the same run."""

import json
import math
import zipfile
from collections import defaultdict
from pathlib import Path

import pytest
from recordings_cases import FILES, LM_EVAL, jsonl, read

from epigone.errors import DataError
from epigone.recordings.load import read_scores
from epigone.recordings.scores.inspect_log import InspectLog
from epigone.recordings.scores.lm_eval_results import LMEvalResults
from epigone.recordings.scores.lm_eval_samples import LMEvalSamples
from epigone.records import Drop, ScoreSheet

(RESULTS,) = LM_EVAL.glob("results_*.json")
LOG = json.loads((FILES / "quiz.json").read_text())


def sheets(found: list[ScoreSheet | Drop]) -> dict[tuple[str, str], ScoreSheet]:
    return {(row.benchmark, row.metric): row for row in found if isinstance(row, ScoreSheet)}


def mean(sheet: ScoreSheet) -> float:
    """Over items, of an item's epochs first."""
    by_item = defaultdict(list)
    for score in sheet.scores:
        by_item[score.item_id.split(" epoch ")[0]].append(score.metrics[sheet.metric])
    return sum(sum(values) / len(values) for values in by_item.values()) / len(by_item)


def test_lm_eval_means_are_the_harness_own() -> None:
    results = json.loads(RESULTS.read_text())["results"]
    own = {}
    for task, values in results.items():
        for key, value in values.items():
            metric, _, filtered = key.partition(",")
            if filtered and not metric.endswith("_stderr"):
                own[(task if filtered == "none" else f"{task} ({filtered})", metric)] = (
                    value,
                    values[f"{metric}_stderr,{filtered}"],
                )
    by_items = sheets([row for path in sorted(LM_EVAL.glob("samples*")) for row in LMEvalSamples().read(path)])
    aggregates = sheets(list(LMEvalResults().read(RESULTS)))
    assert by_items.keys() == aggregates.keys() == own.keys() and len(own) == 4
    for key, (value, error) in own.items():
        assert mean(by_items[key]) == pytest.approx(value) and len(by_items[key].scores) == 6
        found = aggregates[key].aggregate
        assert (found.value, found.n, found.method) == (value, 6, "published standard error")
        assert (found.high - found.low) / 2 == pytest.approx(1.96 * error)
        assert by_items[key].model == aggregates[key].model == "made-up/tiny-student"
    shorts = by_items["tiny_short (whole)", "exact_match"].scores
    assert shorts[5].reply == "lol" and shorts[5].metrics == {"exact_match": 1.0}
    assert shorts[0].prompt == "Question: Which city lies on the river of Oma?\nAnswer:"


def test_a_run_is_one_sheet_not_two() -> None:
    """Of a folder with results and samples the samples count; the aggregates come back as Drops."""
    recording = read_scores(LM_EVAL)
    assert len(recording.rows) == 4 and all(sheet.scores for sheet in recording.rows)
    assert {drop.reason for drop in recording.drops} == {"aggregate of items that are at hand"}
    assert len(recording.drops) == 4


def test_lm_eval_protocols(tmp_path: Path) -> None:
    """Equal prompts are one protocol, whatever the model and the order; another prompt, metric or filter is another."""
    rows = read(next(LM_EVAL.glob("*choice*")))

    def protocols(rows: list[dict], model: str) -> set[str]:
        path = tmp_path / model / "samples_tiny_2024-05-01T10-00-00.123456.jsonl"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(jsonl(rows))
        return {sheet.protocol for sheet in sheets(list(LMEvalSamples().read(path))).values()}

    first = protocols(rows, "m1")
    assert len(first) == 2 and protocols(rows[::-1], "m2") == first
    assert not protocols([rows[0] | {"prompt_hash": "other"}, *rows[1:]], "m3") & first
    assert not protocols(rows[1:], "m4") & first
    assert not protocols([row | {"filter": "strict"} for row in rows], "m5") & first


def test_lm_eval_items_without_a_number(tmp_path: Path) -> None:
    row = {"doc_id": 0, "resps": [["x"]], "filter": "none", "metrics": ["acc", "f1"], "acc": True, "f1": [0, 1]}
    rows = [
        row,
        row | {"doc_id": 1, "acc": None, "f1": 0.5},
        row | {"doc_id": 0, "acc": 0.0},
        {"doc_id": 3, "resps": []},
    ]
    path = tmp_path / "samples_t.jsonl"
    path.write_bytes(jsonl([*rows, {"doc_id": 4, "resps": [], "bleu": 0.25}]))
    found = list(LMEvalSamples().read(path))
    assert [(d.id, d.reason, d.detail) for d in found if isinstance(d, Drop)] == [
        ("0", "no number", "f1 is a JSON list"),
        ("1", "no number", "acc is None"),
        ("0", "item scored twice", "acc"),
        ("0", "no number", "f1 is a JSON list"),
        ("3", "no metrics", "row 4: metrics is None"),
    ]
    values = {k[1]: [(s.item_id, s.metrics) for s in sheet.scores] for k, sheet in sheets(found).items()}
    assert values == {"acc": [("0", {"acc": 1.0})], "f1": [("1", {"f1": 0.5})], "bleu": [("4", {"bleu": 0.25})]}


def test_lm_eval_aggregates_without_error_or_count(tmp_path: Path) -> None:
    results = {
        "sub1": {"alias": "s", "acc,none": 0.5, "acc_stderr,none": 0.1},
        "sub2": {"bleu,none": 20.0, "bleu_stderr,none": "N/A", "acc,none": 0.25, "acc_stderr,none": 0.05},
        "group": {"acc,none": 0.4, "acc_stderr,none": 0.02},
        "alone": {"acc,none": 0.4, "acc_stderr,none": 0.02},
        "empty": {"alias": "e"},
        "odd": {"acc,none": math.nan, "acc_stderr,none": 0.02},
    }
    document = {"results": results, "group_subtasks": {"group": ["sub1", "sub2"], "alone": ["alone"]}}
    document |= {
        "n-samples": {"sub1": {"original": 100, "effective": 50}, "sub2": {"effective": 30}},
        "model_name": "m",
    }
    (tmp_path / "results.json").write_text(json.dumps(document))
    assert LMEvalResults().fits(tmp_path / "results.json")
    found = list(LMEvalResults().read(tmp_path / "results.json"))
    assert [(d.id, d.reason) for d in found if isinstance(d, Drop)] == [
        ("sub2 bleu,none", "no standard error"),
        ("alone acc,none", "number of items unknown"),
        ("empty", "no metrics"),
        ("odd acc,none", "no number"),
    ]
    assert {s.benchmark: s.aggregate.n for s in sheets(found).values()} == {"sub1": 50, "sub2": 30, "group": 80}


@pytest.mark.parametrize("name", ["quiz.json", "quiz.eval"])
def test_inspect_means_are_inspects_own(name: str) -> None:
    found = list(InspectLog().read(FILES / name))
    own = {}
    for score in LOG["results"]["scores"]:
        value = next(m["value"] for m in score["metrics"].values() if m["name"] in ("mean", "accuracy"))
        own["quiz", score["name"] if score["name"] == score["scorer"] else f"{score['scorer']}/{score['name']}"] = value
    assert {key: mean(sheet) for key, sheet in sheets(found).items()} == pytest.approx(own) and len(own) == 4
    drops = [(row.id, row.reason) for row in found if isinstance(row, Drop)]
    assert drops == [("5", "sample failed"), ("2 epoch 2", "no score")]
    sheet = sheets(found)["quiz", "match"]
    assert (sheet.model, len(sheet.scores)) == ("mockllm/model", LOG["results"]["completed_samples"])
    assert sheet.scores[0].prompt == LOG["samples"][0]["input"] and sheet.scores[0].reply == "Oma it is"


def test_inspect_logs_of_both_kinds_say_the_same() -> None:
    assert list(InspectLog().read(FILES / "quiz.json")) == list(InspectLog().read(FILES / "quiz.eval"))
    assert InspectLog().fits(FILES / "quiz_zstd.eval")


def test_inspect_log_packed_with_zstd_names_the_way_out() -> None:
    with zipfile.ZipFile(FILES / "quiz_zstd.eval") as archive:
        packed = archive.getinfo("header.json")
    try:
        zipfile.ZipFile(FILES / "quiz_zstd.eval").read(packed)
    except NotImplementedError:
        with pytest.raises(DataError, match=r"inspect log convert --to json quiz_zstd.eval"):
            list(InspectLog().read(FILES / "quiz_zstd.eval"))
    else:  # Python 3.14 reads zstd
        assert list(InspectLog().read(FILES / "quiz_zstd.eval")) == list(InspectLog().read(FILES / "quiz.json"))


def test_inspect_log_that_ended_early(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(LOG | {"status": "error"}))
    first = next(InspectLog().read(tmp_path / "a.json"))
    assert first == Drop("quiz", "evaluation did not finish", "status 'error'")
    (tmp_path / "b.json").write_text(json.dumps({name: v for name, v in LOG.items() if name != "samples"}))
    with pytest.raises(DataError, match="log_samples"):
        list(InspectLog().read(tmp_path / "b.json"))
    (tmp_path / "c.json").write_text(json.dumps(LOG | {"eval": {"task": "quiz"}}))
    with pytest.raises(DataError, match="must name task and model; it has: task"):
        list(InspectLog().read(tmp_path / "c.json"))
    with zipfile.ZipFile(tmp_path / "d.eval", "w") as archive:
        archive.writestr("_journal/start.json", "{}")
    with pytest.raises(DataError, match="never ended"):
        list(InspectLog().read(tmp_path / "d.eval"))


def test_inspect_messages_and_words(tmp_path: Path) -> None:
    asked = [{"role": "system", "content": "s"}, {"role": "user", "content": [{"type": "text", "text": "why?"}]}]
    sample = {"id": "x", "epoch": 1, "input": asked, "output": {"completion": "so"}}
    words = ["C", "P", "I", "N", True, 0.25, "maybe", None, [1, 0]]
    samples = [sample | {"id": i, "scores": {"s": {"value": word}}} for i, word in enumerate(words)]
    (tmp_path / "a.json").write_text(json.dumps(LOG | {"samples": samples}))
    found = list(InspectLog().read(tmp_path / "a.json"))
    (sheet,) = sheets(found).values()
    assert [score.metrics["s"] for score in sheet.scores] == [1, 0.5, 0, 0, 1, 0.25]
    assert [row.detail for row in found if isinstance(row, Drop)] == ["s is 'maybe'", "s is None", "s is a JSON list"]
    assert (sheet.scores[0].prompt, sheet.scores[0].reply) == ("why?", "so")


def test_our_own_scores_bear_their_protocol(tmp_path: Path) -> None:
    rows = [
        {"item_id": "1", "metrics": {"exact_match": 1.0, "length_words": 3.0}, "prompt": "q", "reply": "r"},
        {"item_id": "2", "metrics": {"exact_match": None}, "prompt": "q", "reply": "r"},
        {"item_id": "3", "metrics": 7, "prompt": "q", "reply": "r"},
    ]
    path = tmp_path / "records.jsonl"
    path.write_bytes(jsonl(rows))
    with pytest.raises(DataError, match=r"summary\.json beside it names none"):
        read_scores(path)
    (tmp_path / "summary.json").write_text('{"protocol": "nq-3shot--1a2b3c4d"}')
    found = read_scores(path)
    assert [(s.model, s.benchmark, s.metric, s.protocol) for s in found.rows] == [
        ("", "nq-3shot", "exact_match", "nq-3shot--1a2b3c4d")
    ]
    assert found.rows[0].scores[0].reply == "r"
    assert [drop.reason for drop in found.drops] == ["no number", "no metrics"]
