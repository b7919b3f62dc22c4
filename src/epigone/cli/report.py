"""The verb `epigone report`: argv -> command; no logic.

In: argv. Out: what `commands.report` finds, loaded when it runs.
"""

from pathlib import Path
from typing import Annotated

import typer

from epigone import discover
from epigone.cli.options import Json, told


def report(
    studies: Annotated[list[Path], typer.Argument(help="Two studies: RUNS/studies/NAME--HASH each.")],
    *,
    compare: Annotated[bool, typer.Option("--compare", help="The same cells of both side by side.")] = False,
    out: Annotated[Path | None, typer.Option(help="A folder for the page, its table and its CSV.")] = None,
    as_json: Json = False,
) -> None:
    """Compare two studies: the same cells, differences with paired intervals where the items are the same."""
    command = discover.load("epigone.commands.report")
    told(command.run_report(studies, compare=compare, out=out, quiet=as_json), as_json)
