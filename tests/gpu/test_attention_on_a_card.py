"""Every attention that is offered, on a card: packed documents are as they are alone. Run with JAX_PLATFORMS=cuda."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from epigone.models import decoder, llama
from epigone.models.compute import CHOICES, Compute
from epigone.models.family import random_model

CONFIG = llama.Config(
    vocab_size=256, width=256, num_layers=2, num_heads=4, num_kv_heads=2, hidden_width=512, max_positions=512
)
LENGTHS = (200, 1, 120, 128)
PADDING = 63

on_a_card = pytest.mark.skipif(jax.default_backend() != "gpu", reason="no NVIDIA card, or JAX_PLATFORMS is not cuda")


@partial(jax.jit, static_argnames="compute")
def loss_of(params, tokens, positions, segments, weights, compute):
    """A weighted sum of log-probabilities: its gradients pass through every token that is seen."""
    logits = decoder.forward(llama, params, CONFIG, tokens, positions, segments, compute=compute)
    return (jax.nn.log_softmax(logits)[..., 7] * weights).sum(), logits


def block(documents: list[np.ndarray]):
    """Documents in one block, padded to 512; weight 1 where there is text."""
    tokens, positions, segments = (np.zeros((1, 512), np.int32) for _ in range(3))
    start = 0
    for number, document in enumerate(documents):
        there = slice(start, start + len(document))
        tokens[0, there], positions[0, there], segments[0, there] = document, np.arange(len(document)), number + 1
        start += len(document)
    return tokens, positions, segments, (segments > 0).astype(np.float32)


@on_a_card
@pytest.mark.parametrize("attention", CHOICES["attention"])
def test_packed_documents_are_apart(attention: str) -> None:
    compute = Compute(dtype="bfloat16", attention=attention)
    params = random_model(CONFIG, seed=0).params
    rng = np.random.default_rng(0)
    documents = [rng.integers(1, 256, n, dtype=np.int32) for n in LENGTHS]
    assert sum(LENGTHS) + PADDING == 512
    gradients = jax.grad(loss_of, has_aux=True)
    packed, logits = gradients(params, *block(documents), compute)
    alone = [gradients(params, *block([document]), compute) for document in documents]
    expected = np.concatenate([one[1][0, : len(document)] for one, document in zip(alone, documents)])
    np.testing.assert_allclose(logits[0, : len(expected)], expected, atol=0.05)
    for mine, *theirs in zip(jax.tree.leaves(packed), *(jax.tree.leaves(one[0]) for one in alone), strict=True):
        together = sum(np.asarray(x, np.float64) for x in theirs)
        assert np.abs(mine - together).max() <= 0.03 * np.abs(together).max() + 1e-3
    leaking, _ = loss_of(params, *block([np.concatenate(documents)]), compute)
    assert abs(leaking - loss_of(params, *block(documents), compute)[0]) > 1.0


@on_a_card
def test_kinds_of_attention_agree() -> None:
    """With fp32, in what they give and in what the backward pass gives."""
    params = random_model(CONFIG, seed=0).params
    batch = block([np.random.default_rng(1).integers(1, 256, 512, dtype=np.int32)])
    gradients = jax.grad(loss_of, has_aux=True)
    expected, full = gradients(params, *batch, Compute())
    for attention in CHOICES["attention"]:
        found, logits = gradients(params, *batch, Compute(dtype="bfloat16", attention=attention))
        assert jnp.abs(logits - full).max() < 0.05 * jnp.abs(full).max()
        for mine, theirs in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
            assert jnp.linalg.norm(mine - theirs) < 0.05 * jnp.linalg.norm(theirs)
