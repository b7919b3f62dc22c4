"""The Protocol of `treatments/`: what may be done to a training run besides showing it data.

In: the hooks that a run calls, each of which leaves things as they are unless a treatment says otherwise. A treatment
is one file in `treatments/` with a frozen dataclass that inherits from this Protocol and overrides what it needs. Out:
the same hooks for all treatments of a run, applied in order.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Protocol, runtime_checkable

import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from epigone.models.family import Model
from epigone.models.params import Param
from epigone.parallel.mesh import Mesh
from epigone.tokens.packing import Blocks

Params = PyTree[Float[Array, "..."]]


@runtime_checkable
class Treatment(Protocol):
    """Hashable, since a step is compiled for its treatments. `base` is the model before training; it stays as it is."""

    changes_step: ClassVar[bool] = False
    """Whether a step calls any hook: the base's parameters then stay in memory beside those that are learnt."""
    compares_logits: ClassVar[bool] = False
    """Whether `token_penalty` is called: the base, or the `reference`, then reads every batch too."""
    has_reference: ClassVar[bool] = False
    """Whether another model than the base is compared with."""
    replaces_loss: ClassVar[bool] = False
    """Whether `pair_losses` stands in place of the cross entropy: the blocks then hold pairs (`tokens.pairs`)."""

    def mixed(self, blocks: Blocks | None, seed: int) -> Blocks | None:
        """What is trained on; None: nothing so far."""
        return blocks

    def learnt(self, tree: PyTree[Param]) -> PyTree[Param]:
        """The parameters that are learnt. Another tree than the model's starts from its own inits."""
        return tree

    def params_of(self, learnt: Params, base: Params, tree: PyTree[Param]) -> Params:
        """The model's parameters from those that are learnt; `tree` is the model's."""
        return learnt

    def reference(self, mesh: Mesh | None) -> Model | None:
        """That other model, of the same vocabulary; read once, before the first step."""
        return None

    def token_penalty(
        self, logits: Float[Array, "B T V"], base_logits: Float[Array, "B T V"]
    ) -> Float[Array, "B T"] | None:
        """What is added to the loss of every learnt token, where the logits predict it."""
        return None

    def pair_losses(
        self,
        chosen: Float[Array, "B P"],
        rejected: Float[Array, "B P"],
        base_chosen: Float[Array, "B P"],
        base_rejected: Float[Array, "B P"],
    ) -> Float[Array, "B P"] | None:
        """Loss of every pair, from the log-likelihoods (nats) of its two answers under the model and under the base."""
        return None

    def penalty(self, params: Params, base: Params) -> Float[Array, ""] | None:
        """What is added to the mean loss of a step."""
        return None

    def finished(self, params: Params, base: Params) -> Params:
        """The model's parameters after the last step."""
        return params

    def export(self, folder: Path, learnt: Params, tree: PyTree[Param]) -> None:
        """Write what others can use besides the finished model; of several processes all call it, the first writes."""


def learnt_tree(treatments: Sequence[Treatment], tree: PyTree[Param]) -> PyTree[Param]:
    """The parameters that are learnt under all treatments."""
    for treatment in treatments:
        tree = treatment.learnt(tree)
    return tree


def params_of(treatments: Sequence[Treatment], learnt: Params, base: Params, tree: PyTree[Param]) -> Params:
    """The model's parameters, from those that are learnt under all treatments."""
    for treatment in treatments:
        learnt = treatment.params_of(learnt, base, tree)
    return learnt


def total(penalties: Sequence[Float[Array, "*B"] | None]) -> Float[Array, "*B"]:
    """The sum of what there is; 0 where there is nothing."""
    return sum((p for p in penalties if p is not None), start=jnp.zeros(()))
