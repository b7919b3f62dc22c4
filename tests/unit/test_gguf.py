import json
import struct
from itertools import pairwise
from pathlib import Path

import gguf
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tokenizers
from gguf import GGMLQuantizationType as Kind
from tokenizers import decoders, models, pre_tokenizers, trainers

from epigone.errors import ArtifactError, DataError
from epigone.gguf_file import find_gguf, open_gguf
from epigone.models import family as families
from epigone.models import llama
from epigone.models import params as parameters
from epigone.models.gguf import read_gguf
from epigone.models.rotary import Scaling
from epigone.models.weights import load_checkpoint
from epigone.tokens.gguf_tokenizer import tokenizer_config
from epigone.tokens.tokenizer import Tokenizer

CONFIG = llama.Config(
    vocab_size=40, width=64, num_layers=2, num_heads=4, num_kv_heads=2, hidden_width=96, max_positions=64
)
# largest error of a weight as a share of its block's largest weight: half a step of each way to quantise
STEP = {Kind.F32: 0, Kind.F16: 1e-3, Kind.BF16: 4e-3, Kind.Q8_0: 1 / 220, Kind.Q5_1: 1 / 30, Kind.Q5_0: 1 / 15}
STEP |= {Kind.Q4_1: 1 / 14, Kind.Q4_0: 1 / 7}


@pytest.fixture(scope="module")
def model():
    draw = np.random.default_rng(0).normal
    params = jax.tree.map(lambda p: jnp.asarray(draw(size=p.shape), jnp.float32), llama.param_tree(CONFIG))
    return families.Model(llama, CONFIG, params)


def side_by_side(rows, num_heads):
    """llama.cpp's order of the rows of q and k, said row by row: row j of a head's first half, then of its second."""
    width = len(rows) // num_heads
    order = [h * width + j + half for h in range(num_heads) for j in range(width // 2) for half in (0, width // 2)]
    return rows[order]


NAMES = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def write(path: Path, model, kind=Kind.F32, *, extra=None, without=(), drop_tensors=(), tensors=None) -> Path:
    """A llama as llama.cpp writes it."""
    config = model.config
    values = {
        "llama.block_count": config.num_layers,
        "llama.context_length": config.max_positions,
        "llama.embedding_length": config.width,
        "llama.feed_forward_length": config.hidden_width,
        "llama.attention.head_count": config.num_heads,
        "llama.attention.head_count_kv": config.num_kv_heads,
        "llama.attention.layer_norm_rms_epsilon": config.norm_epsilon,
        "llama.rope.freq_base": config.rope_theta,
        "llama.rope.dimension_count": config.head_width,
        "llama.vocab_size": config.vocab_size,
    } | (extra or {})
    writer = gguf.GGUFWriter(path, values.pop("general.architecture", "llama"))
    for name, value in values.items():
        if name not in without:
            add = {str: writer.add_string, int: writer.add_uint32, float: writer.add_float32, bool: writer.add_bool}
            add.get(type(value), writer.add_array)(name, value)
    for name, tensor in parameters.to_published(llama.param_tree(config), model.params).items():
        heads = {"q_proj": config.num_heads, "k_proj": config.num_kv_heads}.get(name.split(".")[-2])
        stored = side_by_side(tensor, heads) if heads else tensor
        for theirs, ours in NAMES.items():
            name = name.replace(theirs, ours)
        name = name.replace("model.layers", "blk")
        if name not in drop_tensors:
            raw = kind if stored.ndim == 2 else Kind.F32
            writer.add_tensor(name, gguf.quants.quantize(stored, raw), raw_dtype=raw)
    for name, tensor in (tensors or {}).items():
        writer.add_tensor(name, np.asarray(tensor, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.mark.parametrize("kind", STEP, ids=lambda kind: kind.name)
def test_weights_are_those_that_were_stored_within_the_step_of_quantising(model, tmp_path, kind):
    family, config, loaded = load_checkpoint(write(tmp_path / "m.gguf", model, kind))
    assert family is llama and config == CONFIG

    def near(found, expected):
        np.testing.assert_allclose(found, expected, atol=STEP[kind] * np.abs(expected).max())
        if kind != Kind.F32 and expected.ndim > 2:
            assert not np.array_equal(found, expected)

    jax.tree.map(near, loaded, model.params)


def test_tied_variants_have_no_output_tensor(model, tmp_path):
    config = write(tmp_path / "m.gguf", model, drop_tensors=["output.weight"])
    assert load_checkpoint(config).config.tie_embeddings


def test_a_folder_with_one_file_is_a_checkpoint(model, tmp_path):
    (tmp_path / "package").mkdir()
    file = write(tmp_path / "package/m.gguf", model)
    assert find_gguf(tmp_path) == file
    assert load_checkpoint(tmp_path).config == CONFIG
    file.rename(file.with_name("m.gguf.part00"))
    with pytest.raises(DataError, match=r"in 1 parts; join them first, in order: cat PART ... > m.gguf"):
        load_checkpoint(tmp_path)
    for name in ("a", "b"):
        (tmp_path / f"{name}.gguf").write_bytes(b"")
    with pytest.raises(DataError, match=r"2 .gguf files \(a.gguf, b.gguf ...\); name one"):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize(
    ("extra", "without", "message"),
    [
        ({"general.architecture": "rwkv6"}, (), "architecture 'rwkv6' cannot be read; there is: llama, qwen2"),
        ({"llama.expert_count": 8}, (), "'llama.expert_count' .value 8. is not known"),
        ({"llama.rope.scaling.type": "yarn", "llama.rope.scaling.factor": 4.0}, (), "rope_type='yarn' is not computed"),
        ({"llama.block_count": "two"}, (), "'llama.block_count' should be a number, not 'two'"),
        ({}, ("llama.embedding_length",), "hidden_size must be a number, not None"),
        ({"split.count": 3}, (), "one of 3 parts of a model; join them"),
    ],
)
def test_metadata_that_cannot_be_honoured_are_refused(model, tmp_path, extra, without, message):
    file = write(tmp_path / "m.gguf", model, extra=extra, without=without)
    with pytest.raises(DataError, match=message) as caught:
        load_checkpoint(file)
    assert str(file) in str(caught.value)


def by_the_published_rule(head_width, theta, factor):
    """`apply_scaling` of https://github.com/meta-llama/llama-models, number by number, as what to divide by."""
    for index in range(head_width // 2):
        wave = 2 * np.pi * theta ** (2 * index / head_width)
        smooth = (8192 / wave - 1) / (4 - 1)
        yield 1.0 if wave < 8192 / 4 else factor if wave > 8192 else 1 / ((1 - smooth) / factor + smooth)


def test_scaled_rotary_positions(model, tmp_path):
    linear = {"llama.rope.scaling.type": "linear", "llama.rope.scaling.factor": 4.0}
    assert load_checkpoint(write(tmp_path / "m.gguf", model, extra=linear)).config.rope_scaling == Scaling("linear", 4)
    file = write(tmp_path / "m.gguf", model, tensors={"rope_freqs.weight": [*by_the_published_rule(16, 1e4, 8.0)]})
    assert load_checkpoint(file).config.rope_scaling == Scaling("llama3", 8.0, 1.0, 4.0, 8192)
    file = write(tmp_path / "m.gguf", model, tensors={"rope_freqs.weight": np.linspace(1, 8, 8)})
    with pytest.raises(DataError, match=r"rope_freqs.weight is not how LLaMA 3 scales"):
        load_checkpoint(file)


@pytest.mark.parametrize("keep", [3, 20, 100, 700, 60_000])
def test_a_file_that_is_cut_off(model, tmp_path, keep):
    file = write(tmp_path / "m.gguf", model)
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(DataError, match=r"no GGUF file|cut off or damaged at byte|ends behind the end of the file"):
        load_checkpoint(file)


def test_what_is_no_gguf_file(model, tmp_path):
    file = tmp_path / "m.gguf"
    file.write_bytes(b"")
    with pytest.raises(DataError, match="cannot be read as GGUF"):
        open_gguf(file)
    file.write_bytes(b"GGUF" + struct.pack("<IQQ", 9, 0, 0))
    with pytest.raises(DataError, match="GGUF version 9"):
        open_gguf(file)
    file.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q", 1 << 60) + b"key")
    with pytest.raises(DataError, match=r"damaged at byte .*1152921504606846976 bytes wanted, 3 left"):
        open_gguf(file)


def test_missing_and_unknown_tensors(model, tmp_path):
    with pytest.raises(ArtifactError, match=r"'model.layers.1.self_attn.v_proj.weight' is missing"):
        load_checkpoint(write(tmp_path / "m.gguf", model, drop_tensors=["blk.1.attn_v.weight"]))
    with pytest.raises(DataError, match=r"'token_embd.weight' is missing"):
        load_checkpoint(write(tmp_path / "m.gguf", model, drop_tensors=["token_embd.weight"]))
    file = write(tmp_path / "m.gguf", model)
    file.write_bytes(file.read_bytes().replace(b"blk.1.attn_v.weight", b"blk.1.attn_x.weight"))
    with pytest.raises(ArtifactError, match=r"attn_v|v_proj"):
        load_checkpoint(file)


def test_a_way_to_quantise_that_is_not_known(model, tmp_path):
    file = write(tmp_path / "m.gguf", model)
    place = open_gguf(file).tensors["blk.0.attn_v.weight"]
    content = bytearray(file.read_bytes())
    at = content.index(b"blk.0.attn_v.weight") + len("blk.0.attn_v.weight") + 4 + 8 * len(place.shape)
    content[at : at + 4] = struct.pack("<I", 999)
    file.write_bytes(content)
    with pytest.raises(DataError, match=r"'blk.0.attn_v.weight' is stored as kind 999, which cannot be read"):
        load_checkpoint(file)


def test_gemma_norms_and_what_its_metadata_leave_out(tmp_path):
    """Stored are 1 + w; every sixth layer sees all."""
    writer = gguf.GGUFWriter(tmp_path / "m.gguf", "gemma3")
    numbers = {"block_count": 7, "context_length": 64, "embedding_length": 32, "feed_forward_length": 32}
    numbers |= {"attention.head_count": 2, "attention.head_count_kv": 1, "attention.key_length": 24}
    for name, value in (numbers | {"attention.value_length": 24, "attention.sliding_window": 16}).items():
        writer.add_uint32(f"gemma3.{name}", value)
    writer.add_float32("gemma3.attention.layer_norm_rms_epsilon", 1e-6)
    writer.add_tensor("token_embd.weight", np.ones((8, 32), np.float32))
    writer.add_tensor("blk.3.attn_q_norm.weight", np.linspace(0, 2, 24, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    found = read_gguf(tmp_path / "m.gguf")
    expected = {"model_type": "gemma3_text", "head_dim": 24, "query_pre_attn_scalar": 24, "rms_norm_eps": 1e-6}
    expected |= {"sliding_window": 16, "rope_theta": 1e6, "rope_local_base_freq": 1e4, "tie_word_embeddings": True}
    assert expected.items() <= found.attributes.items()
    assert [kind == "full_attention" for kind in found.attributes["layer_types"]] == [False] * 5 + [True, False]
    name = "model.layers.3.self_attn.q_norm.weight"
    np.testing.assert_allclose(found.reader([name])(name, (slice(None),)), np.linspace(-1, 1, 24), atol=1e-6)
    assert found.shapes([name]) == {"token_embd.weight": (8, 32), name: (24,)}


TEXTS = [
    "In 1999, 1,234 sheep didn't cross the road;  they SAID they'd wait.\n\n\tWe'll see...",
    "naïve café, 日本語 and 👩‍👩‍👧 \U00012345",
    "  leading blanks, <|end|> spelt out, trailing blanks  ",
    "for i in range(10):\n    if i % 2 == 0:\n        print(i)\n",
]


def with_tokenizer(path: Path, model, values) -> Path:
    return write(path, model, extra={f"tokenizer.{key}": value for key, value in values.items()})


def test_a_byte_level_tokenizer_comes_back(model, tmp_path):
    """SmolLM's kind: single digits, then words, then bytes."""
    original = tokenizers.Tokenizer(models.BPE())
    digits = pre_tokenizers.Digits(individual_digits=True)
    original.pre_tokenizer = pre_tokenizers.Sequence([digits, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    original.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    special = ["<|endoftext|>", "<|end|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    original.train_from_iterator(TEXTS * 3, trainer)
    original.save(str(tmp_path / "tokenizer.json"))
    vocabulary = original.get_vocab()
    tokens = sorted(vocabulary, key=vocabulary.__getitem__)
    merges = json.loads((tmp_path / "tokenizer.json").read_text())["model"]["merges"]
    values = {
        "ggml.model": "gpt2",
        "ggml.pre": "smollm",
        "ggml.tokens": tokens,
        "ggml.token_type": [3 if token in special else 1 for token in tokens],
        "ggml.merges": [" ".join(pair) for pair in merges],
        "ggml.bos_token_id": 0,
        "ggml.eos_token_id": 1,
        "chat_template": "{{ messages }}",
    }
    file = with_tokenizer(tmp_path / "m.gguf", model, values)
    ours, theirs = Tokenizer.load(file), Tokenizer.load(tmp_path / "tokenizer.json")
    assert ours.encode_batch(TEXTS) == theirs.encode_batch(TEXTS)
    assert [ours.decode(ids) for ids in ours.encode_batch(TEXTS)] == TEXTS
    assert ours.control_ids == {0, 1} and ours.vocab_size == theirs.vocab_size
    named = {"bos_token": "<|endoftext|>", "eos_token": "<|end|>", "chat_template": "{{ messages }}"}
    assert tokenizer_config(open_gguf(file)) == {"tokenizer_class": "PreTrainedTokenizerFast"} | named
    for change, message in [
        ({"ggml.pre": "viking"}, "words cut as 'viking' are not known; there is: gpt-2"),
        ({"ggml.model": "rwkv"}, "a tokenizer of kind 'rwkv' cannot be rebuilt"),
        ({"ggml.tokens": [tokens[0], *tokens[:-1]]}, f"{len(tokens) - 1} of them different"),
        ({"ggml.merges": ["ab"]}, "merge 'ab' should be two parts"),
        ({"ggml.merges": ["quux quuux"]}, "merges that do not fit the vocabulary"),
    ]:
        with pytest.raises(DataError, match=message):
            Tokenizer.load(with_tokenizer(tmp_path / "m.gguf", model, values | change))


def pieces_of(texts):
    """A made-up SentencePiece model: single characters, and pieces that overlap in many ways."""
    longer = [
        "th",
        "he",
        "the",
        "▁t",
        "▁the",
        "y▁",
        "ey",
        "they",
        "▁a",
        "an",
        "▁an",
        "and",
        "nd",
        "in",
        "ing",
        "er",
        "re",
    ]
    characters = sorted({c.replace(" ", "▁") for text in texts for c in text if ord(c) < 0x250} - {"\n"})
    byte = [f"<0x{number:02X}>" for number in range(256)]
    pieces = [("<unk>", 2), ("<s>", 3), ("</s>", 3), *((b, 6) for b in byte), ("\n", 4), ("\n\n", 4), ("  ", 4)]
    pieces += [(piece, 1) for piece in (*longer, *characters)]
    tokens, types = (list(column) for column in zip(*dict(pieces).items(), strict=True))
    scores = [-float(index) if kind == 1 else 0.0 for index, kind in enumerate(types)]
    return tokens, scores, types


def merged_by_score(text, tokens, scores, types):
    """SentencePiece's own rule, word for word: join the two neighbours that make the best piece, the leftmost first."""
    normal = {piece: score for piece, score, kind in zip(tokens, scores, types, strict=True) if kind == 1}
    symbols = list(text.replace(" ", "▁"))
    while pairs := [(-normal[a + b], i) for i, (a, b) in enumerate(pairwise(symbols)) if a + b in normal]:
        at = min(pairs)[1]
        symbols[at : at + 2] = [symbols[at] + symbols[at + 1]]
    ids = []
    for symbol in symbols:
        known = [symbol] if symbol in tokens else [f"<0x{byte:02X}>" for byte in symbol.encode()]
        ids += [tokens.index(piece) for piece in known]
    return ids


@pytest.mark.parametrize("adds_space", [False, True])
def test_a_sentencepiece_tokenizer_comes_back(model, tmp_path, adds_space):
    tokens, scores, types = pieces_of([*TEXTS, "banding"])
    values = {
        "ggml.model": "llama",
        "ggml.tokens": tokens,
        "ggml.scores": scores,
        "ggml.token_type": types,
        "ggml.unknown_token_id": 0,
        "ggml.bos_token_id": 1,
        "ggml.add_space_prefix": adds_space,
    }
    ours = Tokenizer.load(with_tokenizer(tmp_path / "m.gguf", model, values))
    for text in ("the other day they banding", "rethe thethey another", "日本 the café"):
        before = " " if adds_space else ""
        assert ours.encode(text) == merged_by_score(before + text, tokens, scores, types)
        assert ours.decode(ours.encode(text)) == text
    for text in TEXTS:
        assert ours.decode(ours.encode(text.strip())) == text.strip()
    first = "▁a" if adds_space else "a"
    assert ours.encode("a\n\n\n  b") == [tokens.index(t) for t in (first, "\n\n", "\n", "  ", "b")]
    assert ours.backend.encode("a").ids[0] == tokens.index("<s>")  # add_bos_token is SentencePiece's default
    assert tokens.index("<s>") not in ours.encode("<s> is text")
