"""What `epigone plan` does, and what a person sees of it: Markdown tables of what training will take.

In: parsed arguments. Out: the JSON object of --json; the tables on standard output. No weights, no device but the CPU,
and nothing is compiled unless it is asked for.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from epigone.errors import SpecError
from epigone.models import family as families
from epigone.models.family import ModelConfig
from epigone.models.weights import load_config
from epigone.parallel.mesh import sizes
from epigone.tokens.amounts import amount
from epigone.training import plan as plans
from epigone.training.compiled_plan import compiled
from epigone.training.devices import DEVICES, GIB, Devices
from epigone.training.optimizer import Recipe
from epigone.training.plan import Batch, Budget, Plan, Shape

DEFAULT_LENGTH = 2048
WIDTH = 200
"""Columns of a line where there is no terminal: tables are not folded."""
HOUR = 3600


@dataclass(frozen=True)
class Wanted:
    """What was given on the command line."""

    models: Sequence[str]
    devices: Sequence[str] = ()
    tokens: Sequence[str] = ("5M", "150M")
    length: int = 0
    """0: DEFAULT_LENGTH, or the model's positions where it has fewer."""
    batch_size: int = 32
    learning_rate: float = 2e-3
    warmup_steps: int = 1000
    mesh: str = ""
    mfu: float = 0.0
    price_usd: float = 0.0
    compile: bool = False


def run_plan(wanted: Wanted, *, quiet: bool) -> dict[str, object]:
    """Plan every model on every set of devices and show it. Raises EpigoneError."""
    if not 0 <= wanted.mfu <= 1:
        raise SpecError(f"--mfu is a share from 0 to 1, not {wanted.mfu}")
    found = [
        (Path(name).name, plans.plan(config, _batch(wanted, config), where, mesh=_mesh(wanted.mesh, where)))
        for name, config in ((name, config_of(name)) for name in wanted.models)
        for where in map(_devices, wanted.devices or DEVICES)
    ]
    recipe = Recipe(wanted.learning_rate, wanted.batch_size, num_epochs=1, warmup_steps=wanted.warmup_steps)
    budgets = {
        batch: [plans.budget(amount(text), batch, recipe) for text in wanted.tokens]
        for batch in dict.fromkeys(plan.batch for _, plan in found)
    }
    estimates = [compiled(plan) if wanted.compile else None for _, plan in found]
    console = Console(quiet=quiet, width=None if Console().is_terminal else WIDTH, highlight=False)
    console.print(_memory_table(found))
    console.print(_time_table(found, budgets, wanted))
    for line in _notes(found, budgets, wanted):
        console.print(f"- {line}", soft_wrap=True, markup=False)
    for (name, plan), estimate in zip(found, estimates, strict=True):
        if estimate:
            told = ", ".join(f"{part} {_gib(size)}" for part, size in estimate.items())
            console.print(f"- the compiler on {name}, {plan.devices.title}: {told} GiB a device", soft_wrap=True)
    rows = zip(found, estimates, strict=True)
    return {"plans": [_as_json(name, plan, budgets[plan.batch], wanted, told) for (name, plan), told in rows]}


def config_of(name: str) -> ModelConfig:
    """The variant of a size by name, of a checkpoint's folder or of a .gguf file. Raises SpecError for another name."""
    return load_config(Path(name))[1] if Path(name).exists() else families.variant(name)[1]


def _batch(wanted: Wanted, config: ModelConfig) -> Batch:
    return Batch(wanted.batch_size, wanted.length or min(DEFAULT_LENGTH, config.max_positions))


def _devices(name: str) -> Devices:
    if name not in DEVICES:
        raise SpecError(f"no devices {name!r}; there is: {', '.join(DEVICES)}")
    return DEVICES[name]


def _mesh(text: str, where: Devices) -> tuple[int, int, int] | None:
    if not text:
        return None
    found = sizes(text, where.count)
    return found["data"], found["fsdp"], found["tensor"]


def _memory_table(found: Sequence[tuple[str, Plan]]) -> Table:
    parts = ("masters", "moments", "gradients", "copy", "activations", "logits")
    titles = (
        "GiB a device",
        "parameters",
        "devices",
        "mesh",
        "remat",
        "parts",
        *parts,
        "state",
        "total",
        "memory",
        "fits",
    )
    table = Table(box=box.MARKDOWN)
    for title in titles:
        table.add_column(title, justify="left" if title in ("GiB a device", "devices") else "right", no_wrap=True)
    for name, plan in found:
        told = [_gib(getattr(plan.memory, part)) for part in (*parts, "state", "total")]
        at, shape = plan.layout, Shape(plan.config)
        table.add_row(
            name,
            f"{shape.num_params:,}",
            plan.devices.title,
            at.mesh,
            at.remat,
            str(at.accumulation),
            *told,
            _gib(plan.devices.memory_bytes),
            "yes" if plan.fits else "no",
        )
    return table


def _time_table(found: Sequence[tuple[str, Plan]], budgets: Mapping[Batch, Sequence[Budget]], wanted: Wanted) -> Table:
    titles = (
        "time",
        "devices",
        "blocks",
        "FLOPs a step",
        "seconds a step",
        "tokens",
        "steps",
        "peak rate reached",
        "hours",
    )
    table = Table(box=box.MARKDOWN)
    for title in (*titles, "dollars") if wanted.price_usd else titles:
        table.add_column(title, justify="left" if title in ("time", "devices") else "right", no_wrap=True)
    for name, plan in found:
        for budget in budgets[plan.batch] if plan.fits else ():
            hours = plan.step_seconds(wanted.mfu) * budget.num_steps / HOUR
            cost = [f"{_usd(plan, hours, wanted):,.2f}"] if wanted.price_usd else []
            rate = f"{budget.peak_learning_rate:.2g} of {wanted.learning_rate:.2g}"
            counts = f"{budget.num_tokens:,}", f"{budget.num_steps:,}"
            blocks = f"{plan.batch.size} x {plan.batch.length:,}"
            speed = blocks, f"{plan.step_flops:.3g}", f"{plan.step_seconds(wanted.mfu):.3g}"
            table.add_row(name, plan.devices.title, *speed, *counts, rate, f"{hours:,.2f}", *cost)
    return table


def _notes(found: Sequence[tuple[str, Plan]], budgets: Mapping[Batch, Sequence[Budget]], wanted: Wanted) -> list[str]:
    lines = [
        "exact: parameters, state (fp32 masters and two Adam moments, 12 bytes a parameter), steps, the rate reached. "
        "By formula: all other parts, as if all were there at once; FLOPs (6 a weight + 6 L D T a token). "
        "mesh is data,fsdp,tensor; parts: a batch is taken in so many.",
        f"a device counts as full at {plans.USABLE:.0%} of its memory; on NVIDIA cards XLA takes 75 % unless "
        "XLA_PYTHON_CLIENT_MEM_FRACTION says more.",
    ]
    for where in dict.fromkeys(plan.devices for _, plan in found):
        used = f"{wanted.mfu:.0%}, as asked" if wanted.mfu else f"{where.mfu:.0%} ({where.mfu_source})"
        lines.append(f"{where.title}: MFU {used} of {where.peak_flops / 1e12:.4g} TFLOP/s, an assumption")
    for budget in (each for batch in budgets for each in budgets[batch]):
        if budget.peak_learning_rate < 0.999 * wanted.learning_rate:
            lines.append(
                f"{budget.num_tokens:,} tokens are {budget.num_steps:,} steps, which end within the warm-up of "
                f"{wanted.warmup_steps:,}: the rate never comes above {budget.peak_learning_rate:.2g}; "
                "give the warm-up as a share of the steps to compare amounts of data"
            )
    for name, plan in found:
        if plan.undivided:
            more = f" and {len(plan.undivided) - 1} more" if len(plan.undivided) > 1 else ""
            lines.append(f"{name} on {plan.devices.title}: whole on every device: {plan.undivided[0]}{more}")
    return lines


def _as_json(
    name: str, plan: Plan, budgets: Sequence[Budget], wanted: Wanted, estimate: dict[str, int] | None
) -> dict[str, object]:
    step_seconds = plan.step_seconds(wanted.mfu)
    runs = [
        asdict(budget)
        | {"seconds": step_seconds * budget.num_steps}
        | ({"usd": _usd(plan, step_seconds * budget.num_steps / HOUR, wanted)} if wanted.price_usd else {})
        for budget in budgets
    ]
    told: dict[str, object] = {
        "model": name,
        "num_params": Shape(plan.config).num_params,
        "devices": asdict(plan.devices),
        "batch": asdict(plan.batch),
        "layout": asdict(plan.layout) | {"mesh": plan.layout.mesh},
        "bytes_a_device": asdict(plan.memory) | {"state": plan.memory.state, "total": plan.memory.total},
        "fits": plan.fits,
        "undivided": plan.undivided,
        "step_flops": plan.step_flops,
        "mfu": wanted.mfu or plan.devices.mfu,
        "step_seconds": step_seconds,
        "runs": runs,
        "exact": ["num_params", "bytes_a_device.masters", "bytes_a_device.moments", "runs.num_steps"],
    }
    return told | ({"compiler_bytes_a_device": estimate} if estimate else {})


def _usd(plan: Plan, hours: float, wanted: Wanted) -> float:
    return hours * plan.devices.count * wanted.price_usd


def _gib(size: int) -> str:
    return f"{size / GIB:.2f}"
