import jax
import jax.numpy as jnp
import numpy as np
import pytest

from epigone.decoding import loop
from epigone.decoding.engine import Engine, bucket
from epigone.decoding.sampling import choose, row_seed
from epigone.decoding.stops import cut
from epigone.errors import WorkError
from epigone.models import decoder, llama
from epigone.models import params as parameters
from epigone.models.family import Model

CONFIG = llama.Config(
    vocab_size=50, width=32, num_layers=2, num_heads=4, num_kv_heads=2, hidden_width=48, max_positions=80
)


@jax.jit
def all_logprobs(params, tokens, segments):
    return jax.nn.log_softmax(decoder.forward(llama, params, CONFIG, tokens, jnp.arange(80)[None], segments)[0])


@pytest.fixture(scope="module")
def engine():
    params = parameters.init(llama.param_tree(CONFIG), jax.random.key(3))
    params["head"] = params["head"] * 40  # so that the next token is not a matter of rounding
    return Engine(Model(llama, CONFIG, params), batch_size=4)


@pytest.fixture(scope="module")
def prompts():
    rng = np.random.default_rng(0)
    return [rng.integers(1, CONFIG.vocab_size, n).tolist() for n in (3, 40, 1, 17, 33, 5, 9)]


def logprobs(engine, tokens):
    """Of every next token, by the uncached model, one row of its own."""
    padded, segments = np.zeros((2, 1, 80), np.int32)
    padded[0, : len(tokens)], segments[0, : len(tokens)] = tokens, 1
    return np.asarray(all_logprobs(engine.model.params, padded, segments))[: len(tokens)]


def greedy(engine, prompt, num_new):
    tokens, total = list(prompt), 0.0
    for _ in range(num_new):
        last = logprobs(engine, tokens)[-1]
        tokens.append(int(last.argmax()))
        total += last.max()
    return tuple(tokens[len(prompt) :]), total / num_new


def test_greedy_is_the_uncached_argmax(engine, prompts):
    for reply, prompt in zip(engine.generate(prompts, max_new_tokens=8), prompts, strict=True):
        tokens, mean_logprob = greedy(engine, prompt, 8)
        assert reply.tokens == tokens
        assert reply.finish_reason == "length"
        assert reply.mean_logprob == pytest.approx(mean_logprob, abs=1e-4)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_text_depends_neither_on_order_nor_on_neighbours(engine, prompts, temperature):
    options = {"max_new_tokens": 10, "temperature": temperature, "seed": 5}
    together = engine.generate(prompts, **options)
    backwards = engine.generate(prompts[::-1], **options)[::-1]
    alone = [engine.generate([prompt], **options)[0] for prompt in prompts]
    for other in (backwards, alone):
        assert [r.tokens for r in other] == [r.tokens for r in together]
        np.testing.assert_allclose([r.mean_logprob for r in other], [r.mean_logprob for r in together], atol=1e-4)


def test_seed_and_temperature_change_the_text(engine, prompts):
    texts = [
        [r.tokens for r in engine.generate(prompts, max_new_tokens=10, temperature=t, seed=s)]
        for t, s in ((0.0, 0), (0.0, 1), (3.0, 0), (3.0, 1), (3.0, 0))
    ]
    assert texts[0] == texts[1] and texts[2] == texts[4]
    assert texts[0] != texts[2] != texts[3]


def test_stops_at_an_end_token(engine, prompts):
    free = engine.generate(prompts, max_new_tokens=12)
    end = free[0].tokens[4]
    for reply, whole in zip(engine.generate(prompts, max_new_tokens=12, end_ids=[end]), free, strict=True):
        if end in whole.tokens:
            assert reply.tokens == whole.tokens[: whole.tokens.index(end) + 1]
            assert reply.finish_reason == "stop"
        else:
            assert reply == whole
    assert {end in whole.tokens for whole in free} == {True, False}


def test_any_number_of_tokens_of_one_compiled_shape(engine, prompts):
    whole = engine.generate(prompts[:1], max_new_tokens=30)[0].tokens
    for num_new in (1, 2, 29):
        assert engine.generate(prompts[:1], max_new_tokens=num_new)[0].tokens == whole[:num_new]


def test_compiled_once_for_all_checkpoints_of_a_config(engine, prompts):
    engine.generate(prompts[:1], max_new_tokens=4)
    before = loop.generate._cache_size()
    params = jax.tree.map(lambda x: 2 * x, engine.model.params)
    other = Engine(Model(llama, llama.Config(**vars(CONFIG)), params), batch_size=4)
    other.generate(prompts[:1], max_new_tokens=9, temperature=1.0, seed=1, end_ids=[3])
    assert loop.generate._cache_size() == before
    Engine(other.model, batch_size=3).generate(prompts[:1], max_new_tokens=4)
    assert loop.generate._cache_size() == before + 1


def test_loglikelihood(engine, prompts):
    pairs = [(prompt, prompts[i - 1][:6]) for i, prompt in enumerate(prompts)]
    expected = []
    for prefix, continuation in pairs:
        table = logprobs(engine, [*prefix, *continuation])[len(prefix) - 1 : -1]
        expected.append(sum(row[token] for row, token in zip(table, continuation, strict=True)))
    np.testing.assert_allclose(engine.loglikelihood(pairs), expected, atol=1e-4)
    np.testing.assert_allclose(engine.loglikelihood(pairs[::-1])[::-1], expected, atol=1e-4)
    np.testing.assert_allclose([engine.loglikelihood([pair])[0] for pair in pairs], expected, atol=1e-4)


def test_no_room_is_refused(engine):
    assert len(engine.generate([[1] * 70], max_new_tokens=10)[0].tokens) == 10
    with pytest.raises(WorkError, match=r"prompt 'b' has 71 tokens and 10 to come, but the model has 80 positions"):
        engine.generate([[1], [1] * 71], max_new_tokens=10, names=["a", "b"])
    with pytest.raises(WorkError, match="number 0 has 0 tokens"):
        engine.generate([[]], max_new_tokens=10)
    with pytest.raises(WorkError, match="0 to come"):
        engine.loglikelihood([([1], [])])
    assert engine.generate([], max_new_tokens=10) == []


def test_draws_follow_the_distribution():
    logits = jnp.asarray([0.0, 1.0, 2.0, -1e30, 3.0])
    num, temperature = 20_000, 2.0
    keys = jax.vmap(jax.random.key)(jnp.arange(num, dtype=jnp.uint32))
    drawn, logprob = choose(jnp.tile(logits, (num, 1)), keys, jnp.int32(3), jnp.float32(temperature))
    weights = np.exp([0.0, 0.5, 1.0, -np.inf, 1.5])
    np.testing.assert_allclose(np.bincount(drawn, minlength=5) / num, weights / weights.sum(), atol=0.015)
    at_one = np.exp([0.0, 1.0, 2.0, -np.inf, 3.0])
    np.testing.assert_allclose(np.exp(logprob), (at_one / at_one.sum())[np.asarray(drawn)], rtol=1e-4)


def test_row_seed():
    assert len({row_seed([1, 2], 0), row_seed([2, 1], 0), row_seed([1, 2], 1), row_seed([0, 1, 2], 0)}) == 4
    assert row_seed([1, 2], 7) == row_seed((1, 2), 7)


@pytest.mark.parametrize(("length", "padded"), [(1, 32), (32, 32), (33, 64), (1024, 1024), (1025, 2048), (2049, 3072)])
def test_bucket(length, padded):
    assert bucket(length) == padded


@pytest.mark.parametrize(
    ("stops", "expected"),
    [((), ("a\nb\n\nc", False)), (("\n\n", "b"), ("a\n", True)), (("",), ("a\nb\n\nc", False)), (("a",), ("", True))],
)
def test_cut(stops, expected):
    assert cut("a\nb\n\nc", stops) == expected
