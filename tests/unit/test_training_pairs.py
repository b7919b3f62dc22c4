"""Learning from pairs of answers and from another model's logits, each against the same thing written out once more."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import log_softmax
from scipy.stats import entropy

from epigone.errors import SpecError
from epigone.models import decoder, llama
from epigone.models.weights import save_checkpoint
from epigone.tokens.packing import positions
from epigone.tokens.pairs import pack_pairs
from epigone.training.loop import train
from epigone.training.loss import summed
from epigone.training.optimizer import Recipe
from epigone.training.pairs import segment_sums
from epigone.training.treatments.dpo import Dpo
from epigone.training.treatments.kl_to_base import KlToBase
from epigone.training.treatments.logit_distillation import LogitDistillation
from training_cases import CONFIG, random_blocks, random_sequences, tiny_model

PLAIN = Recipe(1e-2, 4, num_steps=2, clip_norm=1e9)


@pytest.fixture(scope="module")
def model():
    return tiny_model()


def random_pairs(num_pairs: int, seed: int = 0):
    """Answers of up to 10 tokens after a prompt of two; the last token is learnt for sure."""
    found = [([3, 4, *ids], [False, False, *mask[:-1], True]) for ids, mask in random_sequences(2 * num_pairs, seed)]
    return list(zip(found[::2], found[1::2], strict=True))


def loglikelihoods(params, answers):
    """Of each answer's learnt tokens, every answer alone in a row of its own, filled up with what is not read."""
    ids, learnt = np.zeros((len(answers), 12), np.int32), np.zeros((len(answers), 12))
    for row, (tokens, mask) in enumerate(answers):
        ids[row, : len(tokens)], learnt[row, : len(tokens)] = tokens, mask
    places = np.broadcast_to(np.arange(12), ids.shape)
    logits = decoder.forward(llama, params, CONFIG, jnp.asarray(ids), jnp.asarray(places), jnp.ones_like(ids))
    logprobs = logits[:, :-1] - jax.scipy.special.logsumexp(logits[:, :-1], axis=-1, keepdims=True)
    return (jnp.take_along_axis(logprobs, jnp.asarray(ids)[:, 1:, None], 2)[..., 0] * learnt[:, 1:]).sum(axis=1)


def test_a_pairs_loss_is_the_published_one():
    rng = np.random.default_rng(0)
    chosen, rejected, base_chosen, base_rejected = rng.normal(-20, 5, (4, 2, 3))
    margin = 0.3 * (chosen - base_chosen - rejected + base_rejected)
    found = Dpo(beta=0.3).pair_losses(*(jnp.asarray(x) for x in (chosen, rejected, base_chosen, base_rejected)))
    np.testing.assert_allclose(found, -np.log(1 / (1 + np.exp(-margin))), rtol=1e-5)


def test_a_block_holds_whole_pairs_chosen_first():
    pairs = random_pairs(30)
    blocks, num_cut = pack_pairs(pairs, 40)
    found = []
    for tokens, mask, segments in zip(*blocks.arrays, strict=True):
        answers = [(tokens[segments == s].tolist(), mask[segments == s].tolist()) for s in range(1, segments.max() + 1)]
        assert len(answers) % 2 == 0 and len(answers) > 0
        found += zip(answers[::2], answers[1::2], strict=True)
    assert num_cut == 0 and sorted(found) == sorted(pairs)
    long = ([5] * 30, [True] * 30)
    blocks, num_cut = pack_pairs([(long, ([6] * 3, [True] * 3))], 40)
    assert num_cut == 1 and np.bincount(blocks.segment_ids[0]).tolist() == [17, 20, 3]


def test_dpo_descends_on_the_mean_over_pairs_however_they_are_packed(model):
    """Blocks longer than the model's positions; a batch in parts; loss and gradient from answers read one by one."""
    pairs = random_pairs(9)
    blocks, _ = pack_pairs(pairs, 48)
    assert blocks.length > CONFIG.max_positions
    whole = dataclasses.replace(PLAIN, batch_size=len(blocks), accumulation=2)
    log = train(model, blocks, whole, treatments=(Dpo(beta=0.5),))[1]
    assert log.losses[0] == pytest.approx(np.log(2), rel=1e-6) and log.penalties.max() == 0

    def objective(params):
        margins = [loglikelihoods(params, side) - loglikelihoods(model.params, side) for side in zip(*pairs)]
        return jnp.mean(jnp.log1p(jnp.exp(-0.5 * (margins[0] - margins[1]))))

    gradients = jax.jit(jax.grad(objective))(model.params)
    norm = np.sqrt(sum(np.sum(np.square(g)) for g in jax.tree.leaves(gradients)))
    assert log.gradient_norms[0] == pytest.approx(norm, rel=1e-4)
    after = train(model, blocks, dataclasses.replace(whole, num_steps=1), treatments=(Dpo(beta=0.5),))[0]
    expected = float(jax.jit(objective)(after.params))
    assert expected < 0.69 and log.losses[1] == pytest.approx(expected, rel=1e-4)


def test_sums_by_segment_are_those_of_the_pieces():
    rng = np.random.default_rng(0)
    values, segments = jnp.asarray(rng.normal(size=(2, 12))), jnp.asarray(np.sort(rng.integers(0, 5, (2, 12))))
    expected = [[np.asarray(v)[np.asarray(s) == n].sum() for n in range(13)] for v, s in zip(values, segments)]
    for pieces in (1, 3):
        found = summed(lambda arrays: segment_sums(*arrays, 12), (values, segments), pieces)
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_pairs_that_cannot_be_learnt_are_refused(model):
    with pytest.raises(SpecError, match="goes with no other such, nor with one that compares logits"):
        train(model, random_blocks(), PLAIN, treatments=(Dpo(), KlToBase(1.0)))
    too_long, _ = pack_pairs([(([5] * 40, [True] * 40), ([6] * 3, [True] * 3))], 80)
    with pytest.raises(SpecError, match="answers of 40 tokens do not fit a model with 32 positions"):
        train(model, too_long, PLAIN, treatments=(Dpo(),))
    with pytest.raises(SpecError, match="beta must be above 0"):
        Dpo(beta=0)


def test_distillation_is_the_divergence_from_the_teacher_at_a_temperature():
    rng = np.random.default_rng(0)
    ours, teachers = rng.normal(size=(2, 1, 3, 5))
    p, q = (np.exp(log_softmax(x / 2, axis=-1)) for x in (teachers, ours))
    found = LogitDistillation("none", weight=0.7, temperature=2).token_penalty(jnp.asarray(ours), jnp.asarray(teachers))
    np.testing.assert_allclose(found, 0.7 * 4 * entropy(p, q, axis=-1), rtol=1e-5)


def test_a_student_comes_nearer_to_a_teacher_of_another_shape(model, tmp_path):
    """The first penalty is the divergence at the start, from two forward passes; training lowers it. KL to base beside
    it compares with the base still."""
    wider = dataclasses.replace(CONFIG, width=32, hidden_width=40, num_layers=1)
    teacher = tiny_model(wider)
    save_checkpoint(tmp_path, wider, jax.tree.map(lambda x: 3 * x, teacher.params))
    blocks = random_blocks()[:4]
    distil = LogitDistillation(str(tmp_path), weight=20)  # else the random words that are learnt lead elsewhere
    recipe = dataclasses.replace(PLAIN, num_steps=20)
    _, log = train(model, blocks, recipe, treatments=(distil,))
    arrays = [jnp.asarray(x) for x in (blocks.tokens, positions(blocks.segment_ids), blocks.segment_ids)]
    ours = decoder.forward(llama, model.params, CONFIG, *arrays)
    params = jax.tree.map(lambda x: 3 * x, teacher.params)
    theirs = decoder.forward(llama, params, wider, *arrays)
    p, q = (np.exp(log_softmax(np.asarray(x, np.float64), axis=-1)) for x in (theirs, ours))
    learnt = blocks.loss_mask[:, 1:] & (blocks.segment_ids[:, 1:] == blocks.segment_ids[:, :-1])
    assert log.penalties[0] == pytest.approx(20 * entropy(p, q, axis=-1)[:, :-1][learnt].mean(), rel=1e-4)
    assert log.penalties[-1] < 0.5 * log.penalties[0]
    both = train(model, blocks, dataclasses.replace(recipe, num_steps=2), treatments=(KlToBase(5.0), distil))[1]
    assert both.penalties[0] == pytest.approx(log.penalties[0], rel=1e-5)  # the base is where it starts
    assert both.penalties[1] > log.penalties[1] + 1e-3


def test_another_vocabulary_is_refused(model, tmp_path):
    other = dataclasses.replace(CONFIG, vocab_size=25)
    save_checkpoint(tmp_path, other, tiny_model(other).params)
    with pytest.raises(SpecError, match="25 tokens, the one that learns 24"):
        train(model, random_blocks(), PLAIN, treatments=(LogitDistillation(str(tmp_path)),))
    with pytest.raises(SpecError, match="temperature must be above 0"):
        LogitDistillation("x", temperature=0)
