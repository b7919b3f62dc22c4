"""Options that many verbs of the command line share, and how they tell their outcome to machines.

In: what typer reads. Out: annotations, and a JSON object on standard output.
"""

import json
from pathlib import Path
from typing import Annotated

import typer

Root = Annotated[Path, typer.Option(help="Folder of all artifacts.")]
Workers = Annotated[int, typer.Option(help="Worker processes.", min=1)]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output, for machines.")]
ExecutorName = Annotated[
    str,
    typer.Option(
        "--executor",
        help="Where stages run: local, here (this process), ray, ray:HOST:PORT, ray:local, slurm, slurm:gpus=8,write.",
    ),
]


def told(outcome: dict[str, object], as_json: bool) -> None:
    """An outcome for machines: people have seen it already, on standard error."""
    if as_json:
        typer.echo(json.dumps(outcome, ensure_ascii=False))
