"""What LLaMA and its descendants share: a Config, one line a parameter, the layer with a gated MLP, the output head.

In: tokens with positions. Out: what is embedded, what a layer computes, logits. A family names what it adds: biases,
norms, where heads turn, which layers have windows. Letters as in `layers`, V vocabulary, E heads x head width.
Sources: LLaMA arXiv 2302.13971; the gate arXiv 2002.05202; tensor names as `transformers` has them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree

from epigone.errors import DataError
from epigone.models import layers, rotary
from epigone.models.attributes import FULL, SLIDING, Attributes, layer_types, windows_of
from epigone.models.layers import Attend, Layer
from epigone.models.params import Param, normal, ones
from epigone.models.rotary import Scaling

FIELDS = {
    "vocab_size": "vocab_size",
    "hidden_size": "width",
    "num_hidden_layers": "num_layers",
    "num_attention_heads": "num_heads",
    "num_key_value_heads": "num_kv_heads",
    "head_dim": "head_width",
    "intermediate_size": "hidden_width",
    "max_position_embeddings": "max_positions",
    "rms_norm_eps": "norm_epsilon",
    "tie_word_embeddings": "tie_embeddings",
}
FIXED: dict[str, tuple[object, ...]] = {"hidden_act": ("silu",), "attention_dropout": (0.0, 0)}
_UNLIMITED = 2**30  # a window that no text fills

LayerParams = dict[str, Float[Array, "..."]]
Queries = Float[Array, "B N T H"]
Keys = Float[Array, "B K T H"]
Place = Callable[[Queries, Keys, LayerParams, Int[Array, ""]], tuple[Queries, Keys]]
"""What is done to the queries and keys of a layer (its parameters, its number) before they meet."""
Self_ = TypeVar("Self_", bound="GatedConfig")


@dataclass(frozen=True, kw_only=True)
class GatedConfig:
    """A variant. Hashable, so that compiled functions are shared by all checkpoints of one variant."""

    vocab_size: int
    width: int
    num_layers: int
    num_heads: int
    hidden_width: int
    max_positions: int
    num_kv_heads: int = 0
    """0: as many as num_heads."""
    head_width: int = 0
    """0: width / num_heads."""
    rope_theta: float | int = 10_000.0
    rope_scaling: Scaling | None = None
    norm_epsilon: float = 1e-6
    tie_embeddings: bool = False
    windows: tuple[int, ...] = ()
    """How many keys the queries of each layer see, 0: all; empty: all layers see all."""

    published: ClassVar[Attributes]

    def __post_init__(self) -> None:
        if not self.head_width:
            if self.width % self.num_heads:
                raise DataError(f"width {self.width} must be a multiple of num_heads ({self.num_heads})")
            object.__setattr__(self, "head_width", self.width // self.num_heads)
        if not self.num_kv_heads:
            object.__setattr__(self, "num_kv_heads", self.num_heads)
        if self.head_width % 2:
            raise DataError(f"head_width {self.head_width} must be even, so that its halves turn")
        if self.num_heads % self.num_kv_heads:
            raise DataError(f"num_heads {self.num_heads} must be a multiple of num_kv_heads {self.num_kv_heads}")

    @classmethod
    def from_hf(cls: type[Self_], attributes: Mapping[str, object]) -> Self_:
        """From a config.json. Raises DataError naming an attribute that is unknown, missing or not computed here."""
        given = dict(attributes)
        taken = cls._take(given)
        return cls(**cls.published.read(given, cls), **taken)

    def to_hf(self) -> dict[str, object]:
        """The config.json of this variant, as `transformers` 4 and 5 read it."""
        scaling = {"rope_scaling": self.rope_scaling.to_hf()} if self.rope_scaling else {}
        return self.published.write(self) | {"rope_theta": self.rope_theta} | scaling

    @classmethod
    def _take(cls, given: dict[str, object]) -> dict[str, Any]:
        """Fields that are more than a number, taken out of `given`."""
        return rotary.take(given)


def take_windows(given: dict[str, object]) -> dict[str, Any]:
    """Windows by layer as the Qwen families publish them, taken out of `given`."""
    used = given.pop("use_sliding_window", False)
    window, first, kinds = (given.pop(name, None) for name in ("sliding_window", "max_window_layers", "layer_types"))
    num_layers = given.get("num_hidden_layers")
    if not isinstance(num_layers, int):
        return {}  # what is wrong with it is said elsewhere
    if not used:
        kinds = [FULL] * num_layers
    elif kinds is None:
        start = first if isinstance(first, int) else 28  # the default of `transformers`
        kinds = [SLIDING if i >= start else FULL for i in range(num_layers)]
    return {"windows": windows_of(kinds, window, num_layers)}


def windows_to_hf(config: GatedConfig) -> dict[str, object]:
    """The attributes that `take_windows` reads."""
    return {"use_sliding_window": bool(config.windows), **layer_types(config.windows, config.num_layers)}


def param_tree(config: GatedConfig) -> dict[str, Any]:
    """Every parameter of LLaMA. Matrices start at 1/sqrt(inputs), those that write to the residual smaller."""
    L, D, F, V = config.num_layers, config.width, config.hidden_width, config.vocab_size
    E, KV = config.num_heads * config.head_width, config.num_kv_heads * config.head_width
    layer = "model.layers.{layer}."
    into, out = normal(D**-0.5), normal((2 * L * D) ** -0.5)
    tree: dict[str, Any] = {
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
    params: PyTree[Float[Array, "..."]],
    config: GatedConfig,
    tokens_BT: Int[Array, "B T"],
    positions_BT: Int[Array, "B T"],
) -> Float[Array, "B T D"]:
    """What the first layer reads."""
    return params["embed"][tokens_BT]


def turned(config: GatedConfig, positions_BT: Int[Array, "B T"]) -> Place:
    """Queries and keys turned by their positions, in every layer."""
    by = rotary.angles(positions_BT, config.head_width, config.rope_theta, config.rope_scaling)
    return lambda q, k, params, index: (rotary.rotate(q, by), rotary.rotate(k, by))


def attended(config: GatedConfig, place: Place) -> Layer:
    """What attention adds to the stream: from the normed stream to the output projection."""
    windows_L = jnp.asarray([window or _UNLIMITED for window in config.windows])

    def one(x: Float[Array, "B T D"], p: LayerParams, index: Int[Array, ""], attend: Attend) -> Float[Array, "B T D"]:
        q = layers.split_heads(layers.linear(x, p, "query"), config.num_heads)
        k = layers.split_heads(layers.linear(x, p, "key"), config.num_kv_heads)
        v = layers.split_heads(layers.linear(x, p, "value"), config.num_kv_heads)
        q, k = place(q, k, p, index)
        mixed = attend(q, k, v, windows_L[index] if config.windows else None)
        return layers.linear(layers.merge_heads(mixed), p, "output")

    return one


def layer(config: GatedConfig, place: Place) -> Layer:
    """One layer: attention, then the gated MLP (SiLU on the gate), each behind a norm and added to the stream."""
    attention = attended(config, place)

    def one(x: Float[Array, "B T D"], p: LayerParams, index: Int[Array, ""], attend: Attend) -> Float[Array, "B T D"]:
        x = x + attention(layers.rms_norm(x, p["attention_norm"], config.norm_epsilon), p, index, attend)
        normed = layers.rms_norm(x, p["mlp_norm"], config.norm_epsilon)
        gated = jax.nn.silu(layers.linear(normed, p, "gate")) * layers.linear(normed, p, "up")
        return x + layers.linear(gated, p, "down")

    return one


def logits(
    params: PyTree[Float[Array, "..."]], config: GatedConfig, features: Float[Array, "*B D"]
) -> Float[Array, "*B V"]:
    """Logits in fp32, behind the last norm; tied variants read the embedding backwards."""
    return head(params, config, layers.rms_norm(features, params["norm"], config.norm_epsilon))


def head(
    params: PyTree[Float[Array, "..."]], config: GatedConfig, normed: Float[Array, "*B D"]
) -> Float[Array, "*B V"]:
    """Logits in fp32 of what the last norm gave."""
    head_DV = params["embed"].T if config.tie_embeddings else params["head"]
    flat = normed.reshape(-1, config.width)
    return jnp.matmul(flat, head_DV, preferred_element_type=jnp.float32).reshape(*normed.shape[:-1], -1)
