"""What `epigone probe` does: a model on a benchmark's items as published and in other forms, side by side.

In: parsed arguments. Out: the comparison's folder, accuracies and differences; on standard error progress and a table.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from rich.console import Console
from rich.table import Table

from epigone.commands.run import build
from epigone.component_text import backend_of, component
from epigone.errors import SpecError
from epigone.spec import Component, Input
from epigone.stages.compare_items import ITEMS, CompareItems, Variant
from epigone.stages.evaluate import Evaluate
from epigone.stages.vary_items import VaryItems
from epigone.store import read_summary


@dataclass(frozen=True)
class Wanted:
    """The arguments of `epigone probe`."""

    benchmark: str
    model: str
    served_as: str = ""
    paraphrase_by: str = ""
    after_cutoff: str = ""
    limit: int = 0
    seed: int = 0
    name: str = ""


def run_probe(
    wanted: Wanted, root: Path, *, num_workers: int = 1, executor: str = "local", quiet: bool
) -> dict[str, object]:
    """Vary, evaluate, compare; returns the folder and what came out. Raises EpigoneError."""
    console = Console(stderr=True, quiet=quiet, highlight=False)
    folder = build(stage_of(wanted), root, console, num_workers, executor)
    summary = read_summary(folder)
    _print(summary, console)
    console.print(str(folder), soft_wrap=True)
    return {"artifact": str(folder), "published": summary["published"], "variants": summary["variants"]}


def stage_of(wanted: Wanted) -> CompareItems:
    """What was asked for. Raises SpecError for whatever is not there or cannot be."""
    benchmark = component("benchmarks", wanted.benchmark, first=ITEMS)
    options = dict(benchmark.options)
    source = options.pop(ITEMS, None)
    if not isinstance(source, Input):
        raise SpecError(
            f"{wanted.benchmark}: a benchmark of multiple choice with its files is needed: mmlu:{ITEMS}=FOLDER"
        )
    if not options.get("dev_folder"):
        options["dev_folder"] = source  # where a variant lies there are no dev rows
    model = backend_of(wanted.model, wanted.served_as)
    if model is None:
        raise SpecError(f"--model {wanted.model}: give a checkpoint, MODEL@URL, hf://OWNER/NAME or a backend")
    called = wanted.name or wanted.served_as or Path(wanted.model.partition("@")[0]).stem

    def scored(items: Input, variant: str) -> Evaluate:
        asked = Component.of("benchmarks", benchmark.name, **options, **{ITEMS: items})
        return Evaluate(model, asked, f"{called}-{benchmark.name}-{variant}")

    def varied(variant: str, by: Component | None = None) -> Evaluate:
        stage = VaryItems(source, variant, by, limit=wanted.limit, seed=wanted.seed)
        return scored(Input("test.parquet", stage), variant)

    variants = [Variant("options shuffled", varied("shuffled"))]
    if wanted.paraphrase_by:
        by = backend_of(wanted.paraphrase_by)
        if by is None:
            raise SpecError(f"--paraphrase-by {wanted.paraphrase_by}: give a checkpoint, MODEL@URL or a backend")
        variants.append(Variant("paraphrased", varied("paraphrased", by)))
    if wanted.after_cutoff:
        if not Path(wanted.after_cutoff).exists():
            raise SpecError(f"--after-cutoff: there is no {wanted.after_cutoff}; give items in a layout of MMLU's")
        variants.append(
            Variant("after the cutoff", scored(Input(wanted.after_cutoff), "after-cutoff"), is_paired=False)
        )
    return CompareItems(varied("as_published"), tuple(variants), f"probe-{called}-{benchmark.name}")


def _print(summary: Mapping[str, object], console: Console) -> None:
    table = Table("items", "n", "as published", "so", "difference", "p", "lost / won", box=None)
    for row in cast(Sequence[Mapping[str, object]], summary["variants"]):
        so, published, apart = (
            cast(Mapping[str, float], row[each]) for each in ("accuracy", "accuracy_as_published", "difference")
        )
        table.add_row(
            str(row["variant"]),
            f"{so['n']}",
            f"{published['value']:.1%}",
            f"{so['value']:.1%}",
            f"{apart['value']:+.1%} [{apart['low']:+.0%}, {apart['high']:+.0%}]",
            f"{row['p']:.3g}" if row["p"] is not None else "not paired",
            f"{row['num_lost']} / {row['num_won']}" if row["is_paired"] else "",
        )
    console.print(table)
