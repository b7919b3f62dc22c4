"""The verb `epigone trace`: argv -> command; no logic.

In: argv. Out: what `commands.trace` gives, loaded when it runs.
"""

from pathlib import Path
from typing import Annotated

import typer

from epigone import discover
from epigone.cli.options import ExecutorName, Json, Root, Workers, told


def trace(
    suspects: Annotated[
        list[str] | None, typer.Argument(help="Answers of the models in question: PATH, or NAME=PATH.")
    ] = None,
    *,
    teacher: Annotated[
        list[str] | None, typer.Option(help="Answers of a candidate teacher to the same prompts: PATH, or NAME=PATH.")
    ] = None,
    unrelated: Annotated[
        list[str] | None, typer.Option(help="Answers of a model that imitates none of them; ten or more are needed.")
    ] = None,
    known: Annotated[
        list[str] | None, typer.Option(help="TEACHER:PATH or TEACHER:NAME=PATH: a model that is known to imitate it.")
    ] = None,
    base: Annotated[str, typer.Option(help="Answers of the model that the suspects started from.")] = "",
    models: Annotated[
        str, typer.Option(help="Many models at once: JSON lines of path, role, and name, imitates, family.")
    ] = "",
    data: Annotated[str, typer.Option(help="Where the paths of --models start (default: beside that file).")] = "",
    answers: Annotated[str, typer.Option(help="Right answers: rows of a question and `answer`, for errors.")] = "",
    false_positive_rate: Annotated[
        float, typer.Option(help="Share of independent models for which a candidate may be named.")
    ] = 0.1,
    minimum_coverage: Annotated[
        float, typer.Option(help="Share of the first teacher's prompts that every model must have answered.")
    ] = 0.8,
    title: Annotated[str, typer.Option(help="Headline of the page.")] = "",
    root: Root = Path("runs"),
    workers: Workers = 2,
    executor: ExecutorName = "local",
    as_json: Json = False,
) -> None:
    """Which of several candidate teachers, or none, was a model imitated from? It may answer that it cannot tell."""
    command = discover.load("epigone.commands.trace")
    wanted = command.Wanted(
        suspects=suspects or [],
        teachers=teacher or [],
        unrelated=unrelated or [],
        known=known or [],
        base=base,
        models=models,
        data=data,
        answers=answers,
        false_positive_rate=false_positive_rate,
        minimum_coverage=minimum_coverage,
        title=title,
    )
    told(command.run_trace(wanted, root, num_workers=workers, executor=executor, quiet=as_json), as_json)
