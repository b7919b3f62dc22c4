import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers

from epigone.backends.canned import Canned
from epigone.backends.checkpoint import Checkpoint
from epigone.backends.replay import Replay
from epigone.errors import ArtifactError, DataError, WorkError
from epigone.interfaces import LanguageModel, LikelihoodModel
from epigone.models import llama
from epigone.models import params as parameters
from epigone.models.weights import load_checkpoint, save_checkpoint
from epigone.records import Completion, Message, Prompt, SamplingParams

CONTROL = ("<|pad|>", "<|end|>", "<|user|>", "<|assistant|>", "<|unk|>")
WORDS = ("\n", "Q:", "A:", "who", "Paris", "Rome", "is", "the", "of", "capital")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoint")
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate((*CONTROL, *WORDS))}, unk_token="<|unk|>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"\n|\S+"), behavior="removed", invert=True)
    tokenizer.decoder = decoders.Sequence([decoders.WordPiece(prefix="\0", cleanup=False), decoders.Fuse()])
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in CONTROL])
    tokenizer.save(str(folder / "tokenizer.json"))
    config = llama.Config(
        vocab_size=15, width=16, num_layers=1, num_heads=2, num_kv_heads=2, hidden_width=24, max_positions=40
    )
    params = parameters.init(llama.param_tree(config), jax.random.key(1))
    params["head"] = params["head"].at[:, : len(CONTROL)].set(0.0) * 40  # speaks in words
    save_checkpoint(folder, config, params)
    return folder


@pytest.fixture(scope="module")
def model(folder):
    return Checkpoint(str(folder), batch_size=4)


PROMPTS = [
    Prompt("chat", messages=(Message("user", "who is the capital"),)),
    Prompt("text", text="Q: who is the capital\nA:"),
    Prompt("long", text="Q: who\nA: Paris\n" * 3 + "Q: who\nA:"),
]


def test_checkpoint_answers_alone_as_in_company(model):
    assert isinstance(model, LikelihoodModel)
    for sampling in (SamplingParams(8), SamplingParams(8, temperature=1.0, seed=2)):
        together = model.generate(PROMPTS, sampling)
        assert [model.generate([prompt], sampling)[0].text for prompt in PROMPTS] == [c.text for c in together]
        assert [c.text for c in model.generate(PROMPTS[::-1], sampling)] == [c.text for c in together][::-1]


def test_checkpoint_ends_at_the_end_token(folder, model, tmp_path):
    """The same model with one word of its text and the end token swapped says the same up to there."""
    (free,) = model.generate(PROMPTS[:1], SamplingParams(10))
    word = free.text.split(" ")[2]
    _, config, params = load_checkpoint(folder)
    end, swapped = CONTROL.index("<|end|>"), len(CONTROL) + WORDS.index(word)
    params["head"] = params["head"].at[:, jnp.array([end, swapped])].set(params["head"][:, jnp.array([swapped, end])])
    save_checkpoint(tmp_path, config, params, tokenizer_files=[folder / "tokenizer.json"])
    (ended,) = Checkpoint(str(tmp_path), batch_size=4).generate(PROMPTS[:1], SamplingParams(10))
    words = free.text.split(" ")
    assert ended.text.split() == words[: words.index(word)]
    assert ended.finish_reason == "stop" and ended.num_tokens == words.index(word) + 1


def test_checkpoint_stop_strings_end_and_are_cut_off(model):
    free = model.generate(PROMPTS, SamplingParams(10))
    words = [completion.text.split(" ") for completion in free]
    for stop in (words[0][3], " ".join(words[0][2:4])):  # one token, and a string that spans two
        for completion, whole in zip(model.generate(PROMPTS, SamplingParams(10, stop=(stop,))), free, strict=True):
            if stop in whole.text:
                assert completion.text == whole.text[: whole.text.index(stop)]
                assert completion.finish_reason == "stop"
                assert completion.num_tokens == len(whole.text[: whole.text.index(stop) + len(stop)].split())
            else:
                assert (completion.text, completion.finish_reason) == (whole.text, whole.finish_reason)
    assert " ".join(words[0][2:4]) in free[0].text


def test_checkpoint_likelihoods_are_a_distribution(model):
    """Over all single words a continuation's probabilities are what is left beside the control tokens."""
    for prompt in PROMPTS[:2]:
        found = model.loglikelihood([(prompt, f" {word}") for word in WORDS[1:]])
        assert {likelihood.num_tokens for likelihood in found} == {1}
        assert 0.0 < sum(np.exp(likelihood.logprob) for likelihood in found) <= 1.0 + 1e-5
        best = model.generate([prompt], SamplingParams(1))[0]
        if best.text.strip() in WORDS[1:]:
            assert best.text.strip() == WORDS[1:][int(np.argmax([likelihood.logprob for likelihood in found]))]
            assert best.mean_logprob == pytest.approx(max(likelihood.logprob for likelihood in found), abs=1e-4)


def test_checkpoint_likelihood_of_two_words_is_a_chain(model):
    (both,) = model.loglikelihood([(Prompt("a", text="Q: who"), " Paris Rome")])
    steps = model.loglikelihood([(Prompt("a", text="Q: who"), " Paris"), (Prompt("b", text="Q: who Paris"), " Rome")])
    assert both.num_tokens == 2
    assert both.logprob == pytest.approx(sum(step.logprob for step in steps), abs=1e-4)


def test_checkpoint_refuses(model, tmp_path):
    with pytest.raises(WorkError, match="prompt 'long' has 22 tokens and 30 to come"):
        model.generate(PROMPTS, SamplingParams(30))
    with pytest.raises(WorkError, match="'none' must have either"):
        model.generate([Prompt("none")], SamplingParams(3))
    with pytest.raises(ArtifactError, match=r"config\.json cannot be read"):
        Checkpoint(str(tmp_path)).generate(PROMPTS, SamplingParams(3))
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).symlink_to(f"{model.path}/{name}")
    with pytest.raises(DataError, match=r"tokenizer\.json"):
        Checkpoint(str(tmp_path)).generate(PROMPTS, SamplingParams(3))


def write_rows(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def recording(prompt_id, text, **more):
    return {"prompt_id": prompt_id, "messages": [], "text": text, "finish_reason": "stop", "model": "m"} | more


def test_replay_answers_by_prompt_id(tmp_path):
    rows = [recording("a", "first"), recording("b", ""), recording("a", "second one", sample=1, finish_reason="length")]
    write_rows(tmp_path / "records.jsonl", *rows)
    prompts = [Prompt("b", text="x"), Prompt("a", text="y")]
    replay = Replay(str(tmp_path))
    assert isinstance(replay, LanguageModel) and not isinstance(replay, LikelihoodModel)
    assert replay.generate(prompts, SamplingParams(1)) == [Completion("", 0, "stop"), Completion("first", 1, "stop")]
    second = Replay(str(tmp_path / "records.jsonl"), sample=1)
    assert second.generate(prompts[1:], SamplingParams(1)) == [Completion("second one", 2, "length")]
    with pytest.raises(WorkError, match=r"no recorded answer for prompt 'b' \(1 of 2 are missing\).*sample 1"):
        second.generate(prompts, SamplingParams(1))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (recording("a", "again"), "row 2 answers prompt 'a' a second time"),
        (recording("b", None), "row 2 needs the strings"),
        (recording("b", "t", finish_reason="error"), "row 2: finish_reason is 'error'; allowed"),
    ],
)
def test_replay_refuses_a_bad_recording(tmp_path, row, message):
    write_rows(tmp_path / "records.jsonl", recording("a", "first"), row)
    with pytest.raises(DataError, match=message):
        Replay(str(tmp_path)).generate([Prompt("a", text="x")], SamplingParams(1))


def test_canned():
    canned = Canned({"capital ?": "It is Paris.\nYes"}, default="No idea")
    assert isinstance(canned, LikelihoodModel)
    asked = [
        Prompt("1", messages=(Message("user", "capital ?"),)),
        Prompt("2", text="capital ?"),
        Prompt("3", text="x"),
    ]
    texts = [c.text for c in canned.generate(asked, SamplingParams(9, stop=("\n",)))]
    assert texts == ["It is Paris.", "It is Paris.", "No idea"]
    (short,) = canned.generate(asked[:1], SamplingParams(2))
    assert (short.text, short.finish_reason) == ("It is", "length")
    right, wrong = canned.loglikelihood([(asked[0], "It is Paris."), (asked[0], "It is Rome.")])
    assert right.logprob > wrong.logprob and right.logprob == pytest.approx(-0.3) and right.num_tokens == 3
