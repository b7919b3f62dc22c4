"""The verb `epigone fit-rater`: argv -> command; no logic.

In: argv. Out: what `commands.fit_rater` gives, loaded when it runs.
"""

from pathlib import Path
from typing import Annotated

import typer

from epigone import discover
from epigone.cli.options import Json, told


def fit_rater(
    votes: Annotated[Path, typer.Argument(help="Votes of people, in a format that `epigone audit --judgments` reads.")],
    *,
    answers: Annotated[list[str], typer.Option(help="The answers that were voted on: PATH, or NAME=PATH.")],
    out: Annotated[Path, typer.Option(help="Where the fitted rater goes, a JSON file.")],
    references: Annotated[str, typer.Option(help="Right answers: JSON lines of prompt_id and reference.")] = "",
    name: Annotated[str, typer.Option(help="What the rater is called.")] = "",
    source: Annotated[str, typer.Option(help="Whose votes they are, for who reads the file.")] = "",
    licence: Annotated[str, typer.Option(help="Of the votes.")] = "",
    as_json: Json = False,
) -> None:
    """Fit a rater to people's votes: what form and a right answer are worth, and how well that foretells others."""
    command = discover.load("epigone.commands.fit_rater")
    wanted = command.Wanted(votes, answers, references, name or votes.stem, source, licence)
    told(command.run_fit_rater(wanted, out, quiet=as_json), as_json)
