"""tokenize: a dataset or plain documents -> packed blocks (section 4.1: special tokens, loss on the outputs only).

In: a `datasets/` artifact (chat form) or a file of documents, a tokenizer. Out: `blocks/`: mmap-able arrays. Amounts
are nested: one seeded permutation, cut where its cumulative tokens reach `max_tokens`.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar

import numpy

from epigone.datasets import read_dataset
from epigone.formats.documents import Documents
from epigone.interfaces import StageSpec
from epigone.records import Document
from epigone.spec import Artifact, Input
from epigone.tokens.chat_template import ChatTokens
from epigone.tokens.packing import pack, save_blocks, take_tokens
from epigone.tokens.tokenizer import Tokenizer

Sequences = list[tuple[list[int], list[bool]]]


@dataclass(frozen=True)
class Tokenize:
    """Options of a tokenisation; `source` is a dataset (dialogues) or an Input (plain documents)."""

    source: StageSpec | Artifact | Input
    """A dataset artifact, or a file of documents."""
    tokenizer: Input
    """A tokenizer.json."""
    length: int = 192
    """Tokens of a block."""
    max_tokens: int = 0
    """Take at most about this many tokens (0: all)."""
    seed: int = 0
    """Orders the documents; the same seed gives nested amounts."""
    name: str = "blocks"
    """What the data is called."""

    kind: ClassVar[str] = "blocks"
    version: ClassVar[int] = 1

    @property
    def slug(self) -> str:
        """Data and amount."""
        return f"{self.name}-{self.max_tokens // 1000}k" if self.max_tokens else self.name

    @property
    def effort(self) -> float:
        """Seconds on one core, roughly."""
        return 1.0

    def run(self, inputs: Callable[[object], Path], out: Path) -> dict[str, object]:
        """Encode, order, cut, pack. Raises DataError where fewer than `max_tokens` are there."""
        tokenizer = Tokenizer.load(inputs(self.tokenizer))
        chat = not isinstance(self.source, Input)
        sequences = self._dialogues(inputs, tokenizer) if chat else self._documents(inputs, tokenizer)
        order = numpy.random.default_rng(self.seed).permutation(len(sequences))
        ordered = [sequences[i] for i in order]
        taken = take_tokens(ordered, self.max_tokens) if self.max_tokens else ordered
        blocks, counts = pack(taken, self.length, overlong="truncate" if chat else "split")
        save_blocks(blocks, out)
        learnt: dict[str, object] = {"num_blocks": len(blocks), "num_loss_tokens": int(blocks.loss_mask.sum())}
        return learnt | asdict(counts)

    def _dialogues(self, inputs: Callable[[object], Path], tokenizer: Tokenizer) -> Sequences:
        template = ChatTokens(tokenizer)
        return [template.encode(c.messages) for c in read_dataset(inputs(self.source) / "records.parquet")]

    def _documents(self, inputs: Callable[[object], Path], tokenizer: Tokenizer) -> Sequences:
        rows = Documents().read(inputs(self.source))
        end = tokenizer.id("<|end|>")
        encoded = tokenizer.encode_batch([row.text for row in rows if isinstance(row, Document)])
        return [([*ids, end], [True] * (len(ids) + 1)) for ids in encoded]
