"""How fast a run goes: tokens a second, and the share of the device's peak that they come to (MFU).

In: a model, the size of a step, a clock. Out: FLOPs a token by formula, a note for the live line, figures for the
summary. Sources: model FLOPs utilisation as in PaLM, arXiv 2204.02311, appendix B, with causal attention counted at
half; peaks are dense bf16, from the makers' data sheets (https://www.nvidia.com/en-us/data-center/h100/,
https://cloud.google.com/tpu/docs/system-architecture-tpu-vm). What a CPU can do is not known: no MFU there.
"""

import math
import time
from collections.abc import Callable

import jax
from jaxtyping import PyTree

from epigone.models.family import Model
from epigone.models.params import Param

PEAKS = {
    "A100": 312e12,
    "H100 PCIe": 756e12,
    "H100": 989e12,
    "H200": 989e12,
    "TPU v3": 123e12,
    "TPU v4": 275e12,
    "TPU v5 lite": 197e12,
    "TPU v5p": 459e12,
    "TPU v5": 459e12,
    "TPU v6 lite": 918e12,
}
"""FLOPs a second of one device, by a part of its name; the first that fits counts."""


def peak_flops(device_kind: str) -> float | None:
    """What one device of a kind (`jax.Device.device_kind`) can do in a second; None where that is not known."""
    return next((peak for name, peak in PEAKS.items() if name.lower() in device_kind.lower()), None)


def flops_per_token(model: Model, length: int) -> float:
    """Of a forward and a backward pass over blocks of `length` tokens, without what is computed again.

    6 a weight that is multiplied with (an embedding that is only looked up is none; a tied one is the output head), and
    6 x layers x width x length for attention, with the width of the residual stream for that of all heads.
    """
    tree: PyTree[Param] = model.family.param_tree(model.config)
    params = jax.tree.leaves(tree)
    matrices = [p for p in params if len(p.shape) - p.stacked > 1]
    heads = [p for p in matrices if p.axes[-1] == "vocab"]
    weights = sum(math.prod(p.shape) for p in matrices if not heads or p.axes[0] != "vocab")
    width = next(size for p in params for size, axis in zip(p.shape, p.axes, strict=True) if axis == "width")
    return 6.0 * weights + 6.0 * model.config.num_layers * width * length


class Meter:
    """Called as steps are done; the first call's steps are left out of every rate, since they were compiled then."""

    def __init__(
        self, tokens_per_step: int, token_flops: float, peak: float | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._tokens_per_step, self._token_flops, self._peak, self._clock = tokens_per_step, token_flops, peak, clock
        self._first: tuple[int, float] | None = None
        self._last = (0, 0.0)

    @classmethod
    def of(cls, model: Model, batch_size: int, length: int, *, num_devices: int = 1) -> "Meter":
        """Of a model that is trained on so many devices."""
        peak = peak_flops(jax.devices()[0].device_kind)
        return cls(batch_size * length, flops_per_token(model, length), num_devices * peak if peak else None)

    def step(self, step: int) -> None:
        """So many steps are done now."""
        self._last = (step, self._clock())
        self._first = self._first or self._last

    @property
    def figures(self) -> dict[str, float]:
        """tokens_per_second (padding counts: it is computed too) and mfu, as far as they can be told."""
        if self._first is None or self._last[1] <= self._first[1]:
            return {}
        num_steps, seconds = (last - first for last, first in zip(self._last, self._first, strict=True))
        speed = num_steps * self._tokens_per_step / seconds
        return {"tokens_per_second": speed} | ({"mfu": speed * self._token_flops / self._peak} if self._peak else {})

    @property
    def note(self) -> str:
        """The same in words; empty where nothing can be told yet."""
        found = self.figures
        words = [f"{found['tokens_per_second']:,.0f} tokens/s"] if found else []
        return ", ".join([*words, f"MFU {found['mfu']:.0%}"] if "mfu" in found else words)
