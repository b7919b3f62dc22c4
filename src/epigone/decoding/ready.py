"""A model made ready to decode, on one device or over a mesh: the compiled calls of `loop`, with its parameters.

In: a Model. Out: calls that take and give a cache. On a CPU a small model's layers are held a second time, each by
itself, for the steps that draw: cutting a layer out of the stack costs a step over few rows more than the layer.
A model whose parameters lie over a mesh is computed there: its cache is divided by heads as its parameters are.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Array, Bool, Float, PyTree

from epigone.decoding import loop
from epigone.decoding.sampling import How
from epigone.decoding.shapes import padded
from epigone.models import decoder
from epigone.models.family import Model
from epigone.models.layers import KVCache

HELD_TWICE_BYTES = 2 * 2**30
"""Size of the layers up to which they are held twice on a CPU."""


@dataclass(frozen=True)
class Ready:
    """A model and how it is computed."""

    model: Model

    def empty_cache(self, num_slots: int, room: int) -> KVCache:
        """Room for `num_slots` rows of `room` tokens."""
        cache = decoder.empty_cache(self.model.config, num_slots, room)
        if self._mesh is None:
            return cache
        tensor = self._mesh.shape.get("tensor", 1)
        heads = "tensor" if self.model.config.num_kv_heads % tensor == 0 else None
        return jax.device_put(cache, NamedSharding(self._mesh, PartitionSpec(None, None, heads)))

    def read(self, cache: KVCache, new: loop.New, how: How, num_past: int) -> tuple[KVCache, loop.Drawn]:
        """`loop.read`; the cache that is given is used up."""
        family, config, params = self.model
        with self._placed():
            return loop.read(params, cache, new, family=family, config=config, how=how, num_past=num_past)

    def draw(
        self,
        cache: KVCache,
        running: loop.Running,
        is_end_V: Bool[Array, " V"],
        *,
        num_steps: int,
        how: How,
        num_seen: int,
    ) -> tuple[KVCache, loop.Drawn]:
        """`loop.draw`; the cache that is given is used up."""
        family, config, _ = self.model
        with self._placed():
            return loop.draw(
                self._params_by_layer,
                cache,
                running,
                is_end_V,
                jnp.int32(num_steps),
                family=family,
                config=config,
                how=how,
                num_seen=num_seen,
            )

    def remember(self, tokens: Sequence[int]) -> KVCache:
        """`loop.remember` of the beginning of a text."""
        tokens_1T = np.zeros((1, padded(len(tokens))), np.int32)
        tokens_1T[0, : len(tokens)] = tokens
        family, config, params = self.model
        with self._placed():
            return loop.remember(params, jnp.asarray(tokens_1T), family=family, config=config)

    def score(self, marked: loop.Marked, shared: KVCache | None, num_shared: int, num_top: int) -> loop.Scored:
        """`loop.score`."""
        family, config, params = self.model
        with self._placed():
            return loop.score(
                params, marked, shared, jnp.int32(num_shared), family=family, config=config, num_top=num_top
            )

    @cached_property
    def _mesh(self) -> jax.sharding.Mesh | None:
        sharding: object = jax.tree.leaves(self.model.params)[0].sharding
        mesh = sharding.mesh if isinstance(sharding, NamedSharding) else None
        return mesh if isinstance(mesh, jax.sharding.Mesh) and mesh.size > 1 else None

    @cached_property
    def _params_by_layer(self) -> PyTree[Float[Array, "..."]]:
        params = self.model.params
        size = sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(params["layers"]))
        if jax.default_backend() != "cpu" or self._mesh is not None or size > HELD_TWICE_BYTES:
            return params
        return decoder.unstacked(params)

    def _placed(self) -> AbstractContextManager[object]:
        return nullcontext() if self._mesh is None else jax.set_mesh(self._mesh)
