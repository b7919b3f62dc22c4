"""What the tests of this folder run in processes of their own, since JAX counts its devices once, when it starts.

python sharded_programs.py layouts FOLDER                 one process, eight devices: prints losses by layout as JSON
python sharded_programs.py decoding FOLDER                one process, four devices: prints answers by layout as JSON
python sharded_programs.py process MESH FOLDER KILL_AT    one of several, two devices each: as the environment says
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from epigone.backends.checkpoint import Checkpoint
from epigone.models import llama
from epigone.models.family import random_model
from epigone.parallel import hosts, rules
from epigone.parallel.launch import launch_of
from epigone.parallel.mesh import make_mesh
from epigone.records import Prompt, SamplingParams
from epigone.tokens.packing import Blocks, pack
from epigone.training import loop
from epigone.training.optimizer import Recipe
from epigone.training.treatment import Treatment
from epigone.training.treatments.kl_to_base import KlToBase
from epigone.training.treatments.lora import Lora

LAYOUTS = ("8,1,1", "1,8,1", "2,2,2", "1,2,4")
STEPS_PER_CALL = 4
CONFIG = llama.Config(
    vocab_size=48, width=16, num_layers=2, num_heads=4, num_kv_heads=4, hidden_width=32, max_positions=32
)
RECIPE = Recipe(2e-2, 8, num_steps=12, warmup_steps=2)


class StoppedError(Exception):
    pass


def losses(
    mesh: str,
    folder: Path | None = None,
    on_progress: Callable[[int, int, float], None] | None = None,
    treatments: tuple[Treatment, ...] = (),
):
    sentences = np.random.default_rng(0).integers(1, 48, (8, 16))
    picked = np.random.default_rng(1).integers(0, 8, 96)
    blocks: Blocks = pack([(sentences[i, : 4 + i].tolist(), [True] * (4 + i)) for i in picked], 16, overlong="split")[0]
    _, log = loop.train(
        random_model(CONFIG, seed=0),
        blocks,
        RECIPE,
        mesh=make_mesh(mesh) if mesh else None,
        state_folder=folder,
        save_every_steps=STEPS_PER_CALL,
        on_progress=on_progress,
        treatments=treatments,
    )
    return log.losses.tolist()


def layouts(folder: Path) -> None:
    jax.config.update("jax_num_cpu_devices", 8)
    found: dict[str, list[float]] = {}
    for mesh in ("", *LAYOUTS):
        print(f"layout {mesh or 'one'}", file=sys.stderr, flush=True)
        found[mesh or "one"] = losses(mesh)

    def stop(step: int, total: int, loss: float) -> None:
        if step == 2 * STEPS_PER_CALL:
            raise StoppedError

    for before, after in (("2,2,2", "1,8,1"), ("1,8,1", ""), ("", "1,2,4"), ("1,2,4", "1,2,4")):
        print(f"layout {before} then {after}", file=sys.stderr, flush=True)
        here, seen = folder / f"{before}-{after}", []
        try:
            losses(before, here, stop)
        except StoppedError:
            found[f"{before} then {after}"] = losses(after, here, lambda step, *rest, seen=seen: seen.append(step))
        assert seen == [12], seen  # the state after step 4 was loaded, and not the run done anew
    for mesh in ("", "2,2,2"):
        name = f"lora {mesh or 'one'}"
        print(f"layout {name}", file=sys.stderr, flush=True)
        found[name] = losses(mesh, treatments=(Lora(rank=2), KlToBase(weight=0.5)))
    print("layout bad", file=sys.stderr, flush=True)
    badly_placed_embedding()
    print(json.dumps(found))


def badly_placed_embedding() -> None:
    """Compiles a look-up in a table that lies over both axes and is not gathered for use."""
    mesh, place = make_mesh("2,2,2"), PartitionSpec("tensor", "fsdp")

    def step(table, tokens):
        def loss(table):
            return jnp.sum(jnp.tanh(rules.by_batch(table[tokens])) ** 2)

        return rules.held(table - jax.grad(loss)(table), llama.param_tree(CONFIG)["embed"], 4)

    def shape(dims, dtype, place):
        return jax.ShapeDtypeStruct(dims, dtype, sharding=NamedSharding(mesh, place))

    with jax.set_mesh(mesh):
        tokens = shape((8, 16), jnp.int32, PartitionSpec(rules.BATCH))
        jax.jit(step).lower(shape((48, 16), jnp.float32, place), tokens).compile()


def decoding(folder: Path) -> None:
    """Greedy and drawn replies and scores of a checkpoint that lies over a mesh, through the backend."""
    jax.config.update("jax_num_cpu_devices", 4)
    shown = "What is asked of all: "
    prompts = [Prompt(str(i), text=shown + "abc"[: i % 3 + 1] * i) for i in range(1, 4)]
    scored = [(prompt, " yes") for prompt in prompts]
    found = {}
    for mesh in ("", "1,2,2"):
        model = Checkpoint(str(folder), batch_size=2, mesh=mesh)
        greedy, drawn = (model.generate(prompts, SamplingParams(5, temperature)) for temperature in (0.0, 1.0))
        found[mesh] = {
            "texts": [completion.text for completion in greedy + drawn],
            "logprobs": [likelihood.logprob for likelihood in model.loglikelihood(scored)],
        }
    print(json.dumps(found))


def process(mesh: str, folder: Path, kill_at: int) -> None:
    jax.config.update("jax_num_cpu_devices", 2)
    hosts.join(launch_of())

    def maybe_die(step: int, total: int, loss: float) -> None:
        if step == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    found = losses(mesh, folder, maybe_die)
    if hosts.is_first():
        print(json.dumps(found))


if __name__ == "__main__":
    loop.STEPS_PER_CALL = STEPS_PER_CALL
    if sys.argv[1] == "layouts":
        layouts(Path(sys.argv[2]))
    elif sys.argv[1] == "decoding":
        decoding(Path(sys.argv[2]))
    else:
        process(sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]))
