"""A queue that stands in for Slurm in tests: sbatch, srun and squeue as one program that runs scripts for real.

`install(folder)` puts the four names into FOLDER/bin, for the PATH. A job's tasks run one after the other in a process
of their own, as many jobs at a time as there are; several nodes are several processes on this machine. A task whose
script holds the word of FOLDER/lose is killed, once, without a word.
"""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

HOME = Path(os.environ.get("FAKE_SLURM", "."))


def install(folder: Path) -> dict[str, str]:
    """Environment in which the four commands are those of a queue in this folder."""
    (folder / "bin").mkdir(parents=True)
    (folder / "queue").mkdir()
    for name in ("sbatch", "srun", "squeue"):
        path = folder / "bin" / name
        path.write_text(f'#!/usr/bin/env bash\nexec {sys.executable} {__file__} {name} "$@"\n')
        path.chmod(0o755)
    return {"PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}", "FAKE_SLURM": str(folder)}


def sbatch(arguments: list[str]) -> None:
    script = Path(arguments[-1])
    with (HOME / "submitted").open("a") as handle:
        handle.write(" ".join(arguments) + "\n")
    job = sum(1 for _ in (HOME / "submitted").open())
    first, last = re.search(r"#SBATCH --array=(\d+)-(\d+)", script.read_text()).groups()
    for number in range(int(first), int(last) + 1):
        (HOME / "queue" / f"{job}_{number}").touch()
    after = [each for each in arguments if each.startswith("--dependency=afterany:")]
    before = after[0].partition(":")[2].split(":") if after else []
    command = [sys.executable, __file__, "work", str(script), str(job), *before]
    silent = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.Popen(command, start_new_session=True, **silent)
    print(job)


def work(script: Path, job: str, before: list[str]) -> None:
    while any(list((HOME / "queue").glob(f"{each}_*")) for each in before):
        time.sleep(0.05)
    text = script.read_text()
    nodes = re.search(r"#SBATCH --nodes=(\d+)", text)[1]
    output = re.search(r"#SBATCH --output=(\S+)", text)[1]
    for entry in sorted((HOME / "queue").glob(f"{job}_*"), key=lambda path: int(path.name.partition("_")[2])):
        number = entry.name.partition("_")[2]
        told = {"SLURM_ARRAY_TASK_ID": number, "SLURM_JOB_ID": str(os.getpid()), "SLURM_NNODES": nodes}
        with open(output.replace("%a", number), "a") as log:
            running = subprocess.Popen(
                ["bash", str(script)], env=os.environ | told, stdout=log, stderr=log, start_new_session=True
            )
            lose = HOME / "lose"
            if lose.exists() and lose.read_text() in (script.parent / f"{number}.json").read_text():
                lose.unlink()
                os.killpg(running.pid, signal.SIGKILL)
            running.wait()
        entry.unlink()


def srun(arguments: list[str]) -> int:
    command = arguments[next(i for i, each in enumerate(arguments) if not each.startswith("--")) :]
    count = os.environ["SLURM_NNODES"]
    told = {"SLURM_STEP_NODELIST": "127.0.0.1", "SLURM_NTASKS": count, "SLURM_STEP_NUM_TASKS": count}
    told |= {"SLURM_LOCALID": "0", "SLURM_STEP_NUM_NODES": count}
    running = [
        subprocess.Popen(command, env=os.environ | told | {"SLURM_PROCID": str(rank)}) for rank in range(int(count))
    ]
    return max(abs(process.wait()) for process in running)


def squeue() -> None:
    print("\n".join(sorted(path.name for path in (HOME / "queue").iterdir())))


if __name__ == "__main__":
    name, *rest = sys.argv[1:]
    if name == "sbatch":
        sbatch(rest)
    elif name == "srun":
        sys.exit(srun(rest))
    elif name == "squeue":
        squeue()
    elif name == "work":
        work(Path(rest[0]), rest[1], rest[2:])
