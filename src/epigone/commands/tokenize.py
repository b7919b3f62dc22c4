"""What `epigone tokenize` does, and what a person sees of it: nested amounts of blocks, what they hold and cost.

In: parsed arguments. Out: the JSON object of --json; progress on standard error: a bar on a terminal, else plain lines.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast, get_args

from rich.console import Console
from rich.table import Table

from epigone import discover
from epigone.commands.run import build_all
from epigone.component_text import artifact_of
from epigone.errors import SpecError
from epigone.schedule import peak_bytes
from epigone.spec import Artifact, Component, Input
from epigone.stages.encode import Encode
from epigone.stages.tokenize import Tokenize
from epigone.store import read_summary
from epigone.tokens.amounts import amount

Packing = Literal["documents", "chop"]
Order = Literal["permuted", "as_is"]


@dataclass(frozen=True)
class Wanted:
    """What was given on the command line."""

    source: Path
    tokenizer: Path
    template: str = "special_tokens"
    template_options: Sequence[str] = ()
    length: int = 2048
    packing: str = "documents"
    amounts: Sequence[str] = ("0",)
    seed: int = 0
    order: str = "permuted"
    document_end: str = "<|end|>"
    model: Path | None = None
    max_positions: int = 0
    name: str = ""
    executor: str = "local"


def run_tokenize(wanted: Wanted, root: Path, *, num_workers: int = 1, quiet: bool) -> dict[str, object]:
    """Tokenize every amount and say what came out. Raises EpigoneError."""
    console = Console(stderr=True, quiet=quiet)
    stages = plan(wanted, root)
    started = time.monotonic()
    executor = "here" if wanted.executor == "local" else wanted.executor  # the tokenizer uses every core by itself
    folders = build_all(stages, root, console, num_workers, executor)
    found = [{"artifact": str(f), "max_tokens": s.max_tokens} | read_summary(f) for s, f in zip(stages, folders)]
    cost: dict[str, float] = {
        "wall_seconds": round(time.monotonic() - started, 1),
        "peak_memory_bytes": peak_bytes(),
    }
    _print_found(found, cost, console)
    return {"blocks": found, **cost}


def plan(wanted: Wanted, root: Path) -> list[Tokenize]:
    """One stage an amount, small ones first; several share one encoding. Raises SpecError."""
    amounts = sorted({amount(text) for text in wanted.amounts})
    if len(amounts) > 1 and 0 in amounts:
        amounts = [*amounts[1:], 0]  # all of the data comes last
    source = _source(wanted.source, root)
    name = wanted.name or wanted.source.resolve().name.partition("--")[0].partition(".")[0]
    tokenizer = Input(str(_file(wanted.tokenizer, "tokenizer.json")))
    template = _template(wanted)
    order = cast(Order, _choice("order", wanted.order, get_args(Order)))
    packing = cast(Packing, _choice("packing", wanted.packing, get_args(Packing)))
    shared = (
        Encode(source, tokenizer, template, wanted.document_end, order, wanted.seed, max_tokens=amounts[-1], name=name),
    )
    return [
        Tokenize(
            source,
            tokenizer,
            length=wanted.length,
            max_tokens=each,
            seed=wanted.seed,
            name=name,
            template=template,
            packing=packing,
            order=order,
            document_end=wanted.document_end,
            max_positions=wanted.max_positions,
            model=Input(str(wanted.model)) if wanted.model else None,
            encoded=shared if len(amounts) > 1 else (),
        )
        for each in amounts
    ]


def _source(path: Path, root: Path) -> Artifact | Input:
    if path.is_file():
        return Input(str(path))
    if not (path / "records.parquet").exists() or not (path / "DONE").exists():
        raise SpecError(
            f"{path} is neither a dataset (a folder such as runs/datasets/NAME--HASH) nor a file of documents "
            "(JSON lines of id and text)"
        )
    return artifact_of(path, root)


def _template(wanted: Wanted) -> Component:
    """The template with its options; that of the tokenizer's folder is found there."""
    options: dict[str, object] = {}
    variables: list[tuple[str, object]] = []
    for text in wanted.template_options:
        key, equals, value = text.partition("=")
        if not equals:
            raise SpecError(f"--template-option {text!r}: write it as NAME=VALUE, e.g. system=fold")
        kind, _, variable = key.partition("variables.")
        if variable and not kind:
            variables.append((variable, _plain(value)))
        else:
            options[key] = Input(value) if key in ("source", "config", "tokenizer") else _plain(value)
    if wanted.template == "jinja":
        options = _published(wanted.tokenizer) | options | ({"variables": tuple(variables)} if variables else {})
    if not any(isinstance(value, Input) for value in options.values()):
        discover.make("tokens.templates", wanted.template, options)  # a wrong option is told before anything runs
    return Component.of("tokens.templates", wanted.template, **options)


def _published(tokenizer: Path) -> dict[str, object]:
    """Where a tokenizer's own template lies: the files beside its tokenizer.json."""
    file = _file(tokenizer, "tokenizer.json")
    config, alone = file.with_name("tokenizer_config.json"), file.with_name("chat_template.jinja")
    found: dict[str, object] = {"tokenizer": Input(str(file))}
    if config.exists():
        found["config"] = found["source"] = Input(str(config))
    if alone.exists():
        found["source"] = Input(str(alone))
    if "source" not in found:
        raise SpecError(
            f"beside {file} there is neither chat_template.jinja nor tokenizer_config.json; give the template's file "
            "by --template-option source=PATH"
        )
    return found


def _plain(value: str) -> object:
    try:
        return cast(object, json.loads(value))
    except ValueError:
        return value


def _file(path: Path, name: str) -> Path:
    return path / name if path.is_dir() else path


def _choice(option: str, value: str, allowed: Sequence[str]) -> str:
    if value not in allowed:
        raise SpecError(f"--{option} is {' or '.join(allowed)}, not {value!r}")
    return value


def _print_found(found: Sequence[dict[str, object]], cost: dict[str, float], console: Console) -> None:
    titles = ("amount", "blocks", "tokens", "learnt", "padded", "truncated", "split", "cut")
    table = Table(*titles, box=None)
    for one in found:
        counts = [one[f"num_{key}"] for key in ("blocks", "tokens", "loss_tokens")]
        cells = [str(one["max_tokens"] or "all"), *(f"{number:,}" for number in counts)]
        rest = [f"{one[f'num_{key}']:,}" for key in ("truncated", "split", "tokens_cut")]
        table.add_row(*cells, f"{100 * cast(float, one['share_padded']):.1f} %", *rest)
    console.print(table)
    memory = cost["peak_memory_bytes"] / 2**30
    console.print(f"{cost['wall_seconds']:.1f} s, peak memory {memory:.2f} GiB", highlight=False)
    for one in found:
        console.print(f"blocks: {one['artifact']}", highlight=False, soft_wrap=True, markup=False)
