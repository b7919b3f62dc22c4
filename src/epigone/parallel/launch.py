"""Which of several processes this one is, as the launcher says in the environment. Loads no JAX.

In: environment variables. Out: their meaning, or that this process is alone. `JAX_COORDINATOR_ADDRESS` (host:port of
process 0), `JAX_NUM_PROCESSES` and `JAX_PROCESS_ID` say it outright and go first; then what Slurm gives the tasks of
`srun`, and what Google Cloud gives the workers of a TPU pod.
Sources: https://docs.jax.dev/en/latest/multi_process.html; https://slurm.schedmd.com/srun.html.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from epigone.errors import SpecError

COORDINATOR, NUM_PROCESSES, RANK = "JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID"


@dataclass(frozen=True)
class Launch:
    """The place of this process among all that work together."""

    rank: int = 0
    num_processes: int = 1
    coordinator: str = ""
    """host:port where process 0 listens; empty where JAX finds it by itself."""

    @property
    def is_alone(self) -> bool:
        """True where there is but one process."""
        return self.num_processes == 1


def launch_of(environment: Mapping[str, str] = os.environ) -> Launch:
    """What the launcher said. Raises SpecError where it said half of it, or nonsense."""
    given = {name: environment[name] for name in (COORDINATOR, NUM_PROCESSES, RANK) if environment.get(name)}
    if given:
        if len(given) < 3:
            raise SpecError(f"{' and '.join(given)} set alone: give {COORDINATOR}, {NUM_PROCESSES} and {RANK}")
        return _checked(given[RANK], given[NUM_PROCESSES], given[COORDINATOR])
    if "SLURM_STEP_NUM_TASKS" in environment:
        return _checked(environment.get("SLURM_PROCID", ""), environment["SLURM_STEP_NUM_TASKS"], "")
    workers = [name for name in environment.get("TPU_WORKER_HOSTNAMES", "").split(",") if name]
    if len(workers) > 1:
        return _checked(environment.get("TPU_WORKER_ID", ""), str(len(workers)), "")
    return Launch()


def _checked(rank: str, num_processes: str, coordinator: str) -> Launch:
    if not (rank.isdecimal() and num_processes.isdecimal() and int(rank) < int(num_processes)):
        raise SpecError(
            f"process {rank!r} of {num_processes!r}: processes are numbered from 0 to one less than their number"
        )
    if coordinator and not coordinator.rpartition(":")[2].isdecimal():
        raise SpecError(f"{COORDINATOR}={coordinator!r}: give HOST:PORT of process 0, e.g. node0:12355")
    return Launch(int(rank), int(num_processes), coordinator)
