#!/usr/bin/env bash
# One training stage on several nodes of a Slurm cluster: sbatch --nodes=4 launch/slurm.sh SPEC ROOT
# SPEC (train.json, with "mesh") and ROOT lie on storage that all nodes see at the same path.
#SBATCH --job-name=epigone-train
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=32
#SBATCH --exclusive
#SBATCH --requeue
#SBATCH --signal=TERM@60
set -euo pipefail
spec=$1 root=$2

# One process a node drives all its cards; JAX reads from Slurm who is process 0 and how many there are.
export XLA_PYTHON_CLIENT_MEM_FRACTION=${XLA_PYTHON_CLIENT_MEM_FRACTION:-0.92}
srun --kill-on-bad-exit=1 .venv/bin/epigone run train "$spec" --root "$root"
