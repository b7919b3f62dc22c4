"""Pairs of answers to one prompt -> blocks of pairs: segments 1 and 2 of a block are a pair, 3 and 4 the next.

In: a pair's two token sequences with their masks, the chosen one first. Out: Blocks, in which a pair is never divided;
positions start anew with each answer, so a block may be longer than a model's positions.
Source: the way in which `tokens.packing` packs documents; pairs as in arXiv 2305.18290.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from epigone.store import write_text
from epigone.tokens.layout import lay_out_documents
from epigone.tokens.packing import Blocks, Tokenized, empty_blocks, save_blocks

PAIRS = "pairs.json"
"""Beside blocks of pairs: says that they are, since their arrays do not."""


def save_pairs(blocks: Blocks, num_pairs: int, folder: Path) -> None:
    """Blocks of pairs, and the file that says so."""
    save_blocks(blocks, folder)
    write_text(folder / PAIRS, json.dumps({"num_pairs": num_pairs}) + "\n")


def holds_pairs(folder: Path) -> bool:
    """Whether the blocks in a folder are pairs."""
    return (folder / PAIRS).is_file()


def pack_pairs(pairs: Sequence[tuple[Tokenized, Tokenized]], length: int) -> tuple[Blocks, int]:
    """Blocks by best fit, and how many answers were cut to half a block. Raises SpecError for a length below 2."""
    half = max(length // 2, 1)
    num_cut = sum(len(ids) > half for pair in pairs for ids, _ in pair)
    kept = [tuple((ids[:half], mask[:half]) for ids, mask in pair) for pair in pairs]
    sizes = np.array([len(chosen[0]) + len(rejected[0]) for chosen, rejected in kept], np.int64)
    layout, _ = lay_out_documents(sizes, length, overlong="truncate")
    blocks = empty_blocks(layout.num_rows, length)
    for row, column, number, pair, _, _ in layout.pieces(0, layout.num_rows):
        for side, (ids, mask) in enumerate(kept[pair]):
            here = slice(column, column + len(ids))
            blocks.tokens[row, here] = ids
            blocks.loss_mask[row, here] = mask
            blocks.segment_ids[row, here] = 2 * number - 1 + side
            column += len(ids)
    return blocks, num_cut
