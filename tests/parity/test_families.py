"""Every family against `transformers`: from committed golden files, and (slow) made anew and the other way round."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file

from epigone.decoding.engine import Engine
from epigone.models import decoder
from epigone.models import family as families
from epigone.models import params as parameters
from epigone.models.weights import load_checkpoint, save_checkpoint

HERE = Path(__file__).parent
GOLDEN = HERE / "golden"
CASES = sorted(file.parent.name for file in GOLDEN.glob("*/golden.safetensors"))
SECOND = {
    "gpt_neox_in_line",
    "llama_grouped_untied",
    "llama_linear_rope",
    "llama_tied",
}  # what differs little from another case
QUICK = [pytest.param(case, marks=[pytest.mark.slow] if case in SECOND else []) for case in CASES]
FAST_TO_COMPILE = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}


def blocks(tokens):
    batch, length = tokens.shape
    return jnp.asarray(tokens), jnp.tile(jnp.arange(length), (batch, 1)), jnp.ones((batch, length), int)


def assert_same_as_transformers(folder: Path) -> None:
    golden = load_file(folder / "golden.safetensors")
    family, config, params = load_checkpoint(folder)
    tokens = golden["tokens"]

    def loss(params):
        logits = decoder.forward(family, params, config, *blocks(tokens))
        logprobs = jax.nn.log_softmax(logits[:, :-1])
        return -jnp.take_along_axis(logprobs, jnp.asarray(tokens)[:, 1:, None], axis=-1).mean(), logits

    compiled = jax.jit(jax.value_and_grad(loss, has_aux=True)).lower(params).compile(FAST_TO_COMPILE)
    (value, logits), gradients = compiled(params)
    np.testing.assert_allclose(logits, golden["logits"], atol=1e-4)
    np.testing.assert_allclose(value, golden["loss"], atol=1e-5)
    published = parameters.to_published(family.param_tree(config), gradients)
    names = [key for key in golden if key.startswith("grad/")]
    assert len(names) == 4
    for name in names:
        np.testing.assert_allclose(published[name.removeprefix("grad/")], golden[name], atol=1e-4, err_msg=name)
        assert np.abs(golden[name]).max() > 1e-3, name


def assert_same_greedy_text(folder: Path) -> None:
    golden = load_file(folder / "golden.safetensors")
    greedy = golden["greedy"][0].tolist()
    engine = Engine(load_checkpoint(folder), batch_size=2)
    (reply,) = engine.generate([golden["tokens"][0].tolist()], max_new_tokens=len(greedy))
    assert list(reply.tokens) == greedy


def test_every_family_has_a_case():
    found = {json.loads((GOLDEN / case / "config.json").read_text())["model_type"] for case in CASES}
    assert found == set(families.names())


@pytest.mark.parametrize("case", QUICK)
def test_logits_and_gradients(case):
    assert "transformers" in json.loads((GOLDEN / "versions.json").read_text())
    assert_same_as_transformers(GOLDEN / case)


@pytest.mark.parametrize("case", QUICK)
def test_greedy_with_cache(case):
    assert_same_greedy_text(GOLDEN / case)


def make_golden() -> ModuleType:
    for package in ("torch", "transformers"):
        pytest.importorskip(package, reason=f"{package} is not installed (extra `parity`)")
    spec = importlib.util.spec_from_file_location("make_golden", HERE / "make_golden.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_made_anew(tmp_path):
    module = make_golden()
    module.main(tmp_path)
    assert sorted(module.CASES) == CASES
    for case in CASES:
        assert_same_as_transformers(tmp_path / case)
        assert_same_greedy_text(tmp_path / case)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("case", CASES)
def test_transformers_loads_our_export(case, tmp_path):
    make_golden()
    import torch
    from transformers import AutoModelForCausalLM

    family, config, params = load_checkpoint(GOLDEN / case)
    params = jax.tree.map(lambda x: x * 1.1, params)  # not what the golden folder holds
    save_checkpoint(tmp_path, config, params, token_ids={"eos_token_id": 2, "pad_token_id": 0})
    theirs, report = AutoModelForCausalLM.from_pretrained(tmp_path, output_loading_info=True)
    assert not report["missing_keys"] and not report["unexpected_keys"]
    tokens = np.arange(1, 21).reshape(2, 10)
    with torch.no_grad():
        expected = theirs.eval()(torch.as_tensor(tokens)).logits.numpy()
    np.testing.assert_allclose(decoder.forward(family, params, config, *blocks(tokens)), expected, atol=1e-4)
