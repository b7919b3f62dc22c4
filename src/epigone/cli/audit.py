"""The verb `epigone audit`: argv -> command; no logic.

In: argv. Out: what `commands.audit` gives, loaded when it runs; exit code 1 where the gate does not let it pass.
"""

import json
from pathlib import Path
from typing import Annotated

import typer

from epigone import discover
from epigone.cli.options import ExecutorName, Json, Root, Workers


def audit(
    *,
    teacher: Annotated[
        str, typer.Option(help="The teacher: answers, a checkpoint, hf://OWNER/NAME or MODEL@URL; NAME=... names it.")
    ],
    student: Annotated[list[str], typer.Option(help="A student, in the same way; may be given several times.")],
    base: Annotated[str, typer.Option(help="The model that the students started from.")] = "",
    teacher_sample_2: Annotated[str, typer.Option(help="The teacher's second answers: the ceiling of style.")] = "",
    prompts: Annotated[str, typer.Option(help="What models are asked (default: as the teacher's recording).")] = "",
    benchmark: Annotated[
        list[str] | None, typer.Option(help="Measure the models on it: NAME:option=value,... (see evaluate).")
    ] = None,
    limit: Annotated[int, typer.Option(help="Items of each benchmark, drawn at random (0: all).", min=0)] = 0,
    max_tokens: Annotated[int, typer.Option(help="Longest answer of a model that is asked.", min=1)] = 512,
    temperature: Annotated[float, typer.Option(help="Of models that are asked; above 0 gives a ceiling.", min=0)] = 0.0,
    budget_usd: Annotated[float | None, typer.Option(help="The most that servers may cost together.")] = None,
    budget_tokens: Annotated[str, typer.Option(help="The same in tokens, in and out, e.g. 2M.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell the price; ask nothing.")] = False,
    judgments: Annotated[list[str] | None, typer.Option(help="Recorded verdicts: PATH, or JUDGE=PATH.")] = None,
    scores: Annotated[list[str] | None, typer.Option(help="Recorded benchmark scores: PATH, or MODEL=PATH.")] = None,
    references: Annotated[str, typer.Option(help="Right answers, to tell which raters know better (JSON lines).")] = "",
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
    """Audit a student beside teacher and base, recorded or asked: style, preference, scores, what cannot be told."""
    command = discover.load("epigone.commands.audit")
    sources = command.Sources(
        teacher=teacher,
        students=student,
        base=base,
        second_sample=teacher_sample_2,
        judgments=judgments or [],
        scores=scores or [],
        references=references,
        title=title,
        minimum_coverage=minimum_coverage,
        prompts=prompts,
        benchmarks=benchmark or [],
        limit=limit,
        max_tokens=max_tokens,
        temperature=temperature,
        gate=command.Gate(fail_if or [], on_undecided, junit),
        price=command.Price(budget_usd, budget_tokens, dry_run),
    )
    found, passed = command.run_audit(sources, root, num_workers=workers, executor=executor, quiet=as_json)
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False, allow_nan=False))
    if not passed:
        raise typer.Exit(1)
