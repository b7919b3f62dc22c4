"""The family `gpt2`: GPT-2, up to XL (`GPT2LMHeadModel`).

In: tokens with positions. Out: what is embedded, what a layer computes, logits; `decoder` runs them. Positions are
learnt; the published query, key and value are one tensor. Letters as in `layers`, V vocabulary, P positions.
Source: Radford et al. 2019, "Language Models are Unsupervised Multitask Learners"; https://github.com/openai/gpt-2
"""

from collections.abc import Mapping
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree

from epigone.errors import DataError
from epigone.models import layers
from epigone.models.attributes import Attributes
from epigone.models.layers import Attend, Layer
from epigone.models.params import Param, Part, normal, ones, zeros

_ATTRIBUTES = Attributes(
    model_type="gpt2",
    architecture="GPT2LMHeadModel",
    fields={
        "vocab_size": "vocab_size",
        "n_embd": "width",
        "n_layer": "num_layers",
        "n_head": "num_heads",
        "n_inner": "hidden_width",
        "n_positions": "max_positions",
        "layer_norm_epsilon": "norm_epsilon",
        "tie_word_embeddings": "tie_embeddings",
    },
    fixed={
        "activation_function": ("gelu_new", "gelu_pytorch_tanh"),
        "scale_attn_weights": (True,),
        "scale_attn_by_inverse_layer_idx": (False,),
        "add_cross_attention": (False,),
    },
    ignored=frozenset(
        [
            "n_ctx",
            "n_special",
            "output_past",
            "predict_special_tokens",
            "attn_pdrop",
            "embd_pdrop",
            "resid_pdrop",
            "reorder_and_upcast_attn",
            "summary_activation",
            "summary_first_dropout",
            "summary_proj_to_labels",
            "summary_type",
            "summary_use_proj",
        ]
    ),
)


@dataclass(frozen=True, kw_only=True)
class Config:
    """A variant of the family. Hashable, so that compiled functions are shared by all checkpoints of one variant."""

    width: int
    num_layers: int
    num_heads: int
    vocab_size: int = 50_257
    max_positions: int = 1024
    hidden_width: int = 0
    """0: 4 x width."""
    norm_epsilon: float = 1e-5
    tie_embeddings: bool = True

    def __post_init__(self) -> None:
        if self.width % self.num_heads:
            raise DataError(f"width {self.width} must be a multiple of num_heads ({self.num_heads})")
        if not self.hidden_width:
            object.__setattr__(self, "hidden_width", 4 * self.width)

    @property
    def head_width(self) -> int:
        """Width of one attention head."""
        return self.width // self.num_heads

    @property
    def num_kv_heads(self) -> int:
        """Heads of keys and values: one for each of the queries."""
        return self.num_heads

    @classmethod
    def from_hf(cls, attributes: Mapping[str, object]) -> "Config":
        """From a config.json. Raises DataError naming an attribute that is unknown, missing or not computed here."""
        return cls(**_ATTRIBUTES.read(attributes, cls))

    def to_hf(self) -> dict[str, object]:
        """The config.json of this variant, as `transformers` reads it."""
        return _ATTRIBUTES.write(self)


def param_tree(config: Config) -> PyTree[Param]:
    """Every parameter of a variant. Matrices start at 1/sqrt(inputs), those that write to the residual smaller."""
    L, D, F = config.num_layers, config.width, config.hidden_width
    layer = "transformer.h.{layer}."
    into, out = normal(D**-0.5), normal((2 * L * D) ** -0.5)

    def vector(size: int, axis: str, name: str, part: Part | None = None) -> Param:
        return Param((L, size), ("layers", axis), ones if name.endswith("weight") else zeros, layer + name, part=part)

    stacked = {
        "attention_norm": vector(D, "width", "ln_1.weight"),
        "attention_norm_bias": vector(D, "width", "ln_1.bias"),
        "output": Param((L, D, D), ("layers", "heads", "width"), out, layer + "attn.c_proj.weight"),
        "output_bias": vector(D, "width", "attn.c_proj.bias"),
        "mlp_norm": vector(D, "width", "ln_2.weight"),
        "mlp_norm_bias": vector(D, "width", "ln_2.bias"),
        "up": Param((L, D, F), ("layers", "width", "hidden"), into, layer + "mlp.c_fc.weight"),
        "up_bias": vector(F, "hidden", "mlp.c_fc.bias"),
        "down": Param(
            (L, F, D), ("layers", "hidden", "width"), normal((2 * L * F) ** -0.5), layer + "mlp.c_proj.weight"
        ),
        "down_bias": vector(D, "width", "mlp.c_proj.bias"),
    }
    for i, name in enumerate(("query", "key", "value")):
        part, fused = Part(i, 3), "attn.c_attn."
        stacked[name] = Param((L, D, D), ("layers", "width", "heads"), into, f"{layer}{fused}weight", part=part)
        stacked[f"{name}_bias"] = vector(D, "heads", f"{fused}bias", part)
    tree = {
        "embed": Param((config.vocab_size, D), ("vocab", "width"), normal(0.02), "transformer.wte.weight"),
        "positions": Param((config.max_positions, D), ("positions", "width"), normal(0.01), "transformer.wpe.weight"),
        "layers": stacked,
        "norm": Param((D,), ("width",), ones, "transformer.ln_f.weight"),
        "norm_bias": Param((D,), ("width",), zeros, "transformer.ln_f.bias"),
    }
    if not config.tie_embeddings:
        tree["head"] = Param((D, config.vocab_size), ("width", "vocab"), normal(0.02), "lm_head.weight", True)
    return tree


def embed(
    params: PyTree[Float[Array, "..."]], config: Config, tokens_BT: Int[Array, "B T"], positions_BT: Int[Array, "B T"]
) -> Float[Array, "B T D"]:
    """What the first layer reads: the token's embedding plus its position's."""
    return params["embed"][tokens_BT] + params["positions"][positions_BT]


def layer(config: Config, positions_BT: Int[Array, "B T"]) -> Layer:
    """One layer: attention, then the MLP, each behind a norm and added to the stream."""

    def one(
        x: Float[Array, "B T D"], p: dict[str, Float[Array, "..."]], index: Int[Array, ""], attend: Attend
    ) -> Float[Array, "B T D"]:
        normed = layers.layer_norm(x, p["attention_norm"], p["attention_norm_bias"], config.norm_epsilon)
        q, k, v = (
            layers.split_heads(layers.linear(normed, p, name), config.num_heads) for name in ("query", "key", "value")
        )
        x = x + layers.linear(layers.merge_heads(attend(q, k, v)), p, "output")
        normed = layers.layer_norm(x, p["mlp_norm"], p["mlp_norm_bias"], config.norm_epsilon)
        return x + layers.linear(jax.nn.gelu(layers.linear(normed, p, "up"), approximate=True), p, "down")

    return one


def logits(params: PyTree[Float[Array, "..."]], config: Config, features: Float[Array, "*B D"]) -> Float[Array, "*B V"]:
    """Logits in fp32, behind the last norm; tied variants read the embedding backwards."""
    normed = layers.layer_norm(features, params["norm"], params["norm_bias"], config.norm_epsilon)
    head_DV = params["embed"].T if config.tie_embeddings else params["head"]
    return jnp.matmul(normed, head_DV, preferred_element_type=jnp.float32)


VARIANTS = {
    "gpt2": Config(width=768, num_layers=12, num_heads=12),
    "gpt2-medium": Config(width=1024, num_layers=24, num_heads=16),
    "gpt2-large": Config(width=1280, num_layers=36, num_heads=20),
    "gpt2-xl": Config(width=1600, num_layers=48, num_heads=25),
}
