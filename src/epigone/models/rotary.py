"""Rotary positions: how far each pair of a head turns, plain or stretched to longer texts.

In: positions, a head's width, theta, a Scaling. Out: cosines and sines, rotated heads. Letters as in `layers`. Sources:
arXiv 2104.09864 in the half-rotation layout of `transformers`; linear scaling arXiv 2306.15595; `llama3` arXiv
2407.21783 as in https://github.com/meta-llama/llama-models (`apply_scaling`).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from epigone.errors import DataError

Angles = tuple[Float[Array, "B 1 T h"], Float[Array, "B 1 T h"]]
_NEEDED: dict[str, dict[str, str]] = {
    "default": {},
    "linear": {"factor": "factor"},
    "llama3": {
        "factor": "factor",
        "low_freq_factor": "low_factor",
        "high_freq_factor": "high_factor",
        "original_max_position_embeddings": "original_positions",
    },
}


@dataclass(frozen=True)
class Scaling:
    """Frequencies divided by `factor`: all of them, or only those that turn too seldom in `original_positions`."""

    kind: str
    """linear or llama3."""
    factor: float | int
    low_factor: float | int = 1.0
    """Turns in `original_positions` up to which a frequency is divided; llama3 alone."""
    high_factor: float | int = 4.0
    """Turns from which it stays as it is; between both, in proportion."""
    original_positions: int = 0

    def to_hf(self) -> dict[str, object]:
        """The attribute rope_scaling."""
        needed = {theirs: getattr(self, ours) for theirs, ours in _NEEDED[self.kind].items()}
        return {"rope_type": self.kind, **needed}


def angles(positions_BT: Int[Array, "B T"], width: int, theta: float | int, scaling: Scaling | None = None) -> Angles:
    """Cosines and sines, h = width / 2 of them a position, for heads of which `width` numbers turn."""
    frequencies_h = theta ** (-jnp.arange(0, width, 2, dtype=jnp.float32) / width)
    if scaling is not None:
        frequencies_h = frequencies_h * _shares(frequencies_h, scaling)
    turned = positions_BT[:, None, :, None].astype(jnp.float32) * frequencies_h
    return jnp.cos(turned), jnp.sin(turned)


def _shares(frequencies_h: Float[Array, " h"], scaling: Scaling) -> Float[Array, " h"]:
    if scaling.kind == "linear":
        return jnp.full_like(frequencies_h, 1 / scaling.factor)
    turns_h = scaling.original_positions * frequencies_h / (2 * math.pi)
    kept_h = jnp.clip((turns_h - scaling.low_factor) / (scaling.high_factor - scaling.low_factor), 0, 1)
    return (1 - kept_h) / scaling.factor + kept_h


def rotate(x_BNTH: Float[Array, "B N T H"], by: Angles) -> Float[Array, "B N T H"]:
    """Turn each head by its position, in fp32; the first half of what turns pairs with the second, the rest stays."""
    cos, sin = by
    half = cos.shape[-1]
    first, second = x_BNTH[..., :half], x_BNTH[..., half : 2 * half]
    turned = jnp.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1).astype(x_BNTH.dtype)
    return turned if turned.shape == x_BNTH.shape else jnp.concatenate([turned, x_BNTH[..., 2 * half :]], axis=-1)


def take(given: dict[str, object]) -> dict[str, Any]:
    """Take what config.json says of rotary positions out of `given`: rope_theta where it is said, rope_scaling.

    `transformers` 5 nests all in rope_parameters, 4 has rope_theta beside rope_scaling. Raises DataError naming what is
    unknown, missing, no number or not computed here.
    """
    nested, scaling, theta = (given.pop(name, None) for name in ("rope_parameters", "rope_scaling", "rope_theta"))
    if not isinstance(given_rope := scaling or nested or {}, Mapping):
        raise DataError(f"config.json: rope_parameters must be an object, not {given_rope!r}")
    rope: dict[str, Any] = ({} if theta is None else {"rope_theta": theta}) | {str(k): v for k, v in given_rope.items()}
    kind = str(rope.pop("rope_type", rope.get("type", "default")))
    rope.pop("type", None)
    if rope.get("partial_rotary_factor") == 1:
        del rope["partial_rotary_factor"]
    if kind not in _NEEDED:
        raise DataError(f"config.json: rope_type={kind!r} is not computed; there is: {', '.join(_NEEDED)}")
    _check(kind, rope)
    found: dict[str, Any] = {"rope_theta": rope["rope_theta"]} if "rope_theta" in rope else {}
    if kind != "default":
        found["rope_scaling"] = Scaling(kind, **{ours: rope[theirs] for theirs, ours in _NEEDED[kind].items()})
    return found


def _check(kind: str, rope: Mapping[str, object]) -> None:
    for name in (*_NEEDED[kind], *rope):
        if name not in _NEEDED[kind] and name != "rope_theta":
            raise DataError(f"config.json: rope_type {kind!r} does not know {name!r} (value {rope[name]!r})")
        if not isinstance(rope.get(name), int | float):
            raise DataError(f"config.json: {name} of rope_type {kind!r} must be a number, not {rope.get(name)!r}")
