"""What a training run will take, from shapes alone: bytes a device, FLOPs, steps, time, and the layout to choose.

In: a variant, a batch, devices. Out: Plans, with nothing allocated. Exact: parameters, steps, rates, and the bytes of
the state (fp32 masters and optimizer moments, as the sharding rules lay them). By formula: gradients, the copy in the
precision of the pass, activations, logits, FLOPs. Every part is counted as if all were there at once.
FLOPs are those of `speed`. Source: activations after arXiv 2205.05198, by what each remat policy keeps.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import cached_property

import jax
import jax.numpy as jnp
import numpy as np

from epigone.errors import SpecError
from epigone.models import family as families
from epigone.models.compute import CHOICES
from epigone.models.family import Model, ModelConfig
from epigone.models.params import Param, num_params
from epigone.parallel import rules
from epigone.training.devices import USABLE, Devices
from epigone.training.loss import num_pieces
from epigone.training.optimizer import Recipe, learning_rate
from epigone.training.speed import flops_per_token
from epigone.training.step import Method

FP32 = 4


@dataclass(frozen=True)
class Batch:
    """What one step reads."""

    size: int
    """Blocks."""
    length: int
    """Tokens a block."""

    @property
    def num_tokens(self) -> int:
        """Tokens a step."""
        return self.size * self.length


@dataclass(frozen=True)
class Layout:
    """How a step is laid out on the devices."""

    data: int
    fsdp: int
    tensor: int
    remat: str = "none"
    accumulation: int = 1
    """Parts that a batch is taken in, one after the other."""

    @property
    def mesh(self) -> str:
        """The mesh string."""
        return f"{self.data},{self.fsdp},{self.tensor}"

    @property
    def sizes(self) -> dict[str, int]:
        """Devices by axis."""
        return {"data": self.data, "fsdp": self.fsdp, "tensor": self.tensor}


@dataclass(frozen=True)
class Memory:
    """Bytes a device by part."""

    masters: int
    moments: int
    gradients: int
    copy: int
    """Parameters in the precision of the pass, and the layer that is gathered."""
    activations: int
    logits: int

    @property
    def state(self) -> int:
        """What stays between steps: exact."""
        return self.masters + self.moments

    @property
    def total(self) -> int:
        """All parts."""
        return sum(getattr(self, field.name) for field in fields(self))


@dataclass(frozen=True)
class Plan:
    """One variant on one set of devices."""

    config: ModelConfig
    batch: Batch
    devices: Devices
    layout: Layout
    memory: Memory

    @property
    def fits(self) -> bool:
        """Whether all parts lie within the usable memory."""
        return self.memory.total <= USABLE * self.devices.memory_bytes

    @property
    def step_flops(self) -> float:
        """Model FLOPs of a step over all devices."""
        model = Model(families.of_config(self.config), self.config, {})
        return flops_per_token(model, self.batch.length) * self.batch.num_tokens

    def step_seconds(self, mfu: float | None = None) -> float:
        """At a model FLOPs utilisation (0-1), or at the published one."""
        return self.step_flops / (self.devices.count * self.devices.peak_flops * (mfu or self.devices.mfu))

    @cached_property
    def undivided(self) -> list[str]:
        """Parameters that lie whole where the rules would divide them."""
        return rules.undivided(Shape(self.config).tree, self.layout.sizes, self.config.head_width)


@dataclass(frozen=True)
class Budget:
    """How far a token budget goes."""

    num_tokens: int
    num_steps: int
    peak_learning_rate: float
    """The highest rate that is reached: a run shorter than its warm-up never sees the recipe's."""


@dataclass(frozen=True)
class Shape:
    """What a plan needs of a variant."""

    config: ModelConfig

    @cached_property
    def tree(self) -> dict[str, Param]:
        """Every parameter."""
        return families.of_config(self.config).param_tree(self.config)

    @property
    def num_params(self) -> int:
        """Scalars."""
        return num_params(self.tree)

    @property
    def attention_width(self) -> int:
        """Query heads times their width."""
        return max(p.shape[p.axes.index("heads")] for p in jax.tree.leaves(self.tree["layers"]) if "heads" in p.axes)

    def bytes_a_device(self, layout: Layout, *, of: str = "all", gathered: bool = False) -> int:
        """fp32 bytes of the parameters (all, `layers`, or `rest`); `gathered` over fsdp, as they are used."""
        total = 0
        parts = {"all": self.tree, "layers": self.tree["layers"]}
        rest = {name: param for name, param in self.tree.items() if name != "layers"}
        for param in jax.tree.leaves(parts.get(of, rest)):
            axes = set(rules.spec(param, layout.sizes, self.config.head_width)) - {None}
            divided = math.prod(layout.sizes[axis] for axis in axes if not (gathered and axis == "fsdp"))
            total += FP32 * math.prod(param.shape) // divided
        return total

    def kept_per_token(self, remat: str, tensor: int) -> float:
        """Numbers that a layer keeps for the backward pass: of each token, on one device."""
        matrices = [p for p in jax.tree.leaves(self.tree["layers"]) if len(p.shape) == 3]
        width = self.tree["embed"].shape[-1]
        if remat == "full":
            return float(width)
        outputs = sum(p.shape[2] / (1 if p.axes[2] == "width" else tensor) for p in matrices)
        if remat == "dots":
            return width + outputs
        inputs = sum(p.shape[1] / tensor for p in matrices if p.axes[1] != "width")
        return 3 * width + 2 * outputs + inputs  # both norms' inputs; of each product its result and what is made of it


def plan(config: ModelConfig, batch: Batch, devices: Devices, *, mesh: tuple[int, int, int] | None = None) -> Plan:
    """The first layout that fits, the plainest first; where none does, the one that takes least.

    Raises SpecError where no layout divides the batch, or blocks are longer than the model's positions.
    """
    if batch.length > config.max_positions:
        raise SpecError(f"blocks of {batch.length} tokens do not fit a model of {config.max_positions} positions")
    meshes = [mesh] if mesh else _meshes(devices.count)
    layouts = [layout for each in meshes for layout in _layouts(batch, each)]
    plans = [Plan(config, batch, devices, layout, memory(config, batch, devices, layout)) for layout in layouts]
    # tensor is worth its talk only where it divides everything that it should
    plans = [p for p in plans if mesh or p.layout.tensor == 1 or not p.undivided]
    if not plans:
        raise SpecError(
            f"no layout of {devices.count} devices divides a batch of {batch.size} blocks"
            + (f" over the mesh {','.join(map(str, mesh))}" if mesh else "")
        )
    return next((p for p in plans if p.fits), min(plans, key=lambda p: p.memory.total))


def memory(config: ModelConfig, batch: Batch, devices: Devices, layout: Layout) -> Memory:
    """Bytes a device by part."""
    shape, size = Shape(config), 2 if devices.dtype == "bfloat16" else 4
    masters = shape.bytes_a_device(layout)
    tokens = batch.num_tokens // (layout.data * layout.fsdp * layout.accumulation)
    blocks = tokens // batch.length
    # A pass in fp32 reads the masters. Two layers are gathered at a time: one is used, the next is on its way.
    copied = masters * size // FP32 if size < FP32 else 0
    whole = shape.bytes_a_device(layout, of="rest", gathered=True)
    whole += 2 * shape.bytes_a_device(layout, of="layers", gathered=True) // config.num_layers
    gathered = whole * size // FP32 if layout.fsdp > 1 else 0
    kept = config.num_layers * shape.kept_per_token(layout.remat, layout.tensor) * tokens * size
    at_work = shape.kept_per_token("none", layout.tensor) * tokens * size  # of the layer that is computed again
    if devices.attention == "xla":
        heads = shape.attention_width / config.head_width / layout.tensor
        scores = blocks * heads * batch.length**2 * (FP32 + size)  # of query, key and head: a number and its weight
        at_work += 2 * scores
        kept += config.num_layers * scores if layout.remat != "full" else 0
    vocab = config.vocab_size / (layout.tensor if config.vocab_size % layout.tensor == 0 else 1)
    pass_blocks = batch.size // layout.accumulation
    pieces = num_pieces(pass_blocks, batch.length, config.vocab_size, Method.max_logits_bytes)
    return Memory(
        masters=masters,
        moments=2 * masters,
        gradients=masters * (1 if layout.accumulation == 1 else 2),  # parts are added up beside the newest one
        copy=copied + gathered,
        activations=math.ceil(kept + at_work),
        logits=math.ceil(3 * tokens / pieces * vocab * FP32),  # logits, their exponentials, their gradient
    )


def budget(num_tokens: int, batch: Batch, recipe: Recipe) -> Budget:
    """Steps of one pass over so many tokens of full blocks, and the rate that the recipe reaches in them."""
    num_steps = recipe.total_steps(math.ceil(num_tokens / batch.length))
    rates = learning_rate(recipe.rates(num_steps), jnp.arange(num_steps))
    return Budget(num_tokens, num_steps, float(np.max(np.asarray(rates))))


def _meshes(num_devices: int) -> list[tuple[int, int, int]]:
    """Meshes to try, the plainest first: copies of everything, then fsdp alone, then ever more tensor."""
    tensors = [size for size in (2**i for i in range(num_devices.bit_length())) if num_devices % size == 0]
    return list(dict.fromkeys([(num_devices, 1, 1), *((1, num_devices // size, size) for size in tensors)]))


def _layouts(batch: Batch, mesh: tuple[int, int, int]) -> Iterator[Layout]:
    """What of a mesh divides the batch: the least recomputed first, and in parts only where everything is."""
    share, left = divmod(batch.size, mesh[0] * mesh[1])
    if left:
        return
    for remat in CHOICES["remat"]:
        yield Layout(*mesh, remat)
    for accumulation in (2**i for i in range(1, share.bit_length())):
        if share % accumulation == 0:
            yield Layout(*mesh, "full", accumulation)
