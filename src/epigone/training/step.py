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
    base: Params | None = None,
    *,
    method: Method,
) -> tuple[TrainState, StepLog]:
    """The first `num_steps` batches of a stack, one step each; the log is 0 after them. `state` is consumed.

    `base` are the parameters before training, for treatments that read them.
    """
    optimizer = method.optimizer_of(rates)

    def one(index: Int[Array, ""], carry: tuple[TrainState, StepLog]) -> tuple[TrainState, StepLog]:
        state, log = carry
        batch = jax.tree.map(lambda x: x[index], batches)
        count = jnp.sum(targets(batch.loss_mask, batch.segment_ids).astype(jnp.float32))
        loss_of = partial(_loss, method, rates, base, jnp.maximum(count, 1.0))
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
    method: Method, rates: Rates, base: Params | None, count: Float[Array, ""], learnt: Params, work: Work
) -> tuple[Float[Array, ""], tuple[Float[Array, ""], Float[Array, ""]]]:
    """What a step descends on, and its two summands: mean loss, penalties of the treatments.

    Divided by the learnt tokens of the whole batch: parts add up to it, however those are spread over them.
    """
    family, config, compute, batch = method.family, method.config, method.compute, work.batch
    noise = None if work.keys is None else Noise(work.keys, rates.dropout, rates.forgetful_share)
    params = params_of(method.treatments, learnt, base, method.tree)

    def features(params: Params, noise: Noise | None) -> Float[Array, "B T D"]:
        tokens, places, segments = batch.tokens, batch.positions, batch.segment_ids
        return decoder.features(family, params, config, tokens, places, segments, compute=compute, noise=noise)

    compares = [t for t in method.treatments if t.compares_logits]
    read = features(params, noise), features(base, None) if compares else None

    def sums(
        arrays: tuple[tuple[Float[Array, "B t D"], Float[Array, "B t D"] | None], Array, Array],
    ) -> tuple[Float[Array, ""], Float[Array, ""]]:
        (ours, theirs), following_Bt, weights_Bt = arrays
        logits = decoder.logits(family, params, config, ours, compute=compute)
        losses = token_losses(logits, following_Bt)
        penalties = jnp.zeros(())
        if theirs is not None:
            base_logits = decoder.logits(family, base, config, theirs, compute=compute)
            penalties = jnp.sum(total([t.token_penalty(logits, base_logits) for t in compares]) * weights_Bt)
        return jnp.sum(losses * weights_Bt), penalties

    weights = targets(batch.loss_mask, batch.segment_ids).astype(jnp.float32)
    pieces = num_pieces(weights.shape[0], weights.shape[1], config.vocab_size, method.max_logits_bytes)
    loss, penalty = summed(sums, (read, following(batch.tokens), weights), pieces)
    loss, penalty = loss / count, penalty / count
    if method.treatments:
        penalty += total([t.penalty(params, base) for t in method.treatments]) / method.accumulation
    return loss + penalty, (loss, penalty)
