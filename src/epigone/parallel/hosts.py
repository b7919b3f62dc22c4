"""Several processes as one run, with `jax.distributed` as the engine.

In: the launcher's word (`launch`). Out: JAX joined over all processes; which process writes; arrays that lie on many
hosts, as a whole on one. Every process runs the same program in the same order.
Source: https://docs.jax.dev/en/latest/multi_process.html. CPUs talk through gloo.
"""

import jax
import numpy as np
from jax.experimental import multihost_utils
from jaxtyping import Array, Shaped

from epigone.parallel.launch import Launch


def join(launch: Launch) -> None:
    """Join the other processes, before any device is used; nothing where there are none, or it was done."""
    if launch.is_alone or jax.distributed.is_initialized():
        return
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    if launch.coordinator:
        jax.distributed.initialize(launch.coordinator, launch.num_processes, launch.rank)
    else:
        jax.distributed.initialize()  # Slurm, TPU: JAX asks the cluster who is process 0


def leave() -> None:
    """Part from the other processes once all have come to their end; nothing where there are none."""
    if jax.distributed.is_initialized():
        jax.distributed.shutdown()


def is_first() -> bool:
    """True in the process that writes artifacts."""
    return jax.process_index() == 0


def wait_for_all(name: str) -> None:
    """Return once every process has come to this point; `name` is told where they came to different ones."""
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(name)


def whole(array: Shaped[Array | np.ndarray, "..."], row: int | None = None) -> Shaped[np.ndarray, "..."]:
    """An array (or one row of its first dim) with all its parts, on every host; to be called by all processes."""
    if isinstance(array, jax.Array) and not array.is_fully_addressable and not array.is_fully_replicated:
        part = array if row is None else _row(array, row)
        return np.asarray(multihost_utils.process_allgather(part, tiled=True))
    return np.asarray(array) if row is None else np.asarray(array)[row]


@jax.jit
def _row(array: Shaped[Array, "n ..."], row: int) -> Shaped[Array, "..."]:
    return array[row]
