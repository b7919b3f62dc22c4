import json
import math
import re
import subprocess
from pathlib import Path

import jax
import pytest

from epigone.commands.plan import Wanted, config_of, run_plan
from epigone.errors import SpecError
from epigone.models import family as families
from epigone.models import llama
from epigone.models.params import num_params
from epigone.parallel import rules
from epigone.parallel.launch import COORDINATOR, NUM_PROCESSES, RANK, Launch, launch_of
from epigone.parallel.mesh import sizes
from epigone.training.devices import DEVICES, Devices
from epigone.training.optimizer import Recipe
from epigone.training.plan import Batch, Layout, Shape, budget, memory, plan

GIB = 2**30
PAPER = Batch(32, 2048)


def test_the_state_of_llama_13b_on_eight_a100():
    found = plan(config_of("llama-13b"), PAPER, DEVICES["8xa100-80"])
    assert Shape(found.config).num_params == 13_015_864_320  # as published: arXiv 2302.13971 and its checkpoint
    assert found.memory.state == 12 * 13_015_864_320 / 8
    assert f"{found.memory.state / GIB:.2f}" == "18.18"
    assert found.fits and found.layout.mesh == "1,8,1"


def test_flops_are_those_of_the_matrix_products():
    # LLaMA-7B, counted by hand from its shapes: 4 D^2 + 3 D F a layer, the output head, causal attention
    layer = 4 * 4096**2 + 3 * 4096 * 11008
    by_hand = 6 * (32 * layer + 32000 * 4096) + 6 * 32 * 4096 * 2048
    found = plan(config_of("llama-7b"), PAPER, DEVICES["8xh100"])
    assert found.step_flops == pytest.approx(by_hand * 32 * 2048, rel=1e-6)
    assert found.step_seconds(0.5) == pytest.approx(found.step_flops / (8 * 989e12 * 0.5))


def test_what_does_not_fit_is_said_to_not_fit():
    for name in ("24gb", "cpu-2"):
        found = plan(config_of("llama-7b"), PAPER, DEVICES[name])
        assert not found.fits and found.memory.state == 12 * 6_738_415_616
    assert plan(config_of("gpt2"), Batch(32, 1024), DEVICES["24gb"]).fits


@pytest.mark.parametrize("text", ["8,1,1", "1,8,1", "2,2,2", "1,2,4"])
def test_masters_are_the_shards_of_jax(text):
    config = llama.Config(
        vocab_size=96, width=32, num_layers=2, num_heads=4, num_kv_heads=2, hidden_width=64, max_positions=32
    )
    at = sizes(text, 8)
    mesh = jax.sharding.AbstractMesh(tuple(at.values()), tuple(at))
    tree = llama.param_tree(config)
    own = sum(
        4 * math.prod(jax.sharding.NamedSharding(mesh, rules.spec(p, at, config.head_width)).shard_shape(p.shape))
        for p in jax.tree.leaves(tree)
    )
    found = memory(config, Batch(8, 16), DEVICES["8xh100"], Layout(at["data"], at["fsdp"], at["tensor"]))
    assert found.masters == own >= 4 * num_params(tree) / 8


def test_recomputing_and_parts_take_less():
    config, devices = config_of("llama-7b"), DEVICES["8xh100"]
    kept = [memory(config, PAPER, devices, Layout(1, 8, 1, remat)).activations for remat in ("none", "dots", "full")]
    assert kept[0] > kept[1] > kept[2]
    halved = memory(config, PAPER, devices, Layout(1, 8, 1, "full", accumulation=2))
    assert halved.activations == pytest.approx(kept[2] / 2)


def test_the_warmup_trap():
    recipe = Recipe(2e-3, 32, num_epochs=1, warmup_steps=1000)
    small, large = budget(5_000_000, PAPER, recipe), budget(150_000_000, PAPER, recipe)
    assert small.num_steps == 77 and large.num_steps == 2289
    assert small.peak_learning_rate == pytest.approx(2e-3 * 76 / 1000)
    assert large.peak_learning_rate == pytest.approx(2e-3)


def test_a_layout_that_cannot_be_is_refused():
    config, devices = config_of("llama-7b"), DEVICES["8xh100"]
    with pytest.raises(SpecError, match="no layout of 8 devices divides a batch of 3 blocks over the mesh 1,8,1"):
        plan(config, Batch(3, 2048), devices, mesh=(1, 8, 1))
    assert plan(config, Batch(4, 2048), devices).layout.tensor == 2  # four blocks divide over four devices, not eight
    with pytest.raises(SpecError, match="2049 tokens do not fit a model of 2048"):
        plan(config, Batch(8, 2049), devices)
    five = Devices("five", 5, 80 * GIB, 1e12, 0.5, "made up")
    with pytest.raises(SpecError, match="no layout of 5 devices"):
        plan(config, PAPER, five)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("8", "give three whole numbers"),
        ("1,0,1", "give three whole numbers"),
        ("-1,-1,1", "only one"),
        ("1,3,-1", "3 places do not divide the 8 devices"),
        ("2,2,1", "4 places do not match the 8 devices"),
    ],
)
def test_a_wrong_mesh_is_refused(text, message):
    with pytest.raises(SpecError, match=message):
        sizes(text, 8)


def test_the_rest_of_a_mesh():
    assert sizes("1,-1,2", 8) == {"data": 1, "fsdp": 4, "tensor": 2}


def test_heads_are_not_cut_and_what_is_whole_is_told():
    config = config_of("gpt2-xl")  # 25 heads, 50,257 tokens
    tree = families.of_config(config).param_tree(config)
    at = {"data": 1, "fsdp": 4, "tensor": 2}
    lines = rules.undivided(tree, at, config.head_width)
    assert "['embed']: vocab 50257 does not divide by tensor 2" in lines
    assert "['layers']['query']: heads 25 does not divide by tensor 2" in lines
    assert not any("['up']" in line for line in lines)
    assert rules.undivided(tree, {"data": 8, "fsdp": 1, "tensor": 1}, config.head_width) == []


def test_the_command_says_what_it_says_in_json(capsys):
    wanted = Wanted(["llama-7b"], ["8xa100-80"], ["5M"], price_usd=2.0, mfu=0.5)
    found = run_plan(wanted, quiet=False)
    (told,) = json.loads(json.dumps(found))["plans"]
    assert told["fits"] and told["layout"]["mesh"] == "1,8,1" and told["mfu"] == 0.5
    (run,) = told["runs"]
    assert run["usd"] == pytest.approx(run["seconds"] / 3600 * 8 * 2.0)
    shown = capsys.readouterr().out
    assert "6,738,415,616" in shown and f"{run['usd']:.2f}" in shown
    assert "never comes above 0.00015" in shown


def test_unknown_names_are_answered():
    with pytest.raises(SpecError, match="8xa100-80"):
        run_plan(Wanted(["llama-7b"], ["8xb100"]), quiet=True)
    with pytest.raises(SpecError, match="llama-7b"):
        run_plan(Wanted(["llama-7bb"]), quiet=True)
    with pytest.raises(SpecError, match="share from 0 to 1"):
        run_plan(Wanted(["llama-7b"], mfu=40.0), quiet=True)


def test_the_documents_show_what_the_command_prints(capsys):
    text = (Path(__file__).parents[2] / "docs/how-to/plan.md").read_text(encoding="utf-8")
    shown = re.search(r"<!-- plan (.*?) -->\n(.*?)<!-- end -->", text, re.DOTALL)
    assert shown
    run_plan(Wanted(shown[1].split()), quiet=False)
    printed = [line.strip() for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert [line for line in shown[2].splitlines() if line] == printed


def test_launch_scripts_say_what_the_program_reads():
    folder = Path(__file__).parents[2] / "launch"
    for name in ("slurm.sh", "tpu_pod.sh"):
        assert subprocess.run(["bash", "-n", folder / name], check=False).returncode == 0
        assert "epigone run train" in (folder / name).read_text(encoding="utf-8")
    for name in ("tpu_pod.sh", "kubernetes.yaml"):
        text = (folder / name).read_text(encoding="utf-8")
        assert all(variable in text for variable in (COORDINATOR, NUM_PROCESSES, RANK))


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, Launch(0, 1)),
        ({COORDINATOR: "node0:12355", NUM_PROCESSES: "4", RANK: "3"}, Launch(3, 4, "node0:12355")),
        ({"SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": "1"}, Launch(1, 2)),
        ({"TPU_WORKER_HOSTNAMES": "a,b", "TPU_WORKER_ID": "0"}, Launch(0, 2)),
        ({"TPU_WORKER_HOSTNAMES": "localhost", "TPU_WORKER_ID": "0"}, Launch(0, 1)),
    ],
)
def test_the_launcher_says_who_is_who(environment, expected):
    assert launch_of(environment) == expected


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({COORDINATOR: "node0:12355"}, "set alone"),
        ({COORDINATOR: "node0", NUM_PROCESSES: "2", RANK: "0"}, "HOST:PORT"),
        ({COORDINATOR: "node0:1", NUM_PROCESSES: "2", RANK: "2"}, "numbered from 0"),
    ],
)
def test_half_a_launch_is_refused(environment, message):
    with pytest.raises(SpecError, match=message):
        launch_of(environment)
