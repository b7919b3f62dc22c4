"""Decoding beside transformers in the same run: one row, 16, 64; scoring; 300 few-shot items.

python perf/decode.py [testbed | smollm2-135m] [MEASURE ...]

Random weights in fp32 on one thread. The peer is transformers with its own KV cache: `generate` over batches padded on
the left and sorted by length, and for scores one forward pass a batch sorted by length. Both draw greedily to a given
length, since random weights end nothing: an item's own length, drawn by a seed, stands for where its reply would stop,
and the peer's batch runs until its longest does, as `generate` has it.
"""

from side_by_side import compare, peer_of  # first: it sets the number of threads

# isort: split
import sys
from functools import partial

import numpy as np

from epigone.decoding.engine import Engine
from epigone.decoding.slots import Request
from epigone.models import llama
from epigone.models.family import Model, random_model, variant

NUM_ITEMS, BATCH_SIZE, MAX_NEW = 300, 64, 16
PROMPT_LENGTH, NUM_NEW = 64, 32
CONFIGS = {
    "testbed": llama.Config(
        vocab_size=1100,
        width=64,
        num_layers=3,
        num_heads=4,
        num_kv_heads=4,
        hidden_width=176,
        max_positions=512,
        tie_embeddings=True,
    ),
    "smollm2-135m": variant("smollm2-135m")[1],
}


def random_prompts(config: llama.Config, *lengths: int) -> list[list[int]]:
    rng = np.random.default_rng(0)
    return [rng.integers(1, config.vocab_size, length).tolist() for length in lengths]


def items(config: llama.Config) -> list[tuple[list[int], int]]:
    """Three exemplars of 150 tokens that all share, a question of 12 to 40, a reply of 2 to 16 tokens."""
    rng = np.random.default_rng(1)
    exemplars = rng.integers(1, config.vocab_size, 150).tolist()
    return [
        ([*exemplars, *rng.integers(1, config.vocab_size, rng.integers(12, 40)).tolist()], int(length))
        for length in rng.integers(2, MAX_NEW + 1, NUM_ITEMS)
    ]


def ours(engine: Engine, asked: list[tuple[list[int], int]]) -> int:
    """Each row to its own length."""
    slots = engine.slots(min(engine.batch_size, len(asked)), max(len(prompt) + new for prompt, new in asked))
    for prompt, num_new in asked:
        slots.submit(Request(prompt, num_new))
    found = 0
    while not slots.is_idle:
        found += sum(len(event.tokens) for event in slots.step())
    assert found == sum(num_new for _, num_new in asked)
    return found


def theirs(network, asked: list[tuple[list[int], int]], batch_size: int) -> int:
    import torch

    order = sorted(asked, key=lambda item: len(item[0]))
    found = 0
    for start in range(0, len(order), batch_size):
        part = order[start : start + batch_size]
        longest, num_new = max(len(prompt) for prompt, _ in part), max(new for _, new in part)
        ids = torch.zeros((len(part), longest), dtype=torch.long)
        mask = torch.zeros_like(ids)
        for row, (prompt, _) in enumerate(part):
            ids[row, longest - len(prompt) :] = torch.tensor(prompt)
            mask[row, longest - len(prompt) :] = 1
        with torch.inference_mode():
            options = {"do_sample": False, "min_new_tokens": num_new, "max_new_tokens": num_new, "pad_token_id": 0}
            network.generate(ids, attention_mask=mask, **options)
        found += len(part)
    return found


def pairs_of(config: llama.Config) -> list[tuple[list[int], list[int]]]:
    """Four options of one to three tokens behind each of 64 questions, behind 150 tokens that all share."""
    prompts = [prompt for prompt, _ in items(config)[:64]]
    return [(prompt, random_prompts(config, option)[0]) for prompt in prompts for option in (1, 2, 3, 1)]


def their_scores(network, pairs: list[tuple[list[int], list[int]]], batch_size: int) -> int:
    import torch

    order = sorted(pairs, key=lambda pair: len(pair[0]) + len(pair[1]))
    for start in range(0, len(order), batch_size):
        part = order[start : start + batch_size]
        longest = max(len(a) + len(b) for a, b in part)
        ids = torch.zeros((len(part), longest), dtype=torch.long)
        for row, (prefix, tail) in enumerate(part):
            ids[row, : len(prefix) + len(tail)] = torch.tensor([*prefix, *tail])
        with torch.inference_mode():
            kept = longest - min(len(prefix) for prefix, _ in part) + 1
            logits = network(ids, logits_to_keep=kept).logits
            torch.log_softmax(logits, dim=-1)
    return len(pairs)


def measure(name: str, model: Model, network, what: set[str]) -> None:
    config = model.config
    shared, unshared = Engine(model, BATCH_SIZE), Engine(model, BATCH_SIZE, share_prefixes=False)
    for num_rows in (1, 16, 64):
        if what & {"all", f"batch{num_rows}"}:
            asked = [(prompt, NUM_NEW) for prompt in random_prompts(config, *[PROMPT_LENGTH] * num_rows)]
            ways = {"epigone": partial(ours, Engine(model, num_rows), asked)}
            if network is not None:
                ways["transformers.generate"] = partial(theirs, network, asked, num_rows)
            compare(f"{name}: {num_rows} rows, {PROMPT_LENGTH} + {NUM_NEW} tokens", num_rows * NUM_NEW, ways)
    if what & {"all", "items"}:
        asked = items(config)
        ways = {"epigone": partial(ours, shared, asked), "epigone, nothing shared": partial(ours, unshared, asked)}
        if network is not None:
            ways["transformers.generate"] = partial(theirs, network, asked, BATCH_SIZE)
        compare(f"{name}: {NUM_ITEMS} items of 3 shots", NUM_ITEMS, ways, "items")
    if what & {"all", "scores"}:
        pairs = pairs_of(config)
        ways = {
            "epigone": partial(shared.loglikelihood, pairs),
            "epigone, nothing shared": partial(unshared.loglikelihood, pairs),
        }
        if network is not None:
            ways["transformers"] = partial(their_scores, network, pairs, 16)
        compare(f"{name}: {len(pairs)} options of {len(pairs) // 4} questions of 3 shots", len(pairs), ways, "options")


if __name__ == "__main__":
    chosen = sys.argv[1] if len(sys.argv) > 1 else "testbed"
    network = peer_of(CONFIGS[chosen])
    measure(chosen, random_model(CONFIGS[chosen], seed=0), network, set(sys.argv[2:]) or {"all"})
