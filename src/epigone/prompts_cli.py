"""The verbs about where prompts come from: `epigone prompts` and `epigone select`. argv -> command; no logic.

In: argv. Out: what `prompts_command` and `select_command` give, both loaded when they run.
"""

from pathlib import Path
from typing import Annotated

import typer

from epigone import discover
from epigone.cli_options import ExecutorName, Json, Root, told

Teacher = Annotated[
    str, typer.Option(help="Who is asked: a backend, e.g. checkpoint:FOLDER, canned:FILE, replay:path=FILE,sample=1.")
]


def prompts(
    generator: Annotated[
        str,
        typer.Argument(help="nq-synthetic, tweet-sentiment, self-instruct or from-template; NAME:option=value,..."),
    ],
    *,
    teacher: Teacher,
    evaluation: Annotated[
        list[str] | None, typer.Option(help="Evaluation questions that must not be learnt: JSON lines, one or more.")
    ] = None,
    leak_filter: Annotated[
        bool, typer.Option("--leak-filter/--no-leak-filter", help="Leave out what --evaluation asks.")
    ] = True,
    examples: Annotated[int, typer.Option(help="How many are wanted.", min=1)] = 6000,
    round_size: Annotated[int, typer.Option(help="Prompts that are asked at once.", min=1)] = 64,
    minimum_yield: Annotated[
        float, typer.Option(help="Stop where the last rounds kept fewer new examples for each prompt.", min=0)
    ] = 0.25,
    patience: Annotated[int, typer.Option(help="Rounds that this rule looks back on.", min=1)] = 3,
    max_prompts: Annotated[int, typer.Option(help="Ask no more prompts than these (0: no limit).", min=0)] = 0,
    seed: Annotated[int, typer.Option(help="Draws the examples that are shown.")] = 0,
    terms: Annotated[str, typer.Option(help="The terms of the teacher's provider, in words or as an address.")] = "",
    teacher_name: Annotated[str, typer.Option(help="What the teacher is called in records.")] = "",
    name: Annotated[str, typer.Option(help="What the dataset is called.")] = "",
    root: Root = Path("runs"),
    executor: ExecutorName = "local",
    as_json: Json = False,
) -> None:
    """Make many examples out of a few by asking a teacher: local imitation, or instructions to ask."""
    command = discover.load("epigone.prompts_command")
    rounds = discover.load("epigone.interfaces").Rounds
    wanted = command.Wanted(
        generator=generator,
        teacher=teacher,
        rounds=rounds(examples, round_size, minimum_yield, patience, max_prompts, seed),
        evaluation=evaluation or [],
        leak_filter=leak_filter,
        name=name,
        teacher_name=teacher_name,
        terms=terms,
        executor=executor,
    )
    told(command.run_prompts(wanted, root, quiet=as_json), as_json)


def select(
    source: Annotated[Path, typer.Argument(help="Prompts: JSON lines of messages that end in a user's.")],
    *,
    num: Annotated[int, typer.Option(help="How many are to be asked.", min=1)],
    by: Annotated[str, typer.Option("--by", "--select", help="random or disagreement.")] = "random",
    base: Annotated[str, typer.Option(help="For disagreement: the base model's backend, e.g. checkpoint:FOLDER.")] = "",
    teacher: Annotated[str, typer.Option(help="For disagreement: the teacher's backend.")] = "",
    probes: Annotated[
        int, typer.Option(help="Prompts, drawn at random, that both answer first (0: a fifth of --num).", min=0)
    ] = 0,
    max_tokens: Annotated[int, typer.Option(help="Longest answer of a probe.", min=1)] = 512,
    seed: Annotated[int, typer.Option(help="Draws the probes, and all of them for random.")] = 0,
    name: Annotated[str, typer.Option(help="What the selection is called.")] = "",
    root: Root = Path("runs"),
    executor: ExecutorName = "local",
    as_json: Json = False,
) -> None:
    """Choose which prompts to ask a teacher: at random, or those where base and teacher are likely to differ most."""
    command = discover.load("epigone.select_command")
    wanted = command.Wanted(source, num, by, base, teacher, probes, max_tokens, seed, name, executor)
    told(command.run_select(wanted, root, quiet=as_json), as_json)
