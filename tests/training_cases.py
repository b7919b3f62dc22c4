"""A model of two layers and blocks of random tokens, for the tests of training."""

from pathlib import Path

import jax
import numpy as np

from epigone.models import llama
from epigone.models import params as parameters
from epigone.models.family import Model
from epigone.spec import Artifact, Input
from epigone.stages.train import Size, Train
from epigone.tokens.packing import Blocks, pack, save_blocks
from epigone.training.optimizer import Recipe
from tokenize_cases import byte_tokenizer

CONFIG = llama.Config(
    vocab_size=24, width=16, num_layers=2, num_heads=2, num_kv_heads=1, hidden_width=24, max_positions=32
)
RECIPE = Recipe(learning_rate=3e-3, batch_size=2, num_steps=50, warmup_steps=5, schedule="cosine", weight_decay=0.1)


def tiny_model(config: llama.Config = CONFIG) -> Model:
    return Model(llama, config, parameters.init(llama.param_tree(config), jax.random.key(0)))


def random_sequences(num_sequences: int, seed: int = 0) -> list[tuple[list[int], list[bool]]]:
    rng = np.random.default_rng(seed)
    sizes = rng.integers(2, 11, num_sequences)
    return [(rng.integers(1, 24, n).tolist(), (rng.random(n) < 0.7).tolist()) for n in sizes]


def random_blocks(num_sequences: int = 30, length: int = 16, seed: int = 0) -> Blocks:
    return pack(random_sequences(num_sequences, seed), length, overlong="split")[0]


def same_bytes(one, other) -> bool:
    return all(a.tobytes() == b.tobytes() for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True))


def trained(root: Path, mesh: str) -> Train:
    """A tiny training run over a mesh; its blocks are put into the root."""
    byte_tokenizer(root / "tokenizer.json")
    made = root / "blocks" / "made-up--00000000"
    if not made.exists():
        save_blocks(random_blocks(), made)
        (made / "DONE").write_text('{"files": {}}')
    recipe = Recipe(0.01, 4, num_steps=20)
    size = Size(16, num_layers=1, head_width=8, max_positions=16)
    tokenizer = Input(str(root / "tokenizer.json"))
    return Train(Artifact("blocks/made-up--00000000"), tokenizer, recipe, "model", size=size, mesh=mesh)
