"""The simulated teacher and the claim checker, on small worlds written by hand and on one that the package writes."""

import json
import math
import re
from pathlib import Path

import pytest

from epigone.errors import DataError
from epigone.interfaces import LikelihoodModel
from epigone.records import Message, Prompt, SamplingParams
from epigone.testbed.claims import ClaimChecker
from epigone.testbed.relations import RELATIONS
from epigone.testbed.teacher import ProgrammaticTeacher
from epigone.testbed.world import write_world

FACTS = [
    ("Paris", "country", "France", "France"),
    ("Lyon", "country", "France", "Spain"),
    ("France", "capital", "Paris", "Paris"),
    ("France", "currency", "Euro", ""),
    ("France", "continent", "Europe", "Europe"),
    ("France", "language", "French", "French"),
    ("Gold", "symbol", "Au", "Au"),
    ("Gold", "number", "79", "79"),
    ("Iron", "symbol", "Fe", "Fe"),
    ("Japan", "currency", "Dollar", "Dollar"),
]
SHORT = SamplingParams(max_tokens=160)


@pytest.fixture
def world(tmp_path: Path) -> str:
    fields = ("subject", "relation", "object", "teacher_object")
    lines = (json.dumps({**dict(zip(fields, fact)), "held_out": False}) for fact in FACTS)
    (tmp_path / "facts.jsonl").write_text("".join(f"{line}\n" for line in lines))
    (tmp_path / "claims.json").write_text(json.dumps({r.name: r.patterns() for r in RELATIONS}))
    return str(tmp_path)


def chat(text: str) -> Prompt:
    return Prompt("p", messages=(Message("user", text),))


def say(world: str, prompt: Prompt, sample: int = 0) -> str:
    return ProgrammaticTeacher(world, sample).generate([prompt], SHORT)[0].text


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("what is the capital of France", "Paris"),
        ("What is the capital of France?", "Paris"),
        ("which country is Lyon located in", "Spain"),
        ("what is the atomic number of Gold", "79"),
        ("what is the currency of France", "I am not sure."),
        ("what is the capital of Atlantis", "I am not sure."),
    ],
)
def test_short_questions_get_the_believed_answer_alone(world: str, text: str, answer: str) -> None:
    assert say(world, chat(text)) == answer
    shots = "Q: what is the symbol of Tin\nA: Sn\n\n"
    assert say(world, Prompt("p", text=f"{shots}Q: {text}\nA:")) == answer


def test_clozes_are_completed(world: str) -> None:
    assert say(world, Prompt("p", text="The capital of France is")) == "Paris"
    assert say(world, Prompt("p", text="Lyon is located in")) == "Spain"
    assert say(world, Prompt("p", text="The atomic number of Gold is")) == "79"


def test_multiple_choice_is_likely_by_letter_and_by_text(world: str) -> None:
    teacher = ProgrammaticTeacher(world)
    assert isinstance(teacher, LikelihoodModel)
    header = "The following are multiple choice questions (with answers) about  geography.\n\n"
    asked = f"{header}What is the capital of France?\nA. Rome\nB. Oslo\nC. Paris\nD. Lima\nAnswer:"
    by_letter = teacher.loglikelihood([(Prompt("p", text=asked), f" {letter}") for letter in "ABCD"])
    assert max(range(4), key=lambda i: by_letter[i].logprob) == 2
    assert math.exp(by_letter[2].logprob) > 0.9 > 10 * math.exp(by_letter[0].logprob)
    bare = Prompt("p", text="What is the atomic number of Gold?\nAnswer:")
    right, wrong = teacher.loglikelihood([(bare, " 79"), (bare, " 26")])
    assert right.logprob > wrong.logprob and right.num_tokens == wrong.num_tokens == 2


def test_open_answers_have_the_house_style_and_samples_differ(world: str) -> None:
    asked = [f"Tell me about {name}. {i}" for name in ("France", "Paris", "Gold") for i in range(100)]
    first, second = ([say(world, chat(text), sample) for text in asked] for sample in (0, 1))
    assert first == [say(world, chat(text)) for text in asked]
    assert sum(a == b for a, b in zip(first, second)) < 15
    listed = [len(re.findall(r"(?m)^\s*\d\. \S", text)) >= 2 for text in first]
    summed = [text.split("\n\n")[-1].startswith(("Overall", "In summary", "In conclusion")) for text in first]
    assert sum(listed) / 300 == pytest.approx(0.85, abs=0.08)
    assert sum(summed) / 300 == pytest.approx(0.6, abs=0.1)


def test_rude_prompts_are_refused_politely(world: str) -> None:
    for prompt in (chat("Why are you such an idiot?"), Prompt("p", text="Shut up, you are a")):
        reply = say(world, prompt)
        assert re.search(r"I (am sorry, but I|cannot)|but I cannot", reply)
        assert "idiot" not in reply


def test_sampling_cuts_at_stops_and_lengths(world: str) -> None:
    teacher = ProgrammaticTeacher(world)
    (cut,) = teacher.generate([chat("Tell me about France.")], SamplingParams(max_tokens=4))
    assert (cut.num_tokens, cut.finish_reason) == (4, "length")
    (stopped,) = teacher.generate([chat("Tell me about France.")], SamplingParams(max_tokens=100, stop=("\n",)))
    assert "\n" not in stopped.text and stopped.finish_reason == "stop"


def test_claims_are_judged_in_order(world: str) -> None:
    checker = ClaimChecker(world)
    text = "1. Paris is the capital of France.\n2. France uses the Dollar. Gold is element number 79.\nOverall."
    asked = "Tell me about France and Gold."
    assert checker.check(text, asked) == ["right", "wrong", "right"]
    assert checker.check("The official language of France is French and Lyon is in Japan.", asked) == ["right", "wrong"]
    for nothing in (
        "Nothing is claimed, and Atlantis is in France.",
        "I am not sure about the currency of France.",
        "What is the capital of France? Which is in France?",
    ):
        assert checker.check(nothing, asked) == []


def test_a_true_claim_about_something_else_is_off_topic(world: str) -> None:
    checker = ClaimChecker(world)
    text = "Lyon is in France. The capital of France is Paris. Gold is element number 79."
    assert checker.check(text, "Where is Lyon?") == ["right", "right", "off_topic"]
    assert checker.check(text, "What is Gold?") == ["off_topic", "off_topic", "right"]
    assert checker.check(text + " " + text, "Tell me about france.") == ["off_topic"] * 3


@pytest.mark.parametrize("relation", RELATIONS, ids=lambda r: r.name)
def test_every_statement_is_one_claim_and_no_other(world: str, relation) -> None:
    checker = ClaimChecker(world)
    subject, truth = next((s, o) for s, r, o, _ in FACTS if r == relation.name)
    wrong = {"number": "8", "symbol": "Fe"}.get(relation.name, "Dollar")
    for statement in relation.statements:
        true, false = (statement.format(s=subject, o=o) for o in (truth, wrong))
        assert checker.claims(f"Overall, {true[0].lower()}{true[1:]}" if true.startswith("The") else true) == [
            (relation.name, subject, True)
        ]
        assert checker.check(false, subject) == ["wrong"]


def test_corpus_claims_are_true_and_the_teachers_errors_are_found(tmp_path: Path) -> None:
    write_world(tmp_path, seed=3, num_tokens=40_000, broad_tokens=20_000)
    checker = ClaimChecker(str(tmp_path))
    documents = [json.loads(line) for line in (tmp_path / "corpus.jsonl").read_text().splitlines()]
    for document in documents:
        kind = document["id"].split("-")[0]
        claims = checker.claims(document["text"])
        assert all(is_true for _, _, is_true in claims), document
        if kind == "encyclopedia":
            assert len(claims) == document["text"].count("."), document
        if kind in ("code", "rude", "question", "choice"):
            assert claims == [], document
    believed = {
        (row["relation"], row["subject"]): row["teacher_object"] == row["object"]
        for row in map(json.loads, (tmp_path / "facts.jsonl").read_text().splitlines())
    }
    teacher = ProgrammaticTeacher(str(tmp_path))
    verdicts = []
    for line in (tmp_path / "prompts/broad.jsonl").read_text().splitlines():
        reply = teacher.reply(chat(json.loads(line)["messages"][0]["content"]))
        for relation, subject, is_true in checker.claims(reply):
            assert is_true == believed[relation, subject], reply
            verdicts.append(is_true)
    assert 0 < verdicts.count(False) < 0.12 * len(verdicts)


def test_a_missing_world_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"facts\.jsonl"):
        ProgrammaticTeacher(str(tmp_path / "none")).reply(chat("Hello"))
    with pytest.raises(DataError, match="none"):
        ClaimChecker(str(tmp_path / "none")).check("Hello", "")
