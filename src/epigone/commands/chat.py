"""What `epigone chat` does: one checkpoint answers in the terminal, or two side by side on the same prompt.

In: checkpoints, prompts from a person, or lines of standard input. Out: answers as they are drawn, in columns on a
terminal; plain text elsewhere. Each model is asked with the conversation that it has itself.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.columns import Columns
from rich.console import Console
from rich.live import Live
from rich.panel import Panel
from rich.text import Text

from epigone.decoding.engine import Engine
from epigone.decoding.sampling import row_seed
from epigone.decoding.slots import Request, Slots
from epigone.decoding.texts import Texts
from epigone.errors import SpecError
from epigone.models.weights import load_checkpoint
from epigone.records import Message, Prompt

NUM_STEPS = 2
"""Tokens between two looks at the terminal."""
MOST_TOKENS = 4096


@dataclass
class Speaker:
    """A checkpoint with the conversation that it is in."""

    name: str
    texts: Texts
    slots: Slots
    messages: list[Message] = field(default_factory=list)

    def answer(self, asked: str, *, max_tokens: int, temperature: float, seed: int) -> Iterator[str]:
        """The answer as far as it is drawn, again and again; the last is whole. Raises SpecError where none fits."""
        turn = [*self.messages, Message("user", asked)]
        ids = self.texts.ids(Prompt("chat", messages=tuple(turn)))
        room = min(max_tokens, self.slots.capacity - len(ids))
        if room < 1:
            raise SpecError(f"{self.name}: the conversation is longer than {self.slots.capacity} tokens; start anew")
        self.slots.submit(Request(ids, room, temperature, seed=row_seed(ids, seed)))
        tokens: list[int] = []
        while not self.slots.is_idle:
            tokens += [token for event in self.slots.step() for token in event.tokens]
            yield self.texts.decode(tokens)
        self.messages = [*turn, Message("assistant", self.texts.decode(tokens))]


def run_chat(
    checkpoint: Path, beside: Path | None, *, once: str, max_tokens: int, temperature: float, seed: int
) -> None:
    """Talk until the input ends, or ask `once`. Raises SpecError for a prompt that leaves no room."""
    paths = [checkpoint, *([beside] if beside else [])]
    speakers = [_speaker(path, name) for path, name in zip(paths, _names(paths), strict=True)]
    console = Console()
    for asked in [once] if once else _prompts(console):
        options = {"max_tokens": max_tokens, "temperature": temperature, "seed": seed}
        drawn = _in_turns([speaker.answer(asked, **options) for speaker in speakers])
        _show(console, [speaker.name for speaker in speakers], drawn)


def _speaker(path: Path, name: str) -> Speaker:
    model, texts = load_checkpoint(path), Texts(path)
    capacity = min(model.config.max_positions, MOST_TOKENS)
    slots = Engine(model, 1).slots(1, capacity, end_ids=texts.end_ids, num_steps=NUM_STEPS)
    return Speaker(name, texts, slots)


def _names(paths: Sequence[Path]) -> list[str]:
    names = [path.resolve().name for path in paths]
    return names if len(set(names)) == len(names) else [str(path) for path in paths]


def _prompts(console: Console) -> Iterator[str]:
    """Lines of a person, or of a file."""
    while True:
        try:
            line = console.input("[bold]> [/bold]") if sys.stdin.isatty() else next(sys.stdin, None)
        except EOFError:
            return
        if line is None:
            return
        if line.strip():
            yield line.strip()


def _in_turns(answers: Sequence[Iterator[str]]) -> Iterator[list[str]]:
    """What each has said so far, whenever one says more."""
    said, running = [""] * len(answers), dict(enumerate(answers))
    while running:
        for number, answer in list(running.items()):
            text = next(answer, None)
            if text is None:
                del running[number]
            else:
                said[number] = text
        yield list(said)


def _show(console: Console, names: Sequence[str], drawn: Iterator[list[str]]) -> None:
    if not console.is_terminal:
        said = list(drawn)[-1]
        for name, text in zip(names, said, strict=True):
            console.print(Text(f"{name}: {text}" if len(names) > 1 else text), soft_wrap=True)
        return
    with Live(console=console, refresh_per_second=12, vertical_overflow="visible") as live:
        for said in drawn:
            width = console.width // len(names) - 1
            panels = [Panel(Text(text), title=name, width=width) for name, text in zip(names, said, strict=True)]
            live.update(Columns(panels))
