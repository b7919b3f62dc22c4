"""What `epigone train` does, and what a person sees of it: blocks and a checkpoint to start from -> a student.

In: parsed arguments. Out: the JSON object of --json; progress on standard error. It runs in this process, with all its
devices and cores, unless an executor is named.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from rich.console import Console
from rich.table import Table

from epigone.commands.run import build
from epigone.component_text import artifact_of, artifact_under, component
from epigone.errors import SpecError
from epigone.gguf_file import find_gguf
from epigone.models.compute import Compute
from epigone.spec import Artifact, Component, Input
from epigone.spec import build as read_spec
from epigone.stages.train import Train
from epigone.store import read_summary
from epigone.training.optimizer import Recipe

TOKENIZER = "tokenizer.json"
SHOWN = ("num_params", "imitation_tokens", "replay_tokens", "num_steps", "first_loss", "last_loss")


@dataclass(frozen=True)
class Wanted:
    """The arguments of `epigone train`."""

    blocks: Path
    start: Path
    recipe: Recipe
    compute: Compute
    treatments: Sequence[str] = ()
    mesh: str = ""
    seed: int = 0
    name: str = ""


def run_train(wanted: Wanted, root: Path, *, executor: str = "local", quiet: bool) -> dict[str, object]:
    """Train; returns the checkpoint's folder and its summary. Raises EpigoneError."""
    console = Console(stderr=True, quiet=quiet)
    stage = plan(wanted, root)
    folder = build(stage, root, console, 1, "here" if executor == "local" else executor)
    summary = read_summary(folder)
    table = Table("", stage.name, box=None, title="trained")
    for name in SHOWN:
        value = summary.get(name)
        table.add_row(name.replace("_", " "), f"{value:,}" if isinstance(value, int) else f"{value:.4g}")
    console.print(table)
    for note in cast(list[str], summary["notes"]):
        console.print(f"note: {note}", soft_wrap=True, markup=False)
    console.print(str(folder), highlight=False, soft_wrap=True)
    return {"artifact": str(folder)} | summary


def plan(wanted: Wanted, root: Path) -> Train:
    """The stage. Raises SpecError for a path that is not what it should be and an option that there is not."""
    if not (wanted.blocks / "DONE").is_file() or wanted.blocks.resolve().parent.name != "blocks":
        raise SpecError(
            f"{wanted.blocks} holds no blocks; make them of a dataset: "
            f"epigone tokenize DATASET --tokenizer {wanted.start}"
        )
    blocks = artifact_of(wanted.blocks, root)
    ours = artifact_under(wanted.start, root)
    return Train(
        blocks,
        Input(TOKENIZER, ours) if ours else _tokenizer(wanted.start),
        wanted.recipe,
        wanted.name or f"{wanted.start.resolve().name.partition('--')[0]}-on-{_slug(blocks)}",
        start=ours or Input(str(wanted.start)),
        template=_template(wanted.blocks),
        treatments=tuple(component("training.treatments", text) for text in wanted.treatments),
        compute=wanted.compute,
        mesh=wanted.mesh,
        seed=wanted.seed,
    )


def _tokenizer(start: Path) -> Input:
    """The file of a checkpoint from elsewhere that holds its tokenizer."""
    if (start / TOKENIZER).is_file():
        return Input(str(start / TOKENIZER))
    if start.suffix == ".gguf" and start.is_file():
        return Input(str(start))
    if start.is_dir() and find_gguf(start):
        return Input(str(start))
    raise SpecError(f"{start} is no checkpoint: a folder with config.json, weights and {TOKENIZER}, or a .gguf file")


def _template(blocks: Path) -> Component:
    """How the blocks were written, which the student must know to be asked."""
    spec = json.loads((blocks / "spec.json").read_text())["spec"]
    return cast(Component, read_spec(object, spec["template"], f"{blocks}/spec.json"))


def _slug(artifact: Artifact) -> str:
    return artifact.id.partition("/")[2].rpartition("--")[0]
