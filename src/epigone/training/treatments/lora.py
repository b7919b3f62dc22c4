"""The treatment `lora`: the base is frozen, and each chosen projection learns a low-rank change.

In: the model's parameter tree, and which projections. Out: adapters `a` and `b` in place of the parameters that are
learnt (x @ (W + alpha / rank x a @ b)); the finished model has them merged in; beside it stands a folder `adapter/` in
the format of `peft`. Sources: arXiv 2106.09685; https://huggingface.co/docs/peft/developer_guides/checkpoint.
"""

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PyTree
from safetensors.numpy import save_file

from epigone.errors import SpecError
from epigone.models import params as parameters
from epigone.models.params import Param, Part
from epigone.parallel import hosts
from epigone.training.treatment import Params, Treatment

FOLDER = "adapter"


@dataclass(frozen=True)
class Lora(Treatment):
    """Rank, scale and place of the adapters."""

    rank: int = 8
    """Width of what is between the two adapters of a projection."""
    alpha: float | int = 16
    """The change is multiplied by alpha / rank."""
    targets: tuple[str, ...] = ()
    """Projections, by our name of the parameter (`query`) or the published module's (`q_proj`); none: every matrix of
    every layer."""

    changes_step: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for name in ("rank", "alpha"):
            if not getattr(self, name) > 0:
                raise SpecError(f"lora: {name} must be above 0, not {getattr(self, name)}")

    def learnt(self, tree: PyTree[Param]) -> PyTree[Param]:
        """Two adapters a projection. Raises SpecError for a target that is no projection of this model."""
        there = {path: param for path, param in _named(tree).items() if _is_projection(param)}
        if unknown := set(self.targets) - {name for path, param in there.items() for name in _names(path, param)}:
            known = sorted({name for path, param in there.items() for name in _names(path, param)})
            raise SpecError(f"lora: no projection {sorted(unknown)[0]!r} in this model; there is: {', '.join(known)}")
        return {path: self._adapters(param) for path, param in there.items() if self._is_target(path, param)}

    def params_of(self, learnt: Params, base: Params, tree: PyTree[Param]) -> Params:
        """The base with every change merged in, in fp32."""

        def merged(path: tuple[object, ...], value: Float[Array, "..."]) -> Float[Array, "..."]:
            pair = learnt.get(jax.tree_util.keystr(path))
            return value if pair is None else value + self.alpha / self.rank * pair["a"] @ pair["b"]

        return jax.tree_util.tree_map_with_path(merged, jax.lax.stop_gradient(base))

    def export(self, folder: Path, learnt: Params, tree: PyTree[Param]) -> None:
        """adapter_config.json and adapter_model.safetensors, as `PeftModel.from_pretrained` reads them."""
        adapters, there = self.learnt(tree), _named(tree)
        chosen = [there[path] for path in adapters]
        counts = {_module(param).rpartition(".")[2]: param.part.count for param in chosen if param.part}
        config = {
            "peft_type": "LORA",
            "task_type": "CAUSAL_LM",
            "base_model_name_or_path": None,
            "r": self.rank,
            "lora_alpha": self.alpha,
            "rank_pattern": {module: count * self.rank for module, count in counts.items()},
            "alpha_pattern": {module: count * self.alpha for module, count in counts.items()},
            "lora_dropout": 0.0,
            "bias": "none",
            "fan_in_fan_out": not chosen[0].transpose,  # published [in, out], as GPT-2's Conv1D
            "inference_mode": True,
            "target_modules": sorted({_module(param).rpartition(".")[2] for param in chosen}),
        }
        pairs = {path: self._published(there[path], pair, learnt[path]) for path, pair in adapters.items()}
        tensors = parameters.to_published(
            {path: pair for path, (pair, _) in pairs.items()}, {path: values for path, (_, values) in pairs.items()}
        )
        if not hosts.is_first():
            return
        (folder / FOLDER).mkdir(parents=True, exist_ok=True)
        (folder / FOLDER / "adapter_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        save_file(tensors, folder / FOLDER / "adapter_model.safetensors", metadata={"format": "pt"})

    def _published(self, param: Param, pair: dict[str, Param], values: Params) -> tuple[dict[str, Param], Params]:
        """Adapters as they are published: of a part of a fused tensor, beside those of its other parts in the rank."""
        part = param.part
        if part is None:
            return pair, values
        *layers, rank, width_out = pair["b"].shape
        b = replace(pair["b"], shape=(*layers, part.count * rank, width_out), part=part)
        before, after = part.index * rank, (part.count - 1 - part.index) * rank
        padded = jnp.pad(values["b"], [*[(0, 0)] * len(layers), (before, after), (0, 0)])
        return {"a": replace(pair["a"], part=Part(part.index, part.count)), "b": b}, {"a": values["a"], "b": padded}

    def _is_target(self, path: str, param: Param) -> bool:
        return param.stacked if not self.targets else not _names(path, param).isdisjoint(self.targets)

    def _adapters(self, param: Param) -> dict[str, Param]:
        *layers, width_in, width_out = param.shape
        *stacked, axis_in, axis_out = param.axes
        name = f"base_model.model.{_module(param)}.lora_"
        return {
            "a": Param((*layers, width_in, self.rank), (*stacked, axis_in, "rank"), _even, name + "A.weight", True),
            "b": Param((*layers, self.rank, width_out), (*stacked, "rank", axis_out), _zeros, name + "B.weight", True),
        }


def _named(tree: PyTree[Param]) -> dict[str, Param]:
    return {jax.tree_util.keystr(path): param for path, param in jax.tree.leaves_with_path(tree)}


def _is_projection(param: Param) -> bool:
    return len(param.shape) - param.stacked == 2 and param.axes[-2] != "vocab"


def _names(path: str, param: Param) -> set[str]:
    return {path.rpartition("['")[2].removesuffix("']"), _module(param).rpartition(".")[2]}


def _module(param: Param) -> str:
    return param.name.removesuffix(".weight")


def _even(key: Key[Array, ""], shape: tuple[int, ...]) -> Float[Array, "..."]:
    bound = 1 / math.sqrt(shape[-2])  # torch's kaiming_uniform(a=sqrt(5)), as in peft
    return jax.random.uniform(key, shape, minval=-bound, maxval=bound)


def _zeros(key: Key[Array, ""], shape: tuple[int, ...]) -> Float[Array, "..."]:
    return jnp.zeros(shape)
