"""Who follows a run, and what is said of its speed."""

import json
import sys
from types import ModuleType, SimpleNamespace

import jax
import numpy as np
import pytest

from epigone.errors import SpecError
from epigone.models.family import Model
from epigone.models.llama import Config
from epigone.training.log import TrainLog
from epigone.training.loop import train
from epigone.training.speed import Meter, flops_per_token, peak_flops
from epigone.training.trackers import VARIABLE, following
from training_cases import CONFIG, RECIPE, random_blocks, tiny_model


@pytest.fixture(autouse=True)
def nobody_asked(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)


@pytest.fixture(scope="module")
def model():
    return tiny_model()


def test_the_json_lines_of_a_resumed_run_are_those_of_a_straight_one(model, tmp_path):
    blocks = random_blocks()
    with following(tmp_path / "straight.jsonl", "straight") as trackers:
        log = train(model, blocks, RECIPE, trackers=trackers)[1]
    rows = [json.loads(line) for line in (tmp_path / "straight.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(1, 51))
    for name, column in (("loss", log.losses), ("learning_rate", log.learning_rates)):
        np.testing.assert_array_equal(np.array([row[name] for row in rows], np.float32), column)
    assert [row["num_loss_tokens"] for row in rows] == log.num_loss_tokens.tolist()

    def die(step, total, loss):
        if step >= 40:
            raise KeyboardInterrupt

    path = tmp_path / "killed.jsonl"
    options = {"state_folder": tmp_path, "save_every_steps": 15}
    with pytest.raises(KeyboardInterrupt), following(path, "killed") as trackers:
        train(model, blocks, RECIPE, trackers=trackers, on_progress=die, **options)
    assert path.read_text().count("\n") == 40
    with following(path, "killed") as trackers:
        train(model, blocks, RECIPE, trackers=trackers, **options)
    assert path.read_bytes() == (tmp_path / "straight.jsonl").read_bytes()


def few_steps() -> TrainLog:
    log = TrainLog.empty(3)
    log.losses[:] = [3.0, np.nan, 1.0]
    log.gradient_norms[:] = [1.0, np.inf, 2.0]
    return log


def test_a_number_that_is_none_is_null_in_json(tmp_path):
    with following(tmp_path / "log.jsonl", "run") as trackers:
        for row in few_steps().rows(0, 3):
            trackers[0].write(row)
    second = json.loads((tmp_path / "log.jsonl").read_text().splitlines()[1])
    assert second["loss"] is None and second["gradient_norm"] is None and second["penalty"] == 0.0


def test_weights_and_biases_hears_every_step_and_the_end(monkeypatch, tmp_path):
    heard: list[object] = []
    run = SimpleNamespace(log=lambda figures, step: heard.append((step, figures)), finish=lambda: heard.append("end"))
    fake = ModuleType("wandb")
    fake.init = lambda project, name: heard.append((project, name)) or run
    monkeypatch.setitem(sys.modules, "wandb", fake)
    monkeypatch.setenv(VARIABLE, "wandb:imitation")
    with pytest.raises(KeyError), following(tmp_path / "log.jsonl", "student") as trackers:
        for tracker in trackers:
            tracker.write(next(few_steps().rows(0, 1)))
        raise KeyError
    assert heard[0] == ("imitation", "student") and heard[-1] == "end" and len(heard) == 3
    step, figures = heard[1]
    assert step == 1 and figures["train/loss"] == 3.0


def test_tensorboard_holds_one_curve_of_a_run_that_was_interrupted(monkeypatch, tmp_path):
    pytest.importorskip("tensorboardX")
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.record_writer import masked_crc32c

    monkeypatch.setenv(VARIABLE, f"tensorboard:{tmp_path}")
    for stop in (1, 3):
        with following(tmp_path / "log.jsonl", "student") as trackers:
            for row in few_steps().rows(0, stop):
                trackers[0].write(row)
    (file,) = (tmp_path / "student").glob("events.out.*")
    data, at, found = file.read_bytes(), 0, []
    while at < len(data):  # length, its checksum, event, its checksum
        size = int.from_bytes(data[at : at + 8], "little")
        body = data[at + 12 : at + 12 + size]
        assert masked_crc32c(body) == int.from_bytes(data[at + 12 + size : at + 16 + size], "little")
        event = Event.FromString(body)
        found += [(event.step, value.tag, value.simple_value) for value in event.summary.value]
        at += 16 + size
    assert [(step, value) for step, tag, value in found if tag == "train/loss"][::2] == [(1, 3.0), (3, 1.0)]
    assert len([tag for _, tag, _ in found if tag == "train/loss"]) == 3


def test_what_cannot_follow_is_refused_with_the_way_out(monkeypatch, tmp_path):
    for asked in ("wandb", "mlflow:there", ":"):
        monkeypatch.setenv(VARIABLE, asked)
        with pytest.raises(SpecError, match="tensorboard:FOLDER or wandb:PROJECT"), following(tmp_path / "x", "run"):
            pass
    monkeypatch.setitem(sys.modules, "wandb", None)
    monkeypatch.setenv(VARIABLE, "wandb:there")
    with pytest.raises(SpecError, match=r"pip install 'epigone\[wandb\]'"), following(tmp_path / "x", "run"):
        pass


def test_flops_a_token_of_a_published_model():
    """LLaMA-7B at 2,048 tokens: 6 x 6.607e9 weights without the embedding, and attention 6 x 32 x 4,096 x 2,048."""
    shape = Config(
        vocab_size=32_000,
        width=4096,
        num_layers=32,
        num_heads=32,
        num_kv_heads=32,
        hidden_width=11_008,
        max_positions=2048,
    )
    from epigone.models import llama

    weights = 6_738_415_616 - 32_000 * 4096 - 65 * 4096  # published count, less embedding and norms
    assert flops_per_token(Model(llama, shape, {}), 2048) == 6 * weights + 6 * 32 * 4096 * 2048


def test_a_tied_embedding_is_the_output_head(model):
    import dataclasses

    tied = model._replace(config=dataclasses.replace(CONFIG, tie_embeddings=True))
    assert flops_per_token(tied, 16) == flops_per_token(model, 16)


@pytest.mark.parametrize(
    ("kind", "peak"),
    [
        ("NVIDIA H100 80GB HBM3", 989e12),
        ("NVIDIA H100 PCIe", 756e12),
        ("NVIDIA A100-SXM4-80GB", 312e12),
        ("TPU v4", 275e12),
        ("TPU v5 lite", 197e12),
        ("TPU v5p", 459e12),
        ("cpu", None),
        ("NVIDIA GeForce RTX 4090", None),
    ],
)
def test_peaks_by_the_names_that_devices_bear(kind, peak):
    assert peak_flops(kind) == peak


def test_speed_is_measured_without_the_steps_that_were_compiled():
    seconds = iter([100.0, 104.0])
    meter = Meter(1000, 2e6, 1e9, lambda: next(seconds))
    assert (meter.figures, meter.note) == ({}, "")
    meter.step(20)
    assert meter.figures == {}
    meter.step(40)
    assert meter.figures == {"tokens_per_second": 5000.0, "mfu": 10.0}
    assert meter.note == "5,000 tokens/s, MFU 1000%"


def test_a_cpu_has_a_speed_and_no_mfu(model):
    assert jax.default_backend() == "cpu"
    meter = Meter.of(model, 2, 16)
    seen = []
    train(model, random_blocks(), RECIPE, on_progress=lambda step, total, loss: (meter.step(step), seen.append(step)))
    assert seen == [20, 40, 50] and meter.figures.keys() == {"tokens_per_second"} and "MFU" not in meter.note
