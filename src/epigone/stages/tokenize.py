"""tokenize: a dataset or plain documents -> packed blocks (section 4.1: special tokens, loss on the outputs only).

In: a `datasets/` artifact (dialogues, through a chat template) or a file of documents, a tokenizer; or what the stage
`encode` made of them. Out: `blocks/`: mmap-able arrays. Amounts are nested: one seeded permutation, cut where its
cumulative tokens reach `max_tokens`. A run that was cut off goes on at the next shard of documents.
"""

import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy
from jaxtyping import Int

from epigone.interfaces import ChatTemplate, StageSpec
from epigone.progress import tell
from epigone.reporting.collection_card import carry_cards
from epigone.spec import Artifact, Component, Input
from epigone.tokens.chat_template import SPECIAL_TOKENS
from epigone.tokens.encoding import Encoded, Selection, encode_documents
from epigone.tokens.layout import Layout, PackCounts, lay_out_documents, lay_out_stream
from epigone.tokens.packing import BlockWriter, fill
from epigone.tokens.positions import check_fits, positions_of
from epigone.tokens.sources import open_source

Numbers = Int[numpy.ndarray, " k"]

ROWS = 512
"""Blocks that are filled, and written, at a time."""


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
    template: Component = SPECIAL_TOKENS
    """How dialogues are written, a component of `tokens.templates`."""
    packing: Literal["documents", "chop"] = "documents"
    """Every document a segment of its own, or the authors' stream, cut every `length` tokens."""
    order: Literal["permuted", "as_is"] = "permuted"
    """The documents' order: one seeded permutation, or as they stand (a mixture is in order already)."""
    document_end: str = "<|end|>"
    """The control token that closes a plain document."""
    max_positions: int = 0
    """Positions of the model that will learn from the blocks; a longer block is refused (0: not known)."""
    model: Input | StageSpec | Artifact | None = None
    """That model's config.json, or its checkpoint, which says so too."""
    encoded: tuple[StageSpec | Artifact, ...] = ()
    """All parts of the source as the stage `encode` wrote them with this tokenizer and template; empty: encode here."""

    kind: ClassVar[str] = "blocks"
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        check_fits(self.length, self.max_positions)

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
        if self.model is not None:
            check_fits(self.length, positions_of(inputs(self.model)))
        template = self.template.make(inputs)
        assert isinstance(template, ChatTemplate)
        source = open_source(
            inputs(self.source),
            inputs(self.tokenizer),
            template,
            is_dialogue=not isinstance(self.source, Input),
            document_end=self.document_end,
        )
        selection = Selection(self.order == "permuted", self.seed, self.max_tokens)
        here = out / "encoded"
        if not self.encoded:
            encode_documents(source, here, selection)
        encoded = Encoded([inputs(part) for part in self.encoded] or [here])
        carry_cards([inputs(self.source)], out)
        counts = self._pack(encoded, selection, source.overlong, out)
        shutil.rmtree(here, ignore_errors=True)  # only an unfinished run needs it
        return counts

    def _pack(
        self, encoded: Encoded, selection: Selection, overlong: Literal["split", "truncate"], out: Path
    ) -> dict[str, object]:
        taken = encoded.taken(selection)
        layout, counts = self._lay_out(encoded, taken, overlong)
        with BlockWriter(out, layout.num_rows, self.length) as writer:
            for first in range(0, layout.num_rows, ROWS):
                last = min(first + ROWS, layout.num_rows)
                writer.write(fill(layout, lambda number: encoded.read(int(taken[number])), first, last))
                tell(last, layout.num_rows, "blocks")
        num_places = layout.num_rows * self.length
        return {
            "num_blocks": layout.num_rows,
            "num_loss_tokens": writer.num_loss_tokens,
            "share_padded": round(1 - writer.num_tokens / num_places, 6) if num_places else 0.0,
        } | asdict(counts)

    def _lay_out(
        self, encoded: Encoded, taken: Numbers, overlong: Literal["split", "truncate"]
    ) -> tuple[Layout, PackCounts]:
        lengths = encoded.lengths[taken]
        if self.packing == "chop":
            return lay_out_stream(lengths, self.length)
        return lay_out_documents(lengths, self.length, overlong=overlong)
