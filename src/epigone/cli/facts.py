"""The verb `epigone facts`: argv -> command; no logic.

In: argv. Out: what `commands.facts` gives, loaded when it runs.
"""

from pathlib import Path
from typing import Annotated

import typer

from epigone import discover
from epigone.cli.options import ExecutorName, Json, Root, Workers, told


def facts(
    answers: Annotated[
        list[str], typer.Argument(help="Answers of one model or more: PATH, or NAME=PATH; side by side in this order.")
    ],
    *,
    model: Annotated[str, typer.Option(help="Who judges: a checkpoint, MODEL@URL, a server's URL, or a backend.")] = "",
    served_as: Annotated[str, typer.Option(help="The model's name at the server.")] = "",
    by: Annotated[
        str, typer.Option(help="A rule in its place: claims:WORLD of a simulated one, or another checker.")
    ] = "",
    rater: Annotated[str, typer.Option(help="What the judge is called in records.")] = "",
    references: Annotated[str, typer.Option(help="Right answers: JSON lines of prompt_id and reference.")] = "",
    judgments: Annotated[
        list[str] | None, typer.Option(help="Verdicts on these answers: how often was one preferred though wrong?")
    ] = None,
    limit: Annotated[int, typer.Option(help="Check only the first answers of each (0: all).", min=0)] = 0,
    examples: Annotated[int, typer.Option(help="Prompts that the page shows side by side.", min=0)] = 8,
    max_tokens: Annotated[int, typer.Option(help="Longest reply of the judge.", min=1)] = 1024,
    minimum_coverage: Annotated[float, typer.Option(help="Exit with 1 where a smaller share could be read.")] = 0.0,
    root: Root = Path("runs"),
    workers: Workers = 1,
    executor: ExecutorName = "local",
    as_json: Json = False,
) -> None:
    """Check answers sentence by sentence: how much is wrong, how much of it sounds sure, and did raters mind?"""
    command = discover.load("epigone.commands.facts")
    wanted = command.Wanted(
        answers, model, served_as, by, rater, references, judgments or [], limit, examples, max_tokens, minimum_coverage
    )
    told(command.run_facts(wanted, root, num_workers=workers, executor=executor, quiet=as_json), as_json)
