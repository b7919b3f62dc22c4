"""Every published size has the parameter count that its authors or the hub's safetensors metadata state."""

import math

import jax
import pytest

from epigone.errors import SpecError
from epigone.models import family as families
from epigone.models.params import num_params

COUNTS = {
    # huggingface.co/openai-community/*, safetensors metadata less the causal masks that they hold as buffers
    "gpt2": 124_439_808,
    "gpt2-medium": 354_823_168,
    "gpt2-large": 774_030_080,
    "gpt2-xl": 1_557_611_200,
    # arXiv 2302.13971, table 2 (6.7B, 13.0B, 32.5B, 65.2B); to the last one, the index of the converted weights
    "llama-7b": 6_738_415_616,
    "llama-13b": 13_015_864_320,
    "llama-30b": 32_528_943_616,
    "llama-65b": 65_285_660_672,
    "llama-2-7b": 6_738_415_616,
    # safetensors metadata of huggingface.co/meta-llama/*
    "llama-3-8b": 8_030_261_248,
    "llama-3.2-1b": 1_235_814_400,
    "llama-3.2-3b": 3_212_749_824,
    # safetensors metadata of huggingface.co/HuggingFaceTB/*
    "smollm2-135m": 134_515_008,
    "smollm2-360m": 361_821_120,
    "smollm2-1.7b": 1_711_376_384,
    "smollm3-3b": 3_075_098_624,
    # safetensors metadata of huggingface.co/Qwen/*; the two small ones of Qwen3 store their tied head a second time
    "qwen2.5-0.5b": 494_032_768,
    "qwen2.5-1.5b": 1_543_714_304,
    "qwen2.5-3b": 3_085_938_688,
    "qwen2.5-7b": 7_615_616_512,
    "qwen3-0.6b": 751_632_384 - 151_936 * 1024,
    "qwen3-1.7b": 2_031_739_904 - 151_936 * 2048,
    "qwen3-4b": 4_022_468_096,
    "qwen3-8b": 8_190_735_360,
    # safetensors metadata of huggingface.co/google/*
    "gemma-3-270m": 268_098_176,
    "gemma-3-1b": 999_885_952,
    # safetensors metadata of huggingface.co/mistralai/Mistral-7B-v0.1
    "mistral-7b": 7_241_732_096,
    # github.com/EleutherAI/pythia and the model cards, "total params"
    "pythia-70m": 70_426_624,
    "pythia-160m": 162_322_944,
    "pythia-410m": 405_334_016,
    "pythia-1b": 1_011_781_632,
    "pythia-1.4b": 1_414_647_808,
    "pythia-2.8b": 2_775_208_960,
    "pythia-6.9b": 6_857_302_016,
    "pythia-12b": 11_846_072_320,
}
PYTHIA_WITHOUT_EMBEDDINGS = {"pythia-70m": 18_915_328, "pythia-1b": 805_736_448, "pythia-12b": 11_327_027_200}


def test_every_size_has_its_published_count():
    found = {
        name: num_params(families.variant(name)[0].param_tree(config)) for name, config in families.variants().items()
    }
    assert found == COUNTS


@pytest.mark.parametrize("name", PYTHIA_WITHOUT_EMBEDDINGS)
def test_pythia_counts_without_embeddings(name):
    family, config = families.variant(name)
    leaves = [p for p in jax.tree.leaves(family.param_tree(config)) if "vocab" not in p.axes]
    assert sum(math.prod(p.shape) for p in leaves) == PYTHIA_WITHOUT_EMBEDDINGS[name]


def test_a_config_is_what_its_own_config_json_says():
    for name, config in families.variants().items():
        family, again = families.config_from_hf(config.to_hf())
        assert (family, again) == (families.variant(name)[0], config), name


def test_a_typo_is_answered():
    with pytest.raises(SpecError, match=r"'llama-13'; there is: llama-13b"):
        families.variant("llama-13")
    with pytest.raises(SpecError, match=r"'chat'; there is: gemma-3-1b, .*smollm3-3b"):
        families.variant("chat")
