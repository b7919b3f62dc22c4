"""What all families do alike: run stacked layers over blocks of packed documents, or over a KV cache.

In: a family's functions, parameters, tokens with positions. Out: features (what the output head reads), logits, the
cache. A family says what one layer computes; `attend`, which the layer is handed, knows which keys a query sees: those
of its own document in a block, or those in the cache. Letters as in `layers`. Layers are stacked and scanned.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PyTree

from epigone.models import layers
from epigone.models.compute import DEFAULT, Compute
from epigone.models.family import Family, ModelConfig
from epigone.models.layers import KVCache, Past, Sight, Window
from epigone.models.noise import Noise
from epigone.parallel import rules

Params = PyTree[Float[Array, "..."]]


def forward(
    family: Family,
    params: Params,
    config: ModelConfig,
    tokens_BT: Int[Array, "B T"],
    positions_BT: Int[Array, "B T"],
    segment_ids_BT: Int[Array, "B T"],
    *,
    compute: Compute = DEFAULT,
) -> Float[Array, "B T V"]:
    """Logits in fp32 of blocks of packed documents: positions start anew with each, segment id 0 is padding."""
    params = compute.cast(params)
    found_BTD = features(family, params, config, tokens_BT, positions_BT, segment_ids_BT, compute=compute)
    return logits(family, params, config, found_BTD, compute=compute)


def logits(
    family: Family, params: Params, config: ModelConfig, features: Float[Array, "B T D"], *, compute: Compute = DEFAULT
) -> Float[Array, "B T V"]:
    """What the output head says, in fp32."""
    return rules.by_batch(family.logits(_gathered(family, compute.cast(params), config), config, features))


def features(
    family: Family,
    params: Params,
    config: ModelConfig,
    tokens_BT: Int[Array, "B T"],
    positions_BT: Int[Array, "B T"],
    segment_ids_BT: Int[Array, "B T"],
    *,
    compute: Compute = DEFAULT,
    noise: Noise | None = None,
) -> Float[Array, "B T D"]:
    """What the output head reads; arguments as in `forward`, and what a training pass leaves out at random."""
    params = compute.cast(params)
    bias_BTT = layers.packed_bias(segment_ids_BT)
    if noise is not None:
        bias_BTT = noise.forget(bias_BTT, positions_BT)
    layer = family.layer(config, positions_BT)

    def attend(
        q: Float[Array, "B N T H"], k: Float[Array, "B K T H"], v: Float[Array, "B K T H"], window: Window = None
    ) -> Float[Array, "B N T H"]:
        seen = bias_BTT if window is None else layers.within_block(bias_BTT, window)
        return layers.ATTENTION[compute.attention](q, k, v, seen)

    def one(x: Float[Array, "B T D"], p: tuple[Params, Int[Array, ""]]) -> tuple[Float[Array, "B T D"], None]:
        own = rules.gathered(p[0], family.param_tree(config)["layers"], config.head_width, stacked=False)
        after = layer(x, own, p[1], attend)
        return rules.by_batch(after if noise is None else noise.after_layer(x, after, p[1])), None

    x = rules.by_batch(family.embed(_gathered(family, params, config), config, tokens_BT, positions_BT))
    return jax.lax.scan(compute.remembered(one), x, _stacked(params, config))[0]


def empty_cache(config: ModelConfig, batch_size: int, num_slots: int, dtype: jnp.dtype | None = None) -> KVCache:
    """Room for the keys and values of `num_slots` tokens a row: zeros, in fp32 where nothing else is said."""
    shape = (config.num_layers, batch_size, config.num_kv_heads, num_slots, config.head_width)
    return KVCache(jnp.zeros(shape, dtype), jnp.zeros(shape, dtype))


def features_cached(
    family: Family,
    params: Params,
    config: ModelConfig,
    tokens_BT: Int[Array, "B T"],
    positions_BT: Int[Array, "B T"],
    cache: KVCache,
    *,
    slot: Int[Array, ""] | int,
    sight: Sight,
    past: Past | None = None,
) -> tuple[Float[Array, "B T D"], KVCache]:
    """Features of T more tokens, whose keys and values go to slots [slot, slot + T) of `cache`, for every row alike.

    `sight` says what each token sees of `cache` then; `past` is what it sees besides. Layers are scanned, or run one
    after the other where `params` are `unstacked`.
    """
    layer = family.layer(config, positions_BT)
    carry = (family.embed(_gathered(family, params, config), config, tokens_BT, positions_BT), cache)

    def one(
        carry: tuple[Float[Array, "B T D"], KVCache], own: Params, index: Int[Array, ""] | int
    ) -> tuple[Array, KVCache]:
        x, held = carry

        def attend(
            q: Float[Array, "B N T H"], k: Float[Array, "B K T H"], v: Float[Array, "B K T H"], window: Window = None
        ) -> Float[Array, "B N T H"]:
            nonlocal held
            at = (index, 0, 0, slot, 0)
            held = KVCache(
                jax.lax.dynamic_update_slice(held.keys, k[None].astype(held.keys.dtype), at),
                jax.lax.dynamic_update_slice(held.values, v[None].astype(held.values.dtype), at),
            )
            parts = [(held.keys[index], held.values[index], layers.bias_in(sight, positions_BT, window))]
            if past is not None:
                seen = layers.bias_in(past.sight, positions_BT, window)
                parts.append((past.keys[index], past.values[index], seen))
            return layers.attention_over(q, parts)

        own = rules.gathered(own, family.param_tree(config)["layers"], config.head_width, stacked=False)
        return layer(x, own, jnp.asarray(index), attend), held

    if isinstance(params["layers"], tuple):
        for index, own in enumerate(params["layers"]):
            carry = one(carry, own, index)
        return carry
    return jax.lax.scan(lambda carry, p: (one(carry, *p), None), carry, _stacked(params, config))[0]


def unstacked(params: Params) -> Params:
    """The same with each layer's parameters as arrays of their own, which a step need not cut out first.

    On a CPU, where a step over few rows takes as long as reading the parameters, that copy costs more than the step.
    """
    leaves, structure = jax.tree.flatten(jax.tree.map(np.asarray, params["layers"]))
    by_layer = (jax.tree.unflatten(structure, map(jnp.asarray, own)) for own in zip(*leaves, strict=True))
    return params | {"layers": tuple(by_layer)}


def _gathered(family: Family, params: Params, config: ModelConfig) -> Params:
    """Parameters outside the layers, as the pass uses them; those of the layers are gathered one layer at a time."""
    outside = {name: param for name, param in family.param_tree(config).items() if name != "layers"}
    own = {name: params[name] for name in outside}
    return params | rules.gathered(own, outside, config.head_width)


def _stacked(params: Params, config: ModelConfig) -> tuple[Params, Int[Array, " L"]]:
    """What a scan over layers takes: each layer's parameters and its number."""
    return params["layers"], jnp.arange(config.num_layers)
