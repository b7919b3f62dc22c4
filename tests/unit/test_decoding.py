import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from epigone.decoding import loop, scoring
from epigone.decoding.engine import Engine
from epigone.decoding.shapes import num_rows, padded, parts
from epigone.decoding.slots import Request
from epigone.decoding.stops import cut, is_over
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
    return [rng.integers(1, CONFIG.vocab_size, n).tolist() for n in (3, 32, 1, 17, 30, 5, 9)]


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


OPTIONS = {"max_new_tokens": 10, "seed": 5}
POOL = [[*range(1, 19), *tail] for tail in ([30], [31, 7], [30, 8, 9], [2])]
POOL += [[n, *range(20, 38)] for n in (4, 40, 7)]
"""Four that share eighteen tokens, and three that share nothing: each is read whole or behind what is shared."""


@pytest.fixture(scope="module")
def alone(engine):
    """What each prompt of the pool gets by itself, drawn greedily and at temperature 1."""
    return {
        temperature: [engine.generate([prompt], temperature=temperature, **OPTIONS)[0] for prompt in POOL]
        for temperature in (0.0, 1.0)
    }


@pytest.mark.parametrize("temperature", [0.0, pytest.param(1.0, marks=pytest.mark.slow)])
@given(rows=st.lists(st.integers(0, len(POOL) - 1), min_size=1, max_size=9))
@settings(max_examples=8)
def test_text_depends_neither_on_order_nor_on_neighbours(engine, alone, temperature, rows):
    found = engine.generate([POOL[row] for row in rows], temperature=temperature, **OPTIONS)
    for reply, row in zip(found, rows, strict=True):
        assert reply.tokens == alone[temperature][row].tokens
        assert reply.mean_logprob == pytest.approx(alone[temperature][row].mean_logprob, abs=1e-4)


def test_what_prompts_share_is_read_once_and_changes_nothing(engine, alone, monkeypatch):
    read = []
    whole = loop.read

    def noted(params, cache, new, **options):
        read.append((new.tokens.shape, int(new.shared)))
        return whole(params, cache, new, **options)

    monkeypatch.setattr(loop, "read", noted)
    shared = engine.generate(POOL[:4], **OPTIONS)
    assert read == [((1, 32), 0), ((4, 16), 18)]
    read.clear()
    unshared = Engine(engine.model, batch_size=4, share_prefixes=False).generate(POOL[:4], **OPTIONS)
    assert read == [((4, 32), 0)]
    for one, other, by_itself in zip(shared, unshared, alone[0.0], strict=False):
        assert one.tokens == other.tokens == by_itself.tokens
        np.testing.assert_allclose([one.mean_logprob, other.mean_logprob], by_itself.mean_logprob, atol=1e-4)


def test_rows_join_leave_and_are_continued_while_others_run(engine, alone):
    slots = engine.slots(4, 60)
    texts: dict[int, list[int]] = {}

    def run(num_steps):
        ended = set()
        for _ in range(num_steps):
            for event in slots.step():
                texts.setdefault(event.ticket, []).extend(event.tokens)
                assert len(event.tokens) == len(event.logprobs)
                ended |= {event.ticket} if event.finish_reason else set()
        return ended

    first, given_up = slots.submit(Request(POOL[4], 10)), slots.submit(Request(POOL[5], 40))
    assert not run(1)
    slots.cancel(given_up)
    waiting = slots.submit(Request(POOL[6], 40))
    slots.cancel(waiting)
    late = slots.submit(Request(POOL[6], 10))
    assert run(2) == {first, late} and slots.is_idle and waiting not in texts
    assert texts[first] == list(alone[0.0][4].tokens) and texts[late] == list(alone[0.0][6].tokens)
    begun = [*POOL[6], *texts[late][:9]]  # goes on where the slot ended
    after = slots.submit(Request([*begun, *[3] * 8], 2))
    run(1)
    assert slots.is_idle and texts[after] == list(greedy(engine, [*begun, *[3] * 8], 2)[0])


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
            assert reply.tokens == whole.tokens
    assert {end in whole.tokens for whole in free} == {True, False}


def test_any_number_of_tokens_of_one_compiled_shape(engine, prompts):
    whole = engine.generate(prompts[:1], max_new_tokens=30)[0].tokens
    for num_new in (1, 2, 29):
        assert engine.generate(prompts[:1], max_new_tokens=num_new)[0].tokens == whole[:num_new]


def test_compiled_once_for_all_checkpoints_of_a_config(engine, prompts):
    engine.generate(prompts[:1], max_new_tokens=4)
    before = loop.draw._cache_size()
    params = jax.tree.map(lambda x: 2 * x, engine.model.params)
    other = Engine(Model(llama, llama.Config(**vars(CONFIG)), params), batch_size=4)
    other.generate(prompts[:1], max_new_tokens=9, temperature=1.0, seed=1, end_ids=[3])
    assert loop.draw._cache_size() == before
    Engine(other.model, batch_size=3).generate(prompts[:1], max_new_tokens=4)
    assert loop.draw._cache_size() == before + 1


def summed(engine, pairs):
    expected = []
    for prefix, continuation in pairs:
        table = logprobs(engine, [*prefix, *continuation])[len(prefix) - 1 : -1]
        expected.append(sum(row[token] for row, token in zip(table, continuation, strict=True)))
    return expected


def test_loglikelihood(engine, prompts):
    pairs = [(prompt, prompts[i - 1][:6]) for i, prompt in enumerate(prompts)]
    expected = summed(engine, pairs)
    np.testing.assert_allclose(engine.loglikelihood(pairs), expected, atol=1e-4)
    np.testing.assert_allclose(engine.loglikelihood(pairs[::-1])[::-1], expected, atol=1e-4)
    np.testing.assert_allclose(engine.loglikelihood(pairs[:1]), expected[:1], atol=1e-4)


def test_loglikelihood_of_options_and_shared_exemplars(engine):
    """Options share their question's row, questions their exemplars; order and switch change nothing."""
    options = [[3], [4, 5], [3, 6, 7], [9]]
    pairs = [(question, option) for question in POOL[:4] for option in options] + [(POOL[4], [8, 8])]
    first, second = scoring.batches(pairs, 4, share_prefixes=True)
    assert [batch.marked.tokens.shape for batch in (first, second)] == [(1, 32), (4, 16)]
    assert second.shared == POOL[3][:18] and second.asked[0] == [0, 1, 1, 2, 2, 2, 3]
    expected = summed(engine, pairs)
    np.testing.assert_allclose(engine.loglikelihood(pairs), expected, atol=1e-4)
    np.testing.assert_allclose(engine.loglikelihood(pairs[::-1])[::-1], expected, atol=1e-4)
    unshared = Engine(engine.model, batch_size=4, share_prefixes=False)
    np.testing.assert_allclose(unshared.loglikelihood(pairs), expected, atol=1e-4)


def test_token_scores_name_the_likeliest(engine):
    text = POOL[0]
    (found,) = engine.token_scores([(text[:1], text[1:])], num_top=3)
    table = logprobs(engine, text)[:-1]
    np.testing.assert_allclose(found.logprobs, table[np.arange(len(text) - 1), text[1:]], atol=1e-4)
    for best, row in zip(found.top, table, strict=True):
        assert [token for token, _ in best] == np.argsort(-row)[:3].tolist()
        np.testing.assert_allclose([value for _, value in best], np.sort(row)[::-1][:3], atol=1e-4)


def test_no_room_is_refused(engine):
    with pytest.raises(WorkError, match=r"prompt 'b' has 71 tokens and 10 to come, but the model has 80 positions"):
        engine.generate([[1], [1] * 71], max_new_tokens=10, names=["a", "b"])
    with pytest.raises(WorkError, match="number 0 has 0 tokens"):
        engine.generate([[]], max_new_tokens=10)
    with pytest.raises(WorkError, match="0 to come"):
        engine.loglikelihood([([1], [])])
    assert engine.generate([], max_new_tokens=10) == []


@pytest.mark.parametrize(("length", "expected"), [(1, 16), (33, 64), (1024, 1024), (1025, 2048), (2049, 3072)])
def test_padded(length, expected):
    assert padded(length) == expected


@pytest.mark.parametrize("most", [1, 3, 4, 16, 64])
def test_calls_hold_every_row_in_few_shapes(most):
    shapes = set()
    for count in range(1, 3 * most + 2):
        calls = list(parts(count, most))
        assert sum(rows for rows, _ in calls) == count
        assert all(rows <= computed <= most for rows, computed in calls)
        assert sum(computed for _, computed in calls) <= max(2 * count, most if most < 4 else 0)
        shapes |= {computed for _, computed in calls} | {num_rows(min(count, most), most)}
    assert len(shapes) <= 4


@pytest.mark.parametrize(
    ("stops", "expected"),
    [((), ("a\nb\n\nc", False)), (("\n\n", "b"), ("a\n", True)), (("",), ("a\nb\n\nc", False)), (("a",), ("", True))],
)
def test_cut(stops, expected):
    assert cut("a\nb\n\nc", stops) == expected


def test_a_stop_that_spans_tokens_is_found_with_its_last():
    pieces = ["a", "\n", "\n\n", "", "Q:", "\nQ"]
    holds = is_over(lambda tokens: "".join(pieces[token] for token in tokens), ("\n\nQ", "aa"))
    assert holds is not None and is_over(lambda tokens: "", ()) is None
    texts = [[1, 3, 3, 1, 4], [2, 4], [0, 3, 0], [1, 5], [0, 1, 0], [2, 1], [4, 4]]
    assert [holds(text) for text in texts] == [True] * 4 + [False] * 3
    assert [holds([4] * 50 + text) for text in texts] == [True] * 4 + [False] * 3
