"""The verb `epigone plan`: argv -> command; no logic.

In: argv. Out: what `commands.plan` gives, loaded when it runs.
"""

from typing import Annotated

import typer

from epigone import discover
from epigone.cli.options import Json, told


def plan(
    *,
    models: Annotated[list[str], typer.Argument(help="Sizes by name, e.g. llama-13b, or folders with config.json.")],
    devices: Annotated[list[str] | None, typer.Option(help="Sets of devices, e.g. 8xa100-80 h200; else all.")] = None,
    tokens: Annotated[list[str] | None, typer.Option(help="Token budgets: 5M 150M.")] = None,
    length: Annotated[int, typer.Option(help="Tokens of a block (0: 2048, or the model's positions).", min=0)] = 0,
    batch_size: Annotated[int, typer.Option(help="Blocks a step.", min=1)] = 32,
    learning_rate: Annotated[float, typer.Option(help="Peak rate.")] = 2e-3,
    warmup_steps: Annotated[int, typer.Option(help="Steps of linear warm-up.", min=0)] = 1000,
    mesh: Annotated[str, typer.Option(help="data,fsdp,tensor, e.g. 1,-1,1; else the plainest that fits.")] = "",
    mfu: Annotated[float, typer.Option(help="Model FLOPs utilisation, 0-1 (0: as published for the device).")] = 0.0,
    price: Annotated[float, typer.Option(help="Dollars a device and hour (0: no cost is told).", min=0)] = 0.0,
    compile: Annotated[bool, typer.Option("--compile", help="Also ask the compiler, on simulated devices.")] = False,
    as_json: Json = False,
) -> None:
    """What a training run will take, from shapes alone: memory, layout, FLOPs, steps, the rate reached, time, cost."""
    command = discover.load("epigone.commands.plan")
    wanted = command.Wanted(
        models=models,
        devices=devices or [],
        tokens=tokens or ["5M", "150M"],
        length=length,
        batch_size=batch_size,
        learning_rate=learning_rate,
        warmup_steps=warmup_steps,
        mesh=mesh,
        mfu=mfu,
        price_usd=price,
        compile=compile,
    )
    told(command.run_plan(wanted, quiet=as_json), as_json)
