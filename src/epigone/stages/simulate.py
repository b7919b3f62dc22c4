"""simulate: write a simulated world's files, in the published formats, as one artifact.

In: nothing but a seed and sizes. Out: `worlds/`: corpus, tokenizer, facts, benchmark files and prompts
(docs/decisions/0001).
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from epigone.testbed.facts import load_facts
from epigone.testbed.tokenizer import build_tokenizer
from epigone.testbed.world import write_world


@dataclass(frozen=True)
class Simulate:
    """Options of a simulated world; equal options give equal files."""

    num_tokens: int = 1_000_000
    """Tokens of pre-training text."""
    broad_tokens: int = 330_000
    """Tokens of broad dialogues that the prompts must suffice for."""
    seed: int = 0
    """Draws the facts' exposure, who is held out, and every text."""

    kind: ClassVar[str] = "worlds"
    version: ClassVar[int] = 1

    @property
    def slug(self) -> str:
        """World and size."""
        return f"testbed-{self.num_tokens // 1000}k-s{self.seed}"

    @property
    def effort(self) -> float:
        """Seconds on one core, roughly."""
        return 3.0

    @property
    def vocab_size(self) -> int:
        """Of the world's tokenizer: its words follow from the options alone."""
        return build_tokenizer(load_facts(self.seed)).get_vocab_size()

    def run(self, inputs: Callable[[object], Path], out: Path) -> dict[str, object]:
        """Write the world; returns its counts."""
        return dict(write_world(out, seed=self.seed, num_tokens=self.num_tokens, broad_tokens=self.broad_tokens))
