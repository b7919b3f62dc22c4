"""What `epigone curate` and `epigone mix` do, and what a person sees of them: the ledger as a table.

In: dumps, filters and weights as people write them. Out: the artifact's folder and its counts; on standard error the
progress and, of what was read, what each filter took away.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from rich.console import Console
from rich.table import Table

from epigone import discover
from epigone.commands.run import build
from epigone.component_text import artifact_under, component
from epigone.errors import SpecError
from epigone.formats import sniff
from epigone.spec import Artifact, Component, Input
from epigone.stages.curate import Source, curated
from epigone.stages.mix import Mix, Part
from epigone.store import Store, read_summary
from epigone.streams import url_of
from epigone.tokens.amounts import amount

DEFAULT_FILTERS = ("duplicates",)


@dataclass(frozen=True)
class Wanted:
    """The arguments of `epigone curate`."""

    dumps: Sequence[str]
    format: str = ""
    filters: Sequence[str] = ()
    evaluation: Sequence[str] = ()
    salvage: bool = False
    mixture: str = ""
    tokenizer: str = ""
    amounts: Sequence[str] = ()
    seed: int = 0
    name: str = ""
    executor: str = "local"


def run_curation(wanted: Wanted, root: Path, *, num_workers: int, quiet: bool) -> dict[str, object]:
    """Curate, or make a named mixture; returns the artifact's folder and counts. Raises EpigoneError."""
    console = Console(stderr=True, quiet=quiet)
    dumps = [_dump(text, wanted, root) for text in wanted.dumps]
    if wanted.mixture:
        return _named_mixture(wanted, dumps, root, console, num_workers)
    if wanted.tokenizer or wanted.amounts:
        raise SpecError("--tokenizer and --amounts belong to a mixture: give --mixture, or use epigone mix")
    name = wanted.name or _slug(Path(wanted.dumps[0].rpartition("=")[2]))
    stage = curated([(source, form) for _, source, form in dumps], _filters(wanted), name)
    return _told(build(stage, root, console, num_workers, wanted.executor), console)


def run_mix(
    parts: Sequence[str],
    weights: Sequence[float],
    root: Path,
    *,
    tokenizer: str,
    amounts: Sequence[str],
    seed: int,
    go_on: bool,
    name: str,
    num_workers: int,
    executor: str = "local",
    quiet: bool,
) -> dict[str, object]:
    """Mix datasets; returns the artifact's folder and counts. Raises EpigoneError."""
    if weights and len(weights) != len(parts):
        raise SpecError(f"{len(parts)} datasets and {len(weights)} weights: give a --weight for each, or none")
    console = Console(stderr=True, quiet=quiet)
    pairs = [_part(text, weight, root) for text, weight in zip(parts, weights or [0.0] * len(parts), strict=True)]
    counted = Input(tokenizer) if tokenizer else None
    budgets = tuple(map(amount, amounts))
    stage = Mix(tuple(pairs), counted, budgets, seed, "go on" if go_on else "stop", name or "mixture")
    return _told(build(stage, root, console, num_workers, executor), console)


def _filters(wanted: Wanted) -> tuple[Component, ...]:
    named = [text for text in wanted.filters if text != "none"]
    found = [component("curation", text) for text in (named if wanted.filters else DEFAULT_FILTERS)]
    if wanted.evaluation:
        if any(c.name == "contamination" for c in found):
            raise SpecError("give the evaluation files by --evaluation or as paths of the filter contamination, once")
        found.append(Component.of("curation", "contamination", paths=tuple(map(_existing, wanted.evaluation))))
    return tuple(found)


def _dump(text: str, wanted: Wanted, root: Path) -> tuple[str, Source, Component]:
    """PATH or FORMAT=PATH -> the format's name, the dump, the component that reads it."""
    named, equals, rest = text.partition("=")
    known = discover.names("formats")
    path = Path(rest if equals and named in known else text)
    source = _source(path, root)
    name = named if equals and named in known else wanted.format
    if isinstance(source, Artifact) or (path / "DONE").is_file():
        return "dataset", source, Component.of("formats", "dataset")
    name = name or sniff(path)
    fields = {f.name for f in dataclasses.fields(discover.find("formats", name))}
    options = {"salvage": True} if wanted.salvage and "salvage" in fields else {}
    return name, source, Component.of("formats", name, **options)


def _source(path: Path, root: Path) -> Source:
    """A dataset under the root by its id, everything else as a file."""
    if ours := artifact_under(path, root):
        return ours
    return Input(str(path)) if url_of(path) else _existing(str(path))


def _existing(path: str) -> Input:
    if not Path(path).exists():
        raise SpecError(f"there is no {path}; check the path")
    return Input(path)


def _part(text: str, weight: float, root: Path) -> Part:
    name, equals, rest = text.partition("=")
    path = Path(rest if equals else text)
    source = _source(path, root)
    if not isinstance(source, Artifact):
        raise SpecError(f"{path} is no dataset under {root}; curate it first: epigone curate {path} --root {root}")
    return Part(name if equals else source.id.partition("/")[2].rpartition("--")[0], source, weight)


def _named_mixture(
    wanted: Wanted, dumps: Sequence[tuple[str, Source, Component]], root: Path, console: Console, num_workers: int
) -> dict[str, object]:
    if wanted.filters:
        raise SpecError("a named mixture has filters of its own; curate the parts and use epigone mix for others")
    parts: dict[str, list[tuple[Source, Component]]] = {}
    for name, source, form in dumps:
        parts.setdefault(name, []).append((source, form))
    recipe = discover.recipe(wanted.mixture.replace("-", "_"), "mixtures")
    stage = recipe(
        parts,
        evaluation=[_existing(path).path for path in wanted.evaluation],
        tokenizer=wanted.tokenizer,
        amounts=tuple(map(amount, wanted.amounts)),
        seed=wanted.seed,
    )
    assert isinstance(stage, Mix)
    folder = build(stage, root, console, num_workers, wanted.executor)
    for part in stage.parts:
        console.print(f"\n{part.name}", style="bold")
        _print_ledger(read_summary(Store(root).path(part.dataset)), console)
    return _told(folder, console)


def _told(folder: Path, console: Console) -> dict[str, object]:
    summary = read_summary(folder)
    if "parts" in summary:
        _print_parts(summary, console)
    else:
        _print_ledger(summary, console)
    console.print(str(folder), highlight=False, soft_wrap=True)
    clocks = ("wall_seconds", "finished_unix", "machine", "python", "num_cpus")
    return {"artifact": str(folder)} | {k: v for k, v in summary.items() if k not in clocks}


def _print_ledger(summary: Mapping[str, object], console: Console) -> None:
    table = Table("", "rows", "", box=None)
    table.add_row("read", f"{summary['num_read']:,}", "")
    for reason, number in cast(dict[str, int], summary["unreadable"]).items():
        table.add_row("  left out by the reader", f"{-number:,}", reason)
    for step in cast(list[dict[str, object]], summary["filters"]):
        dropped = cast(dict[str, int], step["dropped"])
        for reason, number in dropped.items() or {"nothing": 0}.items():
            table.add_row(f"  {step['filter']}", f"{-number:,}", reason)
    table.add_row("kept", f"{summary['num_kept']:,}", "", style="bold")
    table.columns[1].justify = "right"
    console.print(table)
    for note, number in cast(dict[str, int], summary["notes"]).items():
        console.print(f"{number:,} {note}", highlight=False, soft_wrap=True)


def _print_parts(summary: Mapping[str, object], console: Console) -> None:
    table = Table("part", "rows", "tokens", "rows taken", "tokens taken", "share", box=None)
    total = cast(int, summary["num_tokens"])
    for part in cast(list[dict[str, int]], summary["parts"]):
        cells = [f"{part[key]:,}" for key in ("num_rows", "num_tokens", "num_rows_taken", "num_tokens_taken")]
        table.add_row(str(part["name"]), *cells, f"{part['num_tokens_taken'] / total:.1%}" if total else "")
    for column in table.columns[1:]:
        column.justify = "right"
    console.print(table)
    console.print(f"tokens are counted by {'the tokenizer' if summary['counted_by'] == 'tokenizer' else 'words'}")
    for taken in cast(list[dict[str, int]], summary["amounts"]):
        console.print(f"the first {taken['num_rows']:,} rows hold {taken['num_tokens']:,} tokens")


def _slug(path: Path) -> str:
    plain = "".join(c if c.isalnum() else "-" for c in path.name.partition(".")[0].lower()).strip("-")
    return plain or "dataset"
