"""A collection against a server process that goes wrong: every prompt once, the ledger right, kills lose nothing."""

import json
import random
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from pathlib import Path

import pytest

from epigone.answers import Answers, Attempt, Place
from epigone.errors import SpecError, WorkError
from epigone.spec import Component, Input
from epigone.stages.collect import Collect
from epigone.store import Store, read_summary
from fault_server import KINDS, answer_to, running

QUICK = {"read_seconds": 0.4, "pause_seconds": 0.02, "num_retries": 5}
BUILD = """
import json, sys
from pathlib import Path
from epigone.spec import Component, Input
from epigone.stages.collect import Collect
from epigone.store import Store
root, prompts, options, name = sys.argv[1:]
teacher = Component.of("backends", "openai", **json.loads(options))
Store(Path(root)).build(Collect(teacher, Input(prompts), name=name, max_tokens=20))
"""
"""A process of its own, to be killed."""


def prompts_file(folder: Path, number: int) -> Path:
    return write_prompts(folder / "prompts.jsonl", [f"question {n}" for n in range(number)])


def write_prompts(path: Path, asked: list[str]) -> Path:
    rows = [{"id": f"p{n}", "messages": [{"role": "user", "content": text}]} for n, text in enumerate(asked)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def collect(url: str, prompts: Path, name: str = "teacher", **options: object) -> Collect:
    options = {"url": url, "model": "m", "patience": QUICK} | options
    return Collect(Component.of("backends", "openai", **options), Input(str(prompts)), name=name, max_tokens=20)


def rows(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def told(url: str) -> dict:
    with urllib.request.urlopen(url.removesuffix("/v1") + "/ledger") as reply:
        return json.load(reply)


def attempts(root: Path, stage: Collect) -> dict[str, Attempt]:
    with Answers(Place(root, Store(root).resolver.id(stage))) as answers:
        return {attempt.request_id: attempt for attempt in answers.attempts()}


def survive(number: int, faults: float, folder: Path) -> None:
    prompts = prompts_file(folder, number)
    with running(seed=random.SystemRandom().randrange(2**32), faults=faults, latency_seconds=0.005) as url:
        stage = collect(url, prompts)
        artifact = Store(folder / "runs").build(stage)
        ledger = told(url)["ledger"]
    answered, failed = rows(artifact / "records.jsonl"), rows(artifact / "failed.jsonl")
    assert Counter(row["prompt_id"] for row in answered + failed) == Counter(f"p{n}" for n in range(number))
    assert [row["text"] for row in answered] == [answer_to(asked(row), 20) for row in answered]
    sent = attempts(folder / "runs", stage)
    # at random, so a short run may miss a kind or two of them
    assert len({entry["fault"] for entry in ledger.values()} - {""}) >= len(KINDS) // 2
    # what the client knows to the token is what the server billed, what it cannot know is never counted too low
    assert {i: [a.tokens_in, a.tokens_out] for i, a in sent.items() if a.state == "paid"} == {
        i: entry["billed"] for i, entry in ledger.items() if not entry["fault"]
    }
    assert {i for i, entry in ledger.items() if entry["billed"]} <= set(sent)
    uncertain = [(a, ledger[i]["billed"]) for i, a in sent.items() if a.state != "paid"]
    assert all(a.tokens_in >= billed[0] and a.tokens_out >= billed[1] for a, billed in uncertain if billed)
    summary = read_summary(artifact)
    assert summary["num_requests_uncertain"] == len(uncertain)
    assert summary["tokens_spent"] == sum(a.tokens_in + a.tokens_out for a in sent.values())
    paid = sum(a.tokens_in + a.tokens_out for a in sent.values() if a.state == "paid")
    assert summary["tokens_in"] + summary["tokens_out"] == paid


def asked(row: dict) -> list[dict]:
    return [{"role": m["role"], "content": m["content"]} for m in row["messages"]]


def test_every_prompt_once_and_the_ledger_right(tmp_path: Path) -> None:
    survive(300, 0.12, tmp_path)


def test_a_server_with_more_to_do_than_it_can_is_asked_less(tmp_path: Path) -> None:
    """One request at a time, while sixteen are sent at first: most time out, until fewer are in flight."""
    patience = QUICK | {"concurrency": 128, "read_seconds": 0.25, "num_failures": 20}
    with running(seed=1, latency_seconds=0.04, at_once=1) as url:
        stage = collect(url, prompts_file(tmp_path, 60), patience=patience)
        artifact = Store(tmp_path / "runs").build(stage)
    assert len(rows(artifact / "records.jsonl")) == 60


@pytest.mark.slow
def test_five_thousand_prompts_once_and_the_ledger_right(tmp_path: Path) -> None:
    survive(5000, 0.2, tmp_path)


def killed_again_and_again(number: int, num_kills: int, folder: Path) -> None:
    """Kills at random moments; the same command goes on each time."""
    prompts, draw = prompts_file(folder, number), random.SystemRandom()
    kinds = ("429 milliseconds", "500", "reset before")
    with running(seed=draw.randrange(2**32), faults=0.05, kinds=kinds, latency_seconds=0.05) as url:
        options = {"url": url, "model": "m", "patience": QUICK | {"concurrency": 16}}
        command = [sys.executable, "-c", BUILD, str(folder / "runs"), str(prompts), json.dumps(options), "teacher"]
        in_flight: list[set[str]] = []
        for _ in range(num_kills):
            # once it asks, at any moment of what would be the rest of the run
            before = len(told(url)["ledger"])
            process = subprocess.Popen(command)
            while len(told(url)["ledger"]) == before and process.poll() is None:
                time.sleep(0.02)
            time.sleep(draw.uniform(0, 0.05 * number / 16 / num_kills))
            process.kill()
            assert process.wait() == -signal.SIGKILL, "it was over before the kill"
            in_flight.append(open_questions(folder / "runs"))
        subprocess.run(command, check=True)
        stage = collect(url, prompts, patience=options["patience"])
        whole = [entry for entry in told(url)["ledger"].values() if entry["billed"] and not entry["fault"]]
        billed = Counter(json.loads(entry["asked"])[0]["content"] for entry in whole)
        artifact = Store(folder / "runs").folder(stage)
        undisturbed = Store(folder / "others").build(stage)
    assert len(rows(artifact / "records.jsonl")) == number
    for name in ("records.jsonl", "sharegpt.json"):
        assert (artifact / name).read_bytes() == (undisturbed / name).read_bytes()
    assert all(len(open_) <= 16 for open_ in in_flight) and any(in_flight)
    names = questions_by_key(artifact)
    lost = Counter(names[key] for open_ in in_flight for key in open_)
    assert {said: times for said, times in billed.items() if times - 1 > lost[said]} == {}


def questions_by_key(artifact: Path) -> dict[str, str]:
    """What each key of the store asks, told by the answers that are in both."""
    ids = {row["request_id"]: row["prompt_id"] for row in rows(artifact / "raw.jsonl")}
    asked = {row["prompt_id"]: row["messages"][0]["content"] for row in rows(artifact / "records.jsonl")}
    with sqlite3.connect(artifact.parent.parent / "answers" / "answers.sqlite") as database:
        found = dict(database.execute("SELECT key, request_id FROM answers"))
    database.close()
    return {key: asked[ids[request_id]] for key, request_id in found.items()}


def open_questions(root: Path) -> set[str]:
    """The keys of what was in flight when the process died."""
    if not (root / "answers" / "answers.sqlite").exists():
        return set()
    with sqlite3.connect(root / "answers" / "answers.sqlite") as database:
        found = {key for (key,) in database.execute("SELECT key FROM leases")}
    database.close()
    return found


def test_kills_lose_nothing_but_what_is_in_flight(tmp_path: Path) -> None:
    killed_again_and_again(200, 3, tmp_path)


@pytest.mark.slow
def test_twenty_kills_lose_nothing_but_what_is_in_flight(tmp_path: Path) -> None:
    killed_again_and_again(2000, 20, tmp_path)


def test_two_processes_pay_once(tmp_path: Path) -> None:
    prompts = prompts_file(tmp_path, 120)
    with running(latency_seconds=0.03) as url:
        options = json.dumps({"url": url, "model": "m", "patience": QUICK | {"concurrency": 8}})
        command = [sys.executable, "-c", BUILD, str(tmp_path / "runs"), str(prompts), options]
        both = [subprocess.Popen([*command, name]) for name in ("one", "other")]
        assert [process.wait() for process in both] == [0, 0]
        billed = Counter(entry["asked"] for entry in told(url)["ledger"].values())
    assert len(billed) == 120 and set(billed.values()) == {1}
    texts = [
        [row["text"] for row in rows(path)] for path in sorted((tmp_path / "runs").glob("responses/*/records.jsonl"))
    ]
    assert len(texts) == 2 and texts[0] == texts[1] and len(texts[0]) == 120
    # each paid for what it asked itself, and both asked
    with sqlite3.connect(tmp_path / "runs" / "answers" / "answers.sqlite") as database:
        shares = dict(database.execute("SELECT collection, COUNT(*) FROM attempts GROUP BY collection"))
    database.close()
    assert len(shares) == 2 and sum(shares.values()) == 120


def test_an_edited_recipe_asks_only_what_is_new(tmp_path: Path) -> None:
    with running() as url:
        Store(tmp_path / "runs").build(collect(url, prompts_file(tmp_path, 20)))
        Store(tmp_path / "runs").build(collect(url, prompts_file(tmp_path, 25)))
        asked = [entry["asked"] for entry in told(url)["ledger"].values()]
        assert len(asked) == len(set(asked)) == 25
        again = collect(url, prompts_file(tmp_path, 25), model="other")
        Store(tmp_path / "runs").build(again)
        assert len(told(url)["ledger"]) == 50


def test_the_budget_holds_and_the_same_command_goes_on(tmp_path: Path) -> None:
    prompts = prompts_file(tmp_path, 40)
    with running(latency_seconds=0.01) as url:
        price = {"price_in": 2.0, "price_out": 10.0}
        small = collect(url, prompts, budget_usd=0.003, **price)
        with pytest.raises(WorkError, match=r"budget of \$0.003 is spent"):
            Store(tmp_path / "runs").build(small)
        ledger = told(url)
        spent = sum(2e-6 * e["billed"][0] + 10e-6 * e["billed"][1] for e in ledger["ledger"].values())
        most = (2e-6 * 500 + 10e-6 * 20) * ledger["most_in_flight"]
        assert 0.003 - most < spent <= 0.003
        assert 0 < len(ledger["ledger"]) < 40
        artifact = Store(tmp_path / "runs").build(collect(url, prompts, budget_usd=1.0, **price))
        assert artifact == Store(tmp_path / "runs").folder(small)  # a budget is no part of what is asked
        assert Counter(e["asked"] for e in told(url)["ledger"].values()).most_common(1)[0][1] == 1
        assert read_summary(artifact)["usd_spent"] == pytest.approx(
            sum(2e-6 * e["billed"][0] + 10e-6 * e["billed"][1] for e in told(url)["ledger"].values())
        )


def test_a_budget_in_tokens_counts_what_is_lost_at_its_most(tmp_path: Path) -> None:
    prompts = prompts_file(tmp_path, 40)
    with running(seed=5, faults=0.5, kinds=("reset", "malformed")) as url:
        with pytest.raises(WorkError, match="budget of 9,000 tokens is spent"):
            Store(tmp_path / "runs").build(collect(url, prompts, budget_tokens=9_000))
        assert sum(sum(e["billed"] or [0]) for e in told(url)["ledger"].values()) <= 9_000
    sent = attempts(tmp_path / "runs", collect(url, prompts))
    assert 0 < sum(a.tokens_in + a.tokens_out for a in sent.values()) <= 9_000
    assert {a.state for a in sent.values()} == {"paid", "uncertain"}


def test_an_unknown_price_refuses_a_budget_in_dollars(tmp_path: Path) -> None:
    stage = collect("http://127.0.0.1:9/v1", prompts_file(tmp_path, 1), budget_usd=5.0)
    with pytest.raises(SpecError, match="price, and that of this model is unknown"):
        Store(tmp_path / "runs").build(stage)


def test_the_key_gets_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    key = "sk-very-secret-5f1c"
    monkeypatch.setenv("MY_KEY", key)
    write_prompts(tmp_path / "prompts.jsonl", ["one", "two [refuse]", "three"])
    with running(key=key) as url:
        stage = collect(url, tmp_path / "prompts.jsonl", key_env="MY_KEY")
        artifact = Store(tmp_path / "runs").build(Collect(stage.teacher, stage.prompts, minimum_coverage=0.5))
        assert "not for Bearer [key]" in (artifact / "failed.jsonl").read_text()
        monkeypatch.setenv("MY_KEY", "sk-wrong-5f1c")
        with pytest.raises(WorkError, match=r"lets nothing through.*Bearer \[key\].*the key") as caught:
            Store(tmp_path / "more").build(stage)
    monkeypatch.delenv("MY_KEY")
    with pytest.raises(SpecError, match="MY_KEY is not set"):
        Store(tmp_path / "none").build(stage)
    out = "".join(capfd.readouterr()) + str(caught.value) + repr(stage) + repr(caught.value.__cause__)
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(written) > 8
    assert [path for path in written if b"5f1c" in path.read_bytes()] == []
    assert "5f1c" not in out


def test_failures_are_asked_again_in_the_next_round_only(tmp_path: Path) -> None:
    write_prompts(tmp_path / "prompts.jsonl", ["good", *(f"{n} [refuse]" for n in range(7))])
    with running() as url:
        store, stage = Store(tmp_path / "runs"), collect(url, tmp_path / "prompts.jsonl")
        for _ in range(2):
            with pytest.raises(WorkError, match=r"only 1 of 8 prompts were answered.*7 http 400.*failed.jsonl"):
                store.build(stage)
        assert len(told(url)["ledger"]) == 8
        with pytest.raises(WorkError, match="only 1 of 8"):
            store.build(collect(url, tmp_path / "prompts.jsonl", round=1))
        assert len(told(url)["ledger"]) == 15


def test_a_server_that_is_down_is_called_so(tmp_path: Path) -> None:
    with running() as url:
        pass
    stage = collect(url, prompts_file(tmp_path, 30), patience=QUICK | {"num_refusals": 4, "pause_seconds": 0.01})
    with pytest.raises(
        WorkError, match=rf"{url} is down, 4 tries in a row failed; the last: unreachable: ConnectError"
    ):
        Store(tmp_path / "runs").build(stage)
    assert attempts(tmp_path / "runs", stage) == {}
    with sqlite3.connect(tmp_path / "runs" / "answers" / "answers.sqlite") as database:
        left = [database.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0] for table in ("failures", "leases")]
    database.close()
    assert left == [0, 0], "what was not asked is no failure"


def test_many_are_in_flight(tmp_path: Path) -> None:
    with running(latency_seconds=1.0) as url:
        Store(tmp_path / "runs").build(collect(url, prompts_file(tmp_path, 300), patience={"concurrency": 256}))
        ledger = told(url)
    assert 100 < ledger["most_in_flight"] <= 256 and ledger["connections"] <= 257


def test_batches_come_to_the_same_and_are_ordered_once(tmp_path: Path) -> None:
    prompts = prompts_file(tmp_path, 25)
    with running(looks=2) as url:
        options = {"via": "batch", "look_seconds": 0.05, "price_in": 1.0, "price_out": 1.0}
        stage = collect(url, prompts, **options)
        artifact = Store(tmp_path / "runs").build(stage)
        ledger = told(url)["ledger"]
        others = Store(tmp_path / "others").build(collect(url, prompts))
    failed = {row["prompt_id"]: row["reason"] for row in rows(artifact / "failed.jsonl")}
    assert failed == {"p9": "http 500", "p19": "http 500"}
    assert rows(artifact / "records.jsonl") == [
        r for r in rows(others / "records.jsonl") if r["prompt_id"] not in failed
    ]
    sent = attempts(tmp_path / "runs", stage)
    assert {i: [a.tokens_in, a.tokens_out] for i, a in sent.items()} == {
        i: entry["billed"] for i, entry in ledger.items() if entry["billed"]
    }
    summary = read_summary(artifact)
    assert summary["usd_spent"] == pytest.approx(summary["tokens_spent"] / 1e6) and len(ledger) == 25


def test_a_batch_that_was_ordered_is_fetched_after_a_kill(tmp_path: Path) -> None:
    prompts = prompts_file(tmp_path, 8)
    with running(looks=3) as url:
        options = {"url": url, "model": "m", "via": "batch", "look_seconds": 60}
        command = [sys.executable, "-c", BUILD, str(tmp_path / "runs"), str(prompts), json.dumps(options), "teacher"]
        process = subprocess.Popen(command)
        while not (tmp_path / "runs" / "answers" / "answers.sqlite").exists() or not ordered(tmp_path / "runs"):
            time.sleep(0.05)
        process.kill()
        process.wait()
        artifact = Store(tmp_path / "runs").build(collect(url, prompts, via="batch", look_seconds=0.05))
        ledger = told(url)["ledger"]
    assert len(ledger) == len(rows(artifact / "records.jsonl")) == 8
    assert read_summary(artifact)["num_requests_uncertain"] == 0


def ordered(root: Path) -> bool:
    try:
        with sqlite3.connect(root / "answers" / "answers.sqlite") as database:
            found = database.execute("SELECT COUNT(*) FROM batches").fetchone()[0]
    except sqlite3.OperationalError:  # not there yet
        return False
    finally:
        database.close()
    return found > 0
