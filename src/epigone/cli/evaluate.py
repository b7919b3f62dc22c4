"""The verb `epigone evaluate`: argv -> command; no logic.

In: argv. Out: what `commands.evaluate` gives, loaded when it runs.
"""

from pathlib import Path
from typing import Annotated

import typer

from epigone import discover
from epigone.cli.options import ExecutorName, Json, Root, Workers, told


def evaluate(
    benchmarks: Annotated[
        list[str], typer.Argument(help="NAME:option=value,..., e.g. mmlu:test_folder=data/test,dev_folder=data/dev")
    ],
    *,
    model: Annotated[str, typer.Option(help="A checkpoint's folder, a .gguf file, a server's base URL, or a backend.")],
    served_as: Annotated[str, typer.Option(help="The model's name at the server.")] = "",
    limit: Annotated[int, typer.Option(help="Ask only so many items, drawn at random (0: all).", min=0)] = 0,
    seed: Annotated[int, typer.Option(help="Draws the items of a limited evaluation.")] = 0,
    shards: Annotated[int, typer.Option(help="In how many parts the items are cut, for several workers.", min=1)] = 1,
    name: Annotated[str, typer.Option(help="What the model is called.")] = "",
    root: Root = Path("runs"),
    workers: Workers = 1,
    executor: ExecutorName = "local",
    as_json: Json = False,
) -> None:
    """Measure a model on benchmarks, every item kept; what was interrupted goes on."""
    command = discover.load("epigone.commands.evaluate")
    wanted = command.Wanted(benchmarks, model, served_as, limit, seed, shards, name)
    found = command.run_evaluations(wanted, root, num_workers=workers, executor=executor, quiet=as_json)
    told(found, as_json)
