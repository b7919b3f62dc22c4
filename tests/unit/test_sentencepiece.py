"""A tokenizer.model cuts text exactly as the package `sentencepiece` does with it."""

import io
import random

import pytest
import sentencepiece
from hypothesis import example, given, settings
from hypothesis import strategies as st

from epigone.errors import DataError
from epigone.tokens.tokenizer import Tokenizer


def trained(**options) -> bytes:
    """A model of made-up text; by default as LLaMA's was made: BPE, bytes for what is unknown, nothing normalised."""
    draw = random.Random(0)
    words = ["".join(draw.choices("abcdeou", k=draw.randint(1, 7))) for _ in range(300)]
    lines = [" ".join(draw.choices(words, k=12)) for _ in range(300)]
    as_llama = {
        "model_type": "bpe",
        "vocab_size": 500,
        "byte_fallback": True,
        "split_digits": True,
        "normalization_rule_name": "identity",
        "remove_extra_whitespaces": False,
    }
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_writer=model, minloglevel=2, **as_llama | options
    )
    return model.getvalue()


@pytest.fixture(scope="module", params=[True, False], ids=["space", "no_space"])
def pair(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    (folder / "tokenizer.model").write_bytes(trained(add_dummy_prefix=request.param))
    theirs = sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))
    return Tokenizer.load(folder), theirs


@given(text=st.text(alphabet="abcdeou  \n\té漢🙂▁A1", max_size=25))
@example(text=" leading and  double blanks ")
@example(text="aaaaaaa ▁a")
@settings(max_examples=300)
def test_same_pieces_and_back(pair, text):
    ours, theirs = pair
    ids = theirs.encode(text)
    assert ours.encode(text) == ids
    assert ours.decode(ids) == theirs.decode(ids)


def test_control_tokens_are_apart(pair):
    ours, theirs = pair
    assert ours.vocab_size == theirs.vocab_size()
    assert ours.control_ids == {theirs.bos_id(), theirs.eos_id()}
    assert ours.control_ids.isdisjoint(ours.encode("a <s> b</s>"))
    assert ours.decode(ours.encode("a <s> b</s>")) == "a <s> b</s>"


def test_it_is_written_as_tokenizer_json(pair, tmp_path):
    ours, theirs = pair
    ours.backend.save(str(tmp_path / "tokenizer.json"))
    again = Tokenizer.load(tmp_path)
    text = "bad code  decade é"
    assert again.encode(text) == theirs.encode(text)
    assert again.control_ids == ours.control_ids


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"model_type": "unigram", "vocab_size": 300},
            "pieces of kind unigram are not rebuilt, only bpe; take the tok",
        ),
        ({"normalization_rule_name": "nmt_nfkc"}, "text normalised by 'nmt_nfkc' is not rebuilt"),
        ({"remove_extra_whitespaces": True}, "drops blanks is not rebuilt"),
        ({"user_defined_symbols": ["<abc>"]}, r"words that stay whole \(user-defined symbols\) are not rebuilt"),
    ],
)
def test_another_kind_is_refused(options, message, tmp_path):
    file = tmp_path / "tokenizer.model"
    file.write_bytes(trained(**options))
    with pytest.raises(DataError, match=message) as caught:
        Tokenizer.load(file)
    assert str(file) in str(caught.value)


@pytest.mark.parametrize("damage", [lambda whole: whole[:-7], lambda whole: b"\xff" * 12, lambda whole: b""])
def test_a_damaged_file(damage, tmp_path):
    file = tmp_path / "tokenizer.model"
    file.write_bytes(damage(trained()))
    with pytest.raises(DataError, match=r"tokenizer\.model"):
        Tokenizer.load(tmp_path)
