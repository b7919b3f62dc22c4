"""What a checkpoint from elsewhere says of its tokenizer, and what the backend and the train stage make of it."""

import json
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from epigone.backends.checkpoint import Checkpoint
from epigone.commands.export import run_export
from epigone.errors import DataError, SpecError
from epigone.models.family import Model
from epigone.models.weights import load_checkpoint
from epigone.records import Message, Prompt, SamplingParams
from epigone.spec import Artifact, Component, Input
from epigone.stages.train import Train
from epigone.tokens.chat_template import ChatTokens
from epigone.tokens.packing import pack, save_blocks
from epigone.tokens.positions import positions_of
from epigone.tokens.published import named_id, template_of, tokenizer_config_of
from epigone.tokens.templates.chatml import Chatml
from epigone.tokens.templates.gemma import Gemma
from epigone.tokens.templates.koala import Koala
from epigone.tokens.templates.special_tokens import SpecialTokens
from epigone.tokens.tokenizer import Tokenizer
from epigone.training.optimizer import Recipe
from small_checkpoint import small_base

ASKED = (Message("user", " hello\nthere "),)
DIALOGUE = (*ASKED, Message("assistant", "well met "), Message("user", "bye"), Message("assistant", "bye"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return small_base(tmp_path_factory.mktemp("base") / "base")


def logprobs(model: Model, ids: list[int]) -> np.ndarray:
    """Natural-log probability of each token after those before it."""
    from epigone.models import decoder

    tokens = jnp.asarray([ids])
    at = jnp.arange(len(ids))[None]
    logits = np.asarray(decoder.forward(model.family, model.params, model.config, tokens, at, jnp.ones_like(at)))[0]
    shifted = logits - logits.max(-1, keepdims=True)
    table = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    return table[np.arange(len(ids) - 1), ids[1:]]


def test_a_text_stands_behind_what_opens_every_text(folder, tmp_path):
    tokenizer = Tokenizer.load(folder)
    opening = tokenizer.id("<s>")
    assert tokenizer.opening == (opening,) and opening not in tokenizer.encode("<s>hello")
    found = Checkpoint(str(folder)).loglikelihood([(Prompt("p", text="ab"), "cd")])[0]
    by_hand = logprobs(load_checkpoint(folder), [opening, *tokenizer.encode("abcd")])
    assert found.num_tokens == 2 and found.logprob == pytest.approx(by_hand[-2:].sum(), abs=1e-4)
    bare = small_base(tmp_path / "bare", opens=False)
    assert Tokenizer.load(bare).opening == ()
    found = Checkpoint(str(bare)).loglikelihood([(Prompt("p", text="ab"), "cd")])[0]
    by_hand = logprobs(load_checkpoint(bare), tokenizer.encode("abcd"))
    assert found.logprob == pytest.approx(by_hand[-2:].sum(), abs=1e-4)


def test_the_template_is_the_published_one_wherever_it_lies(folder, tmp_path):
    assert template_of(folder) is None
    beside = small_base(tmp_path / "beside", template=Chatml().jinja)
    alone = small_base(tmp_path / "alone")
    (alone / "chat_template.jinja").write_text(Chatml().jinja)
    run_export(beside, tmp_path / "m.gguf", to="gguf", kind="f32", quiet=True)
    by_hand = ChatTokens(Tokenizer.load(folder), Chatml()).prompt(ASKED)
    for path in (beside, alone, tmp_path / "m.gguf"):
        found = template_of(path)
        assert found is not None and ChatTokens(Tokenizer.load(path), found).prompt(ASKED) == by_hand
        assert tokenizer_config_of(path)["chat_template"] == Chatml().jinja
        assert positions_of(path) == 256
        assert named_id(path, "eos") == (Tokenizer.load(folder).id("</s>"),)
    assert named_id(folder, "pad") == ()


def test_a_config_that_is_no_object_is_named(tmp_path):
    (tmp_path / "tokenizer_config.json").write_text("[1]")
    with pytest.raises(DataError, match=r"tokenizer_config\.json: holds no JSON object"):
        template_of(tmp_path)


@pytest.mark.parametrize("template", [Chatml(), Gemma(), Koala(), SpecialTokens()], ids=lambda t: type(t).__name__)
def test_every_template_says_the_same_to_other_software(template, tmp_path):
    """Its Jinja form, rendered, is its pieces, joined."""
    from epigone.tokens.sandbox import compiled

    render = compiled(template.jinja, "here", "")
    plain = [{"role": m.role, "content": m.content} for m in DIALOGUE]
    assert render(messages=plain, add_generation_prompt=False) == "".join(p.text for p in template.pieces(DIALOGUE))
    asked = render(messages=plain[:1], add_generation_prompt=True)
    assert asked == "".join(p.text for p in template.prompt(ASKED))


def test_what_is_learnt_of_gemma():
    pieces = Gemma().pieces(DIALOGUE[:2])
    assert "".join(p.text for p in pieces if p.is_learnt) == "well met<end_of_turn>"
    folded = Gemma().pieces([Message("system", "Be brief."), *DIALOGUE[:2]])
    assert "Be brief.\n\n hello" in "".join(p.text for p in folded)


def test_a_base_without_a_template_continues_text_and_refuses_messages(folder):
    model = Checkpoint(str(folder))
    assert model.generate([Prompt("p", text="ab")], SamplingParams(3))[0].num_tokens <= 3
    with pytest.raises(SpecError, match=r"no token '<\|user\|>'"):
        model.generate([Prompt("p", messages=ASKED)], SamplingParams(3))
    given = Checkpoint(str(folder), template=Chatml())
    assert given.generate([Prompt("p", messages=ASKED)], SamplingParams(3))[0].num_tokens <= 3


def trained(start: Path, tmp_path: Path) -> Path:
    """A student of a base from elsewhere that learns one answer by heart."""
    chat = ChatTokens(Tokenizer.load(start), Chatml())
    save_blocks(pack([chat.encode(DIALOGUE[:2])] * 4, 48, overlong="split")[0], tmp_path / "blocks")
    recipe = Recipe(0.03, 2, num_steps=60, warmup_steps=4)
    stage = Train(
        Artifact(str(tmp_path / "blocks")),
        Input(str(start)),
        recipe,
        "student",
        start=Input(str(start)),
        template=Component.of("tokens.templates", "chatml"),
    )
    paths = {Artifact: "id", Input: "path"}
    summary = stage.run(lambda value: Path(getattr(value, paths[type(value)])), tmp_path / "student")
    assert summary["last_loss"] < 0.5 < summary["first_loss"]
    return tmp_path / "student"


def test_a_model_from_elsewhere_is_trained_and_speaks_by_its_template(folder, tmp_path):
    run_export(folder, tmp_path / "m.gguf", to="gguf", kind="f32", quiet=True)
    texts = []
    for name, start in (("folder", folder), ("gguf", tmp_path / "m.gguf")):
        out = trained(start, tmp_path / name)
        config = json.loads((out / "tokenizer_config.json").read_text())
        assert (config["bos_token"], config["eos_token"]) == ("<s>", "<|im_end|>")
        assert json.loads((out / "config.json").read_text())["bos_token_id"] == Tokenizer.load(folder).id("<s>")
        texts.append(Checkpoint(str(out)).generate([Prompt("p", messages=ASKED)], SamplingParams(20))[0])
    assert texts[0].text == "well met " and texts[0].finish_reason == "stop"
    assert texts[1].text == texts[0].text


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_transformers_gives_the_same_greedy_text(folder, tmp_path):
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    out = trained(folder, tmp_path)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(out).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(out)
    ours = Checkpoint(str(out))
    for asked in (" hello\nthere ", "who goes there", "x"):
        prompt = [{"role": "user", "content": asked}]
        ids = tokenizer.apply_chat_template(prompt, add_generation_prompt=True, return_tensors="pt", return_dict=True)
        with torch.no_grad():
            drawn = theirs.generate(**ids, max_new_tokens=24, do_sample=False)[0, ids["input_ids"].shape[1] :]
        mine = ours.generate([Prompt("p", messages=(Message("user", asked),))], SamplingParams(24))[0]
        assert tokenizer.decode(drawn, skip_special_tokens=True) == mine.text and mine.text
