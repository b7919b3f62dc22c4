"""Checkpoint folders of every family, in and out: the golden ones, as `transformers` wrote them."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from epigone.errors import ArtifactError, DataError
from epigone.models import decoder
from epigone.models import family as families
from epigone.models import params as parameters
from epigone.models.compute import Compute
from epigone.models.weights import load_checkpoint, save_checkpoint, tokenizer_files

GOLDEN = Path(__file__).parents[1] / "parity" / "golden"
CASES = sorted(file.parent.name for file in GOLDEN.glob("*/golden.safetensors"))


@pytest.fixture(params=CASES)
def folder(request, tmp_path):
    for name in ("config.json", "model.safetensors"):
        shutil.copyfile(GOLDEN / request.param / name, tmp_path / name)
    return tmp_path


def single_precision(file: Path) -> dict[str, np.ndarray]:
    return {name: tensor.astype(np.float32) for name, tensor in load_file(file).items()}


def test_what_is_saved_is_what_was_published(folder, tmp_path_factory):
    family, config, params = load_checkpoint(folder)
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {np.dtype(np.float32)}  # from bfloat16
    out = tmp_path_factory.mktemp("out")
    save_checkpoint(out, config, params)
    expected, found = (single_precision(f / "model.safetensors") for f in (folder, out))
    assert expected.keys() == found.keys()
    for name, tensor in expected.items():
        np.testing.assert_array_equal(found[name], tensor, err_msg=name)
    assert parameters.num_params(family.param_tree(config)) == sum(tensor.size for tensor in expected.values())
    assert load_checkpoint(out)[:2] == (family, config)


def test_shards(folder, tmp_path_factory):
    model = load_checkpoint(folder)
    out = tmp_path_factory.mktemp("out")
    save_checkpoint(out, model.config, model.params, max_shard_bytes=8000)
    weight_map = json.loads((out / "model.safetensors.index.json").read_text())["weight_map"]
    files = sorted(out.glob("*.safetensors"))
    assert len(files) > 2 and {file.name for file in files} == set(weight_map.values())
    assert all(file.stat().st_size < 12_000 for file in files)  # with a header each
    assert {name: file.name for file in files for name in load_file(file)} == weight_map
    jax.tree.map(np.testing.assert_array_equal, load_checkpoint(out).params, model.params)
    save_checkpoint(out, model.config, model.params)  # over it, in one file
    assert sorted(file.name for file in out.iterdir()) == ["config.json", "model.safetensors"]


def test_what_cannot_be_honoured_is_refused_by_name(folder):
    attributes = json.loads((folder / "config.json").read_text())
    tensors = load_file(folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(attributes | {"num_experts": 4}))
    message = f"family {attributes['model_type']} does not know the attribute 'num_experts' .value 4"
    with pytest.raises(DataError, match=message):
        load_checkpoint(folder)
    (folder / "config.json").write_text(json.dumps(attributes))
    name = max(tensors)
    save_file({key: value for key, value in tensors.items() if key != name}, folder / "model.safetensors")
    with pytest.raises(ArtifactError, match=f"'{name}' is missing"):
        load_checkpoint(folder)
    save_file(tensors | {name: tensors[name][:-1]}, folder / "model.safetensors")
    with pytest.raises(ArtifactError, match=f"'{name}' has shape"):
        load_checkpoint(folder)
    wide = next(key for key, value in attributes.items() if key in {"hidden_size", "n_embd"} and value == 16)
    (folder / "config.json").write_text(json.dumps({key: value for key, value in attributes.items() if key != wide}))
    with pytest.raises(DataError, match=f"{wide} must be a number, not None"):
        load_checkpoint(folder)


@pytest.mark.parametrize("case", CASES)
def test_half_precision_stays_half(case):
    """Between the layers, that is: what is computed in fp32 within one does not leak into the stream."""
    family, config = families.config_from_hf(json.loads((GOLDEN / case / "config.json").read_text()))
    places = jax.ShapeDtypeStruct((2, 8), np.int32)

    def run(params, *block):
        found = decoder.features(family, params, config, *block, compute=Compute(dtype="bfloat16"))
        return found, family.logits(params, config, found)

    features, logits = jax.eval_shape(run, parameters.shapes(family.param_tree(config)), places, places, places)
    assert (features.dtype, logits.dtype) == (jnp.bfloat16, jnp.float32)


@pytest.mark.parametrize(
    ("case", "change", "message"),
    [
        ("gpt2", {"activation_function": "relu"}, "gpt2 computes activation_function='gelu_new' or"),
        ("gpt2", {"scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx=False only, not True"),
        ("gpt_neox", {"hidden_act": "gelu_new"}, "hidden_act='gelu' only, not 'gelu_new'"),
        ("gpt_neox", {"rope_parameters": {"rope_type": "linear", "factor": 2}}, "rope_type='default' only"),
        ("gpt_neox", {"rope_parameters": {"rope_type": "default", "partial_rotary_factor": 0.1}}, "no even number"),
        ("gemma3_text", {"final_logit_softcapping": 30.0}, "final_logit_softcapping=None only, not 30.0"),
        ("gemma3_text", {"attn_logit_softcapping": 50.0}, "attn_logit_softcapping=None only, not 50.0"),
        ("gemma3_text", {"use_bidirectional_attention": True}, "use_bidirectional_attention=False or None only"),
        ("gemma3_text", {"layer_types": ["chunked_attention"] * 2}, "layer_types must name full_attention or"),
        ("qwen2", {"use_mrope": True}, "use_mrope=False only, not True"),
        ("qwen2", {"sliding_window": "wide"}, "sliding_window must be a number of tokens, not 'wide'"),
        ("qwen3", {"attention_bias": True}, "attention_bias=False only, not True"),
        ("smollm3", {"no_rope_layers": [1]}, r"no_rope_layers must say 0 or 1 for 2 layers, not \[1\]"),
        ("mistral", {"num_key_value_heads": 3}, "num_heads 4 must be a multiple of num_kv_heads 3"),
        ("llama_llama3_rope", {"quantization_config": {}}, "does not know the attribute 'quantization_config'"),
    ],
)
def test_an_attribute_of_a_family_that_is_not_computed(case, change, message):
    attributes = json.loads((GOLDEN / case / "config.json").read_text())
    with pytest.raises(DataError, match=message):
        families.config_from_hf(attributes | change)


@pytest.mark.parametrize(
    ("case", "older"),
    [
        ("gpt_neox", {"rotary_pct": 0.5, "rotary_emb_base": 10_000}),
        ("llama_llama3_rope", {"rope_theta": 100.0, "rope_scaling": "nested"}),
        ("gemma3_text", {"rope_theta": 500.0, "rope_local_base_freq": 20.0, "rope_scaling": None}),
    ],
)
def test_config_json_of_transformers_4(case, older, tmp_path):
    """rope_theta and rope_scaling beside one another, where version 5 nests both in rope_parameters."""
    shutil.copyfile(GOLDEN / case / "model.safetensors", tmp_path / "model.safetensors")
    attributes = json.loads((GOLDEN / case / "config.json").read_text())
    nested = attributes.pop("rope_parameters")
    if older.get("rope_scaling") == "nested":
        older["rope_scaling"] = {key: value for key, value in nested.items() if key != "rope_theta"}
    (tmp_path / "config.json").write_text(json.dumps(attributes | older))
    assert load_checkpoint(tmp_path).config == load_checkpoint(GOLDEN / case).config


def test_names_without_the_first_word(tmp_path):
    """GPT-2's own files name the bare decoder's tensors, and hold its causal masks."""
    tensors = load_file(GOLDEN / "gpt2" / "model.safetensors")
    bare = {name.removeprefix("transformer."): tensor for name, tensor in tensors.items()}
    bare |= {f"h.{layer}.attn.bias": np.tril(np.ones((1, 1, 64, 64), np.float32)) for layer in range(2)}
    save_file(bare, tmp_path / "model.safetensors")
    shutil.copyfile(GOLDEN / "gpt2" / "config.json", tmp_path / "config.json")
    found, expected = load_checkpoint(tmp_path), load_checkpoint(GOLDEN / "gpt2")
    jax.tree.map(np.testing.assert_array_equal, found.params, expected.params)


def test_tokenizer_and_template_go_along(tmp_path):
    model = load_checkpoint(GOLDEN / "llama_tied")
    copied = {"tokenizer_config.json", "chat_template.jinja", "tokenizer.model"}
    for name in (*copied, "training.log"):
        (tmp_path / name).write_text(name)
    save_checkpoint(tmp_path / "out", model.config, model.params, tokenizer_files=tokenizer_files(tmp_path))
    assert {file.name for file in (tmp_path / "out").iterdir()} - {"config.json", "model.safetensors"} == copied
    assert all((tmp_path / "out" / name).read_text() == name for name in copied)


PIECES = """
import sys
from pathlib import Path

import jax
import numpy as np

from epigone.models import params as parameters
from epigone.models.weights import load_checkpoint
from epigone.parallel.mesh import make_mesh

jax.config.update("jax_num_cpu_devices", 8)
mesh = jax.make_mesh((2, 2, 2), ("layers", "width", "heads"), axis_types=(jax.sharding.AxisType.Auto,) * 3)
for folder in map(Path, sys.argv[1:]):
    model = load_checkpoint(folder)
    tree = model.family.param_tree(model.config)
    places = jax.tree.map(
        lambda p: jax.NamedSharding(mesh, jax.P(*(axis if axis in mesh.axis_names else None for axis in p.axes))), tree
    )
    over_mesh = load_checkpoint(folder, make_mesh("2,2,2")).params
    jax.tree.map(np.testing.assert_array_equal, over_mesh, model.params)
    assert not over_mesh["layers"]["query"].sharding.is_fully_replicated
    published, asked = parameters.to_published(tree, model.params), []

    def read(name, index):
        piece = published[name][index]
        asked.append((name, piece.size))
        return piece

    found = parameters.from_published(tree, read, places)
    jax.tree.map(np.testing.assert_array_equal, found, model.params)
    query = found["layers"]["query"]
    assert len(query.addressable_shards) == 8 and query.sharding == places["layers"]["query"]
    largest = max(size for name, size in asked if "attention.dense.weight" in name or "o_proj.weight" in name)
    assert largest == model.params["layers"]["output"][0].size // 4, "a device reads its own piece alone"
print("equal")
"""


def test_each_device_reads_its_own_piece():
    """Eight simulated devices, in a process of their own: layers, rows and heads over two each."""
    folders = [str(GOLDEN / case) for case in ("gpt_neox", "llama_grouped_untied")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run([sys.executable, "-c", PIECES, *folders], capture_output=True, text=True, env=environment)
    assert done.stdout == "equal\n", done.stderr
