import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tokenizers
from tokenizers import AddedToken, decoders, models, normalizers, pre_tokenizers, processors, trainers

from epigone.commands.export import run_export
from epigone.errors import SpecError
from epigone.gguf_file import open_gguf
from epigone.models import family as families
from epigone.models import gemma3_text, gpt2, llama, mistral, qwen2
from epigone.models.gguf_export import save_gguf
from epigone.models.rotary import Scaling
from epigone.models.weights import load_checkpoint, save_checkpoint
from epigone.tokens.gguf_metadata import tokenizer_metadata
from epigone.tokens.tokenizer import Tokenizer

SMALL = {"vocab_size": 400, "width": 64, "num_layers": 2, "num_heads": 4, "num_kv_heads": 2, "hidden_width": 96}
LLAMA = llama.Config(**SMALL, max_positions=64, norm_epsilon=1e-5, rope_theta=5e5)
TEXTS = ["In 1999, they didn't cross;  the road\n\n\twe'll see", "naïve café 日本語 👩‍👩‍👧", "<|end|> is text here"]


def drawn(config):
    draw = np.random.default_rng(0).normal
    family = families.of_config(config)
    params = jax.tree.map(lambda p: jnp.asarray(draw(size=p.shape), jnp.float32), family.param_tree(config))
    return families.Model(family, config, params)


def variants():
    wide = {"head_width": 32, "max_positions": 64}
    yield llama.Config(**SMALL, max_positions=64, rope_scaling=Scaling("llama3", 8.0, 1.0, 4.0, 8192), rope_theta=5e5)
    yield llama.Config(**SMALL, max_positions=64, rope_scaling=Scaling("linear", 4.0), tie_embeddings=True)
    yield gemma3_text.Config(**SMALL | {"num_layers": 7}, **wide, windows=(16,) * 5 + (0, 16), query_scalar=32)
    yield qwen2.Config(**SMALL, max_positions=64)


@pytest.mark.parametrize("config", list(variants()), ids=lambda config: f"{type(config).__module__.rpartition('.')[2]}")
@pytest.mark.parametrize("kind", ["f32", "q8_0"])
def test_what_is_written_is_read_back(tmp_path, config, kind):
    model = drawn(config)
    save_gguf(tmp_path / "m.gguf", model, {}, kind=kind)
    family, found, params = load_checkpoint(tmp_path / "m.gguf")
    assert family is model.family and found == config
    step = 1 / 220 if kind == "q8_0" else 2e-7

    def near(a, b):
        np.testing.assert_allclose(a, b, atol=step * (1 + np.abs(b).max()))

    jax.tree.map(near, params, model.params)
    again = (tmp_path / "m.gguf").read_bytes()
    save_gguf(tmp_path / "m.gguf", model, {}, kind=kind)
    assert (tmp_path / "m.gguf").read_bytes() == again


def test_what_gguf_cannot_say_is_refused(tmp_path):
    with pytest.raises(SpecError, match="no kind 'q2_k' of GGUF can be written; there is: f32, f16, q8_0"):
        save_gguf(tmp_path / "m.gguf", drawn(LLAMA), {}, kind="q2_k")
    odd = llama.Config(**SMALL | {"width": 40}, max_positions=64)
    with pytest.raises(SpecError, match="rows of 40, not whole blocks of 32; write f16 or f32"):
        save_gguf(tmp_path / "m.gguf", drawn(odd), {}, kind="q8_0")
    other = gpt2.Config(vocab_size=40, width=32, num_layers=1, num_heads=2, hidden_width=64, max_positions=16)
    with pytest.raises(SpecError, match="family 'gpt2' cannot be written as GGUF; there is: llama, qwen2"):
        save_gguf(tmp_path / "m.gguf", drawn(other), {})
    windowed = mistral.Config(**SMALL, max_positions=64, windows=(16, 16))
    with pytest.raises(SpecError, match="no layers with a window"):
        save_gguf(tmp_path / "m.gguf", drawn(windowed), {})
    assert not list(tmp_path.iterdir())


def byte_level(*, use_regex):
    tokenizer = tokenizers.Tokenizer(models.BPE())
    digits = pre_tokenizers.Digits(individual_digits=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    if not use_regex:
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=380, special_tokens=["<|end|>"], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(TEXTS * 3, trainer)
    return tokenizer


def sentencepiece_like():
    """As Gemma is published: BPE with byte fallback, blanks replaced, a token that begins a text."""
    tokenizer = tokenizers.Tokenizer(models.BPE(byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    special = ["<unk>", "<bos>", *(f"<0x{number:02X}>" for number in range(256))]
    trainer = trainers.BpeTrainer(vocab_size=360, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator([text.replace("\n", "") for text in TEXTS], trainer)
    plain = json.loads(tokenizer.to_str())
    plain["added_tokens"] = [token for token in plain["added_tokens"] if not token["content"].startswith("<0x")]
    tokenizer = tokenizers.Tokenizer.from_str(json.dumps(plain))
    tokenizer.add_tokens([AddedToken("\n\n", normalized=False)])
    tokenizer.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", 1)])
    return tokenizer


@pytest.mark.parametrize(
    "make", [lambda: byte_level(use_regex=True), lambda: byte_level(use_regex=False), sentencepiece_like]
)
def test_a_checkpoint_goes_to_gguf_and_back_with_its_tokenizer(tmp_path, make):
    model = drawn(LLAMA)
    save_checkpoint(tmp_path / "one", LLAMA, model.params, token_ids={"eos_token_id": 0})
    make().save(str(tmp_path / "one/tokenizer.json"))
    told = {"eos_token": "<|end|>", "bos_token": "<bos>", "chat_template": "{{ messages }}"}
    (tmp_path / "one/tokenizer_config.json").write_text(json.dumps(told))
    (tmp_path / "one/README.md").write_text("a card")
    outcome = run_export(tmp_path / "one", tmp_path / "two.gguf", to="gguf", kind="f32", quiet=True)
    assert list(outcome["files"]) == [str(tmp_path / "two.gguf")]
    run_export(tmp_path / "two.gguf", tmp_path / "three", to="safetensors", kind="f16", quiet=True)
    theirs = Tokenizer.load(tmp_path / "one")
    assert sorted(p.name for p in (tmp_path / "three").iterdir()) == [
        "README.md", "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
    ]  # fmt: skip
    for path in ("two.gguf", "three"):
        ours = Tokenizer.load(tmp_path / path)
        assert ours.encode_batch(TEXTS) == theirs.encode_batch(TEXTS)
        assert ours.backend.encode("a").ids == theirs.backend.encode("a").ids
        jax.tree.map(np.testing.assert_array_equal, load_checkpoint(tmp_path / path).params, model.params)
    assert json.loads((tmp_path / "three/tokenizer_config.json").read_text())["chat_template"] == "{{ messages }}"
    assert len(open_gguf(tmp_path / "two.gguf").texts("tokenizer.ggml.tokens")) == LLAMA.vocab_size
    run_export(tmp_path / "one", tmp_path / "four", to="safetensors", kind="f16", quiet=True)
    assert (tmp_path / "four/README.md").read_text() == "a card"
    with pytest.raises(SpecError, match="is there already"):
        run_export(tmp_path / "one", tmp_path / "four", to="safetensors", kind="f16")
    with pytest.raises(SpecError, match="no layout 'onnx'; there is: gguf, safetensors"):
        run_export(tmp_path / "one", tmp_path / "five", to="onnx", kind="f16")


def test_tokenizers_without_a_name_in_gguf_are_refused(tmp_path):
    word_level = tokenizers.Tokenizer(models.WordLevel({"a": 0}, unk_token="a"))
    word_level.save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(SpecError, match="tokenizer of type 'WordLevel'; only BPE"):
        tokenizer_metadata(tmp_path, num_tokens=1)
    other = byte_level(use_regex=True)
    other.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Punctuation(), pre_tokenizers.ByteLevel(False)])
    other.save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(SpecError, match="no name for how this tokenizer cuts words; there is: gpt-2"):
        tokenizer_metadata(tmp_path, num_tokens=400)
