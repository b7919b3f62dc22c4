"""The train stage: a spec read from JSON, what it leaves in its folder, what it says in its summary."""

import json

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file

from epigone.errors import SpecError
from epigone.models.compute import Compute
from epigone.spec import Component, Input, read_stage
from epigone.stages.train import Size, Train
from epigone.tokens.packing import save_blocks
from epigone.tokens.pairs import pack_pairs, save_pairs
from epigone.training.optimizer import Recipe
from tokenize_cases import byte_tokenizer
from training_cases import random_blocks

RECIPE = {"learning_rate": 0.002, "batch_size": 4, "num_steps": 30, "warmup_steps": 1000, "accumulation": 2}


@pytest.fixture
def folder(tmp_path):
    byte_tokenizer(tmp_path / "tokenizer.json")
    save_blocks(random_blocks(), tmp_path / "blocks")
    save_blocks(random_blocks(60, seed=7), tmp_path / "text")
    return tmp_path


def spec(folder, **options) -> Train:
    """From JSON, as `epigone run train` reads it."""
    fields = {
        "blocks": {"artifact": "blocks"},
        "tokenizer": {"file": str(folder / "tokenizer.json")},
        "recipe": RECIPE,
        "name": "student",
        "size": {"width": 16, "num_layers": 1, "head_width": 8, "max_positions": 16},
    }
    (folder / "spec.json").write_text(json.dumps(fields | options))
    return read_stage(folder / "spec.json", "train")


def treatment(name: str, **options) -> dict[str, object]:
    return {"folder": "training.treatments", "name": name, "options": [list(pair) for pair in options.items()]}


def test_a_stage_trains_as_its_spec_says(folder):
    """Everything at once: bf16, parts, replay, LoRA, KL; and a run that never leaves its warm-up says so."""
    stage = spec(
        folder,
        compute={"dtype": "bfloat16", "remat": "full"},
        treatments=[
            treatment("replay", num_tokens=100, path={"artifact": "text"}),
            treatment("lora", rank=2, targets=["query", "value"]),
            treatment("kl_to_base", weight=0.5),
        ],
    )
    assert stage.compute == Compute("bfloat16", "full") and stage.recipe == Recipe(**RECIPE)
    out = folder / "out"
    summary = stage.run(lambda value: folder / (value.path if isinstance(value, Input) else value.id), out)
    assert 100 <= summary["replay_tokens"] < 116 and summary["pretrain_tokens"] == random_blocks().num_tokens
    assert summary["notes"] == ["peak learning rate reached 5.8e-5 of 2.0e-3: 30 of 1,000 warm-up steps"]
    rows = [json.loads(line) for line in (out / "train_log.jsonl").read_text().splitlines()]
    assert len(rows) == summary["num_steps"] == 30
    assert rows[-1]["loss"] == summary["last_loss"] and max(row["penalty"] for row in rows) > 0
    assert len(load_file(out / "adapter" / "adapter_model.safetensors")) == 2 * 2
    assert summary["tokens_per_second"] > 0 and "mfu" not in summary
    assert {leaf.dtype for leaf in load_file(out / "model.safetensors").values()} == {np.dtype("float32")}
    assert not (out / "state").exists() and jax.default_backend() == "cpu"


def test_pairs_and_what_learns_from_them_go_together(folder):
    out, pairs = folder / "out", [(([5, 6], [False, True]), ([5, 7], [False, True]))]
    save_pairs(pack_pairs(pairs, 8)[0], 1, folder / "pairs")
    with pytest.raises(SpecError, match="dpo learns from pairs, these blocks hold none"):
        spec(folder, treatments=[treatment("dpo")]).run(
            lambda v: folder / (v.path if isinstance(v, Input) else v.id), out
        )
    with pytest.raises(SpecError, match="these blocks hold pairs, which dpo learns from"):
        spec(folder, blocks={"artifact": "pairs"}).run(
            lambda v: folder / (v.path if isinstance(v, Input) else v.id), out
        )


def test_treatments_that_cannot_be_are_refused_before_anything_runs(folder):
    with pytest.raises(SpecError, match="there is nothing to train on"):
        spec(folder, blocks=None, treatments=[treatment("l2_to_base", weight=1.0)])
    with pytest.raises(SpecError, match="the treatment 'lora' is given twice"):
        spec(folder, treatments=[treatment("lora"), treatment("lora", rank=2)])
    with pytest.raises(SpecError, match=r"no 'lara' among training\.treatments"):
        spec(folder, treatments=[treatment("lara")])
    with pytest.raises(SpecError, match="lora has no option 'ranks'"):
        spec(folder, treatments=[treatment("lora", ranks=2)])
    with pytest.raises(SpecError, match="no dtype 'float16'"):
        spec(folder, compute={"dtype": "float16"})


def test_replay_alone_is_something_to_train_on(folder):
    tokenizer = Input(str(folder / "tokenizer.json"))
    replay = Component.of("training.treatments", "replay", num_tokens=1, path=str(folder / "text"))
    assert Train(None, tokenizer, Recipe(**RECIPE), "control", size=Size(16, head_width=8), treatments=(replay,))
