"""The family `llama`: LLaMA, and every published model of its shape (arXiv 2302.13971; `LlamaForCausalLM`).

In: tokens with positions and segment ids. Out: logits; or, with a KV cache, logits and the cache.
Letters as in `layers`, and V vocabulary. Layers are stacked and scanned.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PyTree

from epigone.errors import DataError
from epigone.models import layers
from epigone.models.layers import KVCache
from epigone.models.params import Param, normal, ones

# config.json attribute -> our field
_FIELDS = {
    "vocab_size": "vocab_size",
    "hidden_size": "width",
    "num_hidden_layers": "num_layers",
    "num_attention_heads": "num_heads",
    "num_key_value_heads": "num_kv_heads",
    "intermediate_size": "hidden_width",
    "max_position_embeddings": "max_positions",
    "rope_theta": "rope_theta",
    "rms_norm_eps": "norm_epsilon",
    "tie_word_embeddings": "tie_embeddings",
}
# attributes with the only values that this family computes
_FIXED: dict[str, tuple[object, ...]] = {
    "model_type": ("llama",),
    "hidden_act": ("silu",),
    "attention_bias": (False,),
    "mlp_bias": (False,),
    "attention_dropout": (0, 0.0),
    "pretraining_tp": (1,),
    "rope_scaling": (None,),
    "rope_interleaved": (False,),
}
# attributes that do not change the logits
_IGNORED = {
    "architectures",
    "torch_dtype",
    "dtype",
    "transformers_version",
    "_name_or_path",
    "use_cache",
    "initializer_range",
    "bos_token_id",
    "eos_token_id",
    "pad_token_id",
    "chunk_size_feed_forward",
    "is_encoder_decoder",
    "output_attentions",
    "output_hidden_states",
    "return_dict",
    "id2label",
    "label2id",
    "problem_type",
    "is_llama_config",
}


@dataclass(frozen=True)
class Config:
    """A variant of the family. Hashable, so that compiled functions are shared by all checkpoints of one variant."""

    vocab_size: int
    width: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    hidden_width: int
    max_positions: int
    rope_theta: float = 10_000.0
    norm_epsilon: float = 1e-6
    tie_embeddings: bool = False

    def __post_init__(self) -> None:
        if self.width % self.num_heads or self.head_width % 2:
            raise DataError(f"width {self.width} must be a multiple of 2 x num_heads ({self.num_heads})")
        if self.num_heads % self.num_kv_heads:
            raise DataError(f"num_heads {self.num_heads} must be a multiple of num_kv_heads {self.num_kv_heads}")

    @property
    def head_width(self) -> int:
        """Width of one attention head."""
        return self.width // self.num_heads

    @classmethod
    def from_hf(cls, attributes: Mapping[str, object]) -> "Config":
        """From a config.json. Raises DataError naming an attribute that is unknown, missing or not computed here."""
        given = _flat_rope(attributes)
        head_width = given.pop("head_dim", None)
        _refuse_unheeded(given)
        given.setdefault("num_key_value_heads", given.get("num_attention_heads"))
        fields: dict[str, Any] = {ours: given[theirs] for theirs, ours in _FIELDS.items() if theirs in given}
        for theirs, ours in _FIELDS.items():
            if not isinstance(fields.get(ours, getattr(cls, ours, None)), int | float):
                raise DataError(f"config.json: {theirs} must be a number, not {given.get(theirs)!r}")
        config = cls(**fields)
        if head_width not in (None, config.head_width):
            raise DataError(f"config.json: head_dim {head_width!r} must be hidden_size / heads = {config.head_width}")
        return config

    def to_hf(self) -> dict[str, object]:
        """The config.json of this variant, as `transformers` reads it."""
        return {
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "hidden_act": "silu",
            "attention_bias": False,
            "mlp_bias": False,
            "head_dim": self.head_width,
        } | {theirs: getattr(self, ours) for theirs, ours in _FIELDS.items()}


def param_tree(config: Config) -> PyTree[Param]:
    """Every parameter of a variant. Matrices start at 1/sqrt(inputs), those that write to the residual smaller."""
    L, D, F, V = config.num_layers, config.width, config.hidden_width, config.vocab_size
    E, KV = config.width, config.num_kv_heads * config.head_width
    layer = "model.layers.{layer}."
    into, out = normal(D**-0.5), normal((2 * L * D) ** -0.5)
    tree = {
        "embed": Param((V, D), ("vocab", "width"), into, "model.embed_tokens.weight"),
        "layers": {
            "attention_norm": Param((L, D), ("layers", "width"), ones, layer + "input_layernorm.weight"),
            "query": Param((L, D, E), ("layers", "width", "heads"), into, layer + "self_attn.q_proj.weight", True),
            "key": Param((L, D, KV), ("layers", "width", "kv_heads"), into, layer + "self_attn.k_proj.weight", True),
            "value": Param((L, D, KV), ("layers", "width", "kv_heads"), into, layer + "self_attn.v_proj.weight", True),
            "output": Param((L, E, D), ("layers", "heads", "width"), out, layer + "self_attn.o_proj.weight", True),
            "mlp_norm": Param((L, D), ("layers", "width"), ones, layer + "post_attention_layernorm.weight"),
            "gate": Param((L, D, F), ("layers", "width", "hidden"), into, layer + "mlp.gate_proj.weight", True),
            "up": Param((L, D, F), ("layers", "width", "hidden"), into, layer + "mlp.up_proj.weight", True),
            "down": Param(
                (L, F, D),
                ("layers", "hidden", "width"),
                normal((2 * L * F) ** -0.5),
                layer + "mlp.down_proj.weight",
                True,
            ),
        },
        "norm": Param((D,), ("width",), ones, "model.norm.weight"),
    }
    if not config.tie_embeddings:
        tree["head"] = Param((D, V), ("width", "vocab"), normal(0.02), "lm_head.weight", True)
    return tree


def forward(
    params: PyTree[Float[Array, "..."]],
    config: Config,
    tokens_BT: Int[Array, "B T"],
    positions_BT: Int[Array, "B T"],
    segment_ids_BT: Int[Array, "B T"],
) -> Float[Array, "B T V"]:
    """Logits of a block of packed documents: positions start anew with each, segment id 0 is padding."""
    return logits(params, config, features(params, config, tokens_BT, positions_BT, segment_ids_BT))


def features(
    params: PyTree[Float[Array, "..."]],
    config: Config,
    tokens_BT: Int[Array, "B T"],
    positions_BT: Int[Array, "B T"],
    segment_ids_BT: Int[Array, "B T"],
) -> Float[Array, "B T D"]:
    """What the output head reads; arguments as in `forward`."""
    bias = layers.packed_bias(segment_ids_BT)
    angles = layers.rotary_angles(positions_BT, config.head_width, config.rope_theta)

    def layer(x: Float[Array, "B T D"], p: dict[str, Float[Array, "..."]]) -> tuple[Float[Array, "B T D"], None]:
        q, k, v = _query_key_value(p, config, x, angles)
        return _residuals(p, config, x, layers.attention(q, k, v, bias)), None

    x, _ = jax.lax.scan(layer, params["embed"][tokens_BT], params["layers"])
    return layers.rms_norm(x, params["norm"], config.norm_epsilon)


def logits(params: PyTree[Float[Array, "..."]], config: Config, features: Float[Array, "*B D"]) -> Float[Array, "*B V"]:
    """Logits in fp32; tied variants read the embedding backwards."""
    head_DV = params["embed"].T if config.tie_embeddings else params["head"]
    return jnp.matmul(features, head_DV, preferred_element_type=jnp.float32)


def empty_cache(config: Config, batch_size: int, num_slots: int) -> KVCache:
    """A KV cache of zeros in fp32."""
    shape = (config.num_layers, batch_size, config.num_kv_heads, num_slots, config.head_width)
    return KVCache(jnp.zeros(shape), jnp.zeros(shape))


def features_cached(
    params: PyTree[Float[Array, "..."]],
    config: Config,
    tokens_BT: Int[Array, "B T"],
    positions_BT: Int[Array, "B T"],
    cache: KVCache,
    *,
    slot: Int[Array, ""] | int,
    visible_BTS: Bool[Array, "B T S"],
) -> tuple[Float[Array, "B T D"], KVCache]:
    """Features of T more tokens, whose keys and values go to slots [slot, slot + T).

    `visible_BTS` says which slots each token sees.
    """
    bias = layers.bias_of(visible_BTS)
    angles = layers.rotary_angles(positions_BT, config.head_width, config.rope_theta)

    def layer(
        carry: tuple[Float[Array, "B T D"], KVCache], xs: tuple[dict[str, Float[Array, "..."]], Int[Array, ""]]
    ) -> tuple[tuple[Float[Array, "B T D"], KVCache], None]:
        (x, cache), (p, index) = carry, xs
        q, k, v = _query_key_value(p, config, x, angles)
        at = (index, 0, 0, slot, 0)
        cache = KVCache(
            jax.lax.dynamic_update_slice(cache.keys, k[None], at),
            jax.lax.dynamic_update_slice(cache.values, v[None], at),
        )
        mixed = layers.attention(q, cache.keys[index], cache.values[index], bias)
        return (_residuals(p, config, x, mixed), cache), None

    carry = (params["embed"][tokens_BT], cache)
    (x, cache), _ = jax.lax.scan(layer, carry, (params["layers"], jnp.arange(config.num_layers)))
    return layers.rms_norm(x, params["norm"], config.norm_epsilon), cache


def _query_key_value(
    p: dict[str, Float[Array, "..."]],
    config: Config,
    x_BTD: Float[Array, "B T D"],
    angles: tuple[Float[Array, "B 1 T h"], Float[Array, "B 1 T h"]],
) -> tuple[Float[Array, "B N T H"], Float[Array, "B K T H"], Float[Array, "B K T H"]]:
    x = layers.rms_norm(x_BTD, p["attention_norm"], config.norm_epsilon)
    q = layers.split_heads(x @ p["query"], config.num_heads)
    k = layers.split_heads(x @ p["key"], config.num_kv_heads)
    v = layers.split_heads(x @ p["value"], config.num_kv_heads)
    return layers.rotate(q, angles), layers.rotate(k, angles), v


def _residuals(
    p: dict[str, Float[Array, "..."]], config: Config, x: Float[Array, "B T D"], mixed: Float[Array, "B N T H"]
) -> Float[Array, "B T D"]:
    x = x + layers.merge_heads(mixed) @ p["output"]
    normed = layers.rms_norm(x, p["mlp_norm"], config.norm_epsilon)
    return x + layers.swiglu(normed, p["gate"], p["up"], p["down"])


def _refuse_unheeded(given: Mapping[str, object]) -> None:
    for name, value in given.items():
        if name in _FIXED and value not in _FIXED[name]:
            allowed = " or ".join(map(repr, _FIXED[name]))
            raise DataError(f"config.json: family llama computes {name}={allowed} only, not {value!r}")
        if name not in _FIXED and name not in _FIELDS and name not in _IGNORED:
            raise DataError(f"config.json: family llama does not know the attribute {name!r} (value {value!r})")


def _flat_rope(attributes: Mapping[str, object]) -> dict[str, object]:
    # transformers 5 nests rope_theta in rope_parameters, beside the kind of scaling
    given = dict(attributes)
    nested = given.pop("rope_parameters", None)
    if nested is None:
        return given
    if not isinstance(nested, dict) or set(nested) - {"rope_type", "rope_theta"}:
        raise DataError(f"config.json: family llama cannot scale rotary positions: rope_parameters={nested!r}")
    if nested.get("rope_type", "default") != "default":
        raise DataError(f"config.json: family llama computes rope_type='default' only, not {nested['rope_type']!r}")
    return given | {"rope_theta": nested["rope_theta"]} if "rope_theta" in nested else given
