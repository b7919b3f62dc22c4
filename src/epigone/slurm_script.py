"""Batch scripts for Slurm: stages that do not need one another as one array job, a task a stage.

In: stages, and what each of their tasks takes. Out: a folder that `sbatch FOLDER/job.sh` runs:

    job.sh          what sbatch reads; a task runs `epigone run VERB N.json`, on several nodes through srun
    N.json, N.verb  the stage of task N, its inputs by their ids
    N.log, N.exit   once it runs: what it said; once it has ended: its exit code

Source: https://slurm.schedmd.com/sbatch.html. What a site asks for besides (account, partition, time) is given by the
environment, which sbatch reads itself: SBATCH_ACCOUNT, SBATCH_PARTITION, SBATCH_TIMELIMIT, SBATCH_MEM_PER_NODE.
"""

import json
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from epigone.errors import SpecError
from epigone.interfaces import StageSpec
from epigone.schedule import single_thread
from epigone.spec import Resolver, read_stage
from epigone.store import write_json, write_text

MOST_TASKS = 1000
"""Of an array: Slurm's own limit, unless a site has raised it."""
MIB = 2**20
LARGEST_STEP = 256 * MIB
"""Memory is rounded up to a multiple, so that stages of about one size share an array."""


@dataclass(frozen=True)
class Allocation:
    """What every task of an array job takes."""

    num_hosts: int = 1
    num_gpus: int = 0
    """A node."""
    num_cpus: int = 1
    """A node."""
    memory_bytes: int = 0
    """A node; 0: as the site has it."""

    @property
    def options(self) -> dict[str, str]:
        """Options of sbatch."""
        found = {"nodes": str(self.num_hosts), "ntasks-per-node": "1", "cpus-per-task": str(self.num_cpus)}
        if self.num_gpus:
            found["gpus-per-node"] = str(self.num_gpus)
        if self.memory_bytes:
            found["mem"] = f"{-(-self.memory_bytes // LARGEST_STEP) * LARGEST_STEP // MIB}M"
        return found


def write_job(
    folder: Path, stages: Sequence[StageSpec], allocation: Allocation, root: Path, resolver: Resolver
) -> Path:
    """The script of an array job. Raises SpecError where a stage cannot be told in a file."""
    for number, stage in enumerate(stages):
        _write_task(folder / str(number), stage, resolver)
    write_json(folder / "ids.json", [resolver.id(stage) for stage in stages])
    kind = stages[0].kind
    options = {"job-name": f"epigone-{kind}", "array": f"0-{len(stages) - 1}", "requeue": ""} | allocation.options
    options["output"] = str(folder / "%a.log")
    options["open-mode"] = "append"
    write_text(folder / "job.sh", script(folder, options, allocation, root))
    return folder / "job.sh"


def script(folder: Path, options: Mapping[str, str], allocation: Allocation, root: Path) -> str:
    """The text of job.sh."""
    written = [f"#SBATCH --{name}{f'={value}' if value else ''}" for name, value in options.items()]
    exported = [f"export {name}={shlex.quote(value)}" for name, value in _environment(allocation).items()]
    together = "srun --kill-on-bad-exit=1 " if allocation.num_hosts > 1 else ""
    epigone = f"{together}{shlex.quote(sys.executable)} -m epigone"
    run = f'{epigone} run "$verb" "$task.json" --root {shlex.quote(str(root))} --executor here'
    return "\n".join(
        [
            "#!/usr/bin/env bash",
            *written,
            f"cd {shlex.quote(os.getcwd())}",
            *exported,
            f"task={shlex.quote(str(folder))}/$SLURM_ARRAY_TASK_ID",
            'verb=$(cat "$task.verb")',
            run,
            'echo $? > "$task.exit.partial" && mv "$task.exit.partial" "$task.exit"',
            "",
        ]
    )


def _environment(allocation: Allocation) -> dict[str, str]:
    """A thread a stage, as every executor has it; where a task has more processors, JAX may use them."""
    found = single_thread()
    if allocation.num_cpus > 1:
        found = {name: value for name, value in found.items() if "THREADS" not in name and name != "XLA_FLAGS"}
    return found


def _write_task(path: Path, stage: StageSpec, resolver: Resolver) -> None:
    verb = _verb(stage)
    write_json(path.with_suffix(".json"), resolver.written(stage))
    write_text(path.with_suffix(".verb"), verb + "\n")
    read = read_stage(path.with_suffix(".json"), verb)
    if Resolver().id(read) != resolver.id(stage):
        raise SpecError(f"{resolver.id(stage)}: its spec does not read back from a file; run it with local or ray")


def _verb(stage: StageSpec) -> str:
    kind = type(stage)
    package, _, name = kind.__module__.rpartition(".")
    return name if package == "epigone.stages" else f"{kind.__module__}:{kind.__qualname__}"


def ids_of(folder: Path) -> list[str]:
    """The artifacts of a job's tasks, by their numbers; none where the folder is only half written."""
    path = folder / "ids.json"
    return [str(each) for each in json.loads(path.read_text())] if path.exists() else []
