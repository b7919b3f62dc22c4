"""Training speed at the testbed's middle width: `training.train` beside plain loops with one call a step."""

from side_by_side import CONFIG, LENGTH, VOCAB_SIZE, compare, model, peer  # first: it sets the number of threads

# isort: split
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax

from epigone.models import decoder, llama
from epigone.tokens.packing import Blocks, positions
from epigone.training.loop import train
from epigone.training.optimizer import Recipe

BATCH_SIZE, NUM_STEPS = 5, 60
RECIPE = Recipe(learning_rate=1e-3, batch_size=BATCH_SIZE, num_epochs=1)


def blocks() -> Blocks:
    """Random tokens, every block one document."""
    tokens = np.random.default_rng(0).integers(1, VOCAB_SIZE, (BATCH_SIZE * NUM_STEPS, LENGTH), dtype=np.int32)
    return Blocks(tokens, np.ones(tokens.shape, bool), np.ones(tokens.shape, np.int32))


def ours(data: Blocks) -> float:
    """The training loop as the train stage calls it."""
    return train(model(), data, RECIPE)[1].losses[-1]


OPTIMIZER = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(1e-3, b2=0.98, weight_decay=0.0))


@jax.jit
def plain_step(weights, state, tokens, places, segments):
    def loss(weights):
        logits = decoder.forward(llama, weights, CONFIG, tokens, places, segments)
        return optax.softmax_cross_entropy_with_integer_labels(logits[:, :-1], tokens[:, 1:]).mean()

    value, gradients = jax.value_and_grad(loss)(weights)
    updates, state = OPTIMIZER.update(gradients, state, weights)
    return optax.apply_updates(weights, updates), state, value


def plain_jax(data: Blocks) -> float:
    """The same forward pass, optax's AdamW, one jitted call a step."""
    weights = model().params
    state, value = OPTIMIZER.init(weights), jnp.zeros(())
    places = jnp.asarray(positions(data.segment_ids[:BATCH_SIZE]))
    for start in range(0, len(data), BATCH_SIZE):
        rows = slice(start, start + BATCH_SIZE)
        tokens, segments = jnp.asarray(data.tokens[rows]), jnp.asarray(data.segment_ids[rows])
        weights, state, value = plain_step(weights, state, tokens, places, segments)
    return float(value)


def torch_loop(network, data: Blocks) -> float:
    """transformers' LLaMA of the same shape, torch's AdamW, eager."""
    import torch

    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, betas=(0.9, 0.98), weight_decay=0.0)
    loss = torch.zeros(())
    for start in range(0, len(data), BATCH_SIZE):
        tokens = torch.from_numpy(data.tokens[start : start + BATCH_SIZE]).long()
        loss = network(tokens, labels=tokens).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
    return float(loss.detach())


if __name__ == "__main__":
    data = blocks()
    ways = {"epigone": partial(ours, data), "plain JAX, a call a step": partial(plain_jax, data)}
    network = peer()
    if network is not None:
        ways["torch + transformers, eager"] = partial(torch_loop, network, data)
    compare("training", data.tokens.size, ways)
