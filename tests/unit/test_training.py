import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from epigone.errors import ArtifactError, DataError, SpecError, WorkError
from epigone.models import decoder, llama
from epigone.models import params as parameters
from epigone.models.family import Model
from epigone.tokens.packing import Blocks, empty_blocks, pack, positions
from epigone.training.checkpoint import FILE
from epigone.training.embeddings import init_token_embeddings
from epigone.training.log import TrainLog, warmup_note
from epigone.training.loop import block_order, refuse_broken, train
from epigone.training.loss import following, next_token_loss, num_pieces, summed, token_losses
from epigone.training.optimizer import Recipe, learning_rate
from epigone.training.step import Batch, Method, init_state, run_steps
from training_cases import CONFIG, RECIPE, random_blocks, random_sequences, same_bytes, tiny_model


@pytest.fixture(scope="module")
def model():
    return tiny_model()


@given(st.integers(0, 10_000))
@settings(max_examples=25)
def test_loss_is_the_sum_over_learnt_tokens_of_their_own_document(seed):
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(2, 7, 5)).astype(np.float32)
    tokens, mask = rng.integers(0, 5, (2, 7)), rng.random((2, 7)) < 0.5
    segments = np.sort(rng.integers(0, 4, (2, 7)))[:, ::-1].copy()
    segments[1] = 1  # one document fills the block: its last token predicts nothing, its first least of all
    total, count = 0.0, 0
    for b in range(2):
        for t in range(1, 7):
            if mask[b, t] and segments[b, t] == segments[b, t - 1] != 0:
                row = logits[b, t - 1].astype(np.float64)
                total += np.log(np.exp(row).sum()) - row[tokens[b, t]]
                count += 1
    ours = next_token_loss(*(jnp.asarray(x) for x in (logits, tokens, mask, segments)))
    np.testing.assert_allclose(ours, (total, count), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "max_bytes", "pieces"),
    [((2, 12, 5), 480, 1), ((2, 12, 5), 479, 2), ((2, 12, 5), 100, 6), ((2, 12, 5), 1, 12), ((2, 7, 5), 279, 7)],
)
def test_pieces_of_the_loss_keep_within_the_bytes_allowed(shape, max_bytes, pieces):
    assert num_pieces(*shape, max_bytes) == pieces


@pytest.mark.parametrize("pieces", [1, 3, 12])
def test_a_loss_in_pieces_is_the_loss_at_once(pieces):
    """Value and gradients, and no array as large as all logits is left in the program."""
    rng = np.random.default_rng(0)
    features, head = (jnp.asarray(rng.normal(size=s), jnp.float32) for s in ((2, 12, 4), (4, 50)))
    tokens, weights = jnp.asarray(rng.integers(0, 50, (2, 12))), jnp.asarray(rng.random((2, 12)) < 0.6, jnp.float32)

    def loss_of(features, head):
        def sums(arrays):
            return jnp.sum(token_losses(arrays[0] @ head, arrays[1]) * arrays[2])

        return summed(sums, (features, following(tokens), weights), pieces)

    def plain(features, head):
        rows = jax.nn.log_softmax(features @ head)
        return -jnp.sum(jnp.take_along_axis(rows, following(tokens)[..., None], axis=-1)[..., 0] * weights)

    found, expected = (jax.value_and_grad(f, argnums=(0, 1))(features, head) for f in (loss_of, plain))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), found, expected)
    program = str(jax.make_jaxpr(jax.grad(loss_of))(features, head))
    assert ("f32[2,12,50]" in program) == (pieces == 1)


@pytest.mark.slow
def test_a_step_takes_its_loss_in_pieces_where_the_logits_would_be_large(model):
    blocks = random_blocks()
    rows = np.arange(40).reshape(20, 2) % len(blocks)  # the shape that the other tests have compiled
    batches = Batch(*(jnp.asarray(x[rows]) for x in (*blocks.arrays, positions(blocks.segment_ids))))
    rates = RECIPE.rates(50)
    found = []
    for max_bytes in (2**30, 1000):
        method = Method(llama, CONFIG, max_logits_bytes=max_bytes)
        state, log = run_steps(init_state(model, rates, method), batches, jnp.int32(1), rates, method=method)
        found.append((log, state.optimizer_state))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), *found)


@jax.jit
def summed_loss(params, tokens, mask, segments, places):
    logits = decoder.forward(llama, params, CONFIG, tokens, places, segments)
    return next_token_loss(logits, tokens, mask, segments)


def loss_of(model: Model, blocks: Blocks) -> tuple[float, float]:
    total, count = summed_loss(model.params, *blocks.arrays, positions(blocks.segment_ids))
    return float(total), float(count)


def test_packed_loss_is_the_loss_of_each_alone(model):
    sequences = random_sequences(20)
    packed = loss_of(model, pack(sequences, 24, overlong="split")[0])
    alone = [loss_of(model, pack([sequence], 24, overlong="split")[0]) for sequence in sequences]
    assert packed[1] == sum(count for _, count in alone)
    assert packed[0] == pytest.approx(sum(total for total, _ in alone), rel=2e-5)


@pytest.mark.parametrize("warmup", [0, 10])
@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine"])
def test_schedules_are_those_of_optax(schedule, warmup):
    recipe = Recipe(2e-3, 1, num_steps=50, warmup_steps=warmup, schedule=schedule, final_share=0.1)
    after = {
        "constant": optax.constant_schedule(2e-3),
        "linear": optax.linear_schedule(2e-3, 2e-4, 50 - warmup),
        "cosine": optax.cosine_decay_schedule(2e-3, 50 - warmup, alpha=0.1),
    }[schedule]
    expected = optax.join_schedules([optax.linear_schedule(0.0, 2e-3, max(warmup, 1)), after], [warmup])
    steps = jnp.arange(55)
    np.testing.assert_allclose(learning_rate(recipe.rates(50), steps), [expected(s) for s in steps], rtol=1e-5)


def test_warmup_as_a_share_of_the_steps():
    recipe = Recipe(1.0, 1, num_steps=40, warmup_share=0.25)
    np.testing.assert_allclose(learning_rate(recipe.rates(40), jnp.asarray([0, 5, 10, 39])), [0, 0.5, 1, 1])


@jax.jit
def loss_and_gradients(params, *batch):
    (total, count), back = jax.vjp(lambda p: summed_loss(p, *batch), params)
    return (total, count), back((jnp.ones(()), jnp.zeros(())))[0]


def test_training_is_plain_adamw(model):
    blocks = random_blocks()
    trained, log = train(model, blocks, dataclasses.replace(RECIPE, num_steps=6))
    decayed = {name: np.ndim(x) > 1 for name, x in model.params.items() if name != "layers"}
    decayed["layers"] = {name: "norm" not in name for name in model.params["layers"]}
    rate = optax.warmup_cosine_decay_schedule(0.0, 3e-3, 5, 6, 3e-4)
    optimizer = optax.chain(
        optax.clip_by_global_norm(1.0), optax.adamw(rate, 0.9, 0.98, weight_decay=0.1, mask=decayed)
    )
    params, losses = model.params, []
    state = optimizer.init(params)
    places = positions(blocks.segment_ids)
    for rows in block_order(len(blocks), dataclasses.replace(RECIPE, num_steps=6)):
        batch = [array[rows] for array in (*blocks.arrays, places)]
        (total, count), gradients = loss_and_gradients(params, *batch)
        updates, state = optimizer.update(jax.tree.map(lambda g, n=count: g / n, gradients), state, params)
        params = optax.apply_updates(params, updates)
        losses.append(total / count)
    np.testing.assert_allclose(log.losses, losses, rtol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-5), trained.params, params)


def test_a_killed_run_goes_on_in_the_same_bytes(model, tmp_path):
    blocks = random_blocks()
    straight, straight_log = train(model, blocks, RECIPE)

    def die(step, total, loss):
        if step >= 40:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(model, blocks, RECIPE, state_folder=tmp_path, save_every_steps=15, on_progress=die)
    seen = []
    resumed, log = train(
        model, blocks, RECIPE, state_folder=tmp_path, on_progress=lambda step, total, loss: seen.append((step, total))
    )
    assert seen == [(50, 50)]
    assert same_bytes(resumed.params, straight.params)
    assert same_bytes(log.columns, straight_log.columns)
    assert [file.name for file in tmp_path.iterdir()] == [FILE]


def test_the_state_of_another_run_and_a_broken_one_are_refused(model, tmp_path):
    blocks = random_blocks()
    recipe = dataclasses.replace(RECIPE, num_steps=30)
    train(model, blocks, recipe, state_folder=tmp_path, save_every_steps=20)
    with pytest.raises(ArtifactError, match="another run"):
        train(model, blocks, dataclasses.replace(recipe, seed=1), state_folder=tmp_path)
    (tmp_path / FILE).write_bytes((tmp_path / FILE).read_bytes()[:100])
    with pytest.raises(ArtifactError, match="not a saved train state"):
        train(model, blocks, recipe, state_folder=tmp_path)


def test_training_learns_and_leaves_its_model_alone(model):
    blocks, _ = pack([([3, 1, 4, 1, 5, 9, 2, 6], [True] * 8)] * 8, 16, overlong="split")
    before = jax.tree.map(np.array, model.params)
    _, log = train(model, blocks, Recipe(1e-2, 2, num_steps=60, warmup_steps=5))
    assert log.losses[0] > 2.5 and log.losses[-1] < 0.2
    assert same_bytes(before, model.params)


def test_another_recipe_compiles_nothing(model):
    blocks = random_blocks()
    train(model, blocks, RECIPE)
    compiled = run_steps._cache_size()
    other = Recipe(1e-4, 2, num_epochs=3, warmup_share=0.3, schedule="linear", b1=0.8, clip_norm=0.5, seed=3)
    train(model, blocks, other)
    assert run_steps._cache_size() == compiled


@given(st.integers(1, 9), st.integers(1, 4), st.integers(1, 3), st.integers(0, 3))
def test_epochs_see_every_block_equally_often(num_blocks, batch_size, num_epochs, seed):
    order = block_order(num_blocks, Recipe(1.0, batch_size, num_epochs=num_epochs, seed=seed)).ravel()
    assert (order == -1).sum() < batch_size and (order[: num_blocks * num_epochs] >= 0).all()
    for epoch in range(num_epochs):
        assert sorted(order[epoch * num_blocks : (epoch + 1) * num_blocks]) == list(range(num_blocks))


def test_order_is_drawn_by_seed_and_epoch():
    first, second = block_order(40, Recipe(1.0, 40, num_epochs=2))
    assert (first != second).any()
    assert (block_order(40, Recipe(1.0, 40, num_epochs=2, seed=1))[0] != first).any()


def test_an_odd_last_batch_learns_what_is_there(model):
    blocks = random_blocks()[:3]
    _, log = train(model, blocks, Recipe(1e-3, 2, num_epochs=1))
    same = blocks.segment_ids[:, 1:] == blocks.segment_ids[:, :-1]
    assert log.num_steps == 2
    assert log.num_loss_tokens.sum() == (same & blocks.loss_mask[:, 1:]).sum()


def test_a_run_shorter_than_its_warmup_says_what_rate_it_reached(model):
    _, log = train(model, random_blocks(), Recipe(1e-2, 2, num_steps=5, warmup_steps=10))
    assert log.peak_learning_rate == pytest.approx(4e-3)
    assert warmup_note(log, 1e-2, 10) == "peak learning rate reached 4.0e-3 of 1.0e-2: 5 of 10 warm-up steps"
    assert warmup_note(log, 1e-2, 5) and not warmup_note(log, 1e-2, 4)  # the peak comes after the last warm-up step


def test_what_does_not_fit_is_refused(model):
    recipe = Recipe(1e-3, 2, num_steps=1)
    with pytest.raises(SpecError, match="33 tokens do not fit a model with 32 positions"):
        train(model, empty_blocks(2, 33), recipe)
    with pytest.raises(DataError, match="none of the 2 blocks"):
        train(model, empty_blocks(2, 8), recipe)
    with pytest.raises(DataError, match="token id 24 is outside"):
        train(model, pack([([1, 24], [True, True])], 8, overlong="split")[0], recipe)


def test_a_loss_that_is_no_number_ends_the_run(model):
    broken = model._replace(params=model.params | {"norm": jnp.full(16, jnp.nan)})
    blocks = random_blocks()
    rows = ", ".join(map(str, block_order(len(blocks), RECIPE)[0]))
    with pytest.raises(WorkError, match=rf"loss .* at step 1 of 50 \(blocks {rows}\).* none was kept"):
        train(broken, blocks, RECIPE)


def test_a_broken_step_leaves_the_last_good_state(model, tmp_path):
    """A gradient that overflows makes parameters that are no numbers while the loss of its step still is one."""
    blocks = random_blocks()
    order = block_order(len(blocks), RECIPE)
    broken = TrainLog.empty(50)
    train(model, blocks, RECIPE, state_folder=tmp_path, save_every_steps=15)
    saved = (tmp_path / FILE).read_bytes()
    broken.gradient_norms[47] = np.inf
    with pytest.raises(WorkError, match=rf"gradient .* step 48 of 50 \(blocks {order[47][0]}, .*step 40 in {tmp_path}"):
        refuse_broken(broken, order, (40, 50), f"step 40 in {tmp_path}")
    assert (tmp_path / FILE).read_bytes() == saved


def test_a_rate_that_breaks_a_run_stops_it_before_its_state_is_overwritten(model, tmp_path):
    """Half a run at a rate that diverges: what was kept is from before, and a run that goes on fails alike."""
    blocks = random_blocks()
    wild = dataclasses.replace(RECIPE, learning_rate=1e38, warmup_steps=0, clip_norm=1e9)
    messages = []
    for _ in range(2):
        with pytest.raises(WorkError, match="no longer a number") as caught:
            train(model, blocks, wild, state_folder=tmp_path, save_every_steps=1)
        messages.append(str(caught.value))
    assert messages[0] == messages[1] and not (tmp_path / FILE).exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_steps": None}, "exactly one"),
        ({"num_epochs": 1}, "exactly one"),
        ({"schedule": "cosin"}, "constant, linear, cosine"),
        ({"batch_size": 0}, "batch_size must be above 0"),
        ({"warmup_share": 1.5}, "share from 0 to 1"),
    ],
)
def test_a_wrong_recipe_is_refused(changes, message):
    options = {"learning_rate": 1e-3, "batch_size": 2, "num_steps": 5} | changes
    with pytest.raises(SpecError, match=message):
        Recipe(**options)


@pytest.mark.parametrize("tied", [False, True])
def test_new_tokens_start_as_the_mean_of_old_ones(tied):
    config = dataclasses.replace(CONFIG, tie_embeddings=tied)
    old = Model(llama, config, parameters.init(llama.param_tree(config), jax.random.key(1)))
    new = init_token_embeddings(old, {1: [5, 6], 2: [1, 7]})
    before = {"embed": np.array(old.params["embed"])} | ({} if tied else {"head": np.array(old.params["head"]).T})
    for name, rows in before.items():
        after = np.array(new.params[name]) if name == "embed" else np.array(new.params[name]).T
        np.testing.assert_allclose(after[1], (rows[5] + rows[6]) / 2, rtol=1e-6)
        np.testing.assert_allclose(after[2], (rows[1] + rows[7]) / 2, rtol=1e-6)
        rest = [i for i in range(24) if i not in (1, 2)]
        assert np.array_equal(after[rest], rows[rest])
    assert same_bytes(new.params["layers"], old.params["layers"])


@pytest.mark.parametrize("sources", [{1: []}, {1: [24]}, {-1: [2]}])
def test_unknown_source_tokens_are_refused(model, sources):
    with pytest.raises(SpecError, match=r"no source tokens|outside the model's vocabulary"):
        init_token_embeddings(model, sources)
