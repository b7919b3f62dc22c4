"""`epigone collect`: the bill beforehand, prompts of all kinds, turns, samples, coverage, rounds."""

import json
import subprocess
import sys
import urllib.request
from dataclasses import replace
from pathlib import Path

import pytest

from epigone.commands.collect import Choice, Wanted, run_bill, run_collect
from epigone.datasets import write_dataset
from epigone.errors import SpecError, WorkError
from epigone.records import Conversation, Message
from epigone.store import read_summary
from fault_server import answer_to, running

PATIENCE = ["pause_seconds=0.02"]


def write(path: Path, asked: dict[str, list[tuple[str, str]]]) -> Path:
    rows = [{"id": i, "messages": [{"role": r, "content": c} for r, c in said]} for i, said in asked.items()]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def rows(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def run(wanted: Wanted, root: Path, *, retry_failed: bool = False) -> dict:
    return run_collect(wanted, root, retry_failed=retry_failed, quiet=True)


def test_the_command_line(tmp_path: Path) -> None:
    prompts = write(tmp_path / "p.jsonl", {f"p{n}": [("user", f"what is {n}")] for n in range(5)})
    program = [sys.executable, "-c", "from epigone.cli.app import main; main()", "collect", str(prompts)]
    with running() as url:
        options = ["--teacher", url, "--model", "org/m", "--price-in", "1", "--price-out", "2", "--budget-tokens", "9K"]
        more = ["--root", str(tmp_path / "runs"), "--json", "--max-tokens", "30", "--option", "stream=true"]
        bill, first, again = (
            subprocess.run([*program, *options, *more, *last], capture_output=True, text=True, check=True)
            for last in (["--dry-run"], [], [])
        )
        people = subprocess.run([*program, *options, *more[:2], *more[3:]], capture_output=True, text=True, check=True)
    told = json.loads(bill.stdout)
    assert told == {
        "num_requests": 5,
        "num_answered": 0,
        "num_failed": 0,
        "tokens_in": 15,
        "tokens_out_at_most": 150,
        "usd_at_most": pytest.approx(315e-6),
        "counted_by": "characters/4",
    }
    found = json.loads(first.stdout)
    assert found == json.loads(again.stdout) and found["num_kept"] == 5 and found["coverage"] == 1.0
    answers = rows(Path(found["artifact"]) / "records.jsonl")
    assert [row["text"] for row in answers] == [
        answer_to([{"role": "user", "content": f"what is {n}"}], 30) for n in range(5)
    ]
    assert {row["model"] for row in answers} == {"m"}
    assert found["tokens_out"] == sum(len(row["text"].split()) for row in answers)
    assert found["usd_spent"] == pytest.approx((found["tokens_in"] + 2 * found["tokens_out"]) / 1e6)
    assert "answered        5  100.0%" in people.stderr and found["artifact"] in people.stderr


def test_user_turns_are_replayed_with_the_teachers_own_answers(tmp_path: Path) -> None:
    said = [("system", "be brief"), ("user", "a"), ("assistant", "not mine"), ("user", "b"), ("assistant", "nor this")]
    folder = tmp_path / "runs" / "datasets" / "chats--1"
    write_dataset(
        folder / "records.parquet",
        [
            Conversation("long", tuple(Message(r, c) for r, c in said)),
            Conversation("short", (Message("user", "c"), Message("assistant", "d"))),
            Conversation("none", (Message("assistant", "hello"),)),
        ],
    )
    (folder / "DONE").write_text('{"files": {}}')
    with running() as url:
        wanted = Wanted(folder, url, "m", samples=2, minimum_coverage=0.5)
        found = run(wanted, tmp_path / "runs")
        first = run(Wanted(folder, url, "m", turns="first", minimum_coverage=0.5), tmp_path / "runs")
    here = Path(found["artifact"])
    assert found["num_prompts"] == 6 and found["failures"] == {"no user turn": 2}
    long = next(row for row in rows(here / "records.jsonl") if row["prompt_id"] == "long")
    start = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "a"}]
    own = answer_to(start, 512)
    dialogue = [*start, {"role": "assistant", "content": own}, {"role": "user", "content": "b"}]
    assert [(m["role"], m["content"]) for m in long["messages"]] == [(m["role"], m["content"]) for m in dialogue]
    assert long["text"] == answer_to(dialogue, 512)
    assert [(r["prompt_id"], r["sample"]) for r in rows(here / "records.jsonl")] == [
        ("long", 0), ("short", 0), ("long", 1), ("short", 1),
    ]  # fmt: skip
    assert [(r["prompt_id"], r["turn"]) for r in rows(here / "raw.jsonl")] == [
        ("long", 1),
        ("short", 1),
        ("long", 2),
    ] * 2
    shared = json.loads((here / "sharegpt.json").read_text())
    assert [entry["id"] for entry in shared] == ["long-sample0", "short-sample0", "long-sample1", "short-sample1"]
    assert [turn["from"] for turn in shared[0]["conversations"]] == ["system", "human", "gpt", "human", "gpt"]
    texts = {row["prompt_id"]: row["text"] for row in rows(Path(first["artifact"]) / "records.jsonl")}
    assert texts["long"] == own


def test_cut_filtered_and_empty_answers_are_failures_unless_accepted(tmp_path: Path) -> None:
    marks = ["", " [cut]", " [filter]", " [empty]", " [think]"]
    prompts = write(tmp_path / "p.jsonl", {f"p{n}": [("user", f"q{mark}")] for n, mark in enumerate(marks)})
    with running() as url:
        wanted = Wanted(prompts, url, "m", minimum_coverage=0.3)
        found = run(wanted, tmp_path / "runs")
        assert run(wanted, tmp_path / "runs", retry_failed=True)["artifact"] == found["artifact"]
        # kept replies are read again: nothing is asked
        taken = run(Wanted(prompts, url, "m", accept=["length"], minimum_coverage=0.3), tmp_path / "runs")
        with pytest.raises(WorkError, match=r"only 2 of 5 prompts were answered, 40.0%, not 80%"):
            run(Wanted(prompts, url, "m", max_tokens=40), tmp_path / "runs")
    assert found["failures"] == {"content_filter": 1, "empty": 1, "length": 1}
    assert taken["failures"] == {"content_filter": 1, "empty": 1} and taken["tokens_spent"] == 0
    thought = rows(Path(found["artifact"]) / "records.jsonl")[-1]
    assert thought["reasoning"] == "let me see" and "think" not in thought["text"]
    assert found["num_with_reasoning"] == 1
    assert "<think>" in json.dumps(rows(Path(found["artifact"]) / "raw.jsonl")[-1])


def test_what_failed_is_asked_again_only_when_told(tmp_path: Path) -> None:
    asked = {f"p{n}": [("user", f"{n} {'[refuse]' if n == 3 else ''}")] for n in range(8)}
    prompts = write(tmp_path / "p.jsonl", asked)
    with running() as url:
        wanted, root = Wanted(prompts, url, "m", patience=PATIENCE), tmp_path / "runs"
        first = run(wanted, root)
        assert run(wanted, root)["artifact"] == first["artifact"]
        bill = run_bill(wanted, root, retry_failed=False, quiet=True)
        assert (bill["num_requests"], bill["num_answered"], bill["num_failed"]) == (0, 7, 1)
        assert run_bill(wanted, root, retry_failed=True, quiet=True)["num_requests"] == 1
        second = run(wanted, root, retry_failed=True)
        assert second["artifact"] != first["artifact"]
        assert run(wanted, root)["artifact"] == second["artifact"]
    kept = [(Path(each["artifact"]) / "records.jsonl").read_bytes() for each in (first, second)]
    assert kept[0] == kept[1]


def test_what_cannot_be_is_told_before_anything_runs(tmp_path: Path) -> None:
    prompts = write(tmp_path / "p.jsonl", {"p": [("user", "q")]})
    for wanted, said in [
        (Wanted(prompts, "http://127.0.0.1:9/v1"), "--model: which model"),
        (Wanted(prompts, "http://user:pw@127.0.0.1:9/v1", "m"), "holds a password or a query"),
        (Wanted(prompts, "http://127.0.0.1:9/v1", "m", options=["nonsense=1"]), "no option 'nonsense'"),
        (Wanted(prompts, "http://127.0.0.1:9/v1", "m", options=["stream"]), "NAME=VALUE"),
        (Wanted(prompts, "nobody", "m"), "there is no 'nobody' among backends"),
        (Wanted(tmp_path / "nothing.jsonl", "http://127.0.0.1:9/v1", "m"), "there is no"),
        (Wanted(prompts, "http://127.0.0.1:9/v1", "m", server={"price_in": 1.0}), "give both prices"),
        (Wanted(prompts, "canned:default=a", choice=Choice("random")), "needs --num"),
        (Wanted(prompts, "canned:default=a", choice=Choice("disagreement", 1)), "who answers as the base"),
        (Wanted(prompts, "canned:default=a", turns="all", choice=Choice("random", 1)), "JSON lines that end in a user"),
    ]:
        with pytest.raises(SpecError, match=said):
            run_bill(wanted, tmp_path / "runs", retry_failed=False, quiet=True)


def test_some_prompts_are_chosen_and_the_budget_holds_for_probes_too(tmp_path: Path) -> None:
    words = {f"p{n}": [("user", f"{'weather in' if n % 2 else 'capital of'} place {n}")] for n in range(30)}
    prompts, root = write(tmp_path / "p.jsonl", words), tmp_path / "runs"
    choice = Choice("disagreement", 10, "canned:default=something else", probes=4)
    with running(seed=3, faults=0.2, kinds=["429", "500", "malformed", "html"]) as url:
        wanted = Wanted(prompts, url, "m", max_tokens=20, patience=PATIENCE, choice=choice)
        bill = run_bill(wanted, root, retry_failed=False, quiet=True)
        found = run(wanted, root)
        with urllib.request.urlopen(url.removesuffix("/v1") + "/ledger") as reply:
            before = len(json.loads(reply.read())["ledger"])
        poor = replace(wanted, server={"budget_tokens": "1500"})
        with pytest.raises(WorkError, match="budget"):
            run(poor, tmp_path / "other")
        with urllib.request.urlopen(url.removesuffix("/v1") + "/ledger") as reply:
            later = list(json.loads(reply.read())["ledger"].values())[before:]
    assert later and sum(sum(entry["billed"] or []) for entry in later) <= 1500
    assert bill["num_requests"] == 10
    assert found["num_prompts"] == 10
    chosen = {row["prompt_id"] for row in rows(Path(found["artifact"]) / "records.jsonl")}
    (selection,) = (root / "prompts").glob("*-disagreement-*")
    probes = [row for row in rows(selection / "choices.jsonl") if row["disagreement"] is not None]
    assert len(probes) == 4 and {row["prompt_id"] for row in probes} < chosen


def test_any_backend_can_be_asked(tmp_path: Path) -> None:
    prompts = write(tmp_path / "p.jsonl", {"p": [("user", "q")]})
    found = run(Wanted(prompts, "canned:default=fine"), tmp_path / "runs")
    assert [row["text"] for row in rows(Path(found["artifact"]) / "records.jsonl")] == ["fine"]
    assert not (Path(found["artifact"]) / "raw.jsonl").exists()
    assert "tokens_spent" not in read_summary(Path(found["artifact"]))
