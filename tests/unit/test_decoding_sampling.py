import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from epigone.decoding.sampling import NUM_BEST, Drawing, _left_in, choose, row_seed

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


def test_what_a_large_vocabulary_leaves_in_is_the_same_by_the_best_and_by_all():
    """Peaked rows, whose best hold enough, beside flat ones that are sorted whole; a row alone as among others."""
    rng = np.random.default_rng(0)
    size = 3 * NUM_BEST
    asked = [(0.9, 0), (0.9, 0), (1.0, 0), (1.0, 7), (0.5, 40), (1.0, NUM_BEST + 5), (0.3, NUM_BEST + 5), (1e-6, 0)]
    sharpness = np.asarray([9.0, 0.1, 9.0, 1.0, 1.0, 1.0, 0.1, 0.1])
    logits = (rng.normal(size=(len(asked), size)) * sharpness[:, None]).astype(np.float32)
    top_p, top_k = (np.asarray(values) for values in zip(*asked))
    for own_p, own_k, row in zip(top_p, top_k, logits):
        order = np.argsort(-row.astype(np.float64))[: own_k or None]
        mass = np.exp(row[order].astype(np.float64))
        before = np.cumsum(mass) - mass
        kept = set(order[(before < own_p * mass.sum()) | (own_p >= 1)])
        drawing = Drawing(jnp.zeros(1, jnp.uint32), jnp.ones(1), jnp.asarray([own_p]), jnp.asarray([own_k]))
        left = np.flatnonzero(np.isfinite(np.asarray(_left_in(jnp.asarray(row[None]), drawing)[0])))
        assert len(kept ^ set(left)) <= (2 if len(kept) > 100 else 0)  # where a sum of many masses just reaches top_p
    together = Drawing(jnp.zeros(len(asked), jnp.uint32), jnp.ones(len(asked)), jnp.asarray(top_p), jnp.asarray(top_k))
    whole = np.asarray(_left_in(jnp.asarray(logits), together))
    for place, row in enumerate(logits):
        own = Drawing(*(x[place : place + 1] for x in together))
        np.testing.assert_array_equal(whole[place], np.asarray(_left_in(jnp.asarray(row[None]), own)[0]))
