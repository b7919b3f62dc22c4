"""What `epigone describe` does, and what a person sees of it: the description, and a table of what leads it.

In: parsed arguments. Out: the JSON object of --json; progress and the leading figures on standard error.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast, get_args

from rich.console import Console
from rich.table import Table

from epigone.commands.run import execute
from epigone.component_text import artifact_of, backend_of
from epigone.errors import SpecError
from epigone.metrics.corpus import Queries
from epigone.spec import Artifact, Component, Input
from epigone.stages.categorise import Categorise
from epigone.stages.describe import Describe
from epigone.study import Study

Smoothing = Literal["none", "exp", "floor"]


@dataclass(frozen=True)
class Wanted:
    """What was given on the command line."""

    dataset: Path
    other: Path | None = None
    tokenizer: Path | None = None
    labels: Sequence[Path] = ()
    ask: str = ""
    sample: int = 50
    seed: int = 0
    max_queries: int = 50_000
    queries: str = "first"
    smoothing: Sequence[str] = ()
    executor: str = "local"


def run_describe(wanted: Wanted, root: Path, *, num_workers: int, quiet: bool) -> dict[str, object]:
    """Describe, and say where the page is: the JSON object. Raises EpigoneError."""
    console = Console(stderr=True, quiet=quiet)
    stage = stage_of(wanted, root)
    outcome = execute(Study(stage.name, stage), root, console, num_workers, wanted.executor)
    folder = outcome.report.parent
    found: dict[str, object] = json.loads((folder / "description.json").read_text(encoding="utf-8"))
    _print_found(found, console)
    found["report"] = str(outcome.report)
    page = folder / "categorise.html"
    if page.exists():
        found["sorting_page"] = str(page)
        if not quiet:
            console.print(f"To sort the sample by hand: {page}", highlight=False, soft_wrap=True)
    return found


def stage_of(wanted: Wanted, root: Path) -> Describe:
    """The stage that was asked for. Raises SpecError for whatever is not there or cannot be."""
    if wanted.sample < 1 or wanted.max_queries < 2:
        raise SpecError("--sample is at least 1 and --max-queries at least 2")
    if wanted.queries not in get_args(Queries):
        raise SpecError(f"--queries is first or all, not {wanted.queries!r}")
    if unknown := [s for s in wanted.smoothing if s not in get_args(Smoothing)]:
        raise SpecError(f"--smoothing is none, exp or floor, not {unknown[0]!r}")
    dataset = dataset_of(wanted.dataset, root)
    other = dataset_of(wanted.other, root) if wanted.other else None
    if other == dataset:
        raise SpecError(f"{wanted.other} is given twice; leave the second out, or give another dataset")
    for path in (*wanted.labels, *([wanted.tokenizer] if wanted.tokenizer else [])):
        if not path.exists():
            raise SpecError(f"there is no file {path}")
    names = [_name(source) for source in (dataset, other) if source]
    smoothings = cast(tuple[Smoothing, ...], tuple(wanted.smoothing) or Describe.smoothings)
    return Describe(
        dataset=dataset,
        other=other,
        name=re.sub(r"[^A-Za-z0-9.+]+", "-", "-beside-".join(names)).strip("-")[:80] or "description",
        tokenizer=Input(str(wanted.tokenizer)) if wanted.tokenizer else None,
        labels=tuple(Input(str(path)) for path in wanted.labels),
        categorised=tuple(_categorised(wanted, [dataset, *([other] if other else [])])),
        num_sampled=wanted.sample,
        seed=wanted.seed,
        max_queries=wanted.max_queries,
        queries=cast(Queries, wanted.queries),
        smoothings=smoothings,
    )


def dataset_of(path: Path, root: Path) -> Artifact:
    """The artifact that a folder is: RUNS/datasets/NAME--HASH. Raises SpecError where it is none of this root."""
    folder = path if path.exists() else root / path
    if not (folder / "DONE").exists() or not (folder / "records.parquet").exists():
        raise SpecError(
            f"{path} is no dataset (it needs DONE and records.parquet); give a folder such as "
            f"{root}/datasets/NAME--HASH"
        )
    return artifact_of(folder, root)


def _name(source: Artifact) -> str:
    return source.id.partition("/")[2].rpartition("--")[0]


def _categorised(wanted: Wanted, datasets: Sequence[Artifact]) -> list[Categorise]:
    if not wanted.ask:
        return []
    if (model := backend_of(wanted.ask)) is None:
        raise SpecError(f"--ask {wanted.ask}: give a checkpoint, MODEL@URL, hf://OWNER/NAME or a backend")
    rater = _called(model, wanted.ask)
    return [Categorise(dataset, model, rater, wanted.sample, wanted.seed) for dataset in datasets]


def _called(model: Component, text: str) -> str:
    """What a model that sorts is called: by its name at a server, else by the file or folder that it is read from."""
    options = dict(model.options)
    path = options.get("path")
    named = options.get("model") or (Path(path.path if isinstance(path, Input) else str(path)).name if path else "")
    return str(named) or text.partition(":")[0]


def _print_found(found: dict[str, object], console: Console) -> None:
    datasets = cast(list[dict[str, object]], found["datasets"])
    table = Table("", *(str(d["name"]) for d in datasets), box=None)
    for name in ("num_conversations", "num_messages", "num_words", "num_tokens"):
        values = [d[name] for d in datasets]
        table.add_row(name.removeprefix("num_"), *("not measured" if v is None else f"{v:,}" for v in values))
    equal = found["equal_num_queries"]
    for place, curve in enumerate(cast(list[dict[str, object]], datasets[0]["diversity"])):
        cells = [_mean(cast(list[dict[str, object]], d["diversity"])[place], equal) for d in datasets]
        table.add_row(f"mean top-1 BLEU, {curve['tokenize']}, {curve['smoothing']}, N = {equal}", *cells)
    console.print(table)
    for what, why in cast(dict[str, str], found["missing"]).items():
        console.print(f"not measured: {what}: {why}", highlight=False, soft_wrap=True, markup=False)


def _mean(curve: dict[str, object], num_queries: object) -> str:
    points = cast(list[dict[str, object]], curve["points"])
    means = [cast(dict[str, float], p["mean"])["value"] for p in points if p["num_queries"] == num_queries]
    return f"{100 * means[0]:.2f} %" if means else "not measured"
