"""The compiled part of training: several optimizer steps a call.

In: a TrainState and a stack of batches. Out: the new state and what happened in every step. The number of steps is an
array (a last, shorter stack compiles nothing anew), and so are all rates of the recipe; what compiles anew is another
Method or shape of batch. One call of 20 steps costs 1.2-1.5 times less than 20 calls on a CPU.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int, Key, PyTree, Shaped

from epigone.models import decoder
from epigone.models import params as parameters
from epigone.models.compute import DEFAULT, Compute
from epigone.models.family import Family, Model, ModelConfig
from epigone.models.noise import Noise
from epigone.models.params import Param
from epigone.parallel import rules
from epigone.training import optimizer as optimizers
from epigone.training.loss import following, num_pieces, summed, targets, token_losses
from epigone.training.optimizer import Rates, learning_rate
from epigone.training.pairs import num_pairs, of_pairs, segment_sums
from epigone.training.treatment import Params, Treatment, learnt_tree, params_of, total


class TrainState(NamedTuple):
    """Everything that a step changes."""

    params: PyTree[Float[Array, "..."]]
    optimizer_state: PyTree[Shaped[Array, "..."]]
    step: Int[Array, ""]


class Batch(NamedTuple):
    """Blocks with their positions; a leading axis S stacks the batches of several steps."""

    tokens: Int[Array, "*S B T"]
    loss_mask: Bool[Array, "*S B T"]
    segment_ids: Int[Array, "*S B T"]
    positions: Int[Array, "*S B T"]


class StepLog(NamedTuple):
    """What happened in a step; the fields as in `log.TrainLog`."""

    loss: Float[Array, "*S"]
    num_tokens: Float[Array, "*S"]
    learning_rate: Float[Array, "*S"]
    penalty: Float[Array, "*S"]
    gradient_norm: Float[Array, "*S"]


class Others(NamedTuple):
    """Parameters that treatments read and no step changes."""

    base: Params
    """Before training."""
    references: tuple[Params, ...] = ()
    """Of the models in `Method.references`."""


class Work(NamedTuple):
    """A batch, or a part of one, with a key a block where anything is left out at random."""

    batch: Batch
    keys: Key[Array, " B"] | None


@dataclass(frozen=True)
class Method:
    """What a step is compiled for. Parameters and optimizer state are fp32 whatever `compute` says."""

    family: Family
    config: ModelConfig
    optimizer: str = "adamw"
    accumulation: int = 1
    compute: Compute = DEFAULT
    treatments: tuple[Treatment, ...] = ()
    """Those that change a step."""
    references: tuple[tuple[Family, ModelConfig], ...] = ()
    """Shapes of the other models that treatments compare with, in the treatments' order."""
    max_logits_bytes: int = 2**30
    """Above this the output head and the loss take the blocks piece by piece."""

    @property
    def tree(self) -> PyTree[Param]:
        """The model's parameters."""
        return self.family.param_tree(self.config)

    @property
    def learnt_tree(self) -> PyTree[Param]:
        """The parameters that are learnt: the model's, unless a treatment says otherwise."""
        return learnt_tree(self.treatments, self.tree)

    @property
    def by_pairs(self) -> Treatment | None:
        """The treatment whose loss of pairs stands in place of the cross entropy, if any does."""
        return next((treatment for treatment in self.treatments if treatment.replaces_loss), None)

    @property
    def reads_base(self) -> bool:
        """Whether the base reads every batch."""
        return any(t.replaces_loss or (t.compares_logits and not t.has_reference) for t in self.treatments)

    def optimizer_of(self, rates: Rates) -> optax.GradientTransformation:
        """Over the parameters that are learnt."""
        return optimizers.make(self.optimizer, rates, self.learnt_tree)


def init_state(model: Model, rates: Rates, method: Method) -> TrainState:
    """A fresh state; it owns its parameters, since `run_steps` overwrites them."""
    tree = method.tree
    learnt = learnt_tree(method.treatments, tree)
    own = learnt is tree
    params = jax.tree.map(jnp.copy, model.params) if own else parameters.init(learnt, jax.random.key(rates.seed))
    return TrainState(params, method.optimizer_of(rates).init(params), jnp.int32(0))


@partial(jax.jit, static_argnames="method", donate_argnames="state")
def run_steps(
    state: TrainState,
    batches: Batch,
    num_steps: Int[Array, ""],
    rates: Rates,
    others: Others | None = None,
    *,
    method: Method,
) -> tuple[TrainState, StepLog]:
    """The first `num_steps` batches of a stack, one step each; the log is 0 after them. `state` is consumed."""
    optimizer = method.optimizer_of(rates)

    def one(index: Int[Array, ""], carry: tuple[TrainState, StepLog]) -> tuple[TrainState, StepLog]:
        state, log = carry
        batch = jax.tree.map(lambda x: x[index], batches)
        count = jnp.sum(targets(batch.loss_mask, batch.segment_ids).astype(jnp.float32))
        shared = num_pairs(batch.loss_mask, batch.segment_ids) if method.by_pairs else count
        loss_of = partial(_loss, method, rates, others, jnp.maximum(shared, 1.0))
        (loss, penalty), gradients = _gradients(method, loss_of, state.params, Work(batch, _keys(rates, state, batch)))
        updates, optimizer_state = optimizer.update(gradients, state.optimizer_state, state.params)
        params = optax.apply_updates(state.params, updates)
        done = StepLog(loss, count, learning_rate(rates, state.step), penalty, optax.tree.norm(gradients))
        log = jax.tree.map(lambda column, value: column.at[index].set(value), log, done)
        state = TrainState(params, optimizer_state, state.step + 1)
        return rules.held(state, method.learnt_tree, method.config.head_width), log

    empty = jnp.zeros(batches.tokens.shape[0])
    return jax.lax.fori_loop(0, num_steps, one, (state, StepLog(*[empty] * len(StepLog._fields))))


def _keys(rates: Rates, state: TrainState, batch: Batch) -> Key[Array, " B"] | None:
    if rates.dropout is None and rates.forgetful_share is None:
        return None
    return jax.random.split(jax.random.fold_in(jax.random.key(rates.seed), state.step), batch.tokens.shape[0])


LossOf = Callable[[Params, Work], tuple[Float[Array, ""], tuple[Float[Array, ""], Float[Array, ""]]]]


def _gradients(
    method: Method, loss_of: LossOf, learnt: Params, work: Work
) -> tuple[tuple[Float[Array, ""], Float[Array, ""]], Params]:
    """Loss and penalty of a whole batch, and the gradients of their sum; taken in parts where the method says so."""
    take = jax.value_and_grad(loss_of, has_aux=True)
    if method.accumulation == 1:
        (_, found), gradients = take(learnt, work)
        return found, gradients

    def add(sums: PyTree[Float[Array, "..."]], part: Work) -> tuple[PyTree[Float[Array, "..."]], None]:
        (_, found), gradients = take(learnt, part)
        return jax.tree.map(jnp.add, sums, (found, gradients)), None

    # Every part takes rows from all over the batch, so that a batch that is spread over devices stays where it is.
    parts = jax.tree.map(lambda x: x.reshape(-1, method.accumulation, *x.shape[1:]).swapaxes(0, 1), work)
    zero = jnp.zeros(())
    return jax.lax.scan(add, ((zero, zero), jax.tree.map(jnp.zeros_like, learnt)), parts)[0]


def _loss(
    method: Method, rates: Rates, others: Others | None, count: Float[Array, ""], learnt: Params, work: Work
) -> tuple[Float[Array, ""], tuple[Float[Array, ""], Float[Array, ""]]]:
    """What a step descends on, and its two summands: mean loss, penalties of the treatments.

    Divided by the learnt tokens, or the pairs, of the whole batch: parts add up to it, however those are spread.
    """
    batch, base = work.batch, others.base if others else None
    params = params_of(method.treatments, learnt, base, method.tree)
    weights = targets(batch.loss_mask, batch.segment_ids).astype(jnp.float32)
    summed_up = _sums(method, rates, others, params, work, weights)
    if method.by_pairs:
        loss, penalty = jnp.sum(of_pairs(method.by_pairs.pair_losses, *summed_up, weights, batch.segment_ids)), 0.0
    else:
        loss, penalty = summed_up
    loss, penalty = loss / count, jnp.asarray(penalty / count)
    if method.treatments:
        penalty += total([t.penalty(params, base) for t in method.treatments]) / method.accumulation
    return loss + penalty, (loss, penalty)


def _sums(
    method: Method, rates: Rates, others: Others | None, params: Params, work: Work, weights: Float[Array, "B T"]
) -> tuple[Float[Array, "*S"], Float[Array, "*S"]]:
    """Over the learnt tokens: of loss and token penalties; for pairs log-likelihoods, of model and base, by segment."""
    compute, batch = method.compute, work.batch
    noise = None if work.keys is None else Noise(work.keys, rates.dropout, rates.forgetful_share)
    read_by = [(method.family, params, method.config), *_compared(method, others)]
    read = [
        decoder.features(
            family, own, config, batch.tokens, batch.positions, batch.segment_ids,
            compute=compute, noise=noise if place == 0 else None,
        )
        for place, (family, own, config) in enumerate(read_by)
    ]  # fmt: skip

    def sums(arrays: tuple[list[Float[Array, "B t _"]], Array, Array, Array]) -> tuple[Array, Array]:
        found, following_Bt, weights_Bt, segments_Bt = arrays
        logits = [decoder.logits(*who, each, compute=compute) for who, each in zip(read_by, found, strict=True)]
        losses = token_losses(logits[0], following_Bt) * weights_Bt
        if method.by_pairs:
            base_losses = token_losses(logits[1], following_Bt) * weights_Bt
            return segment_sums(-losses, segments_Bt, most), segment_sums(-base_losses, segments_Bt, most)
        return jnp.sum(losses), jnp.sum(_token_penalties(method, logits) * weights_Bt)

    most = weights.shape[1]
    pieces = num_pieces(weights.shape[0], most, method.config.vocab_size, method.max_logits_bytes)
    return summed(sums, (read, following(batch.tokens), weights, batch.segment_ids), pieces)


def _compared(method: Method, others: Others | None) -> list[tuple[Family, Params, ModelConfig]]:
    """The models beside the one that learns: the base where it is compared with, then the references."""
    if others is None:
        return []
    shapes = zip(method.references, others.references, strict=True)
    found = [(family, params, config) for (family, config), params in shapes]
    return [(method.family, others.base, method.config), *found] if method.reads_base else found


def _token_penalties(method: Method, logits: list[Float[Array, "B t V"]]) -> Float[Array, "*B"]:
    """What the treatments add to each token's loss; `logits` as `_compared` lists the models, the learnt one first."""
    references = iter(logits[1 + method.reads_base :])
    penalties = [
        treatment.token_penalty(logits[0], next(references) if treatment.has_reference else logits[1])
        for treatment in method.treatments
        if treatment.compares_logits
    ]
    return total(penalties)
