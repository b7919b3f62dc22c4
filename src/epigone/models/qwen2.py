"""The family `qwen2`: Qwen 2 and 2.5: LLaMA with biases on query, key and value (`Qwen2ForCausalLM`).

In: tokens with positions. Out: what is embedded, what a layer computes, logits; `decoder` runs them.
Source: arXiv 2412.15115 (Qwen2.5); windows on the upper layers as `transformers` has them.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from jaxtyping import Array, Int, PyTree

from epigone.models import gated, rotary
from epigone.models.attributes import Attributes
from epigone.models.layers import Layer
from epigone.models.params import Param, zeros


@dataclass(frozen=True, kw_only=True)
class Config(gated.GatedConfig):
    """A variant of the family."""

    published: ClassVar[Attributes] = Attributes(
        model_type="qwen2",
        architecture="Qwen2ForCausalLM",
        fields=gated.FIELDS,
        fixed=gated.FIXED | {"use_mrope": (False,)},
    )

    def to_hf(self) -> dict[str, object]:
        """The config.json of this variant."""
        return super().to_hf() | gated.windows_to_hf(self)

    @classmethod
    def _take(cls, given: dict[str, object]) -> dict[str, Any]:
        return rotary.take(given) | gated.take_windows(given)


def param_tree(config: Config) -> PyTree[Param]:
    """Every parameter of a variant."""
    tree, L = gated.param_tree(config), config.num_layers
    for name, axis, heads in (
        ("query", "heads", config.num_heads),
        ("key", "kv_heads", config.num_kv_heads),
        ("value", "kv_heads", config.num_kv_heads),
    ):
        published = f"model.layers.{{layer}}.self_attn.{name[0]}_proj.bias"
        tree["layers"][f"{name}_bias"] = Param((L, heads * config.head_width), ("layers", axis), zeros, published)
    return tree


def layer(config: Config, positions_BT: Int[Array, "B T"]) -> Layer:
    """One layer; heads turn by their positions."""
    return gated.layer(config, gated.turned(config, positions_BT))


embed, logits = gated.embed, gated.logits

_QWEN: dict[str, Any] = {"max_positions": 32_768, "rope_theta": 1e6}
_SMALL: dict[str, Any] = {**_QWEN, "vocab_size": 151_936, "num_kv_heads": 2, "tie_embeddings": True}
VARIANTS = {
    "qwen2.5-0.5b": Config(**_SMALL, width=896, num_layers=24, num_heads=14, hidden_width=4864),
    "qwen2.5-1.5b": Config(**_SMALL, width=1536, num_layers=28, num_heads=12, hidden_width=8960),
    "qwen2.5-3b": Config(**_SMALL, width=2048, num_layers=36, num_heads=16, hidden_width=11_008),
    "qwen2.5-7b": Config(
        **_QWEN, vocab_size=152_064, width=3584, num_layers=28, num_heads=28, num_kv_heads=4, hidden_width=18_944
    ),
}
