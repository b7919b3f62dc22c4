"""`epigone train`, as a person runs it: blocks and a base from elsewhere -> a student that answers."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from epigone.backends.checkpoint import Checkpoint
from epigone.commands.tokenize import Wanted as Tokenizing
from epigone.commands.tokenize import run_tokenize
from epigone.commands.train import Wanted, plan
from epigone.errors import SpecError
from epigone.models.compute import Compute
from epigone.records import Conversation, Message, Prompt, SamplingParams
from epigone.training.optimizer import Recipe
from small_checkpoint import small_base
from tokenize_cases import dataset

TALK = [
    Conversation(str(n), (Message("user", f"What is {n}?"), Message("assistant", "It is th" + "th" * n)))
    for n in range(8)
]
RECIPE = Recipe(1e-2, 2, num_epochs=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("train")
    small_base(folder / "base")
    dataset(folder / "runs", TALK)
    wanted = Tokenizing(folder / "runs/datasets/made-up--00000000", folder / "base", "chatml", length=64, name="talk")
    run_tokenize(wanted, folder / "runs", quiet=True)
    return folder


def blocks_of(folder: Path) -> Path:
    return next((folder / "runs" / "blocks").iterdir())


def test_a_student_from_blocks_and_a_base(folder: Path) -> None:
    command = [sys.executable, "-m", "epigone", "train", str(blocks_of(folder).relative_to(folder)), "--start", "base"]
    command += ["--learning-rate", "0.01", "--batch-size", "2", "--epochs", "6", "--name", "student", "--json"]
    command += ["--treatment", "l2_to_base:weight=0.001", "--seed", "5"]
    run = subprocess.run(command, cwd=folder, env=os.environ, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    told = json.loads(run.stdout)
    assert told["last_loss"] < told["first_loss"] and told["imitation_tokens"] > 0
    student = folder / told["artifact"]
    before, after = (load_file(path / "model.safetensors") for path in (folder / "base", student))
    assert before.keys() == after.keys() and any(not np.array_equal(before[name], after[name]) for name in before)
    spec = json.loads((student / "spec.json").read_text())["spec"]
    assert spec["template"]["name"] == "chatml" and spec["seed"] == 5 and spec["recipe"]["num_epochs"] == 6
    asked = Prompt("p", messages=(Message("user", "What is 3?"),))
    (reply,) = Checkpoint(str(student)).generate([asked], SamplingParams(6))
    assert reply.num_tokens
    again = subprocess.run(command, cwd=folder, env=os.environ, capture_output=True, text=True)
    assert json.loads(again.stdout) == told


def test_an_artifact_to_start_from_is_named_by_its_id(folder: Path) -> None:
    made = folder / "runs" / "checkpoints" / "base--00000001"
    made.mkdir(parents=True, exist_ok=True)
    (made / "DONE").touch()
    stage = plan(Wanted(blocks_of(folder), made, RECIPE, Compute()), folder / "runs")
    assert stage.start.id == "checkpoints/base--00000001" == stage.tokenizer.of.id
    assert (stage.name, stage.tokenizer.path) == ("base-on-talk", "tokenizer.json")


def test_what_is_none_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="holds no blocks; make them of a dataset"):
        plan(Wanted(folder / "base", folder / "base", RECIPE, Compute()), folder / "runs")
    with pytest.raises(SpecError, match="is no checkpoint: a folder"):
        plan(Wanted(blocks_of(folder), tmp_path, RECIPE, Compute()), folder / "runs")
    with pytest.raises(SpecError, match="does not lie under the root"):
        plan(Wanted(blocks_of(folder), folder / "base", RECIPE, Compute()), tmp_path)
    with pytest.raises(SpecError, match="lora"):
        plan(Wanted(blocks_of(folder), folder / "base", RECIPE, Compute(), treatments=["loro:rank=2"]), folder / "runs")
