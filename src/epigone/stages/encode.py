"""encode: a dataset or plain documents -> token arrays, for several amounts, several lengths, or several workers.

In: a `datasets/` artifact (dialogues, through a chat template) or a file of documents, a tokenizer. Out: `tokens/`:
ids, mask and lengths of every document, in shards. `tokenize` packs them, and without this stage encodes by itself.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from epigone.interfaces import ChatTemplate, StageSpec
from epigone.spec import Artifact, Component, Input
from epigone.tokens.chat_template import SPECIAL_TOKENS
from epigone.tokens.encoding import Encoded, Selection, encode_documents
from epigone.tokens.sources import open_source


@dataclass(frozen=True)
class Encode:
    """Options of an encoding; `source` is a dataset (dialogues) or an Input (plain documents)."""

    source: StageSpec | Artifact | Input
    """A dataset artifact, or a file of documents."""
    tokenizer: Input
    """A tokenizer.json."""
    template: Component = SPECIAL_TOKENS
    """How dialogues are written, a component of `tokens.templates`."""
    document_end: str = "<|end|>"
    """The control token that closes a plain document."""
    order: Literal["permuted", "as_is"] = "permuted"
    """The documents' order: one seeded permutation, or as they stand (a mixture is in order already)."""
    seed: int = 0
    """Of the permutation."""
    max_tokens: int = 0
    """Encode at least the documents that hold so many tokens, in that order (0: all)."""
    shard: int = 0
    """Which part of the data, from 0."""
    num_shards: int = 1
    """In how many parts, each an artifact of its own, the data are encoded."""
    name: str = "tokens"
    """What the data is called."""

    kind: ClassVar[str] = "tokens"
    version: ClassVar[int] = 1

    @property
    def slug(self) -> str:
        """Data and part."""
        return f"{self.name}-{self.shard + 1}-of-{self.num_shards}" if self.num_shards > 1 else self.name

    @property
    def effort(self) -> float:
        """Seconds on one core, roughly."""
        return 10.0 / self.num_shards

    def run(self, inputs: Callable[[object], Path], out: Path) -> dict[str, object]:
        """Encode shard after shard; goes on after an interruption."""
        template = self.template.make(inputs)
        assert isinstance(template, ChatTemplate)
        source = open_source(
            inputs(self.source),
            inputs(self.tokenizer),
            template,
            is_dialogue=not isinstance(self.source, Input),
            document_end=self.document_end,
        )
        selection = Selection(self.order == "permuted", self.seed, self.max_tokens, self.shard, self.num_shards)
        encode_documents(source, out, selection)
        lengths = Encoded([out]).lengths
        found = lengths[lengths >= 0]
        return {"num_documents": len(lengths), "num_encoded": len(found), "num_tokens": int(found.sum())}
