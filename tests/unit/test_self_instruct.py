"""Self-Instruct: what is read from lists and instances, what counts as new (beside brute force), the whole way."""

import json
import random
import re
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sacrebleu.metrics import BLEU

from epigone import discover
from epigone.errors import DataError
from epigone.interfaces import Rounds
from epigone.prompts.self_instruct import SEEDS
from epigone.records import Completion, Conversation, Message
from epigone.spec import Component, Input
from epigone.stages.synthesise import Synthesise
from epigone.store import Store, read_summary
from epigone.synthesis.instances import classification_prompt, instance_prompt, read_instances, says_yes
from epigone.synthesis.instructions import Pool, list_prompt, read_list, read_tasks

RIVERS = "Name three small rivers."
TWO = "one input, two outputs"


def task(text, number=0):
    return Conversation(f"t{number}", (Message("user", text),))


def test_the_list_that_a_model_goes_on_with():
    assert list_prompt(["Write a letter.", "Count the words in:"[:-1]]) == (
        "Come up with a series of tasks:\n1. Write a letter.\n2. Count the words in\n3."
    )


@pytest.mark.parametrize(
    ("reply", "found"),
    [
        (f" {RIVERS}\n10. sort the words\n by length.\n", [(RIVERS, ""), ("Sort the words by length.", "")]),
        (f"9. {RIVERS}\n\n10) Sort words by length.", [(RIVERS, ""), ("Sort words by length.", "")]),
        (f"Here are some more:\n\n**1.** {RIVERS}", [("Here are some more:", "ends in a colon"), (RIVERS, "")]),
        ("Name a river.", [("Name a river.", "too short")]),
        ("Draw a map of the town.", [("Draw a map of the town.", "about what no language model sees")]),
        ("Remap the keys as told.", [("Remap the keys as told.", "")]),
        ("Go to the shop and pay.", [("Go to the shop and pay.", "about what no language model sees")]),
        ("Write a program that counts.", [("Write a program that counts.", "asks for a program")]),
        ("(Name three small rivers)", [("(Name three small rivers)", "begins with no letter")]),
        ("Überlege dir drei kleine Flüsse.", [("Überlege dir drei kleine Flüsse.", "begins with no letter")]),
        ("tell " * 151, [(("tell " * 151).strip().capitalize(), "too long")]),
        (" \n", [("", "empty reply")]),
    ],
)  # fmt: skip
def test_instructions_are_read_off_a_list(reply, found):
    assert read_list(reply, is_cut=False) == found


def test_the_last_of_a_list_that_is_cut_off_is_not_whole():
    assert [problem for _, problem in read_list("Name three small rivers.\n10. Sort the", is_cut=True)] == [
        "",
        "cut off",
    ]


VOCABULARY = [
    "write",
    "name",
    "sort",
    "the",
    "a",
    "of",
    "three",
    "five",
    "words",
    "rivers",
    "letters",
    "poem",
    "about",
    "given",
    "text",
    "in",
    "order",
    "list",
]
texts = st.lists(st.lists(st.sampled_from(VOCABULARY), min_size=4, max_size=9).map(" ".join), max_size=8)


def brute_force(pool, fresh, threshold):
    """Whether each is new, one after the other, by sacrebleu itself in both directions."""
    bleu = BLEU(lowercase=True, effective_order=True, smooth_method="none")
    pool, verdicts = list(pool), []
    for text in fresh:
        scores = [bleu.sentence_score(*pair).score for old in pool for pair in ((text, [old]), (old, [text]))]
        is_new = text not in pool and all(score <= threshold for score in scores)
        verdicts.append(is_new)
        pool += [text] * is_new
    return verdicts, pool


@settings(max_examples=25)
@given(pool=texts, rounds=st.lists(texts, max_size=3), threshold=st.sampled_from([30, 50, 70]))
def test_what_is_new_is_what_brute_force_finds(pool, rounds, threshold):
    found, known = Pool(list(pool), threshold), list(pool)
    for fresh in rounds:
        verdicts, known = brute_force(known, fresh, threshold)
        assert [not reason for reason, _ in found.reasons([task(text) for text in fresh])] == verdicts
        assert found.texts == known


def test_what_is_new_among_the_published_seeds(data_root):
    path = data_root / "self_instruct" / "seed_tasks.jsonl"
    tasks = [each.instruction for each in read_tasks(path)]
    assert len(tasks) == 175
    draw = random.Random(0)
    fresh = [
        " ".join(w for w in draw.choice(tasks).split() if draw.random() < 0.8) or "Say it all again." for _ in range(40)
    ]
    verdicts, _ = brute_force(tasks[:60], fresh, 50)
    assert 5 < sum(verdicts) < 35
    reasons = Pool(tasks[:60], 50).reasons([task(text) for text in fresh])
    assert [not reason for reason, _ in reasons] == verdicts
    assert re.fullmatch(r"BLEU \d+\.\d with '.*'", next(detail for reason, detail in reasons if reason))


def rouge_l(a, b):
    """F1 of the longest common subsequence of words, as the rouge_score package counts it without stemming."""
    a, b = (re.findall(r"[a-z0-9]+", text.lower()) for text in (a, b))
    lengths = [0] * (len(b) + 1)
    for word in a:
        before = 0
        for at, other in enumerate(b, start=1):
            before, lengths[at] = lengths[at], before + 1 if word == other else max(lengths[at], lengths[at - 1])
    return 2 * lengths[-1] / (len(a) + len(b)) if lengths[-1] else 0.0


def test_the_threshold_stands_for_rouge_l_above_0_7(data_root):
    tasks = [each.instruction for each in read_tasks(data_root / "self_instruct" / "seed_tasks.jsonl")]
    tasks = [text for text in tasks if 5 <= len(text.split()) <= 40]
    words, draw, pairs = " ".join(tasks).split(), random.Random(0), []
    for _ in range(200):
        old, share = draw.choice(tasks), draw.random() / 2
        pairs.append((old, " ".join(draw.choice(words) if draw.random() < share else word for word in old.split())))
    by_bleu = [bool(Pool([old], 50).reasons([task(new)])[0][0]) for old, new in pairs]
    by_rouge = [rouge_l(old, new) > 0.7 for old, new in pairs]
    assert 60 < sum(by_rouge) < 140 and sum(a == b for a, b in zip(by_bleu, by_rouge)) >= 160


def test_prompts_for_instances_show_seeds_of_the_same_kind():
    tasks = read_tasks(SEEDS)
    assert len(tasks) == 12 and sum(t.is_classification for t in tasks) == 4
    asked = classification_prompt(tasks[1:3], "Name three rivers.")
    assert asked.endswith(
        "\n\nTask: Decide whether the review of a hotel is positive or negative.\nIs it classification? Yes\n\n"
        "Task: Name three rivers.\nIs it classification?"
    )
    first = instance_prompt(tasks, "Sort it.", is_classification=True)
    assert first.count("Task: ") == 5 and "Class label: negative\nInput: The room smelled" in first
    other = instance_prompt(tasks, "Name them.", is_classification=False)
    assert other.count("Task: ") == 9 and "Input: 18:45\nOutput: 6:45 pm" in other
    assert "Task: Suggest three short names for a small café that is run by two sisters.\nOutput: 1. Two Cups" in other
    assert [says_yes(t) for t in (" Yes", "**yes.**", "No", "It is, yes", "")] == [True, True, False, False, False]


@pytest.mark.parametrize(
    ("reply", "found"),
    [
        ("Output: blue", [("", "blue", "")]),
        ("Input: a\nOutput: b\nmore\n\nTask: another\nOutput: c", [("a", "b\nmore", "")]),
        ("Example 1\nInput: a\nOutput: b\nExample 2\nInput: c\nOutput: d", [("a", "b", ""), ("c", "d", "")]),
        ("Input 1: a\nOutput 1: b\nInput 2: c\nOutput 2: d", [("a", "b", ""), ("c", "d", "")]),
        ("**Input:** a\n**Output:** b", [("a", "b", "")]),
        ("Input: a\nOutput: a", [("a", "a", "output is the input")]),
        ("Input: a\nOutput:", [("a", "", "no output")]),
        ("Input: a\nOutput: as follows:", [("a", "as follows:", "not finished")]),
        ("Input: a\nOutput: b\nInput: a\nOutput: c", [("a", "b", TWO), ("a", "c", TWO)]),
        ("Input: a\nOutput: b\nInput: a\nOutput: b", [("a", "b", ""), ("a", "b", "comes twice")]),
        ("no idea", [("", "no idea", "no instance")]),
    ],
)  # fmt: skip
def test_instances_are_read(reply, found):
    assert read_instances(reply, is_classification=False, is_cut=False) == found


def test_labels_are_read_before_their_inputs():
    reply = "Class label: good\nInput: it was fine\nClass label: bad\nThe room\nsmelled.\nClass label: none"
    assert read_instances(reply, is_classification=True, is_cut=True) == [
        ("it was fine", "good", ""),
        ("The room\nsmelled.", "bad", ""),
        ("", "none", "cut off"),
    ]


class Writer:
    """A LanguageModel that goes on with lists, and writes one instance a task."""

    def __init__(self):
        self.lists = []

    def generate(self, prompts, sampling):
        return [
            Completion(self.reply(p.messages[0].content if p.messages else p.text, sampling), 9, "stop")
            for p in prompts
        ]

    def reply(self, asked, sampling):
        draw = random.Random(f"{asked} {sampling.seed}")
        if asked.startswith("Come up with a series of tasks"):
            self.lists.append(asked)
            return "\n".join(f"{n}. {' '.join(draw.sample(NOUNS, 8))}" for n in range(9, 13))
        if asked.startswith("Can the following"):
            return "Yes" if asked.splitlines()[-2].count("a") % 2 else "No"
        label = asked.startswith("Given the classification")
        return "Class label: even\nInput: twelve" if label else "Input: a word\nOutput: its meaning"


NOUNS = [f"{a}{b}" for a in ("bar", "tel", "mun", "sor", "fig") for b in ("alo", "ine", "oss", "ude", "emi", "ack")]


@pytest.mark.parametrize("chat", [True, False])
def test_a_pool_grows_and_gets_instances(chat):
    writer = Writer()
    component = discover.make("prompts", "self_instruct", {"chat": chat})
    grown = component.grow(writer, Rounds(12, 2), None)
    asked = [talk.messages[0].content for talk in grown.kept]
    assert len(grown.kept) == 12 and {len(talk.messages) for talk in grown.kept} == {2}
    assert {a.rpartition("\n\n")[2] for a in asked} == {"a word", "twelve"}
    people = {each.instruction for each in read_tasks(SEEDS)}
    shown = [re.findall(r"^\d+\. (.+)$", text, re.MULTILINE) for text in writer.lists]
    assert [len(set(each)) for each in shown] == [8] * len(shown)
    assert [sum(text in people for text in each) for each in shown[:2]] == [8, 8], "people's alone while there are none"
    assert {sum(text in people for text in each) for each in shown[2:]} == {6}, "then two of the model's"


@dataclass(frozen=True)
class Writers:
    """The same as a component."""

    def generate(self, prompts, sampling):
        return Writer().generate(prompts, sampling)


def test_the_published_seeds_as_a_stage(data_root, tmp_path):
    seeds = Input(str(data_root / "self_instruct" / "seed_tasks.jsonl"))
    generator = Component.of("prompts", "self_instruct", seeds=seeds)
    folder = Store(tmp_path).build(
        Synthesise(generator, Component.of("backends", "test_self_instruct:Writers"), Rounds(6, 2))
    )
    summary = read_summary(folder)
    assert summary["num_kept"] == 6 and summary["num_asked"] == 2 * len(summary["rounds"]) + 6 + 6
    card = json.loads((folder / "card.json").read_text())
    assert (
        card["parameters"]["seeds"] == "seed_tasks.jsonl" and str(data_root) not in (folder / "card.json").read_text()
    )
    raw = (folder / "raw.jsonl").read_text()
    assert raw.count("Is it classification? Yes") == 6 * 12 and raw.count("Is it classification? No") == 6 * 19


def test_seeds_that_cannot_be_used(tmp_path):
    path = tmp_path / "seeds.jsonl"
    row = {"instruction": "Name three rivers.", "instances": [{"input": "", "output": "x"}], "is_classification": False}
    path.write_text(json.dumps(row))
    with pytest.raises(DataError, match="holds 1 seed tasks, 8 are shown"):
        discover.make("prompts", "self_instruct", {"seeds": str(path)}).grow(Writer(), Rounds(1, 1), None)
    path.write_text(json.dumps(row | {"instances": "none"}))
    with pytest.raises(DataError, match="row 1: instances is 'none'"):
        read_tasks(path)
