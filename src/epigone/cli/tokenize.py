"""The verb `epigone tokenize`: argv -> command; no logic.

In: argv. Out: what `commands.tokenize` gives, loaded when it runs.
"""

from pathlib import Path
from typing import Annotated

import typer

from epigone import discover
from epigone.cli.options import ExecutorName, Json, Root, told


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
    command = discover.load("epigone.commands.tokenize")
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
