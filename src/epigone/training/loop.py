"""A training run: blocks and a recipe turn one model into another.

In: a model, packed blocks, a Recipe; a folder for the state, if the run shall survive being killed. Out: the trained
model and a log of every step. The same arguments give the same bytes, however often the run was interrupted.
Pre-training and fine-tuning are the same call. Source: the paper, section 4.1.
"""

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Float, Int

from epigone.errors import DataError, SpecError, WorkError
from epigone.models.family import Model
from epigone.tokens.packing import Blocks, empty_blocks, positions
from epigone.training.checkpoint import load_state, save_state
from epigone.training.optimizer import Recipe
from epigone.training.placement import Placement
from epigone.training.step import Batch, StepLog, init_state, run_steps

STEPS_PER_CALL = 20

OnProgress = Callable[[int, int, float], None]
"""Called with steps done, steps in all, and the last step's loss."""


@dataclass(frozen=True, eq=False)
class TrainLog:
    """One entry a step: mean loss (natural log), learnt tokens, learning rate."""

    losses: Float[np.ndarray, " s"]
    num_loss_tokens: Float[np.ndarray, " s"]
    learning_rates: Float[np.ndarray, " s"]

    @property
    def columns(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The three arrays in the order of the fields."""
        return self.losses, self.num_loss_tokens, self.learning_rates

    @property
    def num_steps(self) -> int:
        """Steps of the whole run."""
        return len(self.losses)

    @property
    def peak_learning_rate(self) -> float:
        """The highest rate that was reached: a run shorter than its warm-up never sees the recipe's."""
        return float(self.learning_rates.max())


def train(
    model: Model,
    blocks: Blocks,
    recipe: Recipe,
    *,
    mesh: Mesh | None = None,
    state_folder: Path | None = None,
    save_every_steps: int = 200,
    on_progress: OnProgress | None = None,
) -> tuple[Model, TrainLog]:
    """Train on the blocks; `model` stays as it is. A run that finds its own state in `state_folder` goes on from there.

    With a mesh, state and batches are spread over its devices, and so is the model that is returned.
    Raises SpecError where blocks and model, or batch and mesh, do not fit, DataError where nothing is learnt or a token
    is unknown, ArtifactError for a state of another run, WorkError where the loss is no longer a number.
    """
    _check(model, blocks)
    order = block_order(len(blocks), recipe)
    total = len(order)
    rates = recipe.rates(total)
    where = Placement(mesh, model.family.param_tree(model.config), model.config.head_width)
    where.check(recipe.batch_size)
    state = init_state(where.model(model), rates, scale_by_parameter=recipe.scale_by_parameter)
    state = where.state(state)
    log = TrainLog(*np.zeros((3, total), np.float32))
    identity = _identity(model, blocks, recipe) if state_folder else ""
    if state_folder:
        state, columns = load_state(state_folder, (state, log.columns), identity) or (state, log.columns)
        log = TrainLog(*(np.array(column) for column in columns))
    call = partial(
        run_steps,
        rates=where.numbers(rates),
        family=model.family,
        config=model.config,
        scale_by_parameter=recipe.scale_by_parameter,
    )
    step = last_save = int(state.step)
    while step < total:
        batches = order[step : step + STEPS_PER_CALL]
        with where.active():
            state, done = call(state, Batch(*where.batches(_stack(blocks, batches))), np.int32(len(batches)))
        _note(log, done, step, len(batches))
        step += len(batches)
        if state_folder and step < total and step - last_save >= save_every_steps:
            save_state(state_folder, (state, log.columns), identity)
            last_save = step
        if on_progress:
            on_progress(step, total, float(log.losses[step - 1]))
    return model._replace(params=state.params), log


def block_order(num_blocks: int, recipe: Recipe) -> Int[np.ndarray, "steps batch"]:
    """Which blocks each step takes: a permutation an epoch, drawn by seed and epoch; -1 is an empty block."""
    total_steps = recipe.total_steps(num_blocks)
    num_places = total_steps * recipe.batch_size
    num_epochs = recipe.num_epochs or math.ceil(num_places / num_blocks)
    epochs = [np.random.default_rng([recipe.seed, epoch]).permutation(num_blocks) for epoch in range(num_epochs)]
    order = np.full(num_places, -1)
    stream = np.concatenate(epochs)[:num_places]
    order[: len(stream)] = stream
    return order.reshape(total_steps, recipe.batch_size)


def _stack(blocks: Blocks, order: Int[np.ndarray, "s b"]) -> tuple[np.ndarray, ...]:
    """The batches of one call, filled up with empty blocks to the one shape that is compiled."""
    places = np.full((STEPS_PER_CALL, order.shape[1]), -1)
    places[: len(order)] = order
    chosen = places >= 0
    picked = empty_blocks(places.size, blocks.length)
    for to, of in zip(picked.arrays, blocks.arrays, strict=True):
        to[chosen.ravel()] = of[places[chosen]]
    arrays = (*picked.arrays, positions(picked.segment_ids))
    return tuple(array.reshape(*places.shape, -1) for array in arrays)


def _note(log: TrainLog, done: StepLog, step: int, count: int) -> None:
    """Write the steps that a call did, from `step` on, into the log."""
    for column, new in zip(log.columns, done, strict=True):
        column[step : step + count] = np.asarray(new)[:count]
    if not np.isfinite(log.losses[step + count - 1]):
        raise WorkError(f"the loss is no longer a number within step {step + count}; lower the learning rate")


def _check(model: Model, blocks: Blocks) -> None:
    if blocks.length > model.config.max_positions:
        raise SpecError(
            f"blocks of {blocks.length} tokens do not fit a model with {model.config.max_positions} positions; "
            f"pack to {model.config.max_positions} or less, or take a model with more positions"
        )
    if not blocks.loss_mask.any():
        raise DataError(f"none of the {len(blocks)} blocks holds a token to learn; check the data and its loss mask")
    if blocks.tokens.max() >= model.config.vocab_size:
        raise DataError(
            f"token id {blocks.tokens.max()} is outside the model's vocabulary of {model.config.vocab_size}; "
            "tokenize with the tokenizer of this model"
        )


def _identity(model: Model, blocks: Blocks, recipe: Recipe) -> str:
    """Hash of everything that shapes a run."""
    digest = hashlib.sha256(repr((recipe, model.config)).encode())
    for array in [*blocks.arrays, *jax.tree.leaves(model.params)]:
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:16]
