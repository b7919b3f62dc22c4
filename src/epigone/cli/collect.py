"""The verb `epigone collect`: argv -> command; no logic.

In: argv. Out: what `commands.collect` gives, loaded when it runs.
"""

from pathlib import Path
from typing import Annotated

import typer

from epigone import discover
from epigone.cli.options import ExecutorName, Json, Root, told


def collect(
    prompts: Annotated[Path, typer.Argument(help="JSON lines of messages, a dataset's folder, or any dump.")],
    *,
    teacher: Annotated[
        str, typer.Option(help="A server's base URL, mostly ending in /v1, or a backend: NAME:option=value,...")
    ],
    model: Annotated[str, typer.Option(help="The model's name at the server.")] = "",
    key_env: Annotated[str, typer.Option(help="The environment variable with the key.")] = "",
    samples: Annotated[int, typer.Option(help="Independent answers to each prompt.", min=1)] = 1,
    max_tokens: Annotated[int, typer.Option(help="Longest answer.", min=1)] = 512,
    temperature: Annotated[float, typer.Option(help="0 is greedy.", min=0)] = 1.0,
    turns: Annotated[str, typer.Option(help="last, first or all user turns; without it all of a dataset's.")] = "",
    accept: Annotated[list[str] | None, typer.Option(help="Keep answers cut by: length, content_filter.")] = None,
    format: Annotated[str, typer.Option(help="The dump's format; without it, it is told from its content.")] = "",
    select: Annotated[str, typer.Option(help="Ask --num of the prompts: random, or by disagreement with --base.")] = "",
    num: Annotated[int, typer.Option(help="With --select: how many are asked, probes included.", min=0)] = 0,
    base: Annotated[str, typer.Option(help="For disagreement: the base model's backend, e.g. checkpoint:FOLDER.")] = "",
    probes: Annotated[int, typer.Option(help="Asked first of both (0: a fifth of --num).", min=0)] = 0,
    budget_usd: Annotated[float | None, typer.Option(help="The most to spend, requests in flight included.")] = None,
    budget_tokens: Annotated[str, typer.Option(help="The same in tokens, in and out, e.g. 2M.")] = "",
    price_in: Annotated[float | None, typer.Option(help="Dollars a million tokens of prompts.")] = None,
    price_out: Annotated[float | None, typer.Option(help="Dollars a million tokens of answers.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell requests, tokens and cost; send nothing.")] = False,
    tokenizer: Annotated[str, typer.Option(help="tokenizer.json that counts for --dry-run; else characters/4.")] = "",
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Ask again what failed.")] = False,
    minimum_coverage: Annotated[float, typer.Option(help="Exit with 1 where a smaller share has an answer.")] = 0.8,
    batch: Annotated[bool, typer.Option("--batch", help="By the provider's batch endpoint.")] = False,
    option: Annotated[
        list[str] | None, typer.Option(help="More of backends/openai: api=completions, omit=seed, stream=true ...")
    ] = None,
    patience: Annotated[
        list[str] | None, typer.Option(help="Of the transport: concurrency=64, requests_per_minute=500 ...")
    ] = None,
    terms: Annotated[str, typer.Option(help="The terms of the teacher's provider, in words or as an address.")] = "",
    name: Annotated[str, typer.Option(help="What the teacher is called in records.")] = "",
    root: Root = Path("runs"),
    executor: ExecutorName = "local",
    as_json: Json = False,
) -> None:
    """Ask a teacher every prompt, within a budget; what was answered once is never paid for again."""
    command = discover.load("epigone.commands.collect")
    wanted = command.Wanted(prompts, teacher, model, samples, max_tokens, temperature, turns, accept or [], format)
    more = {"options": option or [], "patience": patience or [], "choice": command.Choice(select, num, base, probes)}
    wanted = command.replace(wanted, minimum_coverage=minimum_coverage, name=name, terms=terms, **more)
    server = {
        "key_env": key_env,
        "via": "batch" if batch else "requests",
        "budget_usd": budget_usd,
        "budget_tokens": budget_tokens,
        "price_in": price_in,
        "price_out": price_out,
        "tokenizer": tokenizer,
    }
    wanted = command.replace(wanted, server=server)
    if dry_run:
        found = command.run_bill(wanted, root, retry_failed=retry_failed, quiet=as_json)
    else:
        found = command.run_collect(wanted, root, retry_failed=retry_failed, executor=executor, quiet=as_json)
    told(found, as_json)
