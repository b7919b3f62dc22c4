"""The command line: argv -> spec -> stage or study. No logic, and no JAX until something runs.

Exit codes: 0 done, 1 work failed, 2 bad specification, 130 interrupted (the same command goes on).
"""

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Annotated

import typer

from epigone import discover
from epigone.errors import EpigoneError

app = typer.Typer(
    help="Imitation studies: what did a student get from its teacher, capability or only style?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Root = Annotated[Path, typer.Option(help="Folder of all artifacts.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output, for machines.")]

Workers = Annotated[int, typer.Option(help="Worker processes.", min=1)]
ExecutorName = Annotated[
    str, typer.Option("--executor", help="Where stages run: local, ray (a running cluster), ray:HOST:PORT, ray:local.")
]


def commands() -> ModuleType:
    """What the commands do, loaded when one runs: `--help` stays quick."""
    return discover.load("epigone.commands")


@app.command()
def study(
    name: Annotated[str, typer.Argument(help="A recipe of epigone.studies, e.g. testbed.")],
    *,
    root: Root = Path("runs"),
    seeds: Annotated[int, typer.Option(help="Seeds of every arm (0: the recipe's own choice).")] = 0,
    scale: Annotated[str, typer.Option(help="full, or small for a try that measures nothing.")] = "full",
    workers: Workers = 2,
    executor: ExecutorName = "local",
    as_json: Json = False,
) -> None:
    """Run a whole study: what is there is kept, what is missing is run, the report is drawn."""
    options = {"seeds": seeds, "scale": scale, "num_workers": workers, "executor": executor}
    outcome = commands().run_study(name, root, **options, quiet=as_json)
    if as_json:
        typer.echo(json.dumps(outcome))


@app.command()
def audit(
    *,
    teacher: Annotated[str, typer.Option(help="The teacher's answers: PATH, or NAME=PATH.")],
    student: Annotated[list[str], typer.Option(help="A student's answers; may be given several times.")],
    base: Annotated[str, typer.Option(help="Answers of the model that the students started from.")] = "",
    teacher_sample_2: Annotated[str, typer.Option(help="The teacher's second answers: the ceiling of style.")] = "",
    judgments: Annotated[list[str] | None, typer.Option(help="Recorded verdicts: PATH, or JUDGE=PATH.")] = None,
    scores: Annotated[list[str] | None, typer.Option(help="Recorded benchmark scores: PATH, or MODEL=PATH.")] = None,
    root: Root = Path("runs"),
    title: Annotated[str, typer.Option(help="Headline of the report.")] = "",
    minimum_coverage: Annotated[
        float, typer.Option(help="Share of the teacher's prompts that every model must have answered.")
    ] = 0.8,
    fail_if: Annotated[
        list[str] | None, typer.Option(help="Exit with 1 if this holds, e.g. 'capability.mmlu < base - 0.02'.")
    ] = None,
    on_undecided: Annotated[str, typer.Option(help="What an undecided condition does: fail or pass.")] = "fail",
    junit: Annotated[Path | None, typer.Option(help="Write the conditions' outcome here as JUnit XML.")] = None,
    workers: Workers = 2,
    executor: ExecutorName = "local",
    as_json: Json = False,
) -> None:
    """Audit recorded answers of real models: style, preference, imported scores, and what cannot be told."""
    command = discover.load("epigone.audit_command")
    sources = command.Sources(
        teacher=teacher,
        students=student,
        base=base,
        second_sample=teacher_sample_2,
        judgments=judgments or [],
        scores=scores or [],
        title=title,
        minimum_coverage=minimum_coverage,
        gate=command.Gate(fail_if or [], on_undecided, junit),
    )
    found, passed = command.run_audit(sources, root, num_workers=workers, executor=executor, quiet=as_json)
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False, allow_nan=False))
    if not passed:
        raise typer.Exit(1)


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
    folder = commands().run_stage(verb, spec, root, num_workers=workers, executor=executor)
    typer.echo(json.dumps({"artifact": str(folder)}) if as_json else str(folder))


@app.command()
def show(
    artifact: Annotated[Path, typer.Argument(help="An artifact's folder.")],
    rows: Annotated[int, typer.Option(help="How many records.")] = 3,
    skip: Annotated[int, typer.Option(help="Records to leave out first.")] = 0,
    as_json: Json = False,
) -> None:
    """Look into an artifact: spec, counts, records; blocks with their loss mask in colour."""
    commands().show_artifact(artifact, num_rows=rows, skip=skip, as_json=as_json)


@app.command()
def verify(root: Root = Path("runs"), as_json: Json = False) -> None:
    """Re-hash every artifact under the root."""
    counts = commands().verify_root(root)
    typer.echo(
        json.dumps(counts) if as_json else f"{counts['num_artifacts']} artifacts, {counts['num_files']} files: whole"
    )


SEVERAL = ("--student", "--judgments", "--scores", "--fail-if")
"""Options of `audit` that take several values, also behind one another, as a shell's * gives them."""


def one_by_one(arguments: list[str]) -> list[str]:
    """`--student a b` as `--student a --student b`, which is what the parser reads."""
    told: list[str] = []
    option = ""
    for argument in arguments:
        if argument.startswith("-") and argument != "-":
            option = argument if argument in SEVERAL else ""
        elif option and told[-1] != option:
            told.append(option)
        told.append(argument)
    return told


def main() -> None:
    """Entry point: errors as one clear message and an exit code."""
    arguments = sys.argv[1:]
    try:
        app(args=one_by_one(arguments) if arguments[:1] == ["audit"] else arguments)
    except EpigoneError as error:
        typer.echo(f"epigone: {error}", err=True)
        sys.exit(error.exit_code)
