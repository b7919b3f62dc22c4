"""The exported adapter, loaded by `peft` over the base in `transformers`: the logits are those of the merged model."""

import jax
import numpy as np
import pytest

from epigone.models import decoder, llama
from epigone.models.weights import save_checkpoint
from epigone.training.loop import train
from epigone.training.treatments.lora import Lora
from training_cases import CONFIG, RECIPE, random_blocks, tiny_model

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


@pytest.mark.parametrize("targets", [(), ("query", "down_proj"), ("v_proj", "lm_head")])
def test_peft_loads_the_adapter_with_the_logits_of_the_merged_model(targets, tmp_path):
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    peft = pytest.importorskip("peft")
    model = tiny_model()
    lora = Lora(rank=3, alpha=12, targets=targets)
    trained = train(model, random_blocks(), RECIPE, treatments=(lora,), export_folder=tmp_path)[0]
    save_checkpoint(tmp_path / "base", CONFIG, model.params)
    base = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "base", dtype=torch.float32)
    tokens = np.random.default_rng(0).integers(1, 24, (2, 9))

    def theirs(network) -> np.ndarray:
        with torch.no_grad():
            return network(torch.from_numpy(tokens)).logits.numpy()

    before = theirs(base)
    adapted = peft.PeftModel.from_pretrained(base, tmp_path / "adapter")
    places = np.broadcast_to(np.arange(9), (2, 9))
    ours = jax.jit(lambda *a: decoder.forward(llama, trained.params, CONFIG, *a))(tokens, places, np.ones_like(tokens))
    np.testing.assert_allclose(theirs(adapted), ours, atol=1e-4)
    assert np.abs(before - ours).max() > 1e-2
    np.testing.assert_allclose(theirs(adapted.merge_and_unload()), ours, atol=1e-4)
