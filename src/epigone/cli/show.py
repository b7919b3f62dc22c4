"""The verb `epigone show`: argv -> command; no logic.

In: argv. Out: what `commands.show` prints or serves, loaded when it runs.
"""

from pathlib import Path
from typing import Annotated

import typer

from epigone import discover
from epigone.cli.options import Json


def show(
    artifact: Annotated[Path, typer.Argument(help="An artifact's folder.")],
    *,
    rows: Annotated[int, typer.Option(help="How many records.")] = 3,
    skip: Annotated[int, typer.Option(help="Records to leave out first.")] = 0,
    row: Annotated[
        int | None, typer.Option(help="Of blocks or scores: only this one (from 0), token for token.")
    ] = None,
    reason: Annotated[str, typer.Option(help="Of a dataset: only what was dropped for this reason.")] = "",
    by_page: Annotated[bool, typer.Option(help="Of a dataset: page after page, not the first alone.")] = False,
    web: Annotated[
        bool, typer.Option("--web", help="Of a report, or of scores: its pages, served on this machine alone.")
    ] = False,
    port: Annotated[int, typer.Option(help="Where its pages are served; 0: any free port.", min=0, max=65535)] = 0,
    as_json: Json = False,
) -> None:
    """Look into an artifact: spec, counts, records; items of scores, blocks in colour, what a dataset dropped."""
    wanted = {"num_rows": rows, "skip": skip, "row": row, "reason": reason, "by_page": by_page}
    wanted |= {"web": web, "port": port}
    discover.load("epigone.commands.show").show_artifact(artifact, **wanted, as_json=as_json)
