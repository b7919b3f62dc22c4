"""The treatment `replay`: blocks of pre-training text are mixed into the imitation blocks, against forgetting.

In: imitation blocks and blocks of pre-training text of one length. Out: both, interleaved. Replay without imitation
blocks is the control. Source: notes on the paper's open question (section 4.3); rehearsal, arXiv 1811.11682.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from epigone.errors import DataError, SpecError
from epigone.tokens.packing import Blocks, empty_blocks, load_blocks
from epigone.training.treatment import Treatment


@dataclass(frozen=True)
class Replay(Treatment):
    """What is replayed, and how much."""

    num_tokens: int
    """Tokens of pre-training text, padding left out; rounded up to whole blocks."""
    path: str
    """Blocks of that text."""

    def mixed(self, blocks: Blocks | None, seed: int) -> Blocks:
        """All imitation blocks and the first of the replay blocks in an order drawn by `seed`, interleaved by it too.

        A smaller amount is part of a larger one. Raises SpecError for unequal lengths, DataError for too little text.
        """
        text = load_blocks(Path(self.path))
        blocks = empty_blocks(0, text.length) if blocks is None else blocks
        if blocks.length != text.length:
            raise SpecError(f"blocks of {blocks.length} and replay blocks of {text.length} tokens cannot be mixed")
        if self.num_tokens > text.num_tokens:
            raise DataError(f"{self.num_tokens} tokens were to be replayed, the text holds {text.num_tokens}")
        choice, interleaving = np.random.default_rng(seed).spawn(2)
        drawn = choice.permutation(len(text))
        sizes = np.count_nonzero(text.segment_ids[drawn], axis=1)
        num_blocks = int(np.searchsorted(np.cumsum(sizes), self.num_tokens)) + 1 if self.num_tokens else 0
        order = interleaving.permutation(len(blocks) + num_blocks)
        return blocks.joined(text[drawn[:num_blocks]])[order]
