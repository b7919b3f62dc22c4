"""The family `qwen3`: LLaMA with norms on queries and keys, and heads of a width of their own (`Qwen3ForCausalLM`).

In: tokens with positions. Out: what is embedded, what a layer computes, logits; `decoder` runs them.
Source: arXiv 2505.09388 (Qwen3).
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from jaxtyping import Array, Int, PyTree

from epigone.models import gated, layers, rotary
from epigone.models.attributes import Attributes
from epigone.models.gated import Keys, LayerParams, Queries
from epigone.models.layers import Layer
from epigone.models.params import Param, ones


@dataclass(frozen=True, kw_only=True)
class Config(gated.GatedConfig):
    """A variant of the family."""

    published: ClassVar[Attributes] = Attributes(
        model_type="qwen3",
        architecture="Qwen3ForCausalLM",
        fields=gated.FIELDS,
        fixed=gated.FIXED | {"attention_bias": (False,)},
    )

    def to_hf(self) -> dict[str, object]:
        """The config.json of this variant."""
        return super().to_hf() | gated.windows_to_hf(self)

    @classmethod
    def _take(cls, given: dict[str, object]) -> dict[str, Any]:
        given.setdefault("head_dim", 128)  # as `transformers` does
        return rotary.take(given) | gated.take_windows(given)


def param_tree(config: Config) -> PyTree[Param]:
    """Every parameter of a variant."""
    tree, shape, axes = gated.param_tree(config), (config.num_layers, config.head_width), ("layers", "head_width")
    for name in ("query", "key"):
        published = f"model.layers.{{layer}}.self_attn.{name[0]}_norm.weight"
        tree["layers"][f"{name}_norm"] = Param(shape, axes, ones, published)
    return tree


def layer(config: Config, positions_BT: Int[Array, "B T"]) -> Layer:
    """One layer; each head is normed, then turns by its position."""
    turned = gated.turned(config, positions_BT)

    def place(q: Queries, k: Keys, p: LayerParams, index: Int[Array, ""]) -> tuple[Queries, Keys]:
        q = layers.rms_norm(q, p["query_norm"], config.norm_epsilon)
        return turned(q, layers.rms_norm(k, p["key_norm"], config.norm_epsilon), p, index)

    return gated.layer(config, place)


embed, logits = gated.embed, gated.logits

_QWEN: dict[str, Any] = {
    "vocab_size": 151_936,
    "max_positions": 40_960,
    "rope_theta": 1e6,
    "head_width": 128,
    "num_kv_heads": 8,
}
_TIED: dict[str, Any] = {**_QWEN, "tie_embeddings": True}
VARIANTS = {
    "qwen3-0.6b": Config(**_TIED, width=1024, num_layers=28, num_heads=16, hidden_width=3072),
    "qwen3-1.7b": Config(**_TIED, width=2048, num_layers=28, num_heads=16, hidden_width=6144),
    "qwen3-4b": Config(**_TIED, width=2560, num_layers=36, num_heads=32, hidden_width=9728),
    "qwen3-8b": Config(**_QWEN, width=4096, num_layers=36, num_heads=32, hidden_width=12_288),
}
