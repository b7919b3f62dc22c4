"""The verb `epigone train`: argv -> command; no logic.

In: argv. Out: what `commands.train` gives, loaded when it runs.
"""

import os
from pathlib import Path
from typing import Annotated

import typer

from epigone import discover
from epigone.cli.options import ExecutorName, Json, Root, told
from epigone.schedule import compiled_once, keep_freed_memory


def train(
    blocks: Annotated[Path, typer.Argument(help="Blocks that epigone tokenize made: RUNS/blocks/NAME--HASH.")],
    *,
    start: Annotated[Path, typer.Option(help="The base: a checkpoint's folder or artifact, or a .gguf file.")],
    learning_rate: Annotated[float, typer.Option(help="Peak rate.")] = 2e-5,
    batch_size: Annotated[int, typer.Option(help="Blocks a step.", min=1)] = 32,
    epochs: Annotated[int, typer.Option(help="Passes over the blocks.", min=1)] = 1,
    steps: Annotated[int, typer.Option(help="Steps instead of passes (0: passes).", min=0)] = 0,
    warmup_share: Annotated[float, typer.Option(help="Share of the steps (0-1) in which the rate rises.")] = 0.03,
    schedule: Annotated[str, typer.Option(help="After the warm-up: constant, linear or cosine.")] = "cosine",
    optimizer: Annotated[str, typer.Option(help="adamw, or one of docs/decisions/0013.")] = "adamw",
    weight_decay: Annotated[float, typer.Option(help="Decoupled.", min=0)] = 0.0,
    accumulation: Annotated[int, typer.Option(help="Parts that a batch is taken in, for memory.", min=1)] = 1,
    dtype: Annotated[str, typer.Option(help="Of the passes: float32 or bfloat16; parameters are float32.")] = "float32",
    remat: Annotated[str, typer.Option(help="Computed again for memory: none, dots or full.")] = "none",
    treatment: Annotated[
        list[str] | None, typer.Option(help="NAME:option=value,..., e.g. lora:rank=16; may be given several times.")
    ] = None,
    mesh: Annotated[str, typer.Option(help="Devices by axis: data,fsdp,tensor (default: one).")] = "",
    seed: Annotated[int, typer.Option(help="Order of the blocks, and what is drawn.")] = 0,
    name: Annotated[str, typer.Option(help="What the student is called.")] = "",
    root: Root = Path("runs"),
    executor: ExecutorName = "local",
    as_json: Json = False,
) -> None:
    """Fine-tune a checkpoint on blocks; what was interrupted goes on, and ends in the same bytes."""
    keep_freed_memory()
    for variable, value in compiled_once().items():
        os.environ.setdefault(variable, value)
    command, recipes = discover.load("epigone.commands.train"), discover.load("epigone.training.optimizer")
    recipe = recipes.Recipe(
        learning_rate,
        batch_size,
        num_epochs=None if steps else epochs,
        num_steps=steps or None,
        warmup_share=warmup_share,
        schedule=schedule,
        optimizer=optimizer,
        weight_decay=weight_decay,
        accumulation=accumulation,
        seed=seed,
    )
    compute = discover.load("epigone.models.compute").Compute(dtype=dtype, remat=remat)
    wanted = command.Wanted(blocks, start, recipe, compute, treatment or [], mesh, seed, name)
    told(command.run_train(wanted, root, executor=executor, quiet=as_json), as_json)
