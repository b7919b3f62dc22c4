"""A training run: blocks and a recipe turn one model into another.

In: a model, packed blocks, a Recipe; a folder for the state, if the run shall survive being killed. Out: the trained
model and a log of every step. The same arguments give the same bytes, however often the run was interrupted.
Pre-training and fine-tuning are the same call. Source: the paper, section 4.1.
"""

import hashlib
import math
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int, PyTree, UInt32

from epigone.errors import DataError, SpecError, WorkError
from epigone.models.compute import DEFAULT, Compute
from epigone.models.family import Model
from epigone.tokens.packing import Blocks, empty_blocks, positions
from epigone.training.checkpoint import load_state, save_state
from epigone.training.log import TrainLog
from epigone.training.optimizer import Recipe
from epigone.training.placement import Placement
from epigone.training.speed import flops_per_token
from epigone.training.step import Batch, Method, Others, init_state, run_steps
from epigone.training.trackers import Tracker
from epigone.training.treatment import Params, Treatment, params_of

STEPS_PER_CALL = 20
"""Steps of one compiled call, at most: small steps would pay for the call itself."""
CALL_FLOPS = 1e12
"""A call of a larger model has fewer steps, so that progress is heard and states are saved between them."""
SAVE_SECONDS = 120.0
"""A lone process saves its state after so long too, if that takes no more than a twentieth of the time."""

OnProgress = Callable[[int, int, float], None]
"""Called with steps done, steps in all, and the last step's loss."""


def train(
    model: Model,
    blocks: Blocks,
    recipe: Recipe,
    *,
    treatments: Sequence[Treatment] = (),
    compute: Compute = DEFAULT,
    mesh: Mesh | None = None,
    state_folder: Path | None = None,
    export_folder: Path | None = None,
    save_every_steps: int = 200,
    trackers: Sequence[Tracker] = (),
    on_progress: OnProgress | None = None,
) -> tuple[Model, TrainLog]:
    """Train on the blocks; `model` stays as it is. A run that finds its own state in `state_folder` goes on from there.

    With a mesh, state and batches are spread over its devices, and so is the model that is returned; of several
    processes, all call it alike. Treatments leave what they make besides the model in `export_folder`. Raises SpecError
    where blocks and model, or batch and mesh, do not fit, DataError where nothing is learnt or a token is unknown,
    ArtifactError for a state of another run, WorkError where the loss or its gradients are no longer numbers.
    """
    in_step = tuple(t for t in treatments if t.changes_step)
    _check(model, blocks, in_step)
    order = block_order(len(blocks), recipe)
    total = len(order)
    rates = recipe.rates(total)
    references = _references(model, in_step, mesh)
    shapes = tuple((each.family, each.config) for each in references)
    method = Method(model.family, model.config, recipe.optimizer, recipe.accumulation, compute, in_step, shapes)
    where = Placement(mesh, model.config.head_width)
    where.check(recipe.batch_size, recipe.accumulation)
    placed = model._replace(params=where.put(model.params, method.tree))
    others = Others(placed.params, tuple(each.params for each in references)) if in_step else None
    identity = _identity(model, blocks, (recipe, compute, tuple(treatments))) if state_folder else ""
    num_steps = steps_per_call(model, recipe.batch_size * blocks.length)
    state, log = where.put(init_state(placed, rates, method), method.learnt_tree), TrainLog.empty(total)
    del placed  # the state owns a copy of what is learnt
    if state_folder and (saved := load_state(state_folder, (state, log.columns), identity)):
        state, log = saved[0], TrainLog(*(np.array(column) for column in saved[1]))
    step = int(state.step)
    saving = _Saving(save_every_steps, step)
    _track(trackers, log, 0, step)
    while step < total:
        start, step = step, min(step + num_steps, total)
        batches = order[start:step]
        with where.active():
            stack = Batch(*where.batches(_stack(blocks, batches, num_steps)))
            state, done = run_steps(state, stack, np.int32(len(batches)), where.numbers(rates), others, method=method)
        for column, new in zip(log.columns, done, strict=True):
            column[start:step] = np.asarray(new)[: len(batches)]
        refuse_broken(log, order, (start, step), state_folder and f"step {saving.last} in {state_folder}")
        _track(trackers, log, start, step)
        if state_folder and step < total and saving.is_due(step):
            with saving.of(step):
                save_state(state_folder, (state, log.columns), identity)
        if on_progress:
            on_progress(step, total, float(log.losses[step - 1]))
    # Treatments read the base beside what was learnt: it has to lie where that does.
    base = model._replace(params=where.put(model.params, method.tree)) if treatments else model
    return _finished(base, state.params, treatments, export_folder), log


def steps_per_call(model: Model, num_tokens: int) -> int:
    """Steps that one compiled call takes, where a step has so many tokens."""
    flops = flops_per_token(model, 0) * num_tokens
    return max(1, min(STEPS_PER_CALL, int(CALL_FLOPS / flops)))


class _Saving:
    """When the state is saved: by steps, which all processes count alike; alone, by the clock too."""

    def __init__(self, every_steps: int, step: int) -> None:
        self.every_steps, self.last = every_steps, step
        self._ended, self._cost = time.monotonic(), 0.0

    def is_due(self, step: int) -> bool:
        """Whether the state after this step is to be saved."""
        waited = time.monotonic() - self._ended
        by_clock = jax.process_count() == 1 and waited > max(SAVE_SECONDS, 20 * self._cost)
        return by_clock or step - self.last >= self.every_steps

    @contextmanager
    def of(self, step: int) -> Generator[None, None, None]:
        """Around the saving of the state after this step."""
        started = time.monotonic()
        yield
        self.last, self._ended = step, time.monotonic()
        self._cost = self._ended - started


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


def _stack(blocks: Blocks, order: Int[np.ndarray, "s b"], num_steps: int) -> tuple[np.ndarray, ...]:
    """The batches of one call, filled up with empty blocks to the one shape that is compiled."""
    places = np.full((num_steps, order.shape[1]), -1)
    places[: len(order)] = order
    chosen = places >= 0
    picked = empty_blocks(places.size, blocks.length)
    for to, of in zip(picked.arrays, blocks.arrays, strict=True):
        to[chosen.ravel()] = of[places[chosen]]
    arrays = (*picked.arrays, positions(picked.segment_ids))
    return tuple(array.reshape(*places.shape, -1) for array in arrays)


def _finished(model: Model, learnt: Params, treatments: Sequence[Treatment], folder: Path | None) -> Model:
    """The model after training, with what treatments do then."""
    tree = model.family.param_tree(model.config)
    params = params_of(treatments, learnt, model.params, tree)
    for treatment in treatments:
        params = treatment.finished(params, model.params)
        if folder is not None:
            treatment.export(folder, learnt, tree)
    return model._replace(params=params)


def _track(trackers: Sequence[Tracker], log: TrainLog, start: int, stop: int) -> None:
    """Tell of every step from the first: after an interruption a tracker hears again of those before it."""
    for tracker in trackers:
        for row in log.rows(start, stop):
            tracker.write(row)


def refuse_broken(
    log: TrainLog, order: Int[np.ndarray, "steps batch"], steps: tuple[int, int], last_good: str | None
) -> None:
    """Stop before a step whose loss or gradients are no numbers can overwrite the last good state."""
    broken = log.first_broken(*steps)
    if broken is None:
        return
    rows = ", ".join(str(row) for row in order[broken] if row >= 0)
    what = "loss" if not np.isfinite(log.losses[broken]) else "gradient"
    raise WorkError(
        f"the {what} is no longer a number at step {broken + 1} of {len(order)} (blocks {rows}); last good state: "
        f"{last_good or 'none was kept'}. Lower the learning rate, or look at these blocks"
    )


def _references(model: Model, treatments: Sequence[Treatment], mesh: Mesh | None) -> tuple[Model, ...]:
    """The other models that treatments compare with. Raises SpecError where one has another vocabulary."""
    found = tuple(each for t in treatments if t.has_reference and (each := t.reference(mesh)) is not None)
    for each in found:
        if each.config.vocab_size != model.config.vocab_size:
            raise SpecError(
                f"a model that is compared with has {each.config.vocab_size} tokens, the one that learns "
                f"{model.config.vocab_size}: their logits can only be compared over one vocabulary"
            )
    return found


def _check(model: Model, blocks: Blocks, treatments: Sequence[Treatment]) -> None:
    by_pairs = [t for t in treatments if t.replaces_loss]
    if by_pairs and (len(by_pairs) > 1 or any(t.compares_logits for t in treatments)):
        raise SpecError("a treatment that learns from pairs goes with no other such, nor with one that compares logits")
    # Both answers of a pair stand in one block, each from position 0: the longer of them has to fit.
    longest = (
        int((positions(blocks.segment_ids) + 1)[blocks.segment_ids > 0].max(initial=0)) if by_pairs else blocks.length
    )
    if longest > model.config.max_positions:
        most = model.config.max_positions
        raise SpecError(
            f"{'answers' if by_pairs else 'blocks'} of {longest} tokens do not fit a model with {most} positions; "
            f"pack to {most} or less, or take a model with more positions"
        )
    if not blocks.loss_mask.any():
        raise DataError(f"none of the {len(blocks)} blocks holds a token to learn; check the data and its loss mask")
    if blocks.tokens.max() >= model.config.vocab_size:
        raise DataError(
            f"token id {blocks.tokens.max()} is outside the model's vocabulary of {model.config.vocab_size}; "
            "tokenize with the tokenizer of this model"
        )


def _identity(model: Model, blocks: Blocks, options: tuple[object, ...]) -> str:
    """Hash of everything that shapes a run, but for the layout: a state goes on in any."""
    digest = hashlib.sha256(repr((*options, model.config)).encode())
    for array in [*blocks.arrays, *map(np.asarray, jax.tree.leaves(_checksums(model.params)))]:
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:16]


@jax.jit
def _checksums(params: Params) -> PyTree[UInt32[Array, ""]]:
    """A number a parameter, of its bits and their places: where it lies and how it is divided makes no difference."""

    def one(value: Float[Array, "..."]) -> UInt32[Array, ""]:
        bits = jax.lax.bitcast_convert_type(value.astype(jnp.float32), jnp.uint32)
        steps = [jax.lax.broadcasted_iota(jnp.uint32, value.shape, dim) for dim in range(value.ndim)]
        place = sum((step * jnp.uint32(2 * 7919**dim % 2**32) for dim, step in enumerate(steps)), start=jnp.uint32(1))
        return jnp.sum((bits ^ (bits >> 15)) * place, dtype=jnp.uint32)

    return jax.tree.map(one, params)
