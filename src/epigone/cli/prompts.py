"""The verbs about where prompts come from: `epigone prompts`, `select` and `held-out`. argv -> command; no logic.

In: argv. Out: what `commands.prompts`, `commands.select` and `commands.held_out` give, loaded when they run.
"""

from pathlib import Path
from typing import Annotated

import typer

from epigone import discover
from epigone.cli.options import ExecutorName, Json, Root, told

Teacher = Annotated[
    str,
    typer.Option(help="Who is asked, e.g. checkpoint:FOLDER, openai:url=ADDRESS,model=NAME, replay:FILE."),
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
    command = discover.load("epigone.commands.prompts")
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
    command = discover.load("epigone.commands.select")
    wanted = command.Wanted(source, num, by, base, teacher, probes, max_tokens, seed, name, executor)
    told(command.run_select(wanted, root, quiet=as_json), as_json)


def held_out(
    sources: Annotated[
        list[str], typer.Argument(help="Prompts as evaluations publish them: JSON lines or arrays, one file or more.")
    ],
    *,
    training: Annotated[
        list[str] | None, typer.Option(help="Datasets that were trained on; prompts near to any example are left out.")
    ] = None,
    any_training: Annotated[
        bool, typer.Option("--any-training", help="Compare with no training set: nothing is known to be held out.")
    ] = False,
    num: Annotated[int, typer.Option(help="How many (0: all that are left).", min=0)] = 255,
    threshold: Annotated[
        float, typer.Option(help="BLEU in percent above which a prompt is near.", min=0, max=99.9)
    ] = 20.0,
    language: Annotated[list[str] | None, typer.Option(help="Languages to keep, e.g. en de; any for all.")] = None,
    keep_code: Annotated[bool, typer.Option("--keep-code", help="Keep prompts that ask for code.")] = False,
    hard: Annotated[
        bool, typer.Option("--hard", help="Those on which base and teacher are likely to differ most.")
    ] = False,
    base: Annotated[str, typer.Option(help="For --hard: the base model, e.g. a checkpoint's folder.")] = "",
    teacher: Annotated[str, typer.Option(help="For --hard: the teacher, e.g. MODEL@URL.")] = "",
    probes: Annotated[
        int,
        typer.Option(help="Prompts that both answer to choose the hard ones, set apart (0: as many as --num).", min=0),
    ] = 0,
    max_tokens: Annotated[int, typer.Option(help="Longest answer of a probe.", min=1)] = 512,
    sort_by: Annotated[str, typer.Option(help="A model that sorts them into the categories of Table 5.")] = "",
    seed: Annotated[int, typer.Option(help="Draws the prompts, or the probes.")] = 0,
    name: Annotated[str, typer.Option(help="What the set is called.")] = "held-out",
    root: Root = Path("runs"),
    executor: ExecutorName = "local",
    as_json: Json = False,
) -> None:
    """Hold out prompts for an evaluation: not in the training data, in the wanted language, not about code."""
    command = discover.load("epigone.commands.held_out")
    wanted = command.Wanted(
        sources=sources,
        training=training or [],
        any_training=any_training,
        num=num,
        threshold=threshold,
        languages=language or ["en"],
        keep_code=keep_code,
        hard=hard,
        base=base,
        teacher=teacher,
        num_probes=probes,
        max_tokens=max_tokens,
        sort_by=sort_by,
        seed=seed,
        name=name,
    )
    told(command.run_held_out(wanted, root, executor=executor, quiet=as_json), as_json)
