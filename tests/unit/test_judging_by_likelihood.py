"""A judge that weighs letters: read as an independent computation reads the same model, in both orders."""

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from epigone.backends.checkpoint import Checkpoint
from epigone.decoding.texts import Texts
from epigone.errors import SpecError
from epigone.interfaces import Marks, Shown
from epigone.judges.likelihood import Likelihood as LikelihoodJudge
from epigone.judges.pairwise import Pairwise
from epigone.judging import Look, Pair, Weighed, asked_by, protocol_of, questions
from epigone.models.decoder import forward
from epigone.models.weights import load_checkpoint
from epigone.records import Completion, Generation, Judgment, Likelihood, Message, Prompt, SamplingParams
from epigone.spec import Artifact, Component
from epigone.stages.ask_judge import AskJudge
from epigone.store import read_records, write_records
from epigone.tokens.templates.chatml import Chatml
from small_checkpoint import small_base


@dataclass(frozen=True)
class Longer:
    """A LikelihoodModel that finds the letter of the longer answer likeliest, C where both are as long."""

    def generate(self, prompts: Sequence[Prompt], sampling: SamplingParams) -> list[Completion]:
        raise AssertionError("nothing is written by a judge that weighs")

    def loglikelihood(self, requests: Sequence[tuple[Prompt, str]]) -> list[Likelihood]:
        return [Likelihood(self._of(p.text or p.messages[-1].content, letter.strip()), 1) for p, letter in requests]

    def _of(self, text: str, letter: str) -> float:
        one, two = (re.search(rf"<answer {n}>\n(.*?)\n</answer {n}>", text, re.S)[1] for n in (1, 2))
        wanted = "A" if len(one) > len(two) else "B" if len(two) > len(one) else "C"
        return math.log(0.5) if letter == wanted else math.log(0.1)


@dataclass(frozen=True)
class OnlyWords:
    """A LanguageModel that tells no likelihoods, as a server of chat."""

    def generate(self, prompts: Sequence[Prompt], sampling: SamplingParams) -> list[Completion]:
        return [Completion("A", 1, "stop") for _ in prompts]


def test_the_verdict_is_the_likeliest_letter():
    judge = LikelihoodJudge()
    found = judge.read(["A -1.0\nB -3.0\nC -2.0"])[""]
    weights = np.exp([-1.0, -3.0, -2.0]) / np.exp([-1.0, -3.0, -2.0]).sum()
    assert found.verdict == "first" and found.scores == pytest.approx(tuple(weights[:2]))
    assert judge.read(["A -9.0\nB -3.0\nC -4.0"])[""].verdict == "second"
    assert judge.read(["A -9.0\nB -3.0\nC -0.5"])[""].verdict == "tie"
    assert judge.read(["A -2.0\nB -2.0\nC -3.0"])[""] == Marks("tie", pytest.approx((0.42232, 0.42232), abs=1e-4))
    for reply in ("", "A", "A -1.0\nB -2.0", "A -inf\nB -1.0\nC -2.0", "A is better"):
        assert judge.read([reply]) == {"": None}
    with pytest.raises(SpecError, match="form='prose'"):
        LikelihoodJudge("prose")


@pytest.mark.parametrize("form", ["chat", "text"])
def test_a_checkpoint_weighs_as_its_logits_say(form, tmp_path):
    """Log-softmax of the logits of the whole text, at the places of each letter, without the engine's batches."""
    folder = small_base(tmp_path / "judge", max_positions=1024)
    judge, pair = LikelihoodJudge(form), Pair("p", "Name a river.", "The Nile is one.", "The sea.")
    look = Look(pair, "b", 1)
    ((prompt,),) = questions(judge, [look])
    (reply,) = Weighed(Checkpoint(str(folder), template=Chatml()), judge).generate([prompt], SamplingParams(1))
    texts, model = Texts(folder, Chatml()), load_checkpoint(folder)
    given = prompt if form == "chat" else Prompt("p", text=prompt.messages[0].content)
    expected = []
    for letter in judge.continuations:
        before, after = texts.pair(given, letter)
        ids = jnp.asarray([[*before, *after]])
        places = jnp.arange(ids.shape[1])[None]
        logits = forward(model.family, model.params, model.config, ids, places, jnp.ones_like(ids))
        probable = np.asarray(jax.nn.log_softmax(logits[0].astype(jnp.float32)))
        expected.append(sum(probable[len(before) - 1 + i, token] for i, token in enumerate(after)))
    found = [float(line.split()[1]) for line in reply.text.splitlines()]
    assert found == pytest.approx(expected, abs=2e-3)
    assert judge.read([reply.text])[""].verdict == ["first", "second", "tie"][int(np.argmax(expected))]


def test_what_is_asked_tells_one_judge_from_another():
    ids = {
        protocol_of("likelihood", LikelihoodJudge()),
        protocol_of("likelihood", LikelihoodJudge("text")),
        protocol_of("pairwise", Pairwise()),
        protocol_of("pairwise", Pairwise(), temperature=1.0),
    }
    assert len(ids) == 4 and all(each.startswith("judge-") for each in ids)
    assert protocol_of("likelihood", LikelihoodJudge()) in ids


def test_both_orders_flips_and_a_replay_that_costs_nothing(tmp_path):
    told, out = judged(tmp_path, Component.of("backends", "test_judging_by_likelihood:Longer"))
    assert told["criteria"]["better"] == {
        "num_looks": 6,
        "num_unread": 0,
        "num_both_orders": 3,
        "num_flips": 0,
        "flip_rate": 0.0,
        "first_place_share": 0.5,
        "num_ties": 2,
    }
    rows = read_records(out / "records.jsonl", Judgment)
    assert [(j.prompt_id, j.first, j.verdict) for j in rows] == [
        ("p0", "a", "b"), ("p0", "b", "b"), ("p1", "a", "a"), ("p1", "b", "a"), ("p2", "a", "tie"), ("p2", "b", "tie"),
    ]  # fmt: skip
    assert all(row.scores == pytest.approx((1 / 7, 5 / 7), abs=1e-5) for row in rows[:2])
    replies = Component.of("backends", "replay", path=str(out / "raw.jsonl"))
    again, anew = judged(tmp_path / "anew", replies)
    assert again == told
    assert (anew / "records.jsonl").read_bytes() == (out / "records.jsonl").read_bytes()


def test_a_model_that_only_writes_is_refused_with_the_way_out(tmp_path):
    with pytest.raises(SpecError, match=r"log-likelihood.*scoring=echo.*pairwise"):
        judged(tmp_path, Component.of("backends", "test_judging_by_likelihood:OnlyWords"))
    assert asked_by(Pairwise(), OnlyWords()) == OnlyWords()


def test_a_server_is_asked_in_the_form_that_it_can_score(tmp_path):
    server = Component.of("backends", "openai", url="http://127.0.0.1:1/v1", model="m")
    with pytest.raises(SpecError, match=r"likelihood:form=text"):
        judged(tmp_path, server)


def judged(tmp_path, model):
    texts = {"p0": ("short", "a longer answer"), "p1": ("the longest answer", "brief"), "p2": ("same", "size")}
    for side in (0, 1):
        folder = tmp_path / f"generations/{'ab'[side]}"
        folder.mkdir(parents=True, exist_ok=True)
        rows = [Generation(p, (Message("user", "q"),), pair[side], "stop", "AB"[side]) for p, pair in texts.items()]
        write_records(folder / "records.jsonl", rows)
    judge = Component.of("judges", "likelihood")
    stage = AskJudge(*(Artifact(f"generations/{side}") for side in "ab"), judge=judge, model=model, rater="small")
    out = tmp_path / "out"
    out.mkdir(exist_ok=True)
    return stage.run(lambda given: tmp_path / given.id, out), out


def test_the_question_names_the_letters_that_are_weighed():
    for judge in (LikelihoodJudge(), LikelihoodJudge("text")):
        ((message,),) = judge.questions(Shown("Why?", "Because.", "Since."))
        for letter in judge.continuations:
            assert re.search(rf"^{letter.strip()}: ", message.content, re.M)
    assert json.dumps(LikelihoodJudge("text").continuations) == '[" A", " B", " C"]'
