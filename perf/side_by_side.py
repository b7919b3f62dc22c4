"""Times ways of doing the same work in one run, by turns, and prints each one's speed and its ratio to the first.

Speeds are per CPU-second of this process, so that a busy machine disturbs them little; the best of the rounds counts.
Absolute speeds are this machine's; the ratio is what may be quoted.
"""

import os

os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["OMP_NUM_THREADS"] = "1"

import importlib.util
import time
from collections.abc import Callable

import jax

from epigone.models import llama, params
from epigone.models.family import Model

ROUNDS = 3
WIDTH, NUM_LAYERS, VOCAB_SIZE, LENGTH = 64, 3, 1100, 192
CONFIG = llama.Config(
    vocab_size=VOCAB_SIZE,
    width=WIDTH,
    num_layers=NUM_LAYERS,
    num_heads=4,
    num_kv_heads=4,
    hidden_width=176,
    max_positions=LENGTH,
    tie_embeddings=True,
)


def model() -> Model:
    """The testbed's middle model, at random weights."""
    return Model(llama, CONFIG, params.init(llama.param_tree(CONFIG), jax.random.key(0)))


def peer() -> "object | None":
    """The same architecture in transformers, or None where torch and transformers are not installed."""
    return peer_of(CONFIG)


def peer_of(config: llama.Config) -> "object | None":
    """A variant in transformers, in fp32 on one thread, at random weights."""
    if not all(map(importlib.util.find_spec, ("torch", "transformers"))):
        print("torch and transformers are not installed (make test-all installs them): no peer in this run")
        return None
    import torch
    import transformers

    torch.set_num_threads(1)
    torch.manual_seed(0)
    return transformers.LlamaForCausalLM(transformers.LlamaConfig(**config.to_hf())).eval()


def compare(
    title: str, amount: int, ways: dict[str, Callable[[], object]], unit: str = "tokens", rounds: int = ROUNDS
) -> None:
    """Run every way once to compile, then by turns; all of them must handle that amount of `unit`."""
    for way in ways.values():
        way()
    seconds = {name: float("inf") for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            started = time.process_time()
            way()
            seconds[name] = min(seconds[name], time.process_time() - started)
    print(f"{title}: {amount} {unit}, best of {rounds} rounds")
    first = next(iter(seconds.values()))
    for name, spent in seconds.items():
        print(f"  {name:<40} {amount / spent:>9,.0f} {unit} per CPU-second   {first / spent:.2f} x the first")
