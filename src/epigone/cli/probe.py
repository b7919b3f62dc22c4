"""The verb `epigone probe`: argv -> command; no logic.

In: argv. Out: what `commands.probe` gives, loaded when it runs.
"""

from pathlib import Path
from typing import Annotated

import typer

from epigone import discover
from epigone.cli.options import ExecutorName, Json, Root, Workers, told


def probe(
    benchmark: Annotated[
        str, typer.Argument(help="mmlu:option=value,..., e.g. mmlu:test_folder=data/test,dev_folder=data/dev")
    ],
    *,
    model: Annotated[str, typer.Option(help="Who is probed: a checkpoint, MODEL@URL, a server's URL, or a backend.")],
    served_as: Annotated[str, typer.Option(help="The model's name at the server.")] = "",
    paraphrase_by: Annotated[str, typer.Option(help="Who says the questions in other words; another model.")] = "",
    after_cutoff: Annotated[
        str, typer.Option(help="Items in the same layout that were written after the model was trained.")
    ] = "",
    limit: Annotated[int, typer.Option(help="Ask only so many items, drawn at random (0: all).", min=0)] = 0,
    seed: Annotated[int, typer.Option(help="Draws the items and the orders of options.")] = 0,
    name: Annotated[str, typer.Option(help="What the model is called.")] = "",
    root: Root = Path("runs"),
    workers: Workers = 1,
    executor: ExecutorName = "local",
    as_json: Json = False,
) -> None:
    """Does a model know a benchmark, or its published bytes? The same items shuffled, paraphrased, and newer ones."""
    command = discover.load("epigone.commands.probe")
    wanted = command.Wanted(benchmark, model, served_as, paraphrase_by, after_cutoff, limit, seed, name)
    told(command.run_probe(wanted, root, num_workers=workers, executor=executor, quiet=as_json), as_json)
