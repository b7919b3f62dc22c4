"""The verbs `epigone serve` and `epigone chat`: argv -> command; no logic.

In: argv. Out: what `commands.serve` and `commands.chat` do, loaded when they run.
"""

import os
from pathlib import Path
from types import ModuleType
from typing import Annotated

import typer

from epigone import discover
from epigone.schedule import compiled_once, keep_freed_memory


def serve(
    checkpoint: Annotated[Path, typer.Argument(help="A checkpoint's folder, or a .gguf file.")],
    *,
    name: Annotated[str, typer.Option(help="What clients call the model (default: the folder's name).")] = "",
    host: Annotated[str, typer.Option(help="Where to listen; loopback alone unless named.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Where to listen; 0: any free port.", min=0, max=65535)] = 8000,
    slots: Annotated[int, typer.Option(help="Replies that are drawn at once.", min=1)] = 16,
    context: Annotated[int, typer.Option(help="Most tokens of prompt and reply together (0: up to 2,048).")] = 0,
    mesh: Annotated[str, typer.Option(help="Devices that hold it together: data,fsdp,tensor (default: one).")] = "",
) -> None:
    """Serve a checkpoint as OpenAI does: /v1/models, /v1/completions, /v1/chat/completions (key: EPIGONE_SERVE_KEY)."""
    command = _loaded("epigone.commands.serve")
    command.run_serve(checkpoint, name=name, host=host, port=port, slots=slots, context=context, mesh=mesh)


def chat(
    checkpoint: Annotated[Path, typer.Argument(help="A checkpoint's folder, or a .gguf file.")],
    *,
    beside: Annotated[Path | None, typer.Option(help="Another checkpoint that answers the same.")] = None,
    once: Annotated[str, typer.Option(help="Ask this alone, and end.")] = "",
    max_tokens: Annotated[int, typer.Option(help="Tokens of an answer at most.", min=1)] = 256,
    temperature: Annotated[float, typer.Option(help="0: the likeliest words.", min=0)] = 0.0,
    seed: Annotated[int, typer.Option(help="Of sampled answers.")] = 0,
) -> None:
    """Talk to a checkpoint in the terminal, or to two side by side."""
    command = _loaded("epigone.commands.chat")
    command.run_chat(checkpoint, beside, once=once, max_tokens=max_tokens, temperature=temperature, seed=seed)


def _loaded(module: str) -> ModuleType:
    """The module, in a process that compiles no program twice and keeps its memory; what the user set stands."""
    keep_freed_memory()
    for variable, value in compiled_once().items():
        os.environ.setdefault(variable, value)
    return discover.load(module)
