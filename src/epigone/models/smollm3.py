"""The family `smollm3`: LLaMA of which every fourth layer knows no positions (`SmolLM3ForCausalLM`).

In: tokens with positions. Out: what is embedded, what a layer computes, logits; `decoder` runs them.
Sources: https://huggingface.co/blog/smollm3; layers without rotary positions arXiv 2501.18795.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Int

from epigone.errors import DataError
from epigone.models import gated, rotary
from epigone.models.attributes import FULL, SLIDING, Attributes, windows_of
from epigone.models.gated import Keys, LayerParams, Queries
from epigone.models.layers import Layer


@dataclass(frozen=True, kw_only=True)
class Config(gated.GatedConfig):
    """A variant of the family."""

    tie_embeddings: bool = True
    rope_theta: float | int = 2e6
    rotary_layers: tuple[bool, ...]
    """In which layers heads turn by their positions."""

    published: ClassVar[Attributes] = Attributes(
        model_type="smollm3",
        architecture="SmolLM3ForCausalLM",
        fields=gated.FIELDS,
        fixed=gated.FIXED | {"attention_bias": (False,), "mlp_bias": (False,), "pretraining_tp": (2, 1)},
        ignored=frozenset({"max_window_layers"}),
    )

    def to_hf(self) -> dict[str, object]:
        """The config.json of this variant."""
        turning = {"no_rope_layers": [int(turns) for turns in self.rotary_layers]}
        return super().to_hf() | turning | gated.windows_to_hf(self)

    @classmethod
    def _take(cls, given: dict[str, object]) -> dict[str, Any]:
        num_layers = given.get("num_hidden_layers")
        if not isinstance(num_layers, int):
            return {"rotary_layers": ()}  # what is wrong with it is said elsewhere
        interval, turns = given.pop("no_rope_layer_interval", 4), given.pop("no_rope_layers", None)
        if turns is None and isinstance(interval, int) and interval > 0:
            turns = every(interval, num_layers)
        if not isinstance(turns, Sequence) or len(turns) < num_layers:
            raise DataError(f"config.json: no_rope_layers must say 0 or 1 for {num_layers} layers, not {turns!r}")
        kinds, used, window = (given.pop(n, None) for n in ("layer_types", "use_sliding_window", "sliding_window"))
        if kinds is None:
            kinds = [SLIDING if used and window is not None and not turning else FULL for turning in turns[:num_layers]]
        windows = windows_of(kinds, window, num_layers)
        return rotary.take(given) | {"rotary_layers": tuple(map(bool, turns[:num_layers])), "windows": windows}


def every(interval: int, num_layers: int) -> tuple[bool, ...]:
    """Heads turn in all layers but every `interval`th."""
    return tuple((index + 1) % interval != 0 for index in range(num_layers))


def layer(config: Config, positions_BT: Int[Array, "B T"]) -> Layer:
    """One layer; in most, heads turn by their positions."""
    turned, turns_L = gated.turned(config, positions_BT), jnp.asarray(config.rotary_layers)

    def place(q: Queries, k: Keys, p: LayerParams, index: Int[Array, ""]) -> tuple[Queries, Keys]:
        turned_q, turned_k = turned(q, k, p, index)
        return jnp.where(turns_L[index], turned_q, q), jnp.where(turns_L[index], turned_k, k)

    return gated.layer(config, place)


param_tree, embed, logits = gated.param_tree, gated.embed, gated.logits

VARIANTS = {
    "smollm3-3b": Config(
        vocab_size=128_256,
        width=2048,
        num_layers=36,
        num_heads=16,
        num_kv_heads=4,
        hidden_width=11_008,
        max_positions=65_536,
        rope_theta=5e6,
        rotary_layers=every(4, 36),
    ),
}
