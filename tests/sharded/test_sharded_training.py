"""Training over many devices is training on one: the same losses in every layout, from one process or two."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from epigone.tokens.packing import save_blocks
from tokenize_cases import byte_tokenizer
from training_cases import random_blocks

PROGRAM = Path(__file__).with_name("sharded_programs.py")
REMATERIALIZED = "Involuntary full rematerialization"
CHEAP = "--xla_cpu_multi_thread_eigen=false --xla_backend_optimization_level=0"  # what is compiled runs a few times

# whatever a test before this one set in its process: the compiler compiles, and says its warnings
FRESH = {
    "JAX_PLATFORMS": "cpu",
    "XLA_FLAGS": CHEAP,
    "TF_CPP_MIN_LOG_LEVEL": "0",
    "JAX_ENABLE_COMPILATION_CACHE": "false",
}


def started(*arguments: object, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, PROGRAM, *map(str, arguments)],
        env=os.environ | FRESH | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(scope="module")
def one_process(tmp_path_factory) -> tuple[dict[str, list[float]], dict[str, str]]:
    """Losses by layout, and what the compiler said during each."""
    program = started("layouts", tmp_path_factory.mktemp("states"))
    out, said = program.communicate()
    assert program.returncode == 0, said
    by_layout = dict(part.split("\n", 1) for part in said.split("layout ")[1:])
    return json.loads(out.splitlines()[-1]), by_layout


def test_every_layout_has_the_losses_of_one_device(one_process):
    losses, _ = one_process
    assert len(losses) == 11
    assert losses["one"][-1] < 0.6 * losses["one"][0]
    for layout, found in losses.items():
        alike = "lora one" if layout.startswith("lora") else "one"
        np.testing.assert_allclose(found, losses[alike], rtol=1e-5, err_msg=layout)
    assert losses["lora one"] != losses["one"]


def test_a_state_goes_on_bit_for_bit_in_its_layout(one_process):
    losses, _ = one_process
    assert losses["1,2,4 then 1,2,4"] == losses["1,2,4"]


def test_no_layout_is_rematerialized_against_its_will(one_process):
    _, said = one_process
    assert len(said) == 12
    assert [layout for layout, text in said.items() if REMATERIALIZED in text] == ["bad"]


def together(mesh: str, folder: Path, kill_at: int = -1) -> list[subprocess.CompletedProcess[str]]:
    """Two processes with two devices each, on loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    both = [
        started(
            "process",
            mesh,
            folder,
            # process 1 is killed, and takes process 0 along
            kill_at if i else -1,
            JAX_COORDINATOR_ADDRESS=address,
            JAX_NUM_PROCESSES="2",
            JAX_PROCESS_ID=str(i),
        )
        for i in range(2)
    ]
    done = [(program, *program.communicate()) for program in both]
    return [subprocess.CompletedProcess(program.args, program.returncode, out, said) for program, out, said in done]


@pytest.mark.slow
def test_two_processes_have_the_losses_of_one(one_process, tmp_path):
    first, second = together("2,-1,1", tmp_path)
    assert first.returncode == second.returncode == 0, first.stderr + second.stderr
    assert "[3" not in second.stdout  # only process 0 tells
    np.testing.assert_allclose(json.loads(first.stdout.splitlines()[-1]), one_process[0]["one"], rtol=1e-5)
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        f"train_state.00000002.{i}-of-2.safetensors" for i in range(2)
    ]


@pytest.mark.slow
def test_two_processes_killed_go_on_in_another_layout(one_process, tmp_path):
    killed = together("1,2,2", tmp_path, kill_at=8)
    assert all(process.returncode != 0 for process in killed)
    assert any(tmp_path.iterdir())
    first, second = together("2,2,1", tmp_path)
    assert first.returncode == second.returncode == 0, first.stderr + second.stderr
    np.testing.assert_allclose(json.loads(first.stdout.splitlines()[-1]), one_process[0]["one"], rtol=1e-5)


@pytest.mark.slow
def test_two_processes_run_the_train_stage_from_its_spec(tmp_path):
    """The command of the how-to: every process runs it, the first writes, and the losses are those of one process."""
    byte_tokenizer(tmp_path / "tokenizer.json")
    save_blocks(random_blocks(), tmp_path / "runs" / "blocks" / "made-up--00000000")
    (tmp_path / "runs" / "blocks" / "made-up--00000000" / "DONE").write_text('{"files": {}}')
    losses = {}
    for mesh, num_processes in (("", 1), ("1,2,1", 2)):
        fields = {
            "blocks": {"artifact": "blocks/made-up--00000000"},
            "tokenizer": {"file": str(tmp_path / "tokenizer.json")},
            "recipe": {"learning_rate": 0.01, "batch_size": 4, "num_steps": 20},
            "name": f"model-{num_processes}",
            "size": {"width": 16, "num_layers": 1, "head_width": 8, "max_positions": 16},
            "mesh": mesh,
        }
        spec = tmp_path / f"{num_processes}.json"
        spec.write_text(json.dumps(fields))
        command = [sys.executable, "-m", "epigone", "run", "train", str(spec), "--root", str(tmp_path / "runs")]
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{probe.getsockname()[1]}"
        told = {"JAX_COORDINATOR_ADDRESS": address, "JAX_NUM_PROCESSES": str(num_processes)}
        places = [told | {"JAX_PROCESS_ID": str(rank)} if mesh else {} for rank in range(num_processes)]
        running = [
            subprocess.Popen(command, env=os.environ | FRESH | place, stderr=subprocess.PIPE, text=True)
            for place in places
        ]
        said = [process.communicate()[1] for process in running]
        assert [process.returncode for process in running] == [0] * num_processes, said
        (folder,) = (tmp_path / "runs" / "checkpoints").glob(f"model-{num_processes}--*")
        assert (folder / "DONE").exists()
        losses[mesh] = [json.loads(line)["loss"] for line in (folder / "train_log.jsonl").read_text().splitlines()]
    assert len(losses[""]) == 20 and losses[""][-1] < losses[""][0]
    np.testing.assert_allclose(losses["1,2,1"][0], losses[""][0], rtol=1e-6)
    # sums in another order, which the optimizer makes larger: it steps by the sign of a gradient however small it is
    np.testing.assert_allclose(losses["1,2,1"], losses[""], rtol=5e-4)
