"""The family `mistral`: Mistral 7B and its like: LLaMA with a window (`MistralForCausalLM`).

In: tokens with positions. Out: what is embedded, what a layer computes, logits; `decoder` runs them.
Source: arXiv 2310.06825 (sliding window attention, section 2).
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from jaxtyping import Array, Int

from epigone.models import gated, rotary
from epigone.models.attributes import SLIDING, Attributes, windows_of
from epigone.models.layers import Layer


@dataclass(frozen=True, kw_only=True)
class Config(gated.GatedConfig):
    """A variant of the family; its layers have one window, or none."""

    published: ClassVar[Attributes] = Attributes(
        model_type="mistral", architecture="MistralForCausalLM", fields=gated.FIELDS, fixed=gated.FIXED
    )

    def to_hf(self) -> dict[str, object]:
        """The config.json of this variant."""
        return super().to_hf() | {"sliding_window": self.windows[0] if self.windows else None}

    @classmethod
    def _take(cls, given: dict[str, object]) -> dict[str, Any]:
        taken = rotary.take(given)
        window, num_layers = given.pop("sliding_window", 4096), given.get("num_hidden_layers")
        if window is None or not isinstance(num_layers, int):
            return taken
        return taken | {"windows": windows_of([SLIDING] * num_layers, window, num_layers)}


def layer(config: Config, positions_BT: Int[Array, "B T"]) -> Layer:
    """One layer; heads turn by their positions."""
    return gated.layer(config, gated.turned(config, positions_BT))


param_tree, embed, logits = gated.param_tree, gated.embed, gated.logits

VARIANTS = {
    "mistral-7b": Config(
        vocab_size=32_000,
        width=4096,
        num_layers=32,
        num_heads=32,
        num_kv_heads=8,
        hidden_width=14_336,
        max_positions=32_768,
        norm_epsilon=1e-5,
        windows=(4096,) * 32,
    ),
}
