"""The command line: argv -> spec -> stage or study. No logic, and no JAX until something runs.

Exit codes: 0 done, 1 work failed, 2 bad specification, 130 interrupted (the same command goes on).
"""

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Annotated

import typer

from epigone import (
    artifacts_cli,
    audit_cli,
    collect_cli,
    discover,
    evaluate_cli,
    facts_cli,
    judge_cli,
    probe_cli,
    prompts_cli,
    rate_cli,
    report_cli,
    serve_cli,
    show_cli,
    support_cli,
    trace_cli,
    train_cli,
)
from epigone.cli_options import ExecutorName, Json, Root, Workers, told
from epigone.errors import EpigoneError

app = typer.Typer(
    help="Imitation studies: what did a student get from its teacher, capability or only style?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def commands() -> ModuleType:
    """What the commands do, loaded when one runs: `--help` stays quick."""
    return discover.load("epigone.commands")


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []})
def study(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="A recipe of epigone.studies, e.g. testbed.")] = "",
    *,
    root: Root = Path("runs"),
    workers: Workers = 2,
    executor: ExecutorName = "local",
    only: Annotated[str, typer.Option(help="A glob: just the stages with such an id, and what they need.")] = "",
    wants_plan: Annotated[bool, typer.Option("--plan", help="Say what it will take; run and read nothing.")] = False,
    devices: Annotated[str, typer.Option(help="Of a plan: sets of devices, 8xh100,h200; else all.")] = "",
    price: Annotated[str, typer.Option(help="Of a plan: dollars a device and hour, 2.5 or h200=2.5,24gb=0.4.")] = "",
    mfu: Annotated[float, typer.Option(help="Of a plan: FLOPs utilisation, 0-1 (0: as published or measured).")] = 0.0,
    as_json: Json = False,
    wants_help: Annotated[
        bool, typer.Option("--help", "-h", help="Show this, and with a NAME the options of that study.")
    ] = False,
) -> None:
    """Run a whole study: what is there is kept, what is missing is run, the report is drawn."""
    options = discover.load("epigone.study_options")
    if wants_help:
        typer.echo(f"{context.get_help()}\n{options.described(name)}")
        return
    study = options.made(name, context.args)
    if wants_plan:
        planning = discover.load("epigone.study_plan_command")
        given = {"devices": devices, "price": price, "mfu": mfu, "only": only}
        told(planning.run_study_plan(study, **given, quiet=as_json), as_json)
        return
    if only:
        told(commands().run_some(study, only, root, num_workers=workers, executor=executor, quiet=as_json), as_json)
        return
    outcome = commands().run_study(study, root, num_workers=workers, executor=executor, quiet=as_json)
    if as_json:
        typer.echo(json.dumps(outcome))


audit = app.command()(audit_cli.audit)


@app.command()
def curate(
    *,
    dumps: Annotated[
        list[str], typer.Argument(help="Raw dumps or datasets: PATH, or FORMAT=PATH where it cannot be told.")
    ],
    format: Annotated[str, typer.Option(help="The dumps' format; without it, it is told from their content.")] = "",
    filter: Annotated[
        list[str] | None,
        typer.Option(help="NAME or NAME:option=value,..., in this order; none for none. Without it: duplicates."),
    ] = None,
    evaluation: Annotated[
        list[str] | None, typer.Option(help="Evaluation prompts; conversations that ask one are dropped.")
    ] = None,
    salvage: Annotated[bool, typer.Option(help="Keep what is whole of a damaged file, and count the loss.")] = False,
    mixture: Annotated[str, typer.Option(help="A named mixture of the dumps, e.g. sharegpt-mix.")] = "",
    tokenizer: Annotated[str, typer.Option(help="tokenizer.json that counts a mixture's tokens; else words.")] = "",
    amounts: Annotated[
        list[str] | None, typer.Option(help="Token budgets to tell, each within the next: 0.3M 1M 20M.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Orders a mixture.")] = 0,
    name: Annotated[str, typer.Option(help="What the dataset is called.")] = "",
    root: Root = Path("runs"),
    workers: Workers = 2,
    executor: ExecutorName = "local",
    as_json: Json = False,
) -> None:
    """Raw dumps into one dataset, with a ledger of what was left out and why."""
    command = discover.load("epigone.curate_command")
    wanted = command.Wanted(
        dumps=dumps,
        format=format,
        filters=filter or [],
        evaluation=evaluation or [],
        salvage=salvage,
        mixture=mixture,
        tokenizer=tokenizer,
        amounts=amounts or [],
        seed=seed,
        name=name,
        executor=executor,
    )
    told(command.run_curation(wanted, root, num_workers=workers, quiet=as_json), as_json)


@app.command()
def mix(
    *,
    parts: Annotated[list[str], typer.Argument(help="Datasets: runs/datasets/NAME--HASH, or PART=FOLDER.")],
    weight: Annotated[list[float] | None, typer.Option(help="Share of each part, in their order; else all.")] = None,
    tokenizer: Annotated[str, typer.Option(help="tokenizer.json of the student; without it, words count.")] = "",
    amounts: Annotated[
        list[str] | None, typer.Option(help="Token budgets to tell, each within the next: 0.3M 1M 20M.")
    ] = None,
    go_on: Annotated[bool, typer.Option(help="Go on with the others where a part runs out.")] = False,
    seed: Annotated[int, typer.Option(help="Orders every part.")] = 0,
    name: Annotated[str, typer.Option(help="What the mixture is called.")] = "",
    root: Root = Path("runs"),
    workers: Workers = 2,
    executor: ExecutorName = "local",
    as_json: Json = False,
) -> None:
    """Mix datasets by weight, so that every beginning keeps the weights."""
    command = discover.load("epigone.curate_command")
    options = {"tokenizer": tokenizer, "amounts": amounts or [], "seed": seed, "go_on": go_on, "name": name}
    where = {"num_workers": workers, "executor": executor, "quiet": as_json}
    told(command.run_mix(parts, weight or [], root, **options, **where), as_json)


@app.command()
def tokenize(
    source: Annotated[Path, typer.Argument(help="A dataset (runs/datasets/NAME--HASH) or a file of documents.")],
    *,
    tokenizer: Annotated[Path, typer.Option(help="A tokenizer.json, or the folder that holds it.")],
    template: Annotated[str, typer.Option(help="special_tokens, koala, chatml or jinja.")] = "special_tokens",
    template_option: Annotated[
        list[str] | None, typer.Option(help="An option of the template, e.g. system=fold; may be given several times.")
    ] = None,
    length: Annotated[int, typer.Option(help="Tokens of a block.")] = 2048,
    packing: Annotated[str, typer.Option(help="documents, or chop: the authors' stream.")] = "documents",
    max_tokens: Annotated[str, typer.Option(help="About so many tokens, e.g. 20M (0: all).")] = "0",
    amounts: Annotated[
        list[str] | None, typer.Option(help="Several amounts, e.g. 0.3M 20M 150M, each part of the next.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Orders the documents.")] = 0,
    order: Annotated[str, typer.Option(help="permuted, or as_is: the order in which they stand.")] = "permuted",
    document_end: Annotated[str, typer.Option(help="The control token behind a plain document.")] = "<|end|>",
    model: Annotated[Path | None, typer.Option(help="The model's config.json: its positions are checked.")] = None,
    max_positions: Annotated[int, typer.Option(help="Or its positions themselves (0: not known).")] = 0,
    name: Annotated[str, typer.Option(help="What the blocks are called (default: as the source).")] = "",
    root: Root = Path("runs"),
    executor: ExecutorName = "local",
    as_json: Json = False,
) -> None:
    """Tokenize a dataset or documents into packed blocks, in one amount or several nested ones."""
    command = discover.load("epigone.tokenize_command")
    wanted = command.Wanted(
        source=source,
        tokenizer=tokenizer,
        template=template,
        template_options=template_option or [],
        length=length,
        packing=packing,
        amounts=amounts or [max_tokens],
        seed=seed,
        order=order,
        document_end=document_end,
        model=model,
        max_positions=max_positions,
        name=name,
        executor=executor,
    )
    found = command.run_tokenize(wanted, root, quiet=as_json)
    told(found, as_json)


train = app.command()(train_cli.train)


@app.command()
def describe(
    dataset: Annotated[Path, typer.Argument(help="A dataset's folder, e.g. runs/datasets/NAME--HASH.")],
    other: Annotated[Path | None, typer.Argument(help="Another one, to stand beside it.")] = None,
    *,
    tokenizer: Annotated[Path | None, typer.Option(help="A tokenizer.json that counts tokens; else words.")] = None,
    labels: Annotated[list[Path] | None, typer.Option(help="Labels from the sorting page; several times.")] = None,
    ask: Annotated[str, typer.Option(help="A model that sorts the sample: a checkpoint, MODEL@URL, a backend.")] = "",
    sample: Annotated[int, typer.Option(help="Queries to be sorted into categories.", min=1)] = 50,
    seed: Annotated[int, typer.Option(help="Draws the samples.")] = 0,
    max_queries: Annotated[int, typer.Option(help="The most queries of the diversity curve.", min=2)] = 50_000,
    queries: Annotated[str, typer.Option(help="Whose nearest others are looked for: first or all.")] = "first",
    smoothing: Annotated[list[str] | None, typer.Option(help="BLEU's smoothing: none, exp, floor.")] = None,
    root: Root = Path("runs"),
    workers: Workers = 1,
    executor: ExecutorName = "local",
    as_json: Json = False,
) -> None:
    """Describe a dataset, or two side by side: counts, lengths, diversity, languages, categories, samples."""
    command = discover.load("epigone.describe_command")
    wanted = command.Wanted(
        dataset, other, tokenizer, labels or [], ask, sample, seed, max_queries, queries, smoothing or [], executor
    )
    found = command.run_describe(wanted, root, num_workers=workers, quiet=as_json)
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False, allow_nan=False))


@app.command()
def run(
    verb: Annotated[
        str, typer.Argument(help="A stage: simulate, collect, curate, tokenize, train, generate, evaluate, judge.")
    ],
    spec: Annotated[Path, typer.Argument(help="The stage's spec as JSON (see any artifact's spec.json).")],
    root: Root = Path("runs"),
    workers: Workers = 1,
    executor: ExecutorName = "local",
    as_json: Json = False,
) -> None:
    """Run one stage from a spec file, and the stages in it that are missing; print where its artifact is."""
    folder = commands().run_stage(verb, spec, root, num_workers=workers, executor=executor, quiet=as_json)
    typer.echo(json.dumps({"artifact": str(folder)}) if as_json else str(folder))


show = app.command()(show_cli.show)
report = app.command()(report_cli.report)


@app.command()
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
    command = discover.load("epigone.export_command")
    told(command.run_export(checkpoint, out, to=to, kind=kind, base=base, quiet=as_json), as_json)


@app.command()
def publish(
    checkpoint: Annotated[Path, typer.Argument(help="A checkpoint's folder, e.g. runs/checkpoints/NAME--HASH.")],
    repo: Annotated[str, typer.Argument(help="OWNER/NAME on the hub.")],
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would go to the hub; send nothing.")] = False,
    private: Annotated[bool, typer.Option("--private", help="Only the owner sees it.")] = False,
    as_json: Json = False,
) -> None:
    """Send a checkpoint with its card to a model hub (token: HF_TOKEN), with warnings on licences and terms."""
    command = discover.load("epigone.publish_command")
    told(command.run_publish(checkpoint, repo, dry_run=dry_run, private=private, quiet=as_json), as_json)


@app.command()
def verify(root: Root = Path("runs"), as_json: Json = False) -> None:
    """Re-hash every artifact under the root."""
    counts = commands().verify_root(root)
    typer.echo(
        json.dumps(counts) if as_json else f"{counts['num_artifacts']} artifacts, {counts['num_files']} files: whole"
    )


list_artifacts = app.command("list")(artifacts_cli.list_artifacts)
gc = app.command()(artifacts_cli.gc)


@app.command()
def plan(
    *,
    models: Annotated[list[str], typer.Argument(help="Sizes by name, e.g. llama-13b, or folders with config.json.")],
    devices: Annotated[list[str] | None, typer.Option(help="Sets of devices, e.g. 8xa100-80 h200; else all.")] = None,
    tokens: Annotated[list[str] | None, typer.Option(help="Token budgets: 5M 150M.")] = None,
    length: Annotated[int, typer.Option(help="Tokens of a block (0: 2048, or the model's positions).", min=0)] = 0,
    batch_size: Annotated[int, typer.Option(help="Blocks a step.", min=1)] = 32,
    learning_rate: Annotated[float, typer.Option(help="Peak rate.")] = 2e-3,
    warmup_steps: Annotated[int, typer.Option(help="Steps of linear warm-up.", min=0)] = 1000,
    mesh: Annotated[str, typer.Option(help="data,fsdp,tensor, e.g. 1,-1,1; else the plainest that fits.")] = "",
    mfu: Annotated[float, typer.Option(help="Model FLOPs utilisation, 0-1 (0: as published for the device).")] = 0.0,
    price: Annotated[float, typer.Option(help="Dollars a device and hour (0: no cost is told).", min=0)] = 0.0,
    compile: Annotated[bool, typer.Option("--compile", help="Also ask the compiler, on simulated devices.")] = False,
    as_json: Json = False,
) -> None:
    """What a training run will take, from shapes alone: memory, layout, FLOPs, steps, the rate reached, time, cost."""
    command = discover.load("epigone.plan_command")
    wanted = command.Wanted(
        models=models,
        devices=devices or [],
        tokens=tokens or ["5M", "150M"],
        length=length,
        batch_size=batch_size,
        learning_rate=learning_rate,
        warmup_steps=warmup_steps,
        mesh=mesh,
        mfu=mfu,
        price_usd=price,
        compile=compile,
    )
    told(command.run_plan(wanted, quiet=as_json), as_json)


prompts = app.command()(prompts_cli.prompts)
select = app.command()(prompts_cli.select)
held_out = app.command(name="held-out")(prompts_cli.held_out)
collect = app.command()(collect_cli.collect)
evaluate = app.command()(evaluate_cli.evaluate)
judge = app.command()(judge_cli.judge)
fit_rater = app.command(name="fit-rater")(judge_cli.fit_rater)
facts = app.command()(facts_cli.facts)
probe = app.command()(probe_cli.probe)
serve = app.command()(serve_cli.serve)
chat = app.command()(serve_cli.chat)
rate = app.command()(rate_cli.rate)
crowd = app.command()(rate_cli.crowd)
trace = app.command()(trace_cli.trace)
support = app.command()(support_cli.support)

SEVERAL = {
    "audit": ("--student", "--judgments", "--scores", "--benchmark", "--fail-if"),
    "collect": ("--accept", "--option", "--patience"),
    "curate": ("--amounts",),
    "facts": ("--judgments",),
    "held-out": ("--training", "--language"),
    "gc": ("--keep",),
    "plan": ("--devices", "--tokens"),
    "mix": ("--amounts", "--weight"),
    "prompts": ("--evaluation",),
    "support": ("--scores",),
    "tokenize": ("--amounts",),
    "trace": ("--teacher", "--unrelated", "--known"),
}
"""Options by verb that take several values, also behind one another, as a shell's * gives them."""


def one_by_one(arguments: list[str]) -> list[str]:
    """`--student a b` as `--student a --student b`, which is what the parser reads."""
    several = SEVERAL.get(arguments[0], ()) if arguments else ()
    told: list[str] = []
    option = ""
    for argument in arguments:
        if argument.startswith("-") and argument != "-":
            option = argument if argument in several else ""
        elif option and told[-1] != option:
            told.append(option)
        told.append(argument)
    return told


def main() -> None:
    """Entry point: errors as one clear message and an exit code."""
    arguments = sys.argv[1:]
    try:
        app(args=one_by_one(arguments))
    except EpigoneError as error:
        typer.echo(f"epigone: {error}", err=True)
        sys.exit(error.exit_code)
