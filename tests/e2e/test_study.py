"""The whole way, as a user types it: a small study, killed, repeated, broken and refused."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from artifact_bytes import artifacts, contents

SMALL = ("study", "testbed", "--scale", "small", "--seeds", "1", "--json")


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return os.environ | {"EPIGONE_CACHE": str(tmp_path_factory.mktemp("cache"))}


def epigone(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "epigone", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)


@pytest.fixture(scope="module")
def straight(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("straight")
    done = epigone(environment, *SMALL, "--root", str(root))
    assert done.returncode == 0, done.stderr
    outcome = json.loads(done.stdout)
    assert outcome["num_run"] == outcome["num_stages"]
    assert Path(outcome["report"]).is_file()
    return root


def run_until(environment: dict[str, str], root: Path, num_done: int) -> bool:
    """Start the study and kill -9 it once so many artifacts are there. False where it finished first."""
    command = [sys.executable, "-m", "epigone", *SMALL, "--root", os.path.relpath(root)]  # no path may leak into bytes
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, env=environment, start_new_session=True, **silent)
    while process.poll() is None:
        if len(artifacts(root)) >= num_done:
            process.send_signal(signal.SIGKILL)
            process.wait()
            wait_until_empty(process.pid)
            return True
        time.sleep(0.02)
    return False


def wait_until_empty(group: int) -> None:
    """Until the workers have seen that their parent is gone; fails where they live on."""
    for _ in range(500):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.02)
    raise AssertionError("workers outlive their killed parent by ten seconds")


@pytest.mark.parametrize("num_kills", [2, pytest.param(9, marks=pytest.mark.slow)])
def test_killed_it_ends_in_the_same_bytes(
    environment: dict[str, str], straight: Path, tmp_path: Path, num_kills: int
) -> None:
    total = len(artifacts(straight))
    points = [max(1, number * total // num_kills) for number in range(num_kills)]
    assert [run_until(environment, tmp_path, point) for point in points] == [True] * num_kills
    already = {folder: (folder / "DONE").stat().st_mtime_ns for folder in artifacts(tmp_path)}
    done = epigone(environment, *SMALL, "--root", os.path.relpath(tmp_path))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["num_run"] == total - len(already)
    assert {folder: (folder / "DONE").stat().st_mtime_ns for folder in already} == already
    assert contents(tmp_path) == contents(straight)


def test_the_same_command_again_runs_nothing(environment: dict[str, str], straight: Path) -> None:
    before = {folder: (folder / "DONE").stat().st_mtime_ns for folder in artifacts(straight)}
    done = epigone(environment, *SMALL, "--root", str(straight))
    assert (done.returncode, json.loads(done.stdout)["num_run"]) == (0, 0)
    assert {folder: (folder / "DONE").stat().st_mtime_ns for folder in artifacts(straight)} == before


@pytest.mark.slow
def test_every_treatment_runs_and_stands_in_the_report(
    environment: dict[str, str], straight: Path, tmp_path: Path
) -> None:
    """On what the grid has trained; nothing that it made is made again."""
    root = tmp_path / "copy"
    subprocess.run(["cp", "-r", str(straight), str(root)], check=True)
    before = {folder: (folder / "DONE").stat().st_mtime_ns for folder in artifacts(root)}
    done = epigone(environment, *SMALL, "--treatments", "all", "--root", str(root))
    assert done.returncode == 0, done.stderr
    assert {folder: (folder / "DONE").stat().st_mtime_ns for folder in before} == before
    report = Path(json.loads(done.stdout)["report"])
    told = json.loads((report.parent / "findings.json").read_text())
    arms = {result["arm"]["treatment"] for result in told["results"] if result["arm"]["treatment"]}
    assert arms == {
        "KL to base", "L2 to base", "LoRA", "lower rate", "average with base", "known facts only", "DPO", "best of 4",
        "logits of a larger student",
    }  # fmt: skip
    # a base this small gives empty answers, so that nobody can say which way style lies from it
    assert "w32 base has no style_length" in told["not_measured"]["What style costs (treatments)"]
    assert "w32 base has no style_length" in report.read_text()
    dpo = next(root.glob("checkpoints/*-dpo--*"))
    assert json.loads((dpo / "train_log.jsonl").read_text().splitlines()[0])["loss"] == pytest.approx(
        0.693147, abs=1e-5
    )


def test_every_artifact_is_whole_and_can_be_looked_into(environment: dict[str, str], straight: Path) -> None:
    verified = epigone(environment, "verify", "--root", str(straight), "--json")
    assert json.loads(verified.stdout)["num_artifacts"] == len(artifacts(straight))
    kinds = {folder.parent.name: folder for folder in artifacts(straight)}
    assert set(kinds) == {
        "worlds",
        "responses",
        "datasets",
        "blocks",
        "checkpoints",
        "generations",
        "scores",
        "judgments",
        "studies",
    }
    for kind, folder in kinds.items():
        shown = epigone(environment, "show", str(folder), "--rows", "1")
        assert shown.returncode == 0, (kind, shown.stderr)
        assert "summary" in shown.stdout


def test_every_checkpoint_has_a_card_with_its_data(straight: Path) -> None:
    checkpoints = [folder for folder in artifacts(straight) if folder.parent.name == "checkpoints"]
    assert checkpoints
    for folder in checkpoints:
        blocks = json.loads((folder / "spec.json").read_text())["spec"]["blocks"]
        card = (folder / "README.md").read_text(encoding="utf-8")
        assert blocks is None or f"| `{blocks['artifact']}` | tokenize |" in card
        assert f"- last loss: {json.loads((folder / 'summary.json').read_text())['last_loss']:.6g}\n" in card


def test_the_ledger_of_a_curation_adds_up(straight: Path) -> None:
    for folder in straight.glob("datasets/*"):
        counts = json.loads((folder / "summary.json").read_text())
        assert counts["num_read"] == counts["num_kept"] + sum(counts["dropped"].values())


def test_a_stage_runs_from_its_spec_alone(environment: dict[str, str], straight: Path, tmp_path: Path) -> None:
    world = next(straight.glob("worlds/*"))
    spec = tmp_path / "spec.json"
    spec.write_text(json.dumps(json.loads((world / "spec.json").read_text())["spec"]))
    done = epigone(environment, "run", "simulate", str(spec), "--root", str(tmp_path / "runs"), "--json")
    assert done.returncode == 0, done.stderr
    again = Path(json.loads(done.stdout)["artifact"])
    assert again.name == world.name
    assert (again / "corpus.jsonl").read_bytes() == (world / "corpus.jsonl").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("study", "tesbed"), 2, "Did you mean 'testbed'"),
        (("study", "testbed", "--scale", "huge"), 2, "there is: full, small"),
        (("study", "testbed", "--seeds", "many"), 2, "--seeds is a whole number, not 'many'"),
        (("run", "simulate", "nowhere.json"), 2, "cannot read spec nowhere.json"),
        (("show", "nowhere"), 1, "is no artifact"),
        (("verify", "--root", "nowhere"), 2, "no folder nowhere"),
    ],
)
def test_wrong_input_gets_one_message_and_its_exit_code(
    environment: dict[str, str], arguments: tuple[str, ...], code: int, message: str
) -> None:
    done = epigone(environment, *arguments)
    assert done.returncode == code
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_an_interrupted_study_says_how_it_goes_on(environment: dict[str, str], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "epigone", *SMALL[:-1], "--root", str(tmp_path)]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True)
    while not artifacts(tmp_path):
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "the same command goes on" in said and "Traceback" not in said
    wait_until_empty(process.pid)


def test_a_corrupt_artifact_stops_the_study_with_the_way_out(
    environment: dict[str, str], straight: Path, tmp_path: Path
) -> None:
    root = tmp_path / "copy"
    subprocess.run(["cp", "-r", str(straight), str(root)], check=True)
    weights = sorted(root.glob("checkpoints/*/model.safetensors"))[0]
    weights.write_bytes(weights.read_bytes()[:-10])
    done = epigone(environment, *SMALL, "--root", str(root))
    assert done.returncode == 1
    assert str(weights) in done.stderr and "delete" in done.stderr
