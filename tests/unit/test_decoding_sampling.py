import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from epigone.decoding.sampling import Drawing, choose, row_seed

LOGITS = np.asarray([0.3, 1.0, 2.0, -1e30, 2.7, -0.5, 1.4, 0.0])
NUM = 20_000


def draw(temperature, top_p=1.0, top_k=0, how="filtered", num_drawn=3):
    """Tokens of many rows that ask the same, and the log-probabilities that are told of them."""
    full = [jnp.full(NUM, x) for x in (jnp.float32(temperature), jnp.float32(top_p), jnp.int32(top_k))]
    logits = jnp.tile(jnp.asarray(LOGITS, jnp.float32), (NUM, 1))
    asked = Drawing(jnp.arange(NUM, dtype=jnp.uint32), *full)
    return tuple(map(np.asarray, choose(logits, asked, jnp.full(NUM, num_drawn), how)))


def expected(temperature, top_p, top_k):
    """Exact probabilities, by plain loops over tokens from the likeliest."""
    weights = np.exp((LOGITS - LOGITS.max()) / temperature)
    order = sorted(range(len(LOGITS)), key=lambda token: -weights[token])[: top_k or None]
    kept, mass = [], 0.0
    for token in order:
        if mass >= top_p * sum(weights[t] for t in order):
            break
        kept.append(token)
        mass += weights[token]
    return np.asarray([weights[token] / mass if token in kept else 0.0 for token in range(len(LOGITS))])


@pytest.mark.parametrize(
    ("temperature", "top_p", "top_k"),
    [(2.0, 1.0, 0), (1.0, 0.6, 0), (0.7, 1.0, 3), (3.0, 0.8, 5), (1.0, 1e-6, 0), (5.0, 1.0, 1), (1.0, 0.9999, 8)],
)
def test_draws_follow_the_distribution(temperature, top_p, top_k):
    drawn, logprobs = draw(temperature, top_p, top_k)
    exact = expected(temperature, top_p, top_k)
    counts = np.bincount(drawn, minlength=len(LOGITS))
    assert set(np.flatnonzero(counts)) == set(np.flatnonzero(exact > 0))
    if (exact > 0).sum() > 1:
        assert stats.chisquare(counts[exact > 0], NUM * exact[exact > 0]).pvalue > 1e-3
    at_one = np.exp(LOGITS) / np.exp(LOGITS).sum()
    np.testing.assert_allclose(np.exp(logprobs), at_one[drawn], rtol=1e-4)


def test_a_row_that_leaves_nothing_out_is_drawn_as_if_none_did():
    for temperature in (0.0, 1.3):
        found = [draw(temperature, how=how)[0] for how in ("sampled", "filtered")]
        np.testing.assert_array_equal(*found)
    np.testing.assert_array_equal(draw(0.0, 0.5, 3)[0], draw(0.0, how="greedy")[0])
    assert (draw(1.0)[0] != draw(1.0, num_drawn=4)[0]).any()


def test_row_seed():
    assert len({row_seed([1, 2], 0), row_seed([2, 1], 0), row_seed([1, 2], 1), row_seed([0, 1, 2], 0)}) == 4
    assert row_seed([1, 2], 7) == row_seed((1, 2), 7)
