"""`epigone curate` and `epigone mix` as a user types them, on published dumps: ledgers that add up, damage, kill -9."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from epigone.datasets import read_dataset
from epigone.records import Drop
from epigone.store import read_records

COMMAND = [sys.executable, "-m", "epigone"]


def epigone(*arguments: object, code: int = 0) -> dict:
    done = subprocess.run([*COMMAND, *map(str, arguments), "--json"], capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout) if code == 0 else {"error": done.stderr}


def check_ledger(found: dict) -> None:
    """Every row is kept, or dropped in dropped.jsonl under one reason."""
    folder = Path(found["artifact"])
    drops = read_records(folder / "dropped.jsonl", Drop)
    assert len(read_dataset(folder / "records.parquet")) == found["num_kept"]
    assert dict(sorted(Counter(d.reason for d in drops).items())) == found["dropped"]
    assert found["num_read"] == found["num_kept"] + len(drops)
    by_filter = sum(n for step in found["filters"] for n in step["dropped"].values())
    assert by_filter + sum(found["unreadable"].values()) == len(drops)


def test_sharegpt(data_root: Path, tmp_path: Path) -> None:
    dump = data_root / "sharegpt" / "sharegpt_sample.json.gz"
    found = epigone("curate", dump, "--filter", "duplicates", "--filter", "language", "--root", tmp_path)
    check_ledger(found)
    assert found["filters"][0]["filter"] == "1-duplicates" and found["filters"][0]["dropped"]["duplicate query"] > 0
    shown = epigone("show", found["artifact"], "--rows", 2, "--reason", "duplicate query")
    assert [d["reason"] for d in shown["dropped"]] == ["duplicate query"] * 2 and shown["dropped"][0]["messages"]


def test_hc3_and_discord_become_the_papers_mixture(data_root: Path, tmp_path: Path) -> None:
    """Three parts, several files in one of them; the mixture's tokens are those of its parts."""
    hc3 = [f"hc3={data_root / 'hc3' / name}.jsonl" for name in ("open_qa", "medicine", "wiki_csai")]
    discord = f"discord={data_root / 'discord' / 'constructed_chatgpt_bot_channel.json'}"
    sharegpt = f"sharegpt={data_root / 'sharegpt' / 'sharegpt_small.json'}"
    found = epigone("curate", "--mixture", "sharegpt-mix", sharegpt, *hc3, discord, "--root", tmp_path)
    assert [part["name"] for part in found["parts"]] == ["sharegpt", "hc3", "discord"]
    rows = read_dataset(Path(found["artifact"]) / "records.parquet")
    assert Counter(c.source.partition("/")[0] for c in rows) == {p["name"]: p["num_rows"] for p in found["parts"]}
    (folder,) = (tmp_path / "datasets").glob("hc3--*")
    check_ledger({"artifact": folder} | json.loads((folder / "summary.json").read_text()))


def test_a_truncated_file_stops_and_salvage_goes_on(data_root: Path, tmp_path: Path) -> None:
    dump = data_root / "sharegpt" / "sharegpt_truncated_1mb.json"
    error = epigone("curate", dump, "--root", tmp_path, code=1)["error"]
    assert "whole entries" in error and "bytes" in error and "--salvage" in error
    found = epigone("curate", dump, "--salvage", "--root", tmp_path)
    check_ledger(found)
    assert found["dropped"]["truncated file"] == 1 and found["num_kept"] > 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--filter", "duplicats"], "Did you mean 'duplicates'"),
        (["--filter", "duplicates:qery=all"], "no option 'qery'"),
        (["--amounts", "1M"], "belong to a mixture"),
        (["--mixture", "sharegpt-mix"], "is made of sharegpt, hc3, discord"),
        (["--format", "sharegtp"], "Did you mean 'sharegpt'"),
    ],
)
def test_a_wrong_argument_is_a_bad_specification(tmp_path: Path, arguments: list[str], said: str) -> None:
    dump = tmp_path / "dump.jsonl"
    dump.write_text('{"messages": [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "So."}]}\n')
    assert said in epigone("curate", dump, *arguments, "--root", tmp_path / "runs", code=2)["error"]
    assert said not in epigone("curate", tmp_path / "no.jsonl", "--root", tmp_path / "runs", code=2)["error"]


def test_kill_9_and_the_same_command_again(tmp_path: Path) -> None:
    """Killed while it reads, the second run ends in the bytes of a run that was left alone."""
    dump = tmp_path / "dump.jsonl"
    turns = [{"role": "user", "content": "Why"}, {"role": "assistant", "content": "So. " * 200}]
    with dump.open("w") as handle:
        for number in range(30_000):
            turns[0]["content"] = f"Why number {number % 20_000}?"
            handle.write(json.dumps({"id": str(number), "messages": turns}) + "\n")
    killed = [*COMMAND, "curate", str(dump), "--root", str(tmp_path / "killed")]
    running = subprocess.Popen(killed, stderr=subprocess.DEVNULL, start_new_session=True)
    staging = tmp_path / "killed" / ".staging"
    while not list(staging.glob("datasets/*/*.partial")):
        assert running.poll() is None, "the curation was done before it could be killed"
        time.sleep(0.01)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    assert not list((tmp_path / "killed").glob("datasets/*"))
    again, alone = (
        Path(epigone("curate", dump, "--root", tmp_path / root)["artifact"]) for root in ("killed", "alone")
    )
    for name in ("records.parquet", "dropped.jsonl", "dropped.parquet", "spec.json"):
        assert (again / name).read_bytes() == (alone / name).read_bytes()
    assert {p.name for p in again.iterdir()} == {p.name for p in alone.iterdir()}


def test_mixtures_by_weight(tmp_path: Path) -> None:
    folders = []
    for name, words in (("one", "w " * 30), ("two", "w " * 10)):
        dump = tmp_path / f"{name}.jsonl"
        rows = [
            {"id": f"{i}", "messages": [{"role": "user", "content": f"{i}"}, {"role": "assistant", "content": words}]}
            for i in range(90)
        ]
        dump.write_text("".join(json.dumps(row) + "\n" for row in rows))
        folders.append(epigone("curate", dump, "--root", tmp_path / "runs")["artifact"])
    weights = ["--weight", 3, 1]
    found = epigone("mix", *folders, *weights, "--amounts", 500, "1K", "2K", "--root", tmp_path / "runs")
    assert [a["amount"] for a in found["amounts"]] == [500, 1000, 2000]
    assert found["amounts"][2]["shares"]["one"] == pytest.approx(0.75, abs=0.02)
    assert (
        "2000000 tokens were asked for"
        in epigone("mix", *folders, "--amounts", "2M", "--root", tmp_path / "runs", code=1)["error"]
    )
