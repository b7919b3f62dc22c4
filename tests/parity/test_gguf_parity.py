"""GGUF files against `transformers`' own reader of them, logits by logits (slow): made here, and real ones where given.

EPIGONE_GGUF names a folder of real files (docs/how-to/models-without-a-hub.md).
"""

import os
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from epigone.decoding.engine import Engine
from epigone.models import decoder, gemma3_text, llama
from epigone.models import family as families
from epigone.models.gguf_export import save_gguf
from epigone.models.weights import load_checkpoint
from epigone.tokens.tokenizer import Tokenizer

REAL = sorted(Path(os.environ.get("EPIGONE_GGUF", "nowhere")).glob("*.gguf"))
TEXT = "In the beginning the Universe was created. This made a lot of people very angry, in 1979. " * 30
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]


def logits_of_transformers(file: Path, tokens: list[int]) -> np.ndarray:
    torch = pytest.importorskip("torch", reason="torch is not installed (extra `parity`)")
    transformers = pytest.importorskip("transformers", reason="transformers is not installed (extra `parity`)")
    load = transformers.AutoModelForCausalLM.from_pretrained
    theirs = load(file.parent, gguf_file=file.name, dtype=torch.float32).eval()
    with torch.no_grad():
        return theirs(torch.tensor([tokens])).logits[0].numpy()


def logits_of_ours(file: Path, tokens: list[int]) -> np.ndarray:
    family, config, params = load_checkpoint(file)
    length = len(tokens)
    arguments = (jnp.asarray([tokens]), jnp.arange(length)[None], jnp.ones((1, length), int))
    return np.asarray(decoder.forward(family, params, config, *arguments)[0])


SMALL = {"vocab_size": 400, "width": 64, "num_layers": 2, "num_heads": 4, "num_kv_heads": 2, "hidden_width": 96}
WRITTEN = {
    "llama": llama.Config(**SMALL, max_positions=64, rope_theta=5e5),
    "gemma3": gemma3_text.Config(
        **SMALL | {"num_layers": 7}, head_width=256, max_positions=64, windows=(16,) * 5 + (0, 16)
    ),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_what_we_write_is_what_transformers_reads(tmp_path, name):
    draw = np.random.default_rng(0).normal
    family = families.of_config(WRITTEN[name])
    params = jax.tree.map(lambda p: jnp.asarray(draw(0, 0.2, p.shape), jnp.float32), family.param_tree(WRITTEN[name]))
    save_gguf(tmp_path / "m.gguf", families.Model(family, WRITTEN[name], params), {}, kind="f32")
    tokens = np.random.default_rng(1).integers(0, 400, 40).tolist()
    ours, theirs = (logits(tmp_path / "m.gguf", tokens) for logits in (logits_of_ours, logits_of_transformers))
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


@pytest.mark.parametrize(
    "file", REAL or [pytest.param(None, marks=pytest.mark.skip(reason="no EPIGONE_GGUF"))], ids=str
)
def test_real_files(file):
    tokenizer = Tokenizer.load(file)
    tokens = tokenizer.backend.encode(TEXT).ids[:600]  # with the token that begins a text, where the file says so
    ours, theirs = logits_of_ours(file, tokens), logits_of_transformers(file, tokens)
    np.testing.assert_allclose(ours, theirs, atol=1e-5 * np.abs(theirs).max())
    prompt = tokenizer.backend.encode("The capital of France is").ids
    (reply,) = Engine(load_checkpoint(file), batch_size=1).generate([prompt], max_new_tokens=12)
    assert "capital" in tokenizer.decode(reply.tokens) or "Paris" in tokenizer.decode(reply.tokens)
