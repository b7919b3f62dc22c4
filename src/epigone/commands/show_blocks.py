"""One block as a person reads it: its text by loss mask and segment, control tokens by name.

In: a `blocks/` artifact and a row. Out: coloured text on a terminal (learnt in green or, in every second segment, cyan;
what is only read in grey), [[learnt]] between brackets elsewhere; or plain data. Source: the artifact's own spec, which
names its tokenizer.
"""

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from rich.console import Console
from rich.text import Text

from epigone.errors import ArtifactError
from epigone.tokens.packing import Blocks, load_blocks
from epigone.tokens.tokenizer import Tokenizer

_STYLES = {(True, 1): "green", (True, 0): "cyan", (False, 1): "bright_black", (False, 0): "grey50"}
"""(is learnt, segment's parity) -> colour."""


@dataclass(frozen=True)
class Run:
    """Neighbouring tokens of one segment that are all learnt or all not, as text."""

    segment: int
    is_learnt: bool
    text: str
    tokens: tuple[int, ...]


def is_blocks(folder: Path) -> bool:
    """Whether an artifact holds blocks."""
    return (folder / "segment_ids.npy").exists()


def block_as_json(folder: Path, row: int) -> dict[str, object]:
    """A block as plain data: tokens, loss mask, segments, and its text run by run. Raises ArtifactError."""
    blocks, tokenizer = _open(folder)
    tokens, mask, segments = (array[0].tolist() for array in _row(blocks, row, folder).arrays)
    runs = [
        {"segment": run.segment, "learnt": run.is_learnt, "text": run.text} for run in _runs(blocks, row, tokenizer)
    ]
    return {"row": row, "tokens": tokens, "loss_mask": mask, "segment_ids": segments, "runs": runs}


def show_blocks(folder: Path, rows: Sequence[int], console: Console) -> None:
    """Print blocks as text. Raises ArtifactError where a single row that is asked for does not exist."""
    blocks, tokenizer = _open(folder)
    if len(rows) == 1:
        _row(blocks, rows[0], folder)
    for row in rows:
        if row >= len(blocks):
            break
        console.rule(f"block {row} of {len(blocks)}")
        runs = _runs(blocks, row, tokenizer)
        for segment, inside in itertools.groupby(runs, key=lambda run: run.segment):
            _print_segment(segment, list(inside), console)
        num_padded = blocks.length - blocks[row : row + 1].num_tokens
        console.print(Text(f"{num_padded} of {blocks.length} tokens are padding", style="bold"), soft_wrap=True)


def _print_segment(segment: int, runs: Sequence[Run], console: Console) -> None:
    num_tokens = sum(len(run.tokens) for run in runs)
    num_learnt = sum(len(run.tokens) for run in runs if run.is_learnt)
    console.print(Text(f"segment {segment}: {num_tokens} tokens, {num_learnt} learnt", style="bold"), soft_wrap=True)
    text = Text()
    for run in runs:
        shown = run.text if console.is_terminal or not run.is_learnt else f"[[{run.text}]]"
        text.append(shown, style=_STYLES[run.is_learnt, segment % 2])
    console.print(text, soft_wrap=True)


def _open(folder: Path) -> tuple[Blocks, Tokenizer]:
    if not is_blocks(folder):
        raise ArtifactError(f"{folder} holds no blocks; give a folder such as runs/blocks/NAME--HASH")
    spec = cast(dict[str, dict[str, str]], json.loads((folder / "spec.json").read_text())["spec"])
    source = spec["tokenizer"]
    inside = folder.parent.parent / source.get("artifact", "") / source.get("path", "")
    path = inside if "artifact" in source else Path(source["file"])
    if not path.exists():
        raise ArtifactError(f"{folder}: its tokenizer {path} is not there; run from the folder where it was tokenized")
    return load_blocks(folder), Tokenizer.load(path)


def _row(blocks: Blocks, row: int, folder: Path) -> Blocks:
    if not 0 <= row < len(blocks):
        raise ArtifactError(f"{folder} has no block {row}; it has {len(blocks)}, counted from 0")
    return blocks[row : row + 1]


def _runs(blocks: Blocks, row: int, tokenizer: Tokenizer) -> list[Run]:
    """The block's text, padding left out."""
    columns = zip(*(array[row].tolist() for array in blocks.arrays), strict=True)
    runs: list[Run] = []
    for (segment, learnt), group in itertools.groupby(columns, key=lambda column: (column[2], column[1])):
        if segment:
            ids = tuple(token for token, _, _ in group)
            runs.append(Run(segment, learnt, _text(ids, tokenizer), ids))
    return runs


def _text(ids: Sequence[int], tokenizer: Tokenizer) -> str:
    """Words as the tokenizer decodes them, control tokens by name."""
    parts: list[str] = []
    for is_control, group in itertools.groupby(ids, key=tokenizer.control_ids.__contains__):
        if is_control:
            parts += [str(tokenizer.backend.id_to_token(id_)) for id_ in group]
        else:
            parts.append(_decoded(list(group), tokenizer))
    return "".join(parts)


def _decoded(ids: list[int], tokenizer: Tokenizer) -> str:
    """Text with the blank that a decoder takes off the first word: decoded behind its own first token."""
    head, whole = tokenizer.decode(ids[:1]), tokenizer.decode([ids[0], *ids])
    return whole[len(head) :] if head and whole.startswith(head) else tokenizer.decode(ids)
