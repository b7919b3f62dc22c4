"""The verb `epigone judge`: argv -> command; no logic.

In: argv. Out: what `commands.judge` gives, loaded when it runs.
"""

from pathlib import Path
from typing import Annotated

import typer

from epigone import discover
from epigone.cli.options import ExecutorName, Json, Root, told


def judge(
    a: Annotated[str, typer.Argument(help="One model's answers: PATH, or NAME=PATH.")],
    b: Annotated[str, typer.Argument(help="The other's; wins and losses are told of this one.")],
    *,
    by: Annotated[
        str, typer.Option(help="A component of judges: pairwise, vicuna, rubric, tone or likelihood.")
    ] = "pairwise",
    model: Annotated[str, typer.Option(help="Who judges: a checkpoint, MODEL@URL, a server's URL, or a backend.")],
    served_as: Annotated[str, typer.Option(help="The model's name at the server.")] = "",
    rater: Annotated[str, typer.Option(help="What the judge is called in records.")] = "",
    repeats: Annotated[int, typer.Option(help="How often each order is asked.", min=1)] = 1,
    temperature: Annotated[float, typer.Option(help="Of the judge's replies.", min=0)] = 0.0,
    retries: Annotated[int, typer.Option(help="How often an unreadable reply is asked for again.", min=0)] = 1,
    limit: Annotated[int, typer.Option(help="Judge only the first prompts (0: all).", min=0)] = 0,
    references: Annotated[str, typer.Option(help="Right answers: JSON lines of prompt_id and reference.")] = "",
    minimum_coverage: Annotated[float, typer.Option(help="Exit with 1 where a smaller share could be read.")] = 0.0,
    root: Root = Path("runs"),
    executor: ExecutorName = "local",
    as_json: Json = False,
) -> None:
    """Have a language model compare two models' answers, blind and in both orders."""
    command = discover.load("epigone.commands.judge")
    wanted = command.Wanted(
        (a, b), by, model, served_as, rater, repeats, temperature, retries, limit, references, minimum_coverage
    )
    told(command.run_judge(wanted, root, executor=executor, quiet=as_json), as_json)
