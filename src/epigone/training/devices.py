"""Sets of devices that a plan can be made for: memory, peak speed, and the share of it that training reached.

Out: `DEVICES` by name. Peaks are the makers' for dense matrix products in the precision of the pass; `mfu` is model
FLOPs utilisation as published or measured for that device (or, where it says so, for a like one).
Sources: NVIDIA A100, H100, H200 data sheets and the Ada white paper; https://cloud.google.com/tpu/docs/v5p; MFU as each
entry says.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from epigone.training.speed import PEAKS

GIB = 2**30


@dataclass(frozen=True)
class Devices:
    """So many equal devices."""

    title: str
    count: int
    memory_bytes: int
    """Of one device."""
    peak_flops: float
    """FLOPs a second of one device."""
    mfu: float
    """Model FLOPs utilisation, 0-1."""
    mfu_source: str
    dtype: str = "bfloat16"
    attention: str = "xla"


_H100_MFU = "torchtitan, Llama 3.1 8B on 8 x H100: 33-39 %"
DEVICES: Mapping[str, Devices] = {
    "8xa100-80": Devices(
        "8 x A100 80 GB", 8, 80 * GIB, PEAKS["A100"], 0.47,
        "arXiv 2302.13971, 2.4: LLaMA-65B at 380 tokens/s a GPU on A100 80 GB", attention="cudnn",
    ),
    "8xh100": Devices("8 x H100 80 GB", 8, 80 * GIB, PEAKS["H100"], 0.36, _H100_MFU, attention="cudnn"),
    "h200": Devices(
        "one H200 141 GB", 1, 140 * GIB, PEAKS["H200"], 0.41,
        "perf/results: LLaMA-7B, 4 x 2,048 tokens a step, on one H200", attention="cudnn",
    ),
    "v5p-16": Devices(
        "TPU v5p-16: 8 chips of 95 GB", 8, 95 * 10**9, PEAKS["TPU v5p"], 0.65, "MaxText, Llama 2 70B on v5p"
    ),
    "24gb": Devices(
        "one 24 GB card (RTX 4090)", 1, 24 * GIB, 165e12, 0.36, f"{_H100_MFU} (not measured here)", attention="cudnn"
    ),
    "cpu-2": Devices(
        "CPU, 2 cores with AVX2 at 3 GHz, 16 GB", 1, 16 * GIB, 192e9, 0.5,
        "fp32 on such a CPU here: 73 tokens/s a core at 135M parameters", dtype="float32",
    ),
}  # fmt: skip
"""By the name on the command line. The A100's 80 GB are 80 GiB; a v5p-16 has 16 cores, which are 8 chips."""

USABLE = 0.9
"""Share of a device's memory that a plan may fill: context, collectives and fragments take the rest."""
