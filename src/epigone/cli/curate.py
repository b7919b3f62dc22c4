"""The verbs `epigone curate` and `epigone mix`: argv -> command; no logic.

In: argv. Out: what `commands.curate` gives, loaded when it runs.
"""

from pathlib import Path
from typing import Annotated

import typer

from epigone import discover
from epigone.cli.options import ExecutorName, Json, Root, Workers, told


def curate(
    *,
    dumps: Annotated[
        list[str], typer.Argument(help="Raw dumps or datasets: PATH, or FORMAT=PATH where it cannot be told.")
    ],
    format: Annotated[str, typer.Option(help="The dumps' format; without it, it is told from their content.")] = "",
    filter: Annotated[
        list[str] | None,
        typer.Option(help="NAME or NAME:option=value,..., in this order; none for none. Without it: duplicates."),
    ] = None,
    evaluation: Annotated[
        list[str] | None, typer.Option(help="Evaluation prompts; conversations that ask one are dropped.")
    ] = None,
    salvage: Annotated[bool, typer.Option(help="Keep what is whole of a damaged file, and count the loss.")] = False,
    mixture: Annotated[str, typer.Option(help="A named mixture of the dumps, e.g. sharegpt-mix.")] = "",
    tokenizer: Annotated[str, typer.Option(help="tokenizer.json that counts a mixture's tokens; else words.")] = "",
    amounts: Annotated[
        list[str] | None, typer.Option(help="Token budgets to tell, each within the next: 0.3M 1M 20M.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Orders a mixture.")] = 0,
    name: Annotated[str, typer.Option(help="What the dataset is called.")] = "",
    root: Root = Path("runs"),
    workers: Workers = 2,
    executor: ExecutorName = "local",
    as_json: Json = False,
) -> None:
    """Raw dumps into one dataset, with a ledger of what was left out and why."""
    command = discover.load("epigone.commands.curate")
    wanted = command.Wanted(
        dumps=dumps,
        format=format,
        filters=filter or [],
        evaluation=evaluation or [],
        salvage=salvage,
        mixture=mixture,
        tokenizer=tokenizer,
        amounts=amounts or [],
        seed=seed,
        name=name,
        executor=executor,
    )
    told(command.run_curation(wanted, root, num_workers=workers, quiet=as_json), as_json)


def mix(
    *,
    parts: Annotated[list[str], typer.Argument(help="Datasets: runs/datasets/NAME--HASH, or PART=FOLDER.")],
    weight: Annotated[list[float] | None, typer.Option(help="Share of each part, in their order; else all.")] = None,
    tokenizer: Annotated[str, typer.Option(help="tokenizer.json of the student; without it, words count.")] = "",
    amounts: Annotated[
        list[str] | None, typer.Option(help="Token budgets to tell, each within the next: 0.3M 1M 20M.")
    ] = None,
    go_on: Annotated[bool, typer.Option(help="Go on with the others where a part runs out.")] = False,
    seed: Annotated[int, typer.Option(help="Orders every part.")] = 0,
    name: Annotated[str, typer.Option(help="What the mixture is called.")] = "",
    root: Root = Path("runs"),
    workers: Workers = 2,
    executor: ExecutorName = "local",
    as_json: Json = False,
) -> None:
    """Mix datasets by weight, so that every beginning keeps the weights."""
    command = discover.load("epigone.commands.curate")
    options = {"tokenizer": tokenizer, "amounts": amounts or [], "seed": seed, "go_on": go_on, "name": name}
    where = {"num_workers": workers, "executor": executor, "quiet": as_json}
    told(command.run_mix(parts, weight or [], root, **options, **where), as_json)
