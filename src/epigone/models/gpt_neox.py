"""The family `gpt_neox`: Pythia and GPT-NeoX (`GPTNeoXForCausalLM`).

In: tokens with positions. Out: what is embedded, what a layer computes, logits; `decoder` runs them. Attention and MLP
read the same stream, a part of each head turns, and the published query, key and value are one tensor, head by head.
Letters as in `layers`, V vocabulary. Sources: arXiv 2304.01373 (Pythia), 2204.06745 (GPT-NeoX-20B).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree

from epigone.errors import DataError
from epigone.models import layers, rotary
from epigone.models.attributes import Attributes
from epigone.models.layers import Attend, Layer
from epigone.models.params import Param, Part, normal, ones, zeros

_ATTRIBUTES = Attributes(
    model_type="gpt_neox",
    architecture="GPTNeoXForCausalLM",
    fields={
        "vocab_size": "vocab_size",
        "hidden_size": "width",
        "num_hidden_layers": "num_layers",
        "num_attention_heads": "num_heads",
        "intermediate_size": "hidden_width",
        "max_position_embeddings": "max_positions",
        "rotary_pct": "rotary_share",
        "rotary_emb_base": "rope_theta",
        "layer_norm_eps": "norm_epsilon",
        "use_parallel_residual": "parallel",
    },
    fixed={
        "hidden_act": ("gelu",),
        "attention_bias": (True,),
        "tie_word_embeddings": (False,),
        "attention_dropout": (0.0, 0),
        "hidden_dropout": (0.0, 0),
    },
    ignored=frozenset({"is_decoder"}),
)


@dataclass(frozen=True, kw_only=True)
class Config:
    """A variant of the family. Hashable, so that compiled functions are shared by all checkpoints of one variant."""

    width: int
    num_layers: int
    num_heads: int
    hidden_width: int
    vocab_size: int = 50_304
    max_positions: int = 2048
    rotary_share: float | int = 0.25
    """How much of each head turns, 0-1."""
    rope_theta: float | int = 10_000.0
    norm_epsilon: float = 1e-5
    parallel: bool = True
    """Whether the MLP reads what attention reads, and not what attention made of it."""

    def __post_init__(self) -> None:
        if self.width % self.num_heads:
            raise DataError(f"width {self.width} must be a multiple of num_heads ({self.num_heads})")
        if self.rotary_width < 2 or self.rotary_width % 2 or self.rotary_width > self.head_width:
            raise DataError(f"rotary_share {self.rotary_share} of heads {self.head_width} wide is no even number")

    @property
    def head_width(self) -> int:
        """Width of one attention head."""
        return self.width // self.num_heads

    @property
    def rotary_width(self) -> int:
        """How many numbers of each head turn."""
        return int(self.head_width * self.rotary_share)

    @property
    def num_kv_heads(self) -> int:
        """Heads of keys and values: one for each of the queries."""
        return self.num_heads

    @classmethod
    def from_hf(cls, attributes: Mapping[str, object]) -> "Config":
        """From a config.json. Raises DataError naming an attribute that is unknown, missing or not computed here."""
        given = dict(attributes)
        nested = given.get("rope_parameters")
        if isinstance(nested, Mapping):  # transformers 5
            given |= {"rotary_pct": nested.get("partial_rotary_factor")} if "partial_rotary_factor" in nested else {}
            given["rope_parameters"] = {k: v for k, v in nested.items() if k != "partial_rotary_factor"}
        taken = rotary.take(given)
        if "rope_scaling" in taken:
            raise DataError(f"config.json: family gpt_neox computes rope_type='default' only, not {nested!r}")
        return cls(**_ATTRIBUTES.read(given, cls) | taken)

    def to_hf(self) -> dict[str, object]:
        """The config.json of this variant, as `transformers` 4 and 5 read it."""
        return _ATTRIBUTES.write(self)


def param_tree(config: Config) -> PyTree[Param]:
    """Every parameter of a variant. Matrices start at 1/sqrt(inputs), those that write to the residual smaller."""
    L, D, F, V = config.num_layers, config.width, config.hidden_width, config.vocab_size
    layer = "gpt_neox.layers.{layer}."
    into, out = normal(D**-0.5), normal((2 * L * D) ** -0.5)

    def vector(size: int, axis: str, name: str, part: Part | None = None) -> Param:
        return Param((L, size), ("layers", axis), ones if name.endswith("weight") else zeros, layer + name, part=part)

    stacked = {
        "attention_norm": vector(D, "width", "input_layernorm.weight"),
        "attention_norm_bias": vector(D, "width", "input_layernorm.bias"),
        "output": Param((L, D, D), ("layers", "heads", "width"), out, layer + "attention.dense.weight", True),
        "output_bias": vector(D, "width", "attention.dense.bias"),
        "mlp_norm": vector(D, "width", "post_attention_layernorm.weight"),
        "mlp_norm_bias": vector(D, "width", "post_attention_layernorm.bias"),
        "up": Param((L, D, F), ("layers", "width", "hidden"), into, layer + "mlp.dense_h_to_4h.weight", True),
        "up_bias": vector(F, "hidden", "mlp.dense_h_to_4h.bias"),
        "down": Param(
            (L, F, D),
            ("layers", "hidden", "width"),
            normal((2 * L * F) ** -0.5),
            layer + "mlp.dense_4h_to_h.weight",
            True,
        ),
        "down_bias": vector(D, "width", "mlp.dense_4h_to_h.bias"),
    }
    for i, name in enumerate(("query", "key", "value")):
        part, fused = Part(i, 3, groups=config.num_heads), layer + "attention.query_key_value."
        stacked[name] = Param((L, D, D), ("layers", "width", "heads"), into, f"{fused}weight", True, part)
        stacked[f"{name}_bias"] = Param((L, D), ("layers", "heads"), zeros, f"{fused}bias", part=part)
    return {
        "embed": Param((V, D), ("vocab", "width"), into, "gpt_neox.embed_in.weight"),
        "layers": stacked,
        "norm": Param((D,), ("width",), ones, "gpt_neox.final_layer_norm.weight"),
        "norm_bias": Param((D,), ("width",), zeros, "gpt_neox.final_layer_norm.bias"),
        "head": Param((D, V), ("width", "vocab"), normal(0.02), "embed_out.weight", True),
    }


def embed(
    params: PyTree[Float[Array, "..."]], config: Config, tokens_BT: Int[Array, "B T"], positions_BT: Int[Array, "B T"]
) -> Float[Array, "B T D"]:
    """What the first layer reads."""
    return params["embed"][tokens_BT]


def layer(config: Config, positions_BT: Int[Array, "B T"]) -> Layer:
    """One layer: attention and MLP, each behind a norm of its own and added to the stream."""
    by = rotary.angles(positions_BT, config.rotary_width, config.rope_theta)

    def one(
        x: Float[Array, "B T D"], p: dict[str, Float[Array, "..."]], index: Int[Array, ""], attend: Attend
    ) -> Float[Array, "B T D"]:
        normed = layers.layer_norm(x, p["attention_norm"], p["attention_norm_bias"], config.norm_epsilon)
        q, k, v = (
            layers.split_heads(layers.linear(normed, p, name), config.num_heads) for name in ("query", "key", "value")
        )
        mixed = attend(rotary.rotate(q, by), rotary.rotate(k, by), v)
        attended = x + layers.linear(layers.merge_heads(mixed), p, "output")
        read = x if config.parallel else attended
        normed = layers.layer_norm(read, p["mlp_norm"], p["mlp_norm_bias"], config.norm_epsilon)
        return attended + layers.linear(jax.nn.gelu(layers.linear(normed, p, "up"), approximate=False), p, "down")

    return one


def logits(params: PyTree[Float[Array, "..."]], config: Config, features: Float[Array, "*B D"]) -> Float[Array, "*B V"]:
    """Logits in fp32, behind the last norm."""
    normed = layers.layer_norm(features, params["norm"], params["norm_bias"], config.norm_epsilon)
    return jnp.matmul(normed, params["head"], preferred_element_type=jnp.float32)


VARIANTS = {
    "pythia-70m": Config(width=512, num_layers=6, num_heads=8, hidden_width=2048),
    "pythia-160m": Config(width=768, num_layers=12, num_heads=12, hidden_width=3072),
    "pythia-410m": Config(width=1024, num_layers=24, num_heads=16, hidden_width=4096),
    "pythia-1b": Config(width=2048, num_layers=16, num_heads=8, hidden_width=8192),
    "pythia-1.4b": Config(width=2048, num_layers=24, num_heads=16, hidden_width=8192),
    "pythia-2.8b": Config(width=2560, num_layers=32, num_heads=32, hidden_width=10_240),
    "pythia-6.9b": Config(width=4096, num_layers=32, num_heads=32, hidden_width=16_384, vocab_size=50_432),
    "pythia-12b": Config(width=5120, num_layers=36, num_heads=40, hidden_width=20_480, vocab_size=50_688),
}
