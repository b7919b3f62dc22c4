"""The named optimizers beside optax's own, leaf by leaf and layer by layer."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from epigone.errors import SpecError
from epigone.models.params import Param, ones
from epigone.training.optimizer import OPTIMIZERS, Recipe, make

TREE = {
    "single": Param((3, 2), ("width", "vocab"), ones, "s"),
    "stacked": Param((2, 3, 2), ("layers", "width", "hidden"), ones, "l.{layer}"),
}
RECIPE = Recipe(0.01, 1, num_steps=8, warmup_steps=4, weight_decay=0.1, b2=0.95)


def draw(seed: int, scale: float = 1.0):
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda p: jnp.asarray(scale * rng.normal(size=p.shape), jnp.float32), TREE)


def start():
    params = draw(0, 0.3)
    return params | {"stacked": params["stacked"].at[1].multiply(100.0)}


def updates_of(name: str, recipe: Recipe = RECIPE, num_steps: int = 6, scale: float = 1.0):
    """What every step adds to parameters that stay as they are."""
    optimizer, params = make(name, recipe.rates(8), TREE), start()
    state, found = optimizer.init(params), []
    for step in range(num_steps):
        updates, state = optimizer.update(draw(1 + step, scale), state, params)
        found.append(updates)
    return found


def by_layer(tree) -> list[np.ndarray]:
    """Each matrix by itself: optax's optimizers know nothing of stacked layers."""
    return [np.array(tree["single"]), np.array(tree["stacked"][0]), np.array(tree["stacked"][1])]


def root(x: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(x))))


@pytest.mark.parametrize("steps", [1, 6])
def test_updates_are_scaled_by_the_weights_of_their_own_layer(steps):
    undecayed = Recipe(0.01, 1, num_steps=8, warmup_steps=4)
    plain = updates_of("adamw", undecayed)[steps - 1]
    scaled = updates_of("adamw-scaled-update", undecayed)[steps - 1]
    for one, other, value in zip(by_layer(scaled), by_layer(plain), by_layer(start()), strict=True):
        np.testing.assert_allclose(one, other * root(value), rtol=1e-5)


def test_a_gradient_that_is_scaled_evenly_changes_nothing_in_adam():
    """Weights that do not move scale their gradient evenly: up to Adam's epsilon that is the plain optimizer."""
    loose = Recipe(0.01, 1, num_steps=8, warmup_steps=4, clip_norm=1e9)
    for plain, scaled in zip(updates_of("adamw", loose), updates_of("adamw-scaled-gradient", loose), strict=True):
        for one, other in zip(by_layer(scaled), by_layer(plain), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-9)


def test_a_gradient_far_below_adams_epsilon_is_scaled_all_the_same():
    loose = Recipe(0.01, 1, num_steps=8, clip_norm=1e9)
    plain, scaled = (updates_of(name, loose, 1, 1e-12)[0] for name in ("adamw", "adamw-scaled-gradient"))
    for one, other, value in zip(by_layer(scaled), by_layer(plain), by_layer(start()), strict=True):
        np.testing.assert_allclose(one, other * root(value), rtol=2e-2)


def test_the_optimizer_that_was_published_is_adafactor_as_its_authors_put_it_together():
    """Each matrix alone through the optax calls of EasyLM's `AdamWOptimizerFactory`, parameter scale on."""
    rates = RECIPE.rates(8)
    schedule = optax.linear_schedule(0.0, 0.01, 4)
    ours = updates_of("adafactor-scaled-update")
    theirs = optax.chain(
        optax.adafactor(
            schedule,
            multiply_by_parameter_scale=True,
            momentum=0.9,
            decay_rate=0.95,
            factored=False,
            clipping_threshold=None,
        ),
        optax.add_decayed_weights(lambda step: -0.1 * schedule(step)),
    )
    params = by_layer(start())
    state = theirs.init(params)
    for step, mine in enumerate(ours):
        clipped, _ = optax.clip_by_global_norm(rates.clip_norm).update(draw(1 + step), optax.EmptyState())
        updates, state = theirs.update([jnp.asarray(x) for x in by_layer(clipped)], state, params)
        for one, other in zip(by_layer(mine), updates, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-8)


def test_an_unknown_optimizer_is_answered_with_those_there_are():
    with pytest.raises(SpecError, match=f"no optimizer 'adam'; there is: {', '.join(OPTIMIZERS)}"):
        Recipe(1.0, 1, num_steps=1, optimizer="adam")
