"""LoRA where query, key and value are published as one tensor: the exported adapter is the change of that tensor."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file

from epigone.models import params as parameters
from epigone.models.weights import load_checkpoint
from epigone.training.treatments.lora import Lora

GOLDEN = Path(__file__).parents[1] / "parity" / "golden"


@pytest.mark.parametrize(
    ("case", "targets", "fused", "changed"),
    [
        ("gpt2", ("query", "value", "down"), "c_attn", "attn.c_attn mlp.c_proj"),
        ("gpt_neox", ("query_key_value",), "query_key_value", "attention.query_key_value"),
    ],
)
def test_the_adapter_is_the_change_of_the_published_tensor(case, targets, fused, changed, tmp_path):
    family, config, params = load_checkpoint(GOLDEN / case)
    tree, lora = family.param_tree(config), Lora(rank=2, alpha=6, targets=targets)
    learnt = lora.learnt(tree)
    draw = np.random.default_rng(0)
    values = jax.tree.map(lambda p: jnp.asarray(draw.normal(size=p.shape), jnp.float32), learnt)
    merged = parameters.to_published(tree, lora.params_of(values, params, tree))
    lora.export(tmp_path, values, tree)

    adapter = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    options = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert options["rank_pattern"] == {fused: 6} and options["alpha_pattern"] == {fused: 18}
    modules = set()
    for name, before in parameters.to_published(tree, params).items():
        key = f"base_model.model.{name.removesuffix('.weight')}.lora_"
        change = np.zeros_like(before)
        if f"{key}A.weight" in adapter:
            modules.add(name.split(".", 3)[3].removesuffix(".weight"))
            change = 6 / 2 * adapter[f"{key}B.weight"] @ adapter[f"{key}A.weight"]
            change = change.T if options["fan_in_fan_out"] else change
        np.testing.assert_allclose(merged[name], before + change, atol=1e-5, err_msg=name)
    assert modules == set(changed.split())
