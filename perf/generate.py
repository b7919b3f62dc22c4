"""Generation speed at the testbed's middle width: the engine's batches beside the same engine, one prompt at a time."""

from side_by_side import VOCAB_SIZE, compare, model, peer  # first: it sets the number of threads

# isort: split
from functools import partial

import numpy as np

from epigone.decoding.engine import Engine

NUM_PROMPTS, PROMPT_LENGTH, NUM_NEW = 64, 32, 64
PROMPTS = np.random.default_rng(0).integers(1, VOCAB_SIZE, (NUM_PROMPTS, PROMPT_LENGTH), dtype=np.int32)


def ours(engine: Engine) -> int:
    """Greedy, to full length: no token ends a reply."""
    found = engine.generate(PROMPTS.tolist(), max_new_tokens=NUM_NEW)
    return sum(len(reply.tokens) for reply in found)


def torch_batch(network) -> int:
    """transformers' generate on the same prompts in one batch."""
    import torch

    prompts = torch.from_numpy(PROMPTS).long()
    with torch.inference_mode():
        return network.generate(
            prompts,
            attention_mask=torch.ones_like(prompts),
            do_sample=False,
            min_new_tokens=NUM_NEW,
            max_new_tokens=NUM_NEW,
            pad_token_id=0,
        ).numel()


if __name__ == "__main__":
    one = model()
    ways = {
        f"epigone, batches of {NUM_PROMPTS}": partial(ours, Engine(one, batch_size=NUM_PROMPTS)),
        "epigone, one at a time": partial(ours, Engine(one, batch_size=1)),
    }
    network = peer()
    if network is not None:
        ways[f"transformers.generate, batch of {NUM_PROMPTS}"] = partial(torch_batch, network)
    compare("generation", NUM_PROMPTS * NUM_NEW, ways)
