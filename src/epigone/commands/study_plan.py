"""What `epigone study NAME --plan` shows: the training runs of a study, and what they take by devices.

In: a study and parsed arguments. Out: the JSON object of --json; Markdown tables on standard output. Hours are those of
training alone: what evaluations take depends on how long answers come out.
"""

from collections.abc import Mapping

from rich import box
from rich.console import Console
from rich.table import Table

from epigone.commands.plan import WIDTH
from epigone.errors import SpecError
from epigone.study import Study
from epigone.study_plan import Run, StudyPlan, planned, rows
from epigone.training.devices import DEVICES, GIB, Devices

GB = 10**9
UNKNOWN = "unknown"


def run_study_plan(study: Study, *, devices: str, price: str, mfu: float, only: str, quiet: bool) -> dict[str, object]:
    """Plan and show. `devices` are names joined by commas, `price` one number or DEVICES=NUMBER, joined by commas.

    Raises SpecError for devices that are not known, or what is no price.
    """
    if not 0 <= mfu <= 1:
        raise SpecError(f"--mfu is a share from 0 to 1, not {mfu}")
    where = _devices(devices)
    prices = _prices(price, where)
    found = planned(study, where, prices=prices, mfu=mfu or None, only=only)
    console = Console(quiet=quiet, width=None if Console().is_terminal else WIDTH, highlight=False)
    console.print(_runs_table(found))
    console.print(_devices_table(found))
    for line in _notes(found, prices, mfu):
        console.print(f"- {line}", soft_wrap=True, markup=False)
    return {
        "study": found.name,
        "num_stages": dict(found.num_stages),
        "runs": list(rows(found)),
        "totals": {
            name: {what: _total(found, what, name) for what in ("hours", "usd")} for name in where
        } | {"checkpoint_bytes": _total(found, "disk_bytes")},
        "mfu": {name: {"share": mfu or each.mfu, "source": "--mfu" if mfu else each.mfu_source}
                for name, each in where.items()},
    }  # fmt: skip


def _devices(text: str) -> dict[str, Devices]:
    names = [name.strip() for name in text.split(",") if name.strip()] or list(DEVICES)
    if unknown := next((name for name in names if name not in DEVICES), None):
        raise SpecError(f"no devices {unknown!r}; there is: {', '.join(DEVICES)}")
    return {name: DEVICES[name] for name in names}


def _prices(text: str, devices: Mapping[str, Devices]) -> dict[str, float]:
    found: dict[str, float] = {}
    for part in filter(None, text.split(",")):
        name, equals, value = part.strip().rpartition("=")
        if equals and name not in devices:
            raise SpecError(f"--price {part}: the plan has no devices {name!r}; it has {', '.join(devices)}")
        try:
            found |= dict.fromkeys([name] if equals else devices, float(value))
        except ValueError as error:
            raise SpecError(f"--price {part}: write dollars a device and hour, 2.5 or h200=2.5,24gb=0.4") from error
    return found


def _runs_table(plan: StudyPlan) -> Table:
    titles = ("training run", "parameters", "tokens", "blocks a step", "steps", "peak rate reached", "checkpoint GB")
    table = Table(box=box.MARKDOWN)
    for number, title in enumerate(titles):
        table.add_column(title, justify="right" if number else "left", no_wrap=True)
    for run in plan.runs:
        disk = f"{run.disk_bytes / GB:.1f}" if run.disk_bytes is not None else UNKNOWN
        reached = f"{run.budget.peak_learning_rate:.2g} of {run.learning_rate:.2g}" if run.budget else UNKNOWN
        table.add_row(
            run.name,
            _count(run.num_params),
            _count(run.num_tokens),
            f"{run.batch.size} x {run.batch.length:,}" if run.batch else UNKNOWN,
            _count(run.budget.num_steps if run.budget else None),
            reached,
            disk,
        )
    return table


def _devices_table(plan: StudyPlan) -> Table:
    """One row a size and devices: the runs of a size differ in their steps alone."""
    table = Table(box=box.MARKDOWN)
    titles = ("base", "devices", "mesh", "remat", "parts", "GiB a device", "fits", "hours", "dollars")
    for number, title in enumerate(titles):
        table.add_column(title, justify="right" if number > 1 else "left", no_wrap=True)
    for name, runs in _by_size(plan).items():
        for key, where in plan.devices.items():
            at, first = [run.on[key] for run in runs], runs[0].on[key].plan
            hours = [each.hours for each in at if each.hours is not None]
            usd = [each.usd for each in at if each.usd is not None]
            table.add_row(
                name,
                where.title,
                first.layout.mesh,
                first.layout.remat,
                str(first.layout.accumulation),
                f"{first.memory.total / GIB:.1f} of {where.memory_bytes / GIB:.0f}",
                "yes" if first.fits else "no",
                f"{sum(hours):,.2f}" if hours else UNKNOWN if first.fits else "",
                f"{sum(usd):,.2f}" if usd else UNKNOWN if first.fits else "",
            )
    return table


def _by_size(plan: StudyPlan) -> dict[str, list[Run]]:
    """Runs that share a shape and a batch, by the longest beginning that their names share."""
    found: dict[object, list[Run]] = {}
    for run in plan.runs:
        if run.config and run.batch:
            found.setdefault((run.config, run.batch), []).append(run)
    return {_shared([run.name for run in runs]): runs for runs in found.values()}


def _shared(names: list[str]) -> str:
    parts = [name.split("-") for name in names]
    if len(names) == 1:
        return names[0]
    same = []
    for group in zip(*parts, strict=False):
        if len(set(group)) > 1:
            break
        same.append(group[0])
    return "-".join(same) or f"{names[0]} and {len(names) - 1} more"


def _notes(plan: StudyPlan, prices: Mapping[str, float], mfu: float) -> list[str]:
    lines = [f"stages: {', '.join(f'{number} {verb}' for verb, number in plan.num_stages.items())}"]
    size, left = plan.total("disk_bytes")
    lines.append(f"checkpoints: {size / GB:,.1f} GB in fp32{_without(left)}; a run's state takes three times its own")
    for name, where in plan.devices.items():
        used = f"{mfu:.0%}, as asked" if mfu else f"{where.mfu:.0%} ({where.mfu_source})"
        hours, left = plan.total("hours", name)
        price = f", {plan.total('usd', name)[0]:,.2f} dollars at {prices[name]:g}" if name in prices else ""
        told = f"{hours:,.2f} hours{price}{_without(left)}" if hours else "no run whose hours are known fits"
        measured = " measured here" if "perf/results" in where.mfu_source and not mfu else " assumed"
        lines.append(f"{where.title}: {told}; MFU{measured}: {used}")
    lines.append("hours and dollars are of training alone, one run after the other; evaluations are not in them")
    lines.append("mesh, remat and parts are the plainest that fit, in bf16 but on CPUs; a study takes its own options")
    if not prices:
        lines.append("dollars: no price is assumed; give one a device and hour with --price")
    if any(run.num_tokens is None for run in plan.runs):
        lines.append("unknown tokens: all that a dataset holds, which is counted when it is there")
    if any(run.config is None for run in plan.runs):
        lines.append("unknown parameters: the vocabulary is that of a tokenizer which the study makes")
    if short := [run for run in plan.runs if run.budget and run.budget.peak_learning_rate < 0.999 * run.learning_rate]:
        lines.append(
            f"{len(short)} of {len(plan.runs)} runs end within their warm-up and never reach the rate that they ask "
            f"for: {short[0].name} and others" if len(short) > 1 else f"{short[0].name} ends within its warm-up"
        )  # fmt: skip
    return lines


def _without(left: int) -> str:
    return f", {left} runs not in it" if left else ""


def _count(number: int | None) -> str:
    return UNKNOWN if number is None else f"{number:,}"


def _total(plan: StudyPlan, what: str, devices: str = "") -> dict[str, object]:
    value, left = plan.total(what, devices)
    return {"known": value, "num_unknown": left}
