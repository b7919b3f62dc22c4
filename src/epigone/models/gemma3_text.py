"""The family `gemma3_text`: Gemma 3 without pictures (`Gemma3ForCausalLM`).

In: tokens with positions. Out: what is embedded, what a layer computes, logits; `decoder` runs them. Most layers see a
window and turn by a theta of their own; norms stand before and behind attention and MLP, and on queries and keys.
Source: arXiv 2503.19786 (Gemma 3), section 2.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree

from epigone.errors import DataError
from epigone.models import gated, rotary
from epigone.models.attributes import FULL, SLIDING, Attributes, layer_types, windows_of
from epigone.models.gated import Keys, LayerParams, Queries
from epigone.models.layers import Attend, Layer, linear, rms_norm_from_one
from epigone.models.params import Param, zeros

_NORMS = {
    "attention_norm": "input_layernorm",
    "attention_post_norm": "post_attention_layernorm",
    "mlp_norm": "pre_feedforward_layernorm",
    "mlp_post_norm": "post_feedforward_layernorm",
}


@dataclass(frozen=True, kw_only=True)
class Config(gated.GatedConfig):
    """A variant of the family. `rope_theta` and `rope_scaling` are those of the layers without a window."""

    tie_embeddings: bool = True
    rope_theta: float | int = 1e6
    local_theta: float | int = 10_000.0
    """Of the layers with a window."""
    query_scalar: float | int = 256
    """Queries are divided by the root of it."""

    published: ClassVar[Attributes] = Attributes(
        model_type="gemma3_text",
        architecture="Gemma3ForCausalLM",
        fields=gated.FIELDS | {"query_pre_attn_scalar": "query_scalar", "rope_local_base_freq": "local_theta"},
        fixed={
            "hidden_activation": ("gelu_pytorch_tanh",),
            "attention_bias": (False,),
            "attention_dropout": (0.0, 0),
            "attn_logit_softcapping": (None,),
            "final_logit_softcapping": (None,),
            "use_bidirectional_attention": (False, None),
        },
    )

    def to_hf(self) -> dict[str, object]:
        """The config.json of this variant."""
        return super().to_hf() | layer_types(self.windows, self.num_layers)

    @classmethod
    def _take(cls, given: dict[str, object]) -> dict[str, Any]:
        nested = given.get("rope_parameters")
        if isinstance(nested, Mapping) and SLIDING in nested:  # transformers 5
            local = rotary.take({"rope_parameters": nested[SLIDING]})
            if "rope_scaling" in local:
                raise DataError(f"config.json: family gemma3_text scales layers without a window only, not {nested!r}")
            given |= {"rope_local_base_freq": local.get("rope_theta"), "rope_parameters": nested.get(FULL)}
        pattern = given.pop("sliding_window_pattern", given.get("_sliding_window_pattern", 6))
        given.pop("_sliding_window_pattern", None)
        window, kinds, num_layers = given.pop("sliding_window", 4096), given.pop("layer_types", None), 0
        if isinstance(given.get("num_hidden_layers"), int) and isinstance(pattern, int):
            num_layers = int(str(given["num_hidden_layers"]))
            kinds = kinds or [SLIDING if (i + 1) % pattern else FULL for i in range(num_layers)]
        given.setdefault("head_dim", 256)  # as `transformers` does
        return rotary.take(given) | {"windows": windows_of(kinds, window, num_layers)}


def param_tree(config: Config) -> PyTree[Param]:
    """Every parameter of a variant; norm weights are kept as their distance from 1."""
    tree, L, layer = gated.param_tree(config), config.num_layers, "model.layers.{layer}."
    for name, published in _NORMS.items():
        tree["layers"][name] = Param((L, config.width), ("layers", "width"), zeros, f"{layer}{published}.weight")
    for name in ("query", "key"):
        published = f"{layer}self_attn.{name[0]}_norm.weight"
        tree["layers"][f"{name}_norm"] = Param((L, config.head_width), ("layers", "head_width"), zeros, published)
    tree["norm"] = Param((config.width,), ("width",), zeros, "model.norm.weight")
    return tree


def embed(
    params: PyTree[Float[Array, "..."]], config: Config, tokens_BT: Int[Array, "B T"], positions_BT: Int[Array, "B T"]
) -> Float[Array, "B T D"]:
    """What the first layer reads: embeddings as large as the root of their width."""
    found = params["embed"][tokens_BT]
    return found * jnp.asarray(config.width**0.5, found.dtype)


def layer(config: Config, positions_BT: Int[Array, "B T"]) -> Layer:
    """One layer: attention, then the gated MLP (tanh GELU), each between two norms and added to the stream."""
    everywhere = rotary.angles(positions_BT, config.head_width, config.rope_theta, config.rope_scaling)
    nearby = rotary.angles(positions_BT, config.head_width, config.local_theta)
    is_local_L = jnp.asarray(config.windows or (0,) * config.num_layers) > 0

    def norm(x: Float[Array, "*B D"], p: LayerParams, name: str) -> Float[Array, "*B D"]:
        return rms_norm_from_one(x, p[name], config.norm_epsilon)

    def place(q: Queries, k: Keys, p: LayerParams, index: Int[Array, ""]) -> tuple[Queries, Keys]:
        by = jax.tree.map(lambda near, far: jnp.where(is_local_L[index], near, far), nearby, everywhere)
        q = norm(q, p, "query_norm") * (config.head_width / config.query_scalar) ** 0.5
        return rotary.rotate(q, by), rotary.rotate(norm(k, p, "key_norm"), by)

    attention = gated.attended(config, place)

    def one(x: Float[Array, "B T D"], p: LayerParams, index: Int[Array, ""], attend: Attend) -> Float[Array, "B T D"]:
        x = x + norm(attention(norm(x, p, "attention_norm"), p, index, attend), p, "attention_post_norm")
        normed = norm(x, p, "mlp_norm")
        gated_up = jax.nn.gelu(linear(normed, p, "gate"), approximate=True) * linear(normed, p, "up")
        return x + norm(linear(gated_up, p, "down"), p, "mlp_post_norm")

    return one


def logits(params: PyTree[Float[Array, "..."]], config: Config, features: Float[Array, "*B D"]) -> Float[Array, "*B V"]:
    """Logits in fp32, behind the last norm."""
    return gated.head(params, config, rms_norm_from_one(features, params["norm"], config.norm_epsilon))


_GEMMA: dict[str, Any] = {
    "vocab_size": 262_144,
    "max_positions": 32_768,
    "num_heads": 4,
    "num_kv_heads": 1,
    "head_width": 256,
}
VARIANTS = {
    "gemma-3-270m": Config(**_GEMMA, width=640, num_layers=18, hidden_width=2048, windows=((512,) * 5 + (0,)) * 3),
    "gemma-3-1b": Config(
        **_GEMMA, width=1152, num_layers=26, hidden_width=6912, windows=((512,) * 5 + (0,)) * 4 + (512,) * 2
    ),
}
