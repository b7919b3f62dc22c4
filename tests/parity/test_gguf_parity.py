"""GGUF files against `transformers`' own reader of them, logits by logits (slow): made here, and real ones where given.

EPIGONE_GGUF names a folder of real files (docs/how-to/models-without-a-hub.md).
"""

import os
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from epigone.decoding.engine import Engine
from epigone.models import decoder
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
