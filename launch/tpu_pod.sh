#!/usr/bin/env bash
# One training stage on all workers of a TPU pod slice: launch/tpu_pod.sh TPU_NAME ZONE SPEC ROOT
# epigone is installed in ~/epigone on every worker; SPEC and ROOT lie on storage that all workers mount (Filestore).
set -euo pipefail
name=$1 zone=$2 spec=$3 root=$4

# Every worker runs the same command. TPU VMs do not always export who they are, so that is asked of their metadata.
read -r -d '' worker <<'WORKER' || true
set -euo pipefail
metadata() { curl -sf -H Metadata-Flavor:Google "http://metadata.google.internal/computeMetadata/v1/instance/attributes/$1"; }
addresses=$(metadata worker-network-endpoints | tr ',' '\n' | cut -d: -f3)
export JAX_COORDINATOR_ADDRESS="$(head -n1 <<<"$addresses"):8476"
export JAX_NUM_PROCESSES="$(wc -l <<<"$addresses")"
export JAX_PROCESS_ID="$(metadata agent-worker-number)"
cd ~/epigone
WORKER
gcloud compute tpus tpu-vm ssh "$name" --zone="$zone" --worker=all \
    --command="$worker
.venv/bin/epigone run train '$spec' --root '$root'"
