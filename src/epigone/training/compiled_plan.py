"""What the compiler says of a plan: the real training step, lowered and compiled on simulated devices.

In: a Plan. Out: bytes a device: the arguments, which are exact, and the compiler's temporaries. It is the CPU's
compiler that is asked, without weights: it knows no fused attention, and keeps more than a GPU's or a TPU's. JAX counts
its devices when it starts, so this runs in a process of its own.
"""

import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Array, Float, PyTree

from epigone.errors import WorkError
from epigone.models import family as families
from epigone.models import params as parameters
from epigone.models.compute import Compute
from epigone.models.family import Model
from epigone.parallel import rules
from epigone.parallel.mesh import make_mesh
from epigone.training.loop import steps_per_call
from epigone.training.optimizer import Recipe
from epigone.training.plan import Plan
from epigone.training.step import Batch, Method, TrainState, init_state, run_steps

PROGRAM = "from epigone.training.compiled_plan import main; main()"


@dataclass(frozen=True)
class Question:
    """What is to be compiled."""

    config: dict[str, object]
    """config.json of the variant."""
    num_devices: int
    mesh: str
    dtype: str
    remat: str
    accumulation: int
    shape: tuple[int, int, int]
    """Steps, blocks, tokens."""


def compiled(plan: Plan) -> dict[str, int]:
    """Bytes a device by part. Raises WorkError where the compiler fails."""
    at, devices = plan.layout, plan.devices
    model = Model(families.of_config(plan.config), plan.config, {})
    shape = (steps_per_call(model, plan.batch.size * plan.batch.length), plan.batch.size, plan.batch.length)
    question = Question(plan.config.to_hf(), devices.count, at.mesh, devices.dtype, at.remat, at.accumulation, shape)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input=json.dumps(asdict(question)),
        env=os.environ | {"JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise WorkError(f"the step could not be compiled for {devices.title}: {done.stderr[-2000:]}")
    return json.loads(done.stdout)


def main() -> None:
    """The process of its own: JSON in, JSON out."""
    question = Question(**json.load(sys.stdin))
    jax.config.update("jax_num_cpu_devices", question.num_devices)
    json.dump(memory_of(question), sys.stdout)


def memory_of(question: Question) -> dict[str, int]:
    """Compile the step that is asked for, from shapes alone."""
    family, config = families.config_from_hf(question.config)
    compute = Compute(dtype=question.dtype, remat=question.remat)
    method = Method(family, config, accumulation=question.accumulation, compute=compute)
    mesh, shape = make_mesh(question.mesh), tuple(question.shape)
    rates = Recipe(1e-3, shape[1], num_steps=shape[0], accumulation=question.accumulation).rates(shape[0])

    def fresh(params: PyTree[Float[Array, "..."]]) -> TrainState:
        return init_state(Model(family, config, params), rates, method)

    def placed(array: jax.ShapeDtypeStruct, place: PartitionSpec) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(array.shape, array.dtype, sharding=NamedSharding(mesh, place))

    state = jax.eval_shape(fresh, parameters.shapes(method.tree))
    where = rules.places(state, method.tree, dict(mesh.shape), config.head_width)
    kinds = Batch(*map(jnp.dtype, ("int32", "bool", "int32", "int32")))  # pyright: ignore[reportArgumentType]
    by_block = PartitionSpec(None, rules.BATCH)
    batches = jax.tree.map(lambda kind: placed(jax.ShapeDtypeStruct(shape, kind), by_block), kinds)
    with jax.set_mesh(mesh):
        lowered = run_steps.lower(jax.tree.map(placed, state, where), batches, jnp.int32(1), rates, method=method)
        found = lowered.compile().memory_analysis()
    assert found is not None, "the CPU's compiler tells what it takes"
    arguments, temporaries = found.argument_size_in_bytes, found.temp_size_in_bytes
    beside = found.output_size_in_bytes - found.alias_size_in_bytes
    return {"arguments": arguments, "temporaries": temporaries, "total": arguments + beside + temporaries}
