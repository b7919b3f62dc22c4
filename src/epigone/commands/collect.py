"""What `epigone collect` does, and what a person sees of it.

In: parsed arguments. Out: the artifact's folder with counts, or the bill beforehand, as plain values for --json; on
standard error progress, and what became of the prompts.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import cast

from rich.console import Console
from rich.table import Table

from epigone import discover
from epigone.answers import kept_at
from epigone.commands.run import build
from epigone.component_text import artifact_under, component
from epigone.errors import SpecError
from epigone.formats import sniff
from epigone.replies import Failure
from epigone.reporting.provenance import lineage, warnings
from epigone.rows import beginning
from epigone.spec import Artifact, Component, Input
from epigone.stages.collect import NOT_WHOLE, Collect
from epigone.stages.select import Select
from epigone.store import Store, read_records, read_summary
from epigone.tokens.amounts import amount

DATASET, RECORDS = "records.parquet", "records.jsonl"
NOT_USED, ENDED = (*NOT_WHOLE, "empty", "refusal", "no user turn"), "finish reason"
"""Failures that have a reply, which is kept: to ask again would give nothing new."""
_CLOCKS = ("wall_seconds", "finished_unix", "machine", "python", "num_cpus")


@dataclass(frozen=True)
class Choice:
    """Which of the prompts are asked: all, unless `by` says how `num` of them are chosen."""

    by: str = ""
    num: int = 0
    base: str = ""
    probes: int = 0
    seed: int = 0


@dataclass(frozen=True)
class Wanted:
    """What was given on the command line."""

    prompts: Path
    teacher: str
    model: str = ""
    samples: int = 1
    max_tokens: int = 512
    temperature: float = 1.0
    turns: str = ""
    accept: Sequence[str] = ()
    format: str = ""
    minimum_coverage: float = 0.8
    name: str = ""
    terms: str = ""
    server: Mapping[str, object] = field(default_factory=dict[str, object])
    """Options of the backend that have names of their own on the command line; budget_tokens as a text: 2M."""
    options: Sequence[str] = ()
    """The backend's others, NAME=VALUE."""
    patience: Sequence[str] = ()
    """The transport's, NAME=VALUE."""
    choice: Choice = Choice()


def run_collect(
    wanted: Wanted, root: Path, *, retry_failed: bool, executor: str = "local", quiet: bool
) -> dict[str, object]:
    """Ask what is not answered yet; returns the artifact's folder and counts. Raises EpigoneError."""
    console = Console(stderr=True, quiet=quiet)
    stage = _in_its_round(_stage(wanted, root), Store(root), is_next=retry_failed)
    folder = build(stage, root, console, 1, executor)
    summary = read_summary(folder)
    _print(summary, console)
    told = warnings(lineage([folder]), "own")
    for text in told:
        console.print(f"warning: {text}", style="yellow", highlight=False, soft_wrap=True, markup=False)
    console.print(str(folder), highlight=False, soft_wrap=True)
    return {"artifact": str(folder)} | {k: v for k, v in summary.items() if k not in _CLOCKS} | {"warnings": told}


def run_bill(wanted: Wanted, root: Path, *, retry_failed: bool, quiet: bool) -> dict[str, object]:
    """What the same command would send and cost; sends nothing. Raises EpigoneError."""
    console = Console(stderr=True, quiet=quiet, highlight=False)
    store = Store(root)
    if wanted.choice.by == "disagreement":
        _stage(wanted, root)  # what cannot be is told here too
        console.print("which prompts differ most is not known before the probes: billed as many at random", style="dim")
        wanted = replace(wanted, choice=replace(wanted.choice, by="random"))
    stage = _in_its_round(_stage(wanted, root), store, is_next=retry_failed)
    if isinstance(stage.prompts, Input) and isinstance(stage.prompts.of, Select):
        store.build(stage.prompts.of)  # chosen here, nothing is sent
    with kept_at(root, store.resolver.id(stage)):
        bill = stage.bill(store.path)
    usd = "unknown: give --price-in and --price-out" if bill.usd_at_most is None else f"at most ${bill.usd_at_most:.4f}"
    console.print(f"{bill.num_requests:,} requests to send; {bill.num_answered:,} are answered already", soft_wrap=True)
    if bill.num_failed:
        console.print(f"{bill.num_failed:,} failed before and are left out; --retry-failed asks them again")
    console.print(f"{bill.tokens_in:,} tokens of prompts by {bill.counted_by}, an estimate", soft_wrap=True)
    console.print(f"{bill.tokens_out_at_most:,} tokens of answers at most")
    console.print(f"cost: {usd}", soft_wrap=True)
    return asdict(bill)


def _stage(wanted: Wanted, root: Path) -> Collect:
    prompts, form = _prompts(wanted, root)
    teacher = _teacher(wanted)
    if wanted.choice.by or wanted.choice.num:
        prompts, teacher = _chosen(wanted, prompts, form, teacher)
    return Collect(
        teacher=teacher,
        prompts=prompts,
        name=wanted.name or wanted.model.rpartition("/")[2] or "teacher",
        max_tokens=wanted.max_tokens,
        samples=wanted.samples,
        temperature=wanted.temperature,
        format=form,
        turns=wanted.turns or ("all" if form else "last"),
        accept=tuple(wanted.accept),
        terms=wanted.terms,
        minimum_coverage=wanted.minimum_coverage,
    )


def _prompts(wanted: Wanted, root: Path) -> tuple[Input | Artifact, Component | None]:
    """What is read, and by which format; None for prompts that end in a user turn."""
    path = wanted.prompts
    if not path.exists():
        raise SpecError(f"there is no {path}; check the path")
    source = artifact_under(path, root) or Input(str(path))
    if wanted.format:
        return source, Component.of("formats", wanted.format)
    if (path / DATASET).is_file():
        return source, Component.of("formats", "dataset", with_drops=False)
    if (path / RECORDS).is_file() or (wanted.turns in ("", "last") and "messages" in beginning(path)):
        return source, None
    return source, Component.of("formats", sniff(path))


def _chosen(
    wanted: Wanted, prompts: Input | Artifact, form: Component | None, teacher: Component
) -> tuple[Input, Component]:
    """Some of the prompts, and the teacher with what the budget leaves for them once the probes are paid."""
    choice = wanted.choice
    if form is not None or not isinstance(prompts, Input):
        raise SpecError(f"--select chooses among single prompts, JSON lines that end in a user turn: {wanted.prompts}")
    if not choice.num:
        raise SpecError("--select needs --num, how many prompts are asked")
    base = component("backends", choice.base, first="path") if choice.base else None
    num_probes = (choice.probes or max(1, choice.num // 5)) if choice.by == "disagreement" else 0
    probing, rest = _shared_out(teacher, num_probes / choice.num)
    stage = Select(
        prompts,
        choice.num,
        choice.by,
        base,
        probing if num_probes else None,
        num_probes=num_probes,
        max_tokens=wanted.max_tokens,
        temperature=wanted.temperature,
        seed=choice.seed,
    )
    return Input("records.jsonl", stage), rest


def _shared_out(teacher: Component, share: float) -> tuple[Component, Component]:
    """The teacher twice, with a share of each budget and with the rest: what was answered once costs nothing again."""
    first, second = dict(teacher.options), dict(teacher.options)
    for name in ("budget_usd", "budget_tokens"):
        if (whole := first.get(name)) is not None:
            part = float(cast(float, whole)) * share
            part = int(part) if name == "budget_tokens" else part
            first[name], second[name] = part, cast(float, whole) - part
    return Component.of("backends", teacher.name, **first), Component.of("backends", teacher.name, **second)


def _teacher(wanted: Wanted) -> Component:
    """A server by its address, or a backend as people write it."""
    if "://" not in wanted.teacher.partition(":")[2] and not wanted.teacher.startswith(("http://", "https://")):
        return component("backends", wanted.teacher)
    if not wanted.model:
        raise SpecError(f"--model: which model of {wanted.teacher}? Its address followed by /models lists them")
    options: dict[str, object] = {"url": wanted.teacher, "model": wanted.model}
    options |= {name: value for name, value in wanted.server.items() if value not in ("", None, "requests")}
    if tokens := wanted.server.get("budget_tokens"):
        options["budget_tokens"] = amount(str(tokens))
    options |= dict(_option(text, "--option") for text in wanted.options)
    if wanted.patience:
        options["patience"] = dict(_option(text, "--patience") for text in wanted.patience)
    made = Component.of("backends", "openai", **options)
    discover.make("backends", "openai", options)  # an address that is none is told before anything runs
    return made


def _option(text: str, option: str) -> tuple[str, object]:
    """NAME=VALUE, a value being JSON or plain text, several of one option joined by +."""
    name, equals, value = text.partition("=")
    if not equals:
        raise SpecError(f"{option} {text}: write it as NAME=VALUE")
    if name == "omit":
        return name, tuple(value.split("+"))
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _in_its_round(stage: Collect, store: Store, *, is_next: bool) -> Collect:
    """The collection in the last round that there is; with `is_next` in the one after, where some got no reply.

    Each round is an artifact of its own: what was made from one stays true.
    """
    if stage.teacher.name != "openai":
        return stage
    rounds = [stage]
    while (one := _of_round(stage, len(rounds))) and _was_run(one, store):
        rounds.append(one)
    last = rounds[-1]
    return _of_round(stage, len(rounds)) if is_next and _has_failures(last, store) else last


def _of_round(stage: Collect, number: int) -> Collect:
    options = dict(stage.teacher.options) | {"round": number}
    return replace(stage, teacher=Component.of("backends", stage.teacher.name, **options))


def _was_run(stage: Collect, store: Store) -> bool:
    return store.folder(stage).exists() or store.staging(stage).exists()


def _has_failures(stage: Collect, store: Store) -> bool:
    """Whether a round came to its end and left prompts without a reply, also where it was too few for an artifact."""
    for folder in (store.folder(stage), store.staging(stage)):
        if (folder / "failed.jsonl").exists():
            reasons = [failure.reason for failure in read_records(folder / "failed.jsonl", Failure)]
            return not all(reason in NOT_USED or reason.startswith(ENDED) for reason in reasons)
    return False


def _print(summary: Mapping[str, object], console: Console) -> None:
    table = Table("", "prompts", "", box=None)
    table.add_row("asked", f"{summary['num_prompts']:,}", "")
    for reason, number in cast(dict[str, int], summary["failures"]).items():
        table.add_row("  failed", f"{-number:,}", reason)
    table.add_row("answered", f"{summary['num_kept']:,}", f"{summary['coverage']:.1%}", style="bold")
    table.columns[1].justify = "right"
    console.print(table)
    if "tokens_spent" in summary:
        usd, uncertain = summary["usd_spent"], summary["num_requests_uncertain"]
        cost = "cost unknown" if usd is None else f"${usd:.4f}"
        at_most = f", {uncertain:,} requests without a count taken at their most" if uncertain else ""
        console.print(f"{summary['tokens_spent']:,} tokens, {cost}{at_most}", highlight=False, soft_wrap=True)
