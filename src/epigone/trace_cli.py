"""The verbs `epigone trace` and `epigone support`: argv -> command; no logic.

In: argv. Out: what `trace_command` and `support_command` give, loaded when they run.
"""

from pathlib import Path
from typing import Annotated

import typer

from epigone import discover
from epigone.cli_options import ExecutorName, Json, Root, Workers, told


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
    command = discover.load("epigone.trace_command")
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
    command = discover.load("epigone.support_command")
    wanted = command.Wanted(dataset, base, scores, benchmark, metric, items, turns, bins, title)
    told(command.run_support(wanted, root, num_workers=workers, executor=executor, quiet=as_json), as_json)
