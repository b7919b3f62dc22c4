"""The verbs `epigone export` and `epigone publish`: argv -> command; no logic.

In: argv. Out: what `commands.export` and `commands.publish` give, loaded when they run.
"""

from pathlib import Path
from typing import Annotated

import typer

from epigone import discover
from epigone.cli.options import Json, told


def export(
    checkpoint: Annotated[Path, typer.Argument(help="A checkpoint's folder, a .gguf or EasyLM file.")],
    out: Annotated[Path, typer.Argument(help="The file (gguf) or folder (safetensors) to write.")],
    *,
    to: Annotated[str, typer.Option(help="gguf, or safetensors: as transformers loads it.")] = "gguf",
    kind: Annotated[str, typer.Option(help="How gguf stores matrices: f32, f16 or q8_0.")] = "f16",
    base: Annotated[Path | None, typer.Option(help="What CHECKPOINT, a difference of weights, is added to.")] = None,
    as_json: Json = False,
) -> None:
    """Write a checkpoint in another layout: GGUF for llama.cpp, safetensors for transformers."""
    command = discover.load("epigone.commands.export")
    told(command.run_export(checkpoint, out, to=to, kind=kind, base=base, quiet=as_json), as_json)


def publish(
    checkpoint: Annotated[Path, typer.Argument(help="A checkpoint's folder, e.g. runs/checkpoints/NAME--HASH.")],
    repo: Annotated[str, typer.Argument(help="OWNER/NAME on the hub.")],
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would go to the hub; send nothing.")] = False,
    private: Annotated[bool, typer.Option("--private", help="Only the owner sees it.")] = False,
    as_json: Json = False,
) -> None:
    """Send a checkpoint with its card to a model hub (token: HF_TOKEN), with warnings on licences and terms."""
    command = discover.load("epigone.commands.publish")
    told(command.run_publish(checkpoint, repo, dry_run=dry_run, private=private, quiet=as_json), as_json)
