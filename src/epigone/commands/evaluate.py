"""What `epigone evaluate` does: a model on benchmarks, and a table of what came out.

In: parsed arguments. Out: the artifacts' folders with protocol, n and intervals; on standard error the progress and a
table.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from rich.console import Console
from rich.table import Table

from epigone import discover
from epigone.commands.run import build_all
from epigone.component_text import backend_of, component
from epigone.errors import SpecError
from epigone.sharding import sharded_evaluation
from epigone.stages.evaluate import Evaluate
from epigone.store import read_summary


@dataclass(frozen=True)
class Wanted:
    """The arguments of `epigone evaluate`."""

    benchmarks: Sequence[str]
    model: str
    served_as: str = ""
    limit: int = 0
    seed: int = 0
    num_shards: int = 1
    name: str = ""


def run_evaluations(
    wanted: Wanted, root: Path, *, num_workers: int = 1, executor: str = "local", quiet: bool
) -> dict[str, object]:
    """Evaluate; returns folder, protocol, counts and estimates of each benchmark. Raises EpigoneError."""
    console = Console(stderr=True, quiet=quiet)
    wholes = [_stage(wanted, text) for text in wanted.benchmarks]
    stages = [sharded_evaluation(whole, wanted.num_shards) for whole in wholes]
    folders = build_all(stages, root, console, num_workers, executor)
    found = [{"artifact": str(folder)} | _told(read_summary(folder)) for folder in folders]
    for text, each in zip(wanted.benchmarks, found, strict=True):
        _print(text.partition(":")[0], each, console)
    return {"scores": found}


def _stage(wanted: Wanted, text: str) -> Evaluate:
    benchmark = component("benchmarks", text, first=_first_option(text.partition(":")[0]))
    model = backend_of(wanted.model, wanted.served_as)
    if model is None:
        raise SpecError(f"--model {wanted.model}: give a checkpoint, MODEL@URL, hf://OWNER/NAME or a backend")
    name = wanted.name or wanted.served_as or Path(wanted.model).stem
    asked = str(dict(benchmark.options).get("task", benchmark.name))  # a task of another harness by its own name
    return Evaluate(model, benchmark, f"{name}-{asked}", limit=wanted.limit, seed=wanted.seed)


def _first_option(benchmark: str) -> str:
    return dataclasses.fields(discover.find("benchmarks", benchmark))[0].name


def _told(summary: dict[str, object]) -> dict[str, object]:
    return {key: summary[key] for key in ("protocol", "num_items", "num_available", "estimates")}


def _print(benchmark: str, found: dict[str, object], console: Console) -> None:
    table = Table("metric", "mean", "95 %", "n", box=None, title=f"{benchmark}  {found['protocol']}")
    for metric, each in cast(dict[str, dict[str, float]], found["estimates"]).items():
        table.add_row(metric, f"{each['value']:.4g}", f"{each['low']:.4g} to {each['high']:.4g}", str(each["n"]))
    console.print(table)
    console.print(f"{found['num_items']} of {found['num_available']} items", highlight=False)
    console.print(str(found["artifact"]), highlight=False, soft_wrap=True)
