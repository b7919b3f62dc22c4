"""A meaningful start for tokens that a base model has never seen, such as role tokens.

In: a model and, by new token, the tokens whose mean it shall start as. Out: the model with these rows of every
parameter that has a "vocab" axis (embedding and, where it is not tied, output head) replaced.
"""

from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from epigone.errors import SpecError
from epigone.models.family import Model
from epigone.models.params import Param


def init_token_embeddings(model: Model, sources: Mapping[int, Sequence[int]]) -> Model:
    """Set each token's rows to the mean of its sources' rows, all read before any is set.

    Raises SpecError for a token without sources or an id outside the vocabulary.
    """
    for token, ids in sources.items():
        if not ids:
            raise SpecError(f"token {token} has no source tokens to start from")
        for id_ in (token, *ids):
            if not 0 <= id_ < model.config.vocab_size:
                raise SpecError(f"token id {id_} is outside the model's vocabulary of {model.config.vocab_size}")

    def replaced(param: Param, value: Float[Array, "..."]) -> Float[Array, "..."]:
        if "vocab" not in param.axes:
            return value
        old = jnp.moveaxis(value, param.axes.index("vocab"), 0)
        new = old
        for token, ids in sources.items():
            new = new.at[token].set(old[jnp.asarray(ids)].mean(axis=0))
        return jnp.moveaxis(new, 0, param.axes.index("vocab"))

    tree = model.family.param_tree(model.config)
    return model._replace(params=jax.tree.map(replaced, tree, model.params))
