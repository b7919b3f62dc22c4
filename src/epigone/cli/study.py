"""The verbs `epigone study`, `epigone run` and `epigone verify`: argv -> command; no logic.

In: argv. Out: what `commands.study`, `study_options`, `study_plan` and `run` there do, loaded when they run.
"""

import json
from pathlib import Path
from types import ModuleType
from typing import Annotated

import typer

from epigone import discover
from epigone.cli.options import ExecutorName, Json, Root, Workers, told


def _running() -> ModuleType:
    return discover.load("epigone.commands.run")


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
    options = discover.load("epigone.commands.study_options")
    if wants_help:
        typer.echo(f"{context.get_help()}\n\n{options.described(name)}")
        return
    study = options.made(name, context.args)
    if wants_plan:
        planning = discover.load("epigone.commands.study_plan")
        given = {"devices": devices, "price": price, "mfu": mfu, "only": only}
        told(planning.run_study_plan(study, **given, quiet=as_json), as_json)
        return
    command, how = discover.load("epigone.commands.study"), {"executor": executor, "quiet": as_json}
    if only:
        told(command.run_some(study, only, root, num_workers=workers, **how), as_json)
        return
    told(command.run_study(study, root, num_workers=workers, **how), as_json)


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
    folder = _running().run_stage(verb, spec, root, num_workers=workers, executor=executor, quiet=as_json)
    typer.echo(json.dumps({"artifact": str(folder)}) if as_json else str(folder))


def verify(root: Root = Path("runs"), as_json: Json = False) -> None:
    """Re-hash every artifact under the root."""
    counts = _running().verify_root(root)
    typer.echo(
        json.dumps(counts) if as_json else f"{counts['num_artifacts']} artifacts, {counts['num_files']} files: whole"
    )
