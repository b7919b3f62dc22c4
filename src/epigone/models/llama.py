"""The family `llama`: LLaMA, and every published model of its shape (arXiv 2302.13971; `LlamaForCausalLM`).

In: tokens with positions. Out: what is embedded, what a layer computes, logits; `decoder` runs them.
Letters as in `layers`, and V vocabulary.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree

from epigone.errors import DataError
from epigone.models import layers
from epigone.models.layers import Attend, Layer
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


def embed(
    params: PyTree[Float[Array, "..."]], config: Config, tokens_BT: Int[Array, "B T"], positions_BT: Int[Array, "B T"]
) -> Float[Array, "B T D"]:
    """What the first layer reads."""
    return params["embed"][tokens_BT]


def layer(config: Config, positions_BT: Int[Array, "B T"]) -> Layer:
    """One layer: attention over rotated heads, then the gated MLP, each behind a norm and added to the stream."""
    angles = layers.rotary_angles(positions_BT, config.head_width, config.rope_theta)

    def one(
        x: Float[Array, "B T D"], p: dict[str, Float[Array, "..."]], index: Int[Array, ""], attend: Attend
    ) -> Float[Array, "B T D"]:
        normed = layers.rms_norm(x, p["attention_norm"], config.norm_epsilon)
        q = layers.rotate(layers.split_heads(normed @ p["query"], config.num_heads), angles)
        k = layers.rotate(layers.split_heads(normed @ p["key"], config.num_kv_heads), angles)
        v = layers.split_heads(normed @ p["value"], config.num_kv_heads)
        x = x + layers.merge_heads(attend(q, k, v)) @ p["output"]
        normed = layers.rms_norm(x, p["mlp_norm"], config.norm_epsilon)
        return x + layers.swiglu(normed, p["gate"], p["up"], p["down"])

    return one


def logits(params: PyTree[Float[Array, "..."]], config: Config, features: Float[Array, "*B D"]) -> Float[Array, "*B V"]:
    """Logits in fp32, behind the last norm; tied variants read the embedding backwards."""
    head_DV = params["embed"].T if config.tie_embeddings else params["head"]
    normed = layers.rms_norm(features, params["norm"], config.norm_epsilon)
    return jnp.matmul(normed, head_DV, preferred_element_type=jnp.float32)


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
