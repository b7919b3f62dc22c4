"""The verbs `epigone list` and `epigone gc`: argv -> command; no logic.

In: argv. Out: what `commands.artifacts` gives, loaded when it runs.
"""

from pathlib import Path
from typing import Annotated

import typer

from epigone import discover
from epigone.cli.options import Json, Root, told


def list_artifacts(root: Root = Path("runs"), as_json: Json = False) -> None:
    """The artifacts under the root: kind, name, size, age, and what needs them."""
    told(discover.load("epigone.commands.artifacts").run_list(root, quiet=as_json), as_json)


def gc(
    *,
    root: Root = Path("runs"),
    keep: Annotated[list[str] | None, typer.Option(help="A glob: artifacts to keep, with what they need.")] = None,
    delete: Annotated[bool, typer.Option("--delete", help="Delete them; without it they are shown.")] = False,
    as_json: Json = False,
) -> None:
    """What neither a study nor an artifact to keep needs: shown, or deleted."""
    command = discover.load("epigone.commands.artifacts")
    told(command.run_gc(root, keep or [], delete=delete, quiet=as_json), as_json)
