"""`epigone audit` as a user types it: made-up files, killed, repeated, refused and gated; then published recordings."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import pytest

from artifact_bytes import artifacts, contents

NUM_PROMPTS = 40


def epigone(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "epigone", "audit", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def audited(*arguments: str | Path) -> dict:
    done = epigone(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def answers(path: Path, model: str, text: str, numbers: Sequence[int] = range(NUM_PROMPTS)) -> Path:
    """AlpacaEval's form; {n} in the text is the prompt's number."""
    rows = [{"instruction": f"Tell me of {n}.", "output": text.format(n=n), "generator": model} for n in numbers]
    path.write_text(json.dumps(rows))
    return path


def samples(folder: Path, model: str, num_right: int) -> Path:
    """lm-evaluation-harness's samples of 200 items."""
    rows = [
        {"doc_id": n, "doc": {"question": str(n)}, "resps": [["x"]], "filtered_resps": ["x"], "filter": "none"}
        | {"metrics": ["acc"], "acc": float(n < num_right), "prompt_hash": str(n), "doc_hash": str(n)}
        for n in range(200)
    ]
    path = folder / model / "samples_mmlu_2026-11-01T00-00-00.000000.jsonl"
    path.parent.mkdir()
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recorded")
    answers(folder / "teacher.json", "T", "Certainly.\n\n1. One of {n}.\n2. Two of {n}.\n\nOverall, {n} is good.")
    answers(folder / "student.json", "S", "Certainly.\n\n1. Some {n}.\n2. More {n}.\n\nOverall, {n} is fine.")
    answers(folder / "base.json", "B", "well {n} yes yes yes and so on")
    most = 7 * NUM_PROMPTS // 10
    answers(folder / "part.json", "P", "Only {n}.", range(most))
    mixed = [row for name in ("student", "base") for row in json.loads((folder / f"{name}.json").read_text())]
    (folder / "both.json").write_text(json.dumps(mixed))
    (folder / "stranger.txt").write_text("an opera in three acts")
    for model, num_right in (("T", 180), ("B", 120), ("S", 60)):
        samples(folder, model, num_right)
    return folder


def given(files: Path, *names: str) -> list[str | Path]:
    """--teacher teacher.json --base base.json, and so on."""
    return [part for name in names for part in (f"--{name}", files / f"{name}.json")]


def test_one_object_on_standard_output_and_nothing_done_twice(files: Path, tmp_path: Path) -> None:
    command = [*given(files, "teacher", "student", "base"), "--scores", files / "T", files / "B", files / "S"]
    found = audited(*command, "--root", tmp_path)
    assert found["format"] == 1 and found["num_prompts"] == NUM_PROMPTS
    assert found["style"]["S"]["list"]["value"] == 1 and found["style"]["B"]["list"]["value"] == 0
    assert {m: found["capability"][m]["mmlu"]["value"] for m in "TBS"} == {"T": 0.9, "B": 0.6, "S": 0.3}
    assert found["verdict"]["S"]["word"] == "style only"
    assert "preference" in found["missing"] and Path(found["report"]).is_file()
    before = {folder: (folder / "DONE").stat().st_mtime_ns for folder in artifacts(tmp_path)}
    assert audited(*command, "--root", tmp_path) == found
    assert {folder: (folder / "DONE").stat().st_mtime_ns for folder in artifacts(tmp_path)} == before


def test_killed_it_ends_in_the_same_bytes(files: Path, tmp_path: Path) -> None:
    command = [*given(files, "teacher", "student", "base"), "--scores", files / "S", files / "B"]
    audited(*command, "--root", tmp_path / "straight")
    total = len(artifacts(tmp_path / "straight"))
    for point in (1, total // 2, total - 1):
        run_until(command, tmp_path / "killed", point)
    audited(*command, "--root", tmp_path / "killed")
    assert contents(tmp_path / "killed") == contents(tmp_path / "straight")


def run_until(command: Sequence[str | Path], root: Path, num_done: int) -> None:
    """Start the audit and kill -9 it once so many artifacts are there."""
    arguments = [sys.executable, "-m", "epigone", "audit", *map(str, command), "--root", str(root)]
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(arguments, start_new_session=True, **silent)
    while process.poll() is None and len(artifacts(root)) < num_done:
        time.sleep(0.01)
    assert process.poll() is None, "finished before it could be killed"
    process.send_signal(signal.SIGKILL)
    process.wait()
    for _ in range(500):
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.02)
    raise AssertionError("workers outlive their killed parent by ten seconds")


def test_below_the_coverage_it_stops(files: Path, tmp_path: Path) -> None:
    command = [*given(files, "teacher"), "--student", files / "part.json", "--root", tmp_path]
    stopped = epigone(*command)
    assert stopped.returncode == 1
    assert "28 of the 40" in stopped.stderr and "--minimum-coverage" in stopped.stderr
    found = audited(*command, "--minimum-coverage", "0.6")
    assert found["models"]["P"]["num_matched"] == 28


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--student", "teacher.json"], 2, "one role"),
        (["--student", "nowhere.json"], 2, "nowhere.json"),
        (["--student", "stranger.txt"], 1, "no known format"),
        (["--student", "both.json"], 1, "NAME=PATH"),
        (["--student", "student.json", "--fail-if", "capability.mmlu = 1"], 2, "capability.mmlu = 1"),
        (["--student", "student.json", "--fail-if", "style.list < 0.5", "--on-undecided", "maybe"], 2, "maybe"),
    ],
)
def test_what_is_refused(files: Path, tmp_path: Path, arguments: list[str], code: int, said: str) -> None:
    given_files = [files / part if "." in part and " " not in part else part for part in arguments]
    done = epigone("--teacher", files / "teacher.json", *given_files, "--root", tmp_path, "--json")
    assert done.returncode == code, done.stderr
    assert said in done.stderr and "Traceback" not in done.stderr and done.stdout == ""


def test_one_model_of_a_file_that_holds_several(files: Path, tmp_path: Path) -> None:
    found = audited(*given(files, "teacher"), "--student", f"S={files / 'both.json'}", "--root", tmp_path)
    assert set(found["style"]) == {"S"} and found["models"]["S"]["num_answers"] == NUM_PROMPTS


def test_the_gate(files: Path, tmp_path: Path) -> None:
    scored = ["--scores", files / "T", files / "B", files / "S", "--root", tmp_path]
    command = [*given(files, "teacher", "student", "base"), *scored]
    conditions = ["capability.mmlu < base - 0.02", "style.list < 0.5"]
    failed = epigone(*command, "--fail-if", *conditions, "--junit", tmp_path / "gate.xml", "--json")
    assert failed.returncode == 1
    assert [c["answer"] for c in json.loads(failed.stdout)["gate"]] == ["holds", "does not hold"]
    (suite,) = ElementTree.parse(tmp_path / "gate.xml").getroot().iter("testsuite")
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    assert epigone(*command, "--fail-if", conditions[1]).returncode == 0
    unknown = [*command, "--fail-if", "preference < 0.5"]
    assert epigone(*unknown).returncode == 1
    assert epigone(*unknown, "--on-undecided", "pass").returncode == 0


def test_the_table_of_the_readme(data_root: Path, tmp_path: Path) -> None:
    """Vicuna-80. Table 2 is that of the notes on the protocol; wins, ties and losses those that GPT-4's marks give."""
    folder = data_root / "vicuna80"
    of = {
        name: folder / "answer" / f"answer_{name}.jsonl" for name in ("gpt35", "llama-13b", "alpaca-13b", "vicuna-13b")
    }
    students = ["--student", of["alpaca-13b"], of["vicuna-13b"]]
    sources = ["--teacher", of["gpt35"], "--base", of["llama-13b"], *students, "--judgments", folder / "review"]
    found = audited(*sources, "--root", tmp_path)
    expected = {
        "llama-13b": (54.5, 0, 28.74, 0.258),
        "alpaca-13b": (8.7, 0, 34.68, 0.366),
        "vicuna-13b": (91.3, 42.1, 48.05, 0.551),
    }
    for model, (listed, summed, unigram, length) in expected.items():
        style = {metric: found["style"][model][metric]["value"] for metric in ("list", "summary", "unigram", "length")}
        assert [100 * style["list"], 100 * style["summary"]] == pytest.approx([listed, summed], abs=0.05)
        assert 100 * style["unigram"] == pytest.approx(unigram, abs=0.05)
        assert style["length"] == pytest.approx(length, abs=0.0005)
    direct = found["preference"]["vicuna-13b"]["panels"]["gpt-4-0328"]["direct"]
    assert (direct["wins"], direct["ties"], direct["losses"]) == (14, 22, 44)
    assert direct["win_or_tie"]["value"] == 0.45 and "always shown first" in direct["position"]
    assert {m: found["preference"][m]["source"] for m in ("alpaca-13b", "vicuna-13b")} == {
        "alpaca-13b": "fitted",
        "vicuna-13b": "direct",
    }
    assert {"capability", "ceiling"} <= set(found["missing"]) and found["ceiling"] is None
    assert "OpenAI" in found["judges"]["flags"][0]


def test_published_shares_of_alpaca_eval(data_root: Path, tmp_path: Path) -> None:
    """A tie is half, null is dropped, as on the published board: 26.46 % and 89.37 %."""
    folder = data_root / "alpaca_eval" / "results"
    names = ("alpaca-7b", "gpt-3.5-turbo-0301")
    sources = ["--teacher", folder / "text_davinci_003" / "model_outputs.json"]
    sources += ["--student", *(folder / name / "model_outputs.json" for name in names)]
    sources += ["--judgments", *(folder / name / "alpaca_eval_gpt4" for name in names)]
    found = audited(*sources, "--root", tmp_path)
    direct = {name: found["preference"][name]["panels"]["alpaca_eval_gpt4"]["direct"] for name in names}
    assert [direct[name]["win_share"]["value"] for name in names] == pytest.approx([213 / 805, 718.5 / 804])
    assert [direct[name]["win_share"]["n"] for name in names] == [805, 804]
    assert found["base"] is None and "base" in found["missing"]
    assert any("Without a base there is no gap closed" in note for note in found["notes"])


def test_the_crowd_of_llmfao(data_root: Path, tmp_path: Path) -> None:
    """8,931 votes of people, two models on the same pairs; 13 prompts bear votes, and the report says so."""
    folder = data_root / "human_ratings" / "llmfao"
    models = {"teacher": "GPT 3.5 Turbo", "student": "Koala (13B)"}
    sources = [part for role, m in models.items() for part in (f"--{role}", f"{m}={folder / 'results.jsonl'}")]
    judged = [folder / f"{name}crowd-comparisons.csv" for name in ("", "gpt3-", "gpt4-")]
    found = audited(*sources, "--judgments", *judged, "--root", tmp_path)
    fitted = found["preference"]["Koala (13B)"]["panels"]["crowd"]["fitted"]
    assert found["preference"]["Koala (13B)"]["source"] == "fitted" and fitted["win_or_tie"]["n"] == 8931
    by_what = {a["what"]: a["value"] for a in found["agreement"] if a["what"].startswith("alpha")}
    assert set(by_what) == {"alpha, 124 raters", "alpha, a tie half way"}
    assert by_what["alpha, 124 raters"] == pytest.approx(0.290, abs=0.0005)
    assert any("13 prompts" in note for note in found["notes"])
