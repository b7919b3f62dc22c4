"""The verb `epigone support`: argv -> command; no logic.

In: argv. Out: what `commands.support` gives, loaded when it runs.
"""

from pathlib import Path
from typing import Annotated

import typer

from epigone import discover
from epigone.cli.options import ExecutorName, Json, Root, Workers, told


def support(
    dataset: Annotated[
        str, typer.Argument(help="What the students learnt from: a dataset of curate, mix or synthesise.")
    ],
    *,
    base: Annotated[str, typer.Option(help="Scores of the base model: PATH, or NAME=PATH.")],
    scores: Annotated[list[str], typer.Option(help="Scores of a student on the same items: PATH, or NAME=PATH.")],
    benchmark: Annotated[str, typer.Option(help="Which one, where a source holds scores of several.")] = "",
    metric: Annotated[str, typer.Option(help="Which metric; else the one that stands for the benchmark.")] = "",
    items: Annotated[
        str, typer.Option(help="The benchmark as NAME:option=value,...; else what is asked is read off the prompts.")
    ] = "",
    turns: Annotated[str, typer.Option(help="Turns that are examples: user, all, or the first of the user.")] = "user",
    bins: Annotated[int, typer.Option(help="Bins of equally many items.", min=2)] = 5,
    title: Annotated[str, typer.Option(help="Headline of the page.")] = "",
    root: Root = Path("runs"),
    workers: Workers = 2,
    executor: ExecutorName = "local",
    as_json: Json = False,
) -> None:
    """Where did imitation help: a student's gain on each item by how near the training data come to it."""
    command = discover.load("epigone.commands.support")
    wanted = command.Wanted(dataset, base, scores, benchmark, metric, items, turns, bins, title)
    told(command.run_support(wanted, root, num_workers=workers, executor=executor, quiet=as_json), as_json)
