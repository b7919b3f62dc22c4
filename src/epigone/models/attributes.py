"""Reading and writing config.json: which attribute is which field of a Config, and what is refused.

In: what a family knows of config.json, and the attributes of one. Out: the fields of its Config, and back. An attribute
that changes the logits in a way that is not computed here is refused by name, and so is one that nobody knows.
Format: https://huggingface.co/docs/transformers/main_classes/configuration
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from epigone.errors import DataError

IGNORED = frozenset(
    [
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
        "num_labels",
        "problem_type",
        "is_llama_config",
        "transformers.js_config",
        "task_specific_params",
        "_attn_implementation_autoset",
        "cache_implementation",
        "unsloth_version",
        "classifier_dropout",
    ]
)
"""Attributes of any family that do not change the logits."""
FULL, SLIDING = "full_attention", "sliding_attention"


@dataclass(frozen=True)
class Attributes:
    """What a family knows of config.json."""

    model_type: str
    architecture: str
    """The class of `transformers` that reads it."""
    fields: Mapping[str, str]
    """Attribute -> field of Config, for what is a number, True or False; null stands for the field's default."""
    fixed: Mapping[str, tuple[object, ...]]
    """Attribute -> the only values that are computed; the first is written."""
    ignored: frozenset[str] = frozenset()
    """Further attributes that do not change the logits."""

    def read(self, given: Mapping[str, object], config: type) -> dict[str, Any]:
        """Fields of `config` from what is given.

        Raises DataError naming an attribute that is unknown, missing, no number or not computed here.
        """
        self._refuse_unheeded(given)
        defaults = {f.name: f.default for f in dataclasses.fields(config)}
        found: dict[str, Any] = {}
        for theirs, ours in self.fields.items():
            value = given.get(theirs)
            if value is None and defaults[ours] is not dataclasses.MISSING:
                continue
            if not isinstance(value, int | float):
                raise DataError(f"config.json: {theirs} must be a number, not {value!r}")
            found[ours] = value
        return found

    def write(self, config: object) -> dict[str, object]:
        """The attributes of a variant, as `transformers` reads them."""
        known: dict[str, object] = {"architectures": [self.architecture], "model_type": self.model_type}
        known |= {name: allowed[0] for name, allowed in self.fixed.items() if allowed[0] is not None}
        return known | {theirs: getattr(config, ours) for theirs, ours in self.fields.items()}

    def _refuse_unheeded(self, given: Mapping[str, object]) -> None:
        for name, value in given.items():
            if name in self.fixed and value not in self.fixed[name]:
                allowed = " or ".join(map(repr, self.fixed[name]))
                raise DataError(f"config.json: family {self.model_type} computes {name}={allowed} only, not {value!r}")
            if not (name in self.fixed or name in self.fields or name in self.ignored | IGNORED | {"model_type"}):
                raise DataError(
                    f"config.json: family {self.model_type} does not know the attribute {name!r} (value {value!r})"
                )


def windows_of(kinds: object, window: object, num_layers: int) -> tuple[int, ...]:
    """The window of each layer in keys, 0 for all; () where every layer sees all.

    `kinds` is the attribute layer_types, `window` sliding_window. Raises DataError for what is neither.
    """
    if not isinstance(kinds, Sequence) or len(kinds) != num_layers or set(kinds) - {FULL, SLIDING}:
        raise DataError(
            f"config.json: layer_types must name {FULL} or {SLIDING} for {num_layers} layers, not {kinds!r}"
        )
    if SLIDING not in kinds:
        return ()
    if not isinstance(window, int) or window < 1:
        raise DataError(f"config.json: sliding_window must be a number of tokens, not {window!r}")
    return tuple(window if kind == SLIDING else 0 for kind in kinds)


def layer_types(windows: tuple[int, ...], num_layers: int) -> dict[str, object]:
    """The attributes of windows by layer."""
    kinds = [SLIDING if window else FULL for window in windows or (0,) * num_layers]
    return {"layer_types": kinds, "sliding_window": max(windows) if windows else None}
