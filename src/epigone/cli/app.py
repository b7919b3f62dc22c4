"""The command line: the verbs, and what their errors say. No logic, and no JAX until something runs.

Exit codes: 0 done, 1 work failed, 2 bad specification, 130 interrupted (the same command goes on).
"""

import sys
from collections.abc import Callable

import typer

from epigone.cli import (
    artifacts,
    audit,
    collect,
    curate,
    describe,
    evaluate,
    facts,
    fit_rater,
    judge,
    plan,
    probe,
    prompts,
    publish,
    rate,
    report,
    serve,
    show,
    study,
    support,
    tokenize,
    trace,
    train,
)
from epigone.errors import EpigoneError

VERBS: dict[str, Callable[..., None]] = {
    "study": study.study,
    "audit": audit.audit,
    "curate": curate.curate,
    "mix": curate.mix,
    "tokenize": tokenize.tokenize,
    "train": train.train,
    "describe": describe.describe,
    "run": study.run,
    "show": show.show,
    "report": report.report,
    "export": publish.export,
    "publish": publish.publish,
    "verify": study.verify,
    "list": artifacts.list_artifacts,
    "gc": artifacts.gc,
    "plan": plan.plan,
    "prompts": prompts.prompts,
    "select": prompts.select,
    "held-out": prompts.held_out,
    "collect": collect.collect,
    "evaluate": evaluate.evaluate,
    "judge": judge.judge,
    "fit-rater": fit_rater.fit_rater,
    "facts": facts.facts,
    "probe": probe.probe,
    "serve": serve.serve,
    "chat": serve.chat,
    "rate": rate.rate,
    "crowd": rate.crowd,
    "trace": trace.trace,
    "support": support.support,
}
"""In the order of `epigone --help`."""

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


def assembled() -> typer.Typer:
    """All verbs as one command. Study reads its own --help, since a study's options are its function's parameters."""
    made = typer.Typer(
        help="Imitation studies: what did a student get from its teacher, capability or only style?",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    any_options = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
    for name, verb in VERBS.items():
        made.command(name, context_settings=any_options if verb is study.study else None)(verb)
    return made


app = assembled()


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
