"""What `epigone held-out` does: prompts for a study's evaluation that its training data do not hold.

In: parsed arguments. Out: the artifact's folder and counts; on standard error what was left out and why, and where the
held-out prompts come from.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from rich.console import Console
from rich.table import Table

from epigone.commands.run import build
from epigone.component_text import artifact_under, backend_of
from epigone.errors import SpecError
from epigone.spec import Component, Input
from epigone.stages.filter_prompts import FilterPrompts
from epigone.stages.hold_out import HoldOut
from epigone.stages.select import Select
from epigone.store import Store, read_summary

RECORDS = "records.parquet"
_COUNTS = (
    "num_left", "num_kept", "num_choosing", "sources", "categories", "num_without_category", "table_5", "num_unsorted",
)  # fmt: skip


@dataclass(frozen=True)
class Wanted:
    """The arguments of `epigone held-out`."""

    sources: Sequence[str]
    training: Sequence[str] = ()
    any_training: bool = False
    num: int = 255
    threshold: float = 20
    languages: Sequence[str] = ("en",)
    keep_code: bool = False
    hard: bool = False
    base: str = ""
    teacher: str = ""
    num_probes: int = 0
    max_tokens: int = 512
    sort_by: str = ""
    seed: int = 0
    name: str = "held-out"


def run_held_out(wanted: Wanted, root: Path, *, executor: str = "local", quiet: bool) -> dict[str, object]:
    """Hold prompts out; returns files and counts. Raises EpigoneError."""
    console = Console(stderr=True, quiet=quiet, highlight=False)
    stage = stage_of(wanted, root)
    folder = build(stage, root, console, 1, executor)
    filtered = Store(root).path(stage.filtered)
    read, told = read_summary(filtered), read_summary(folder)
    _print(read, told, console)
    console.print(f"{told['num_kept']} held-out prompts: {folder / 'records.jsonl'}", soft_wrap=True)
    files = {"artifact": str(folder), "prompts": str(folder / "records.jsonl"), "filtered": str(filtered)}
    if wanted.hard:
        files["choosing"] = str(folder / "choosing.jsonl")
        console.print(
            f"chosen by {told['num_choosing']} others, not to be claimed on: {files['choosing']}", soft_wrap=True
        )
    return {**files, "num_read": read["num_read"], "dropped": read["dropped"]} | {key: told[key] for key in _COUNTS}


def stage_of(wanted: Wanted, root: Path) -> HoldOut:
    """What was asked for. Raises SpecError for whatever is not there or cannot be."""
    for path in wanted.sources:
        if not Path(path).is_file():
            raise SpecError(f"there is no file {path}; give JSON lines of prompts, as benchmarks publish them")
    if bool(wanted.training) == wanted.any_training:
        raise SpecError(
            "held out of what? Give the datasets that were trained on with --training; --any-training says that there "
            "is none to compare with, and then no --training is given"
        )
    filtered = FilterPrompts(tuple(map(Input, wanted.sources)), _filters(wanted, root), name=f"{wanted.name}-filtered")
    sorter = _model("--sort-by", wanted.sort_by) if wanted.sort_by else None
    if not wanted.hard:
        if wanted.base or wanted.teacher or wanted.num_probes:
            raise SpecError("--base, --teacher and --probes choose a hard set: add --hard, or leave them out")
        return HoldOut(filtered, wanted.num, sorter=sorter, seed=wanted.seed, name=wanted.name)
    if wanted.num < 1:
        raise SpecError("--hard: say with --num how many of the hardest prompts are wanted")
    num_probes = wanted.num_probes or wanted.num
    hard = Select(
        Input("records.jsonl", filtered),
        num_probes + wanted.num,
        "disagreement",
        _model("--base", wanted.base),
        _model("--teacher", wanted.teacher),
        num_probes=num_probes,
        max_tokens=wanted.max_tokens,
        seed=wanted.seed,
        name=f"{wanted.name}-hard",
    )
    return HoldOut(filtered, wanted.num, hard, num_probes, sorter, seed=wanted.seed, name=f"{wanted.name}-hard")


def _filters(wanted: Wanted, root: Path) -> tuple[Component, ...]:
    options: dict[str, object] = {"threshold": wanted.threshold}
    overlap = [
        Component.of("curation", "training_overlap", path=_records(text, root), **options) for text in wanted.training
    ]
    language = (
        [Component.of("curation", "language", languages=tuple(wanted.languages))]
        if tuple(wanted.languages) != ("any",)
        else []
    )
    once = Component.of("curation", "duplicates", query="all")  # a prompt of two sources would stand in both splits
    return (once, *overlap, *language, *([] if wanted.keep_code else [Component.of("curation", "code_prompts")]))


def _records(text: str, root: Path) -> Input:
    """The records of a dataset: an artifact under the root by its id, else a folder or file by its content."""
    path = Path(text)
    if (path / RECORDS).is_file() and (ours := artifact_under(path, root)):
        return Input(RECORDS, ours)
    file = path / RECORDS if path.is_dir() else path
    if not file.is_file() or file.suffix != ".parquet":
        raise SpecError(f"--training {text}: a dataset is needed; make one of a dump by epigone curate {text}")
    return Input(str(file))


def _model(option: str, text: str) -> Component:
    model = backend_of(text) if text else None
    if model is None:
        raise SpecError(f"{option} {text}: a model is needed: a checkpoint, MODEL@URL, hf://OWNER/NAME or a backend")
    return model


def _print(read: Mapping[str, object], told: Mapping[str, object], console: Console) -> None:
    table = Table("", "prompts", box=None)
    table.columns[1].justify = "right"
    table.add_row("read", f"{read['num_read']}")
    for reason, num in cast(Mapping[str, int], read["dropped"]).items():
        table.add_row(f"left out: {reason}", f"{num}")
    table.add_row("held out", f"{told['num_kept']}", style="bold")
    for source, num in cast(Mapping[str, int], told["sources"]).items():
        table.add_row(f"  of {source}", f"{num}")
    for category, num in cast(Mapping[str, int], told["categories"]).items():
        table.add_row(f"  category {category}", f"{num}")
    if num := told["num_without_category"]:
        table.add_row("  without a published category", f"{num}")
    for category, num in cast(Mapping[str, int], told["table_5"]).items():
        table.add_row(f"  Table 5: {category}", f"{num}")
    if told["table_5"]:
        table.add_row("  Table 5: not sorted", f"{told['num_unsorted']}")
    console.print(table)
