"""evaluate: items are kept as they are scored, an interrupted evaluation goes on, shards and limits, what is shown."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import tokenizers

from epigone.backends.checkpoint import Checkpoint
from epigone.commands import evaluate as evaluate_command
from epigone.commands.show import show_artifact
from epigone.errors import ArtifactError, SpecError, WorkError
from epigone.recordings.load import read_scores
from epigone.records import AskedTokens, Item, Prompt, Score, ScoreSheet
from epigone.reporting.audit.standings import capability
from epigone.sharding import sharded_evaluation
from epigone.spec import Component, Input
from epigone.stages.evaluate import PORTION_ITEMS, Evaluate, drawn, part_of
from epigone.stages.join_scores import JoinScores
from epigone.store import Store, read_records, read_summary
from small_checkpoint import small_base

NUM_ITEMS = 5 * PORTION_ITEMS + 7
SLOW = "evaluate_model:Slow"


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    rows = [{"question": f"what is word{n}", "answer": [f"word{n if n % 3 else 0}"]} for n in range(NUM_ITEMS)]
    path = tmp_path / "questions.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def evaluation(questions: Path, log: Path, seconds: float = 0.0, **options: object) -> Evaluate:
    model = Component.of("backends", SLOW, log=str(log), seconds=seconds)
    benchmark = Component.of("benchmarks", "natural_questions", path=Input(str(questions)), num_shots=0)
    return Evaluate(model, benchmark, "slow-nq", **options)


def asked(log: Path) -> list[str]:
    return [item_id for line in log.read_text().splitlines() for item_id in json.loads(line)]


def build_all(store: Store, stage: Evaluate | JoinScores) -> Path:
    for shard in getattr(stage, "shards", ()):
        store.build(shard)
    return store.build(stage)


PROGRAM = """
import sys
from pathlib import Path
from epigone.store import Store
from test_evaluate_stage import evaluation
Store(Path(sys.argv[1])).build(evaluation(Path(sys.argv[2]), Path(sys.argv[3]), float(sys.argv[4])))
"""


@pytest.mark.parametrize("num_calls", [1, 3])
def test_killed_at_any_point_it_goes_on_with_the_same_bytes(questions: Path, tmp_path: Path, num_calls: int) -> None:
    """Killed while the last of `num_calls` portions is asked: those before it are not asked again, bytes are equal."""
    log = tmp_path / "asked.jsonl"
    arguments = [str(tmp_path / "runs"), str(questions), str(log), "0.3"]
    places = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    here = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[1]), *places])
    running = subprocess.Popen([sys.executable, "-c", PROGRAM, *arguments], env=os.environ | {"PYTHONPATH": here})
    deadline = time.monotonic() + 60
    while not (log.exists() and len(log.read_text().splitlines()) >= num_calls):
        assert time.monotonic() < deadline and running.poll() is None
        time.sleep(0.02)
    running.send_signal(signal.SIGKILL)
    assert running.wait(60) == -signal.SIGKILL
    before = asked(log)
    stage = evaluation(questions, log, 0.3)
    folder = Store(tmp_path / "runs").build(stage)
    again = asked(log)[len(before) :]
    assert not set(before[: PORTION_ITEMS * (num_calls - 1)]) & set(again) and len(set(before + again)) == NUM_ITEMS
    assert len(again) + PORTION_ITEMS * (num_calls - 1) == NUM_ITEMS
    other = evaluation(questions, tmp_path / "whole.jsonl")
    whole = Store(tmp_path / "other").build(other)
    assert (folder / "records.jsonl").read_bytes() == (whole / "records.jsonl").read_bytes()
    assert sorted(path.name for path in folder.iterdir()) == ["DONE", "records.jsonl", "spec.json", "summary.json"]


def test_killed_behind_the_last_portion_nothing_is_asked_again(questions: Path, tmp_path: Path) -> None:
    log, out = tmp_path / "asked.jsonl", tmp_path / "out"
    out.mkdir()
    stage = evaluation(questions, log)
    told = stage.run(Store(tmp_path).path, out)
    num_asked = len(asked(log))
    (out / "portions").mkdir()  # as a kill leaves it between the last write and the clearing away
    assert stage.run(Store(tmp_path).path, out) == told
    assert len(asked(log)) == num_asked and not (out / "portions").exists()


@pytest.mark.parametrize("num_shards", [2, 3, 9])
def test_shards_give_the_bytes_of_one_evaluation(questions: Path, tmp_path: Path, num_shards: int) -> None:
    store, log = Store(tmp_path / "runs"), tmp_path / "asked.jsonl"
    whole = store.build(evaluation(questions, log))
    stage = sharded_evaluation(evaluation(questions, log), num_shards)
    assert isinstance(stage, JoinScores)
    joined = build_all(store, stage)
    assert (joined / "records.jsonl").read_bytes() == (whole / "records.jsonl").read_bytes()
    one, other = read_summary(joined), read_summary(whole)
    assert [one[key] for key in ("protocol", "num_items", "num_available", "means", "estimates")] == [
        other[key] for key in ("protocol", "num_items", "num_available", "means", "estimates")
    ]
    assert len(asked(log)) == 2 * NUM_ITEMS  # every shard only its own items


def test_what_are_not_the_shards_of_one_evaluation_are_refused(questions: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "runs")
    stage = sharded_evaluation(evaluation(questions, tmp_path / "asked.jsonl"), 2)
    assert isinstance(stage, JoinScores)
    other = sharded_evaluation(evaluation(questions, tmp_path / "asked.jsonl", limit=200), 2)
    for shards in (stage.shards[::-1], stage.shards[:1], (stage.shards[0], other.shards[1])):
        with pytest.raises(ArtifactError, match="are not all shards of one evaluation"):
            build_all(store, JoinScores(tuple(shards), "mixed"))
    with pytest.raises(SpecError, match="shard=2: with num_shards=2 give 0 to 1"):
        replace(evaluation(questions, tmp_path / "asked.jsonl"), shard=2, num_shards=2)


def test_a_limit_draws_items_and_widens_the_interval(questions: Path, tmp_path: Path) -> None:
    store, log = Store(tmp_path / "runs"), tmp_path / "asked.jsonl"
    found = {}
    for limit in (0, 400, 100):
        summary = read_summary(store.build(evaluation(questions, log, limit=limit)))
        found[limit] = summary["estimates"]["exact_match"]
        assert (summary["num_items"], summary["num_available"]) == (limit or NUM_ITEMS, NUM_ITEMS)
    assert [found[limit]["n"] for limit in found] == [NUM_ITEMS, 400, 100]
    widths = [found[limit]["high"] - found[limit]["low"] for limit in found]
    # a share's interval grows as 1 / sqrt(n); of 647 items, 400 asked are no reason to narrow it
    assert widths[2] / widths[0] == pytest.approx((NUM_ITEMS / 100) ** 0.5, rel=0.15)
    assert widths[1] / widths[0] == pytest.approx((NUM_ITEMS / 400) ** 0.5, rel=0.15)
    items = [Item(str(n), "q") for n in range(NUM_ITEMS)]
    few, more = drawn(items, 100, 0), drawn(items, 400, 0)
    assert set(few) < set(more) and few == sorted(few, key=items.index) and few != items[:100]
    assert drawn(items, 100, 1) != few and drawn(items, 10**6, 0) == items


def test_portions_are_the_same_for_any_number_of_shards() -> None:
    items = [Item(str(n), "q") for n in range(NUM_ITEMS)]
    whole = part_of(items, 0, 1)
    for num_shards in (2, 3, 50):
        assert [portion for shard in range(num_shards) for portion in part_of(items, shard, num_shards)] == whole


def test_a_benchmark_that_loses_an_item_is_an_error(tmp_path: Path) -> None:
    row = {"id": "same", "messages": [{"role": "user", "content": "hi"}], "text": "x" * 300, "prompt_id": "same"}
    path = tmp_path / "rows.jsonl"
    path.write_text((json.dumps(row) + "\n") * (PORTION_ITEMS + 1))
    benchmark = Component.of("benchmarks", "perplexity", path=Input(str(path)))
    stage = Evaluate(Component.of("backends", "canned"), benchmark, "twice")
    with pytest.raises(WorkError, match="items need ids of their own"):
        Store(tmp_path / "runs").build(stage)


def test_scores_under_different_protocols_are_never_compared(tmp_path: Path) -> None:
    """The header of one blank is another protocol than that of two; generated letters are another benchmark."""
    for split, rows in {"dev": "Solved?,1,2,3,4,B\n", "test": "Largest?,a,b,c,d,D\nSmallest?,a,b,c,d,A\n"}.items():
        (tmp_path / split).mkdir()
        (tmp_path / split / f"maths_{split}.csv").write_text(rows)
    head = f"mmlu:test_folder={tmp_path / 'test'},dev_folder={tmp_path / 'dev'},num_shots=1"
    sheets: list[tuple[str, ScoreSheet]] = []
    for model, more in {"base": "", "student": "", "other": ",form=lm_eval", "teacher": ",scoring=generated"}.items():
        wanted = evaluate_command.Wanted([head + more], "canned:default=D", name=model)
        (found,) = evaluate_command.run_evaluations(wanted, tmp_path / "runs", quiet=True)["scores"]
        sheets += [(model, sheet) for sheet in read_scores(Path(found["artifact"])).rows if sheet.metric == "accuracy"]
    standings, missing = capability(sheets)
    assert {standing.metric: sorted(standing.draws) for standing in standings} == {
        "mmlu-letter-1shot": ["base", "student"],
        "mmlu-generated-1shot": ["teacher"],
    }
    (why,) = missing.values()
    assert list(missing) == ["capability.mmlu-letter-1shot of other"] and "only equal ones are compared" in why


# -- what is kept and shown -------------------------------------------------------------------------------------------
@pytest.fixture
def scored(tmp_path: Path) -> tuple[Path, Path]:
    """MMLU on the tiny checkpoint: its folder, and the artifact's."""
    for split, rows in {"dev": "Solved?,1,2,3,4,B\n", "test": "Largest?,a,b,c,d,D\nSmallest?,a,b,c,d,A\n"}.items():
        (tmp_path / split).mkdir()
        (tmp_path / split / f"maths_{split}.csv").write_text(rows)
    base = small_base(tmp_path / "small")
    text = f"mmlu:test_folder={tmp_path / 'test'},dev_folder={tmp_path / 'dev'},num_shots=1"
    wanted = evaluate_command.Wanted([text], str(base), name="small")
    (found,) = evaluate_command.run_evaluations(wanted, tmp_path / "runs", quiet=True)["scores"]
    return base, Path(found["artifact"])


def test_every_items_tokens_are_those_of_the_model(scored: tuple[Path, Path]) -> None:
    base, folder = scored
    scores = read_records(folder / "records.jsonl", Score)
    tokens = read_records(folder / "tokens.jsonl", AskedTokens)
    assert [row.item_id for row in tokens] == [score.item_id for score in scores] == ["maths-1", "maths-2"]
    backend = tokenizers.Tokenizer.from_file(str(base / "tokenizer.json"))
    for score, row in zip(scores, tokens):
        assert list(row.prompt) == backend.encode(score.prompt).ids  # `<s>` in front, once
        assert [list(tail) for tail in row.continuations] == [
            backend.encode(f" {letter}", add_special_tokens=False).ids for letter in "ABCD"
        ]


def test_show_gives_an_item_token_for_token(scored: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    base, folder = scored
    show_artifact(folder, num_rows=3, skip=0, row=1, as_json=True)
    told = json.loads(capsys.readouterr().out)
    ids, _ = Checkpoint(str(base)).token_ids(Prompt("maths-2", text=told["prompt"]))
    assert (told["item_id"], told["row"], told["tokens"][0]["prompt"]) == ("maths-2", 1, ids)
    show_artifact(folder, num_rows=3, skip=1, as_json=False)
    text = capsys.readouterr().out
    assert "Smallest?" in text and "Largest?" not in text and " ".join(map(str, ids)) in text
    assert all(word in text for word in ("prompt", "reply", "read as", "accuracy", "num_shots 1"))
    with pytest.raises(ArtifactError, match=r"has 2 items; there is no row 2 \(from 0\)"):
        show_artifact(folder, num_rows=3, skip=0, row=2)


def test_the_command_tells_n_interval_and_protocol(questions: Path, tmp_path: Path) -> None:
    wanted = evaluate_command.Wanted(
        [f"natural_questions:path={questions},num_shots=0"],
        "canned:default=word0",
        limit=150,
        num_shards=2,
        name="canned",
    )
    (found,) = evaluate_command.run_evaluations(wanted, tmp_path / "runs", num_workers=2, quiet=True)["scores"]
    assert found["protocol"].startswith("nq-0shot--") and (found["num_items"], found["num_available"]) == (
        150,
        NUM_ITEMS,
    )
    (share,) = [found["estimates"]["exact_match"]]
    assert share["n"] == 150 and share["low"] < share["value"] < share["high"]
    assert abs(share["value"] - 1 / 3) < 0.15


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ("http://127.0.0.1:1/v1", "which model of http://127.0.0.1:1/v1"),
        ("no/such/folder", "give a checkpoint, MODEL@URL"),
        ("chekpoint:x", "give a checkpoint, MODEL@URL"),
    ],
)
def test_models_that_are_none(model: str, says: str, tmp_path: Path) -> None:
    wanted = evaluate_command.Wanted(["natural_questions:x.jsonl"], model)
    with pytest.raises(SpecError, match=says):
        evaluate_command.run_evaluations(wanted, tmp_path, quiet=True)
