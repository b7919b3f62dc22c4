"""The verb `epigone describe`: argv -> command; no logic.

In: argv. Out: what `commands.describe` gives, loaded when it runs.
"""

import json
from pathlib import Path
from typing import Annotated

import typer

from epigone import discover
from epigone.cli.options import ExecutorName, Json, Root, Workers


def describe(
    dataset: Annotated[Path, typer.Argument(help="A dataset's folder, e.g. runs/datasets/NAME--HASH.")],
    other: Annotated[Path | None, typer.Argument(help="Another one, to stand beside it.")] = None,
    *,
    tokenizer: Annotated[Path | None, typer.Option(help="A tokenizer.json that counts tokens; else words.")] = None,
    labels: Annotated[list[Path] | None, typer.Option(help="Labels from the sorting page; several times.")] = None,
    ask: Annotated[str, typer.Option(help="A model that sorts the sample: a checkpoint, MODEL@URL, a backend.")] = "",
    sample: Annotated[int, typer.Option(help="Queries to be sorted into categories.", min=1)] = 50,
    seed: Annotated[int, typer.Option(help="Draws the samples.")] = 0,
    max_queries: Annotated[int, typer.Option(help="The most queries of the diversity curve.", min=2)] = 50_000,
    queries: Annotated[str, typer.Option(help="Whose nearest others are looked for: first or all.")] = "first",
    smoothing: Annotated[list[str] | None, typer.Option(help="BLEU's smoothing: none, exp, floor.")] = None,
    root: Root = Path("runs"),
    workers: Workers = 1,
    executor: ExecutorName = "local",
    as_json: Json = False,
) -> None:
    """Describe a dataset, or two side by side: counts, lengths, diversity, languages, categories, samples."""
    command = discover.load("epigone.commands.describe")
    wanted = command.Wanted(
        dataset, other, tokenizer, labels or [], ask, sample, seed, max_queries, queries, smoothing or [], executor
    )
    found = command.run_describe(wanted, root, num_workers=workers, quiet=as_json)
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False, allow_nan=False))
