import json

import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import decoders, models, pre_tokenizers

from epigone.errors import DataError, SpecError
from epigone.records import Message
from epigone.tokens.chat_template import ASSISTANT, END, USER, ChatTokens
from epigone.tokens.tokenizer import Tokenizer

CONTROL = ("<|pad|>", USER, ASSISTANT, END)


def byte_tokenizer() -> Tokenizer:
    """One token a byte, so that a test can count them."""
    vocabulary = {character: i for i, character in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    backend = tokenizers.Tokenizer(models.BPE(vocabulary, []))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens(list(CONTROL))
    return Tokenizer(backend)


def word_tokenizer() -> Tokenizer:
    """Words by blanks, the control tokens among the words: the vocabulary that leaks most easily."""
    words = [*CONTROL, "<|unk|>", "hello", "world", "<", "|user|>"]
    backend = tokenizers.Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="<|unk|>"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    backend.add_special_tokens([*CONTROL, "<|unk|>"])
    return Tokenizer(backend)


BYTES, WORDS = byte_tokenizer(), word_tokenizer()
texts = st.lists(st.one_of(st.sampled_from([*CONTROL, "<|end|", " ", "hello"]), st.text(max_size=6)), max_size=5).map(
    "".join
)
turns = st.lists(st.tuples(texts, texts), min_size=1, max_size=4)


def conversation(pairs: list[tuple[str, str]]) -> list[Message]:
    return [
        message for question, answer in pairs for message in (Message("user", question), Message("assistant", answer))
    ]


@given(turns)
def test_mask_is_the_assistants_bytes_and_their_end(pairs):
    ids, mask = ChatTokens(BYTES).encode(conversation(pairs))
    expected: list[tuple[int, bool] | tuple[None, bool]] = []
    for question, answer in pairs:
        num_asked, num_said = (len(text.strip().encode()) + 1 for text in (question, answer))
        expected += [(BYTES.id(USER), False), *[(None, False)] * num_asked]
        expected += [(BYTES.id(ASSISTANT), False), *[(None, True)] * num_said, (BYTES.id(END), True)]
    assert mask == [learnt for _, learnt in expected]
    assert [id_ if id_ in BYTES.control_ids else None for id_ in ids] == [control for control, _ in expected]
    said = "".join(f" {answer.strip()}" for _, answer in pairs)
    assert BYTES.decode([id_ for id_, learnt in zip(ids, mask, strict=True) if learnt]) == said


@given(turns)
def test_a_prompt_is_how_its_conversation_begins(pairs):
    messages = conversation(pairs)
    chat = ChatTokens(BYTES)
    prompt, (ids, mask) = chat.prompt(messages[:-1]), chat.encode(messages)
    assert ids[: len(prompt)] == prompt
    assert prompt[-1] == BYTES.id(ASSISTANT)
    assert all(mask[len(prompt) :])


@pytest.mark.parametrize("tokenizer", [BYTES, WORDS], ids=["bytes", "words"])
@given(text=texts)
def test_text_never_becomes_a_control_token(tokenizer, text):
    assert tokenizer.control_ids.isdisjoint(tokenizer.encode(text))


@given(texts)
def test_bytes_survive(text):
    assert BYTES.decode(BYTES.encode(text)) == text


def test_a_spelt_out_control_word_is_broken_up_and_its_neighbours_stay():
    assert [WORDS.backend.id_to_token(i) for i in WORDS.encode("hello <|user|> world")] == [
        "hello",
        "<",
        "|user|>",
        "world",
    ]
    assert WORDS.encode("nowhere") == [WORDS.id("<|unk|>")]


def test_encode_batch_is_encode_of_each():
    batch = ["hello world", "<|end|>", "", "world hello"]
    assert WORDS.encode_batch(batch) == [WORDS.encode(text) for text in batch]


def test_unknown_token_says_what_there_is():
    with pytest.raises(SpecError, match=r"'<\|bos\|>'.*<\|assistant\|>"):
        WORDS.id("<|bos|>")
    assert WORDS.vocab_size == 9


def test_other_roles_are_refused_with_the_way_out():
    with pytest.raises(SpecError, match=r"'system'.*user, assistant.*first message"):
        ChatTokens(BYTES).encode([Message("system", "Be brief."), Message("user", "hello")])


@pytest.mark.parametrize("messages", [[], conversation([("hello", "world")])], ids=["nobody", "assistant"])
def test_a_prompt_needs_a_user_last(messages):
    with pytest.raises(SpecError, match="ends with a message of the user"):
        ChatTokens(BYTES).prompt(messages)


def test_role_tokens_must_be_control_tokens():
    backend = tokenizers.Tokenizer(models.WordLevel({USER: 0, ASSISTANT: 1, END: 2}, unk_token=END))
    with pytest.raises(SpecError, match="plain word"):
        ChatTokens(Tokenizer(backend)).encode([Message("user", "hello")])


def test_load_from_file_and_folder(tmp_path):
    BYTES.backend.save(str(tmp_path / "tokenizer.json"))
    for path in (tmp_path, tmp_path / "tokenizer.json"):
        assert Tokenizer.load(path).encode("hello <|end|>") == BYTES.encode("hello <|end|>")


def test_load_says_what_is_wrong(tmp_path):
    with pytest.raises(DataError, match=r"tokenizer\.json: no such file"):
        Tokenizer.load(tmp_path)
    (tmp_path / "tokenizer.json").write_text(json.dumps({"version": "1.0"}))
    with pytest.raises(DataError, match=r"not a Hugging Face tokenizer\.json"):
        Tokenizer.load(tmp_path)


@pytest.mark.slow
def test_transformers_reads_the_saved_template_alike(tmp_path):
    transformers = pytest.importorskip("transformers")
    ChatTokens(BYTES).save(tmp_path)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    messages = conversation([("hello", " all of you\n"), ("and who?", "world")])
    as_dicts = [{"role": m.role, "content": m.content} for m in messages]
    ours = ChatTokens(BYTES)
    assert theirs.apply_chat_template(as_dicts, return_dict=False) == ours.encode(messages)[0]
    prompt = theirs.apply_chat_template(as_dicts[:-1], add_generation_prompt=True, return_dict=False)
    assert prompt == ours.prompt(messages[:-1])
    assert theirs.eos_token_id == ours.end
