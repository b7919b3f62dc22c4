"""The building blocks that families share: norms, linear maps, attention, masks and the KV cache.

Pure functions over arrays. Names carry shapes: B batch, T tokens, S key slots, D width, N query heads, K key/value
heads, G = N/K, H width of a head, F hidden width, L layers.
Sources: RMSNorm arXiv 1910.07467; LayerNorm arXiv 1607.06450; grouped queries arXiv 2305.13245.
"""

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PyTree

MASKED = -1e30  # finite: a row of padding sees nothing, and must give numbers all the same


Window = Int[Array, ""] | int | None
"""How many of the keys before it a query sees, itself included; None: all."""


@runtime_checkable
class Attend(Protocol):
    """What a layer is handed: attention over the keys that its queries see. To be called once."""

    def __call__(
        self,
        q: Float[Array, "B N T H"],
        k: Float[Array, "B K T H"],
        v: Float[Array, "B K T H"],
        window: Window = None,
    ) -> Float[Array, "B N T H"]:
        """What was mixed, head-major. Queries are scaled by 1/sqrt(H); a family that scales otherwise does so to q."""
        ...


@runtime_checkable
class Layer(Protocol):
    """One layer of a variant, made for the positions of a batch."""

    def __call__(
        self, x: Float[Array, "B T D"], params: PyTree[Float[Array, "..."]], index: Int[Array, ""], attend: Attend, /
    ) -> Float[Array, "B T D"]:
        """The residual stream after the layer; `params` are this layer's own, `index` is its number."""
        ...


class KVCache(NamedTuple):
    """Keys (already rotated) and values of all layers; what a slot holds is the caller's affair."""

    keys: Float[Array, "L B K S H"]
    values: Float[Array, "L B K S H"]


class Sight(NamedTuple):
    """Which slots of a cache each query sees, itself included, and the position of the token in each slot."""

    visible: Bool[Array, "B T S"]
    positions: Int[Array, "B S"]


class Past(NamedTuple):
    """Keys and values that are read and never written, by layer; without a batch dim they are every row's."""

    keys: Float[Array, "L ... K S H"] | tuple[Float[Array, "... K S H"], ...]
    values: Float[Array, "L ... K S H"] | tuple[Float[Array, "... K S H"], ...]
    sight: Sight


def rms_norm(x: Float[Array, "*B D"], weight_D: Float[Array, " D"], epsilon: float) -> Float[Array, "*B D"]:
    """Scale to unit root mean square, in fp32."""
    x32 = x.astype(jnp.float32)
    scale = jax.lax.rsqrt(jnp.mean(x32 * x32, axis=-1, keepdims=True) + epsilon)
    return (x32 * scale).astype(x.dtype) * weight_D


def rms_norm_from_one(x: Float[Array, "*B D"], weight_D: Float[Array, " D"], epsilon: float) -> Float[Array, "*B D"]:
    """The same with weights that are kept as their distance from 1, which half precision would lose."""
    x32 = x.astype(jnp.float32)
    scale = jax.lax.rsqrt(jnp.mean(x32 * x32, axis=-1, keepdims=True) + epsilon)
    return (x32 * scale * (1 + weight_D.astype(jnp.float32))).astype(x.dtype)


def layer_norm(
    x: Float[Array, "*B D"], weight_D: Float[Array, " D"], bias_D: Float[Array, " D"], epsilon: float
) -> Float[Array, "*B D"]:
    """Shift to mean 0 and scale to variance 1, in fp32."""
    x32 = x.astype(jnp.float32)
    x32 = x32 - x32.mean(axis=-1, keepdims=True)
    scale = jax.lax.rsqrt(jnp.mean(x32 * x32, axis=-1, keepdims=True) + epsilon)
    return (x32 * scale).astype(x.dtype) * weight_D + bias_D


def linear(x: Float[Array, "*B D"], params: Mapping[str, Float[Array, "..."]], name: str) -> Float[Array, "*B E"]:
    """x @ the matrix of that name, plus `NAME_bias` where there is one.

    Over one leading dim: with several, the gradient of the matrix costs a transposed copy (a tenth of a step on CPU).
    """
    product = (x.reshape(-1, x.shape[-1]) @ params[name]).reshape(*x.shape[:-1], -1)
    return product + params[f"{name}_bias"] if f"{name}_bias" in params else product


def split_heads(x_BTE: Float[Array, "B T E"], num_heads: int) -> Float[Array, "B N T H"]:
    """[.., heads x head width] -> head-major."""
    batch, length, width = x_BTE.shape
    return x_BTE.reshape(batch, length, num_heads, width // num_heads).transpose(0, 2, 1, 3)


def merge_heads(x_BNTH: Float[Array, "B N T H"]) -> Float[Array, "B T E"]:
    """Head-major -> [.., heads x head width]."""
    batch, num_heads, length, width = x_BNTH.shape
    return x_BNTH.transpose(0, 2, 1, 3).reshape(batch, length, num_heads * width)


Part = tuple[Float[Array, "... K _ H"], Float[Array, "... K _ H"], Float[Array, "B T _"]]
"""Keys, values and the bias (0 where seen, MASKED elsewhere) of some of what queries may see.

Keys and values without a batch dim are those of every row."""


def attention(
    q_BNTH: Float[Array, "B N T H"],
    k_BKSH: Float[Array, "B K S H"],
    v_BKSH: Float[Array, "B K S H"],
    bias_BTS: Float[Array, "B T S"],
) -> Float[Array, "B N T H"]:
    """Softmax attention; query head n reads key/value head n // G. `bias_BTS` is 0 where seen, MASKED elsewhere."""
    return attention_over(q_BNTH, [(k_BKSH, v_BKSH, bias_BTS)])


def attention_over(q_BNTH: Float[Array, "B N T H"], parts: Sequence[Part]) -> Float[Array, "B N T H"]:
    """One softmax over keys and values that lie in several places, which need not be copied together.

    The scale is folded into q and the sum is divided out last: twice as fast on CPU as the grouped einsum.
    """
    batch, num_heads, length, width = q_BNTH.shape
    groups = num_heads // parts[0][0].shape[-3]
    q = (q_BNTH * width**-0.5).reshape(batch, -1, groups * length, width)
    keys, values = ([_every_row(part[i], batch) for part in parts] for i in (0, 1))
    scores = [_scores(q, k, jnp.tile(part[2], (1, groups, 1))) for k, part in zip(keys, parts, strict=True)]
    top = reduce(jnp.maximum, [part.max(axis=-1, keepdims=True) for part in scores])
    weights = [jnp.exp(part - jax.lax.stop_gradient(top)) for part in scores]
    products = [jnp.einsum("bkms,bksh->bkmh", w.astype(v.dtype), v) for w, v in zip(weights, values, strict=True)]
    mixed = reduce(jnp.add, products)
    total = reduce(jnp.add, [w.sum(axis=-1, keepdims=True) for w in weights])
    return (mixed / total).astype(parts[0][1].dtype).reshape(batch, num_heads, length, width)


def _scores(
    q_BKMH: Float[Array, "B K M H"], k_BKSH: Float[Array, "B K S H"], bias_BMS: Float[Array, "B M S"]
) -> Float[Array, "B K M S"]:
    return jnp.einsum("bkmh,bksh->bkms", q_BKMH, k_BKSH).astype(jnp.float32) + bias_BMS[:, None]


def _every_row(x: Float[Array, "... K S H"], batch_size: int) -> Float[Array, "B K S H"]:
    """Copied out where it is every row's: on a CPU half the time of a product whose left side alone has rows."""
    return jnp.broadcast_to(x, (batch_size, *x.shape[-3:]))


def cudnn_attention(
    q_BNTH: Float[Array, "B N T H"],
    k_BKSH: Float[Array, "B K S H"],
    v_BKSH: Float[Array, "B K S H"],
    bias_BTS: Float[Array, "B T S"],
) -> Float[Array, "B N T H"]:
    """The same by cuDNN's fused kernel, whose packed form takes no segment ids: the bias says what is seen."""
    q, k, v = (x.transpose(0, 2, 1, 3) for x in (q_BNTH, k_BKSH, v_BKSH))
    seen = (bias_BTS == 0)[:, None]
    return jax.nn.dot_product_attention(q, k, v, mask=seen, implementation="cudnn").transpose(0, 2, 1, 3)


ATTENTION = {"xla": attention, "cudnn": cudnn_attention}


def bias_of(visible: Bool[Array, "B T S"]) -> Float[Array, "B T S"]:
    """What is seen -> what is added to the scores."""
    return jnp.where(visible, 0.0, MASKED)


def packed_bias(segment_ids_BT: Int[Array, "B T"]) -> Float[Array, "B T T"]:
    """Causal within a segment; segment 0 is padding, which nobody sees."""
    length = segment_ids_BT.shape[1]
    same = segment_ids_BT[:, :, None] == segment_ids_BT[:, None, :]
    causal = jnp.tril(jnp.ones((length, length), bool))
    return bias_of(same & causal & (segment_ids_BT > 0)[:, None, :])


def within_block(bias_BTT: Float[Array, "B T T"], window: Int[Array, ""] | int) -> Float[Array, "B T T"]:
    """A block's bias with each query's sight cut to the last `window` keys of its document, itself included."""
    place = jnp.arange(bias_BTT.shape[-1])
    return jnp.where(place[:, None] - place < window, bias_BTT, MASKED)


def bias_in(sight: Sight, positions_BT: Int[Array, "B T"], window: Window = None) -> Float[Array, "B T S"]:
    """What queries at these positions see of a cache, cut to the last `window` positions, their own included."""
    if window is None:
        return bias_of(sight.visible)
    distance_BTS = positions_BT[:, :, None] - sight.positions[:, None, :]
    return bias_of(sight.visible & (distance_BTS < window))
