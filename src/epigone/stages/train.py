"""train: blocks -> a checkpoint, from random weights (a base model) or from another checkpoint (a student).

In: blocks, a tokenizer, perhaps a checkpoint to start from and pre-training blocks to replay (section 4.1, and the open
question of section 4.3). Out: `checkpoints/` in Hugging Face layout. Goes on bit-identically after an interruption.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from epigone.errors import SpecError
from epigone.interfaces import StageSpec
from epigone.models import llama
from epigone.models.family import Model, random_model
from epigone.models.params import num_params
from epigone.models.weights import load_checkpoint, save_checkpoint
from epigone.progress import tell
from epigone.spec import Artifact, Input
from epigone.tokens.chat_template import ChatTokens
from epigone.tokens.packing import Blocks, empty_blocks, load_blocks
from epigone.tokens.tokenizer import Tokenizer
from epigone.training.embeddings import init_token_embeddings
from epigone.training.loop import train
from epigone.training.optimizer import Recipe
from epigone.training.treatments.replay import Replay


@dataclass(frozen=True)
class Size:
    """Shape of a model made from random weights; LLaMA family."""

    width: int
    """Residual stream."""
    num_layers: int = 3
    head_width: int = 32
    """Width over this is the number of heads."""
    max_positions: int = 192
    """Longest sequence in tokens."""

    def __post_init__(self) -> None:
        if self.head_width < 2 or self.head_width % 2 or self.width % self.head_width:
            raise SpecError(f"heads {self.head_width} wide do not fit a width of {self.width}; take an even divisor")


@dataclass(frozen=True)
class Train:
    """Options of a training run. Either `size` (from random weights) or `start` (from a checkpoint)."""

    blocks: StageSpec | Artifact | None
    """What is learnt; None trains on replayed text alone."""
    tokenizer: Input
    """The tokenizer.json that goes with the checkpoint."""
    recipe: Recipe
    """Learning rate, schedule, batch, epochs."""
    name: str
    """What the model is called."""
    size: Size | None = None
    """Shape of a base model that starts from random weights."""
    start: StageSpec | Artifact | None = None
    """The checkpoint that a student starts from."""
    replay: Replay | None = None
    """How much pre-training text is mixed in."""
    replay_blocks: StageSpec | Artifact | None = None
    """Blocks of that text."""
    seed: int = 0
    """Of the random weights and of the replayed blocks; the recipe's own seed orders the blocks."""
    role_sources: tuple[tuple[str, str], ...] = (("<|user|>", "Q :"), ("<|assistant|>", "A :"))
    """Role tokens start as the mean of these tokens' embeddings: in a finished base, which has never seen them, so that
    it can be asked in chat form too, and again in a student before it learns."""

    kind: ClassVar[str] = "checkpoints"
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if (self.size is None) == (self.start is None):
            raise SpecError(f"{self.name}: give either `size` (random weights) or `start` (a checkpoint)")
        if (self.replay is None) != (self.replay_blocks is None):
            raise SpecError(f"{self.name}: `replay` and `replay_blocks` belong together")
        if self.blocks is None and self.replay is None:
            raise SpecError(f"{self.name}: there is nothing to train on; give `blocks`, `replay`, or both")

    @property
    def slug(self) -> str:
        """The model's name."""
        return self.name

    @property
    def effort(self) -> float:
        """Seconds on one core, roughly: bases are the long way."""
        return 35.0 * (self.size.width / 64) if self.size else 5.0

    def run(self, inputs: Callable[[object], Path], out: Path) -> dict[str, object]:
        """Train and write the checkpoint; returns real token counts, steps and losses."""
        template = ChatTokens(Tokenizer.load(inputs(self.tokenizer)))
        blocks, counts = self._mixture(inputs)
        start = self._start(inputs, template.tokenizer)
        model, log = train(start, blocks, self.recipe, state_folder=out / "state", on_progress=_tell)
        if self.size is not None:
            model = self._with_roles(model, template.tokenizer)
        save_checkpoint(out, model.config, model.params, token_ids={"eos_token_id": template.end, "pad_token_id": 0})
        template.save(out)
        shutil.rmtree(out / "state", ignore_errors=True)  # only an unfinished run needs it
        return counts | {
            "num_params": num_params(model.family.param_tree(model.config)),
            "num_steps": log.num_steps,
            "peak_learning_rate": log.peak_learning_rate,
            "first_loss": float(log.losses[0]),
            "last_loss": float(log.losses[-1]),
        }

    def _start(self, inputs: Callable[[object], Path], tokenizer: Tokenizer) -> Model:
        if self.size is not None:
            config = _llama(self.size, tokenizer.vocab_size)
            return random_model(config, seed=self.seed)
        return self._with_roles(load_checkpoint(inputs(self.start)), tokenizer)

    def _with_roles(self, model: Model, tokenizer: Tokenizer) -> Model:
        rows = {tokenizer.id(token): tokenizer.encode(source) for token, source in self.role_sources}
        return init_token_embeddings(model, rows)

    def _mixture(self, inputs: Callable[[object], Path]) -> tuple[Blocks, dict[str, object]]:
        replayed = load_blocks(inputs(self.replay_blocks)) if self.replay_blocks is not None else None
        blocks = load_blocks(inputs(self.blocks)) if self.blocks is not None else None
        own = blocks.num_tokens if blocks is not None else 0
        if blocks is None:
            assert replayed is not None
            blocks = empty_blocks(0, replayed.length)
        mixed = self.replay.apply(blocks, replayed, seed=self.seed) if self.replay and replayed is not None else blocks
        kind = "pretrain_tokens" if self.size is not None else "imitation_tokens"
        return mixed, {kind: own, "replay_tokens": mixed.num_tokens - own}


def _tell(step: int, total: int, loss: float) -> None:
    tell(step, total, "steps", f"loss {loss:.3f}")


def _llama(size: Size, vocab_size: int) -> llama.Config:
    return llama.Config(
        vocab_size=vocab_size,
        width=size.width,
        num_layers=size.num_layers,
        num_heads=size.width // size.head_width,
        num_kv_heads=size.width // size.head_width,
        hidden_width=round(size.width * 8 / 3 / 16) * 16,
        max_positions=size.max_positions,
        tie_embeddings=True,
    )
