"""The family `llama`: LLaMA 1 to 3, SmolLM2, Vicuna and every published model of their shape (`LlamaForCausalLM`).

In: tokens with positions. Out: what is embedded, what a layer computes, logits; `decoder` runs them.
Sources: arXiv 2302.13971, 2307.09288, 2407.21783 (LLaMA 1, 2, 3); arXiv 2502.02737 (SmolLM2).
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from jaxtyping import Array, Int

from epigone.models import gated, rotary
from epigone.models.attributes import Attributes
from epigone.models.layers import Layer
from epigone.models.rotary import Scaling


@dataclass(frozen=True, kw_only=True)
class Config(gated.GatedConfig):
    """A variant of the family."""

    published: ClassVar[Attributes] = Attributes(
        model_type="llama",
        architecture="LlamaForCausalLM",
        fields=gated.FIELDS,
        fixed=gated.FIXED
        | {"attention_bias": (False,), "mlp_bias": (False,), "rope_interleaved": (False,), "pretraining_tp": (1,)},
    )

    @classmethod
    def _take(cls, given: dict[str, object]) -> dict[str, Any]:
        longest = given.pop("max_sequence_length", None)  # what early conversions of LLaMA 1 call it
        given.setdefault("max_position_embeddings", longest)
        return rotary.take(given)


def layer(config: Config, positions_BT: Int[Array, "B T"]) -> Layer:
    """One layer; heads turn by their positions."""
    return gated.layer(config, gated.turned(config, positions_BT))


param_tree, embed, logits = gated.param_tree, gated.embed, gated.logits

_LLAMA: dict[str, Any] = {"vocab_size": 32_000, "max_positions": 2048}
_LLAMA_3: dict[str, Any] = {"vocab_size": 128_256, "rope_theta": 500_000.0, "norm_epsilon": 1e-5, "num_kv_heads": 8}
_LLAMA_3_2: dict[str, Any] = _LLAMA_3 | {
    "max_positions": 131_072,
    "tie_embeddings": True,
    "rope_scaling": Scaling("llama3", 32.0, low_factor=1.0, high_factor=4.0, original_positions=8192),
}
_SMOLLM2: dict[str, Any] = {"vocab_size": 49_152, "max_positions": 8192, "norm_epsilon": 1e-5, "tie_embeddings": True}
VARIANTS: dict[str, Config] = {
    "llama-7b": Config(**_LLAMA, width=4096, num_layers=32, num_heads=32, hidden_width=11_008),
    "llama-13b": Config(**_LLAMA, width=5120, num_layers=40, num_heads=40, hidden_width=13_824),
    "llama-30b": Config(**_LLAMA, width=6656, num_layers=60, num_heads=52, hidden_width=17_920),
    "llama-65b": Config(**_LLAMA, width=8192, num_layers=80, num_heads=64, hidden_width=22_016, norm_epsilon=1e-5),
    "llama-2-7b": Config(
        vocab_size=32_000,
        max_positions=4096,
        width=4096,
        num_layers=32,
        num_heads=32,
        hidden_width=11_008,
        norm_epsilon=1e-5,
    ),
    "llama-3-8b": Config(**_LLAMA_3, max_positions=8192, width=4096, num_layers=32, num_heads=32, hidden_width=14_336),
    "llama-3.2-1b": Config(**_LLAMA_3_2, width=2048, num_layers=16, num_heads=32, hidden_width=8192),
    "llama-3.2-3b": Config(**_LLAMA_3_2, width=3072, num_layers=28, num_heads=24, hidden_width=8192),
    "smollm2-135m": Config(
        **_SMOLLM2, rope_theta=1e5, width=576, num_layers=30, num_heads=9, num_kv_heads=3, hidden_width=1536
    ),
    "smollm2-360m": Config(
        **_SMOLLM2, rope_theta=1e5, width=960, num_layers=32, num_heads=15, num_kv_heads=5, hidden_width=2560
    ),
    "smollm2-1.7b": Config(**_SMOLLM2, rope_theta=1.3e5, width=2048, num_layers=24, num_heads=32, hidden_width=8192),
}
