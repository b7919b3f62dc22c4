"""Sentences of answers, checked: what is asked, how replies are read, shares counted by hand, who won though wrong."""

import json
from pathlib import Path

import numpy as np
import pytest

from epigone import fact_checking
from epigone.commands.facts import Wanted, run_facts
from epigone.component_text import component
from epigone.errors import SpecError, WorkError
from epigone.fact_checking import Answer, Reading
from epigone.metrics.facts import Counts, by_answer, factuality, preferred_though_wrong
from epigone.metrics.sentences import CheckedSentence, Part, sentences_of
from epigone.records import Generation, Judgment, Message
from epigone.spec import Artifact, Component, Input
from epigone.stages.check_facts import CheckFacts
from epigone.stages.read_answers import ReadAnswers
from epigone.stages.read_judgments import ReadJudgments
from epigone.stages.report_facts import CheckedModel, ReportFacts
from epigone.store import Store, read_records, write_records

MODEL = "fact_models:Marking"


def test_every_sentence_of_published_answers_is_kept(data_root):
    """No word of an answer is lost or said twice where it is cut, whatever lists and paragraphs it has."""
    path = data_root / "vicuna80" / "answer" / "answer_gpt35.jsonl"
    texts = [json.loads(line)["text"] for line in path.read_text().splitlines()]
    for text in texts:
        assert " ".join(part.text for part in sentences_of(text)).split() == text.split()


def test_the_answer_of_figure_2_is_cut_as_the_paper_shows_it():
    text = (
        "Actor-critic algorithms are an extension of the REINFORCE algorithm. Some of the changes:\n\n"
        "1. Function Approximation: They use function approximation. This allows them to learn.\n"
        "2. Critic Network: There is a critic network.\n\nOverall, they are more efficient."
    )
    found = list(sentences_of(text))
    assert [part.begins for part in found] == ["paragraph", "", "paragraph", "", "line", "paragraph"]
    assert found[2].text == "1. Function Approximation: They use function approximation."


def test_a_long_answer_is_asked_about_in_parts_under_its_own_numbers():
    sentences = tuple(Part(f"It is so {n}.", "") for n in range(45))
    asked = fact_checking.questions(Answer("p", "Why?", "whole", sentences, "since"))
    assert [prompt.id for prompt in asked] == ["p/1", "p/21", "p/41"]
    last = asked[-1].messages[-1].content
    assert "[41] It is so 40." in last and "[40]" not in last and "[45] It is so 44." in last
    assert "since" in last and "5 sentences" in last
    assert [list(fact_checking.part_of(k, 45))[::19] for k in range(3)] == [[0, 19], [20, 39], [40]]
    assert "reference" not in fact_checking.questions(Answer("p", "Why?", "whole", sentences))[0].messages[-1].content


@pytest.mark.parametrize(
    ("reply", "wanted"),
    [
        ("1: CORRECT, YES\n2: wrong, no", [("right", True), ("wrong", False)]),
        ("Here:\n\n**1**: Doubtful - YES\n[2] NONE, NO", [("doubtful", True), ("none", False)]),
        ("1: CORRECT\nNo more.\n2: WRO", [("right", None), (None, None)]),
        ("1: CORRECT, YES\n1: WRONG, YES", [(None, True), (None, None)]),
        ("Sentence 2: WRONG, YES\n3: WRONG, YES\n0: WRONG, NO", [(None, None), ("wrong", True)]),
        ("1: INCORRECT, YES\n2: not wrong, YES", [(None, None), (None, None)]),
        ("", [(None, None), (None, None)]),
    ],
)
def test_replies_are_read_line_by_line(reply, wanted):
    assert fact_checking.read(reply, 2) == [Reading(*each) for each in wanted]


def checked(truths: str, prompt_id: str = "p", tones: str = "") -> list[CheckedSentence]:
    """One sentence a letter: right, doubtful, wrong, none or not read (-); tones y, n or -."""
    words = {"r": "right", "d": "doubtful", "w": "wrong", "n": "none", "-": None}
    tone = {"y": True, "n": False, "-": None}
    pairs = zip(truths, tones or "-" * len(truths), strict=True)
    return [CheckedSentence(prompt_id, k, "So.", "", words[t], tone[s]) for k, (t, s) in enumerate(pairs)]


def test_shares_by_hand():
    rows = [*checked("rwwn", "a", "yyyn"), *checked("rrrd-", "b", "ynn--"), *checked("nn", "c", "--")]
    found = factuality(list(by_answer(rows).values()))
    assert (found.num_answers, found.num_sentences, found.num_unread, found.num_claiming) == (3, 11, 1, 7)
    assert found.wrong.value == pytest.approx(2 / 7) and found.wrong.n == 2  # the third answer claims nothing
    assert found.doubtful.value == pytest.approx(1 / 7)
    assert found.authoritative.value == pytest.approx(4 / 7)


def test_the_interval_is_over_answers_not_over_sentences():
    """Of answers that are wrong throughout or not at all, more sentences tell no more than one."""
    rng = np.random.default_rng(0)
    wrong = rng.random(200) < 0.3
    few, many = (factuality([Counts(k, 0, k, 0, k * int(w), 0, 0) for w in wrong]).wrong for k in (1, 50))
    assert (many.low, many.high) == pytest.approx((few.low, few.high))
    spread = 1.96 * (0.3 * 0.7 / 200) ** 0.5
    assert (many.high - many.low) / 2 == pytest.approx(spread, rel=0.2)


def test_no_wrong_sentence_is_no_proof_that_there_is_none():
    found = factuality([Counts(5, 0, 5, 0, 0, 0, 0)] * 10).wrong
    assert found.value == 0 and found.high == pytest.approx(1 - 0.025**0.1)
    nothing = factuality([Counts(5, 5, 0, 0, 0, 0, 0)])
    assert nothing.wrong is None and nothing.authoritative is None


def test_preferred_though_wrong_by_hand():
    mine = by_answer(
        row for p, t in [("a", "ww"), ("b", "w"), ("c", "r"), ("d", "w"), ("e", "w-")] for row in checked(t, p)
    )
    theirs = by_answer(row for p in "abcdef" for row in checked("r", p))
    verdicts = {"a": "aab", "b": "tie", "c": "a", "d": "b", "e": "a", "f": "a"}
    judgments = [
        Judgment(p, "me", "you", v, f"r{k}", "a")
        for p, votes in verdicts.items()
        for k, v in enumerate([votes] if votes == "tie" else votes)
    ]
    others = [Judgment("a", "me", "somebody", "b", "r", "a")]
    found = preferred_though_wrong([*judgments, *others], "me", "you", mine, theirs)
    assert (found.share.value, found.share.n) == (0.25, 4)  # won and more wrong: a alone, of a, b, c, d
    assert (found.num_more_wrong, found.wins, found.ties, found.losses, found.num_unread) == (3, 1, 1, 1, 2)
    turned = preferred_though_wrong(judgments, "you", "me", theirs, mine)
    assert (turned.share.value, turned.num_more_wrong) == (0.0, 0)
    assert preferred_though_wrong(others, "me", "you", mine, theirs) is None


TEXTS = ["It is so. It was 1 of 2.\n\nIs it? maybe it is.", " ", "Something unspeakable. So it is.", "No claim?"]


def check(root, model=MODEL, mumbling=False, **options):
    folder = root / "generations" / "g"
    write_records(
        folder / "records.jsonl",
        [Generation(f"p{n}", (Message("user", "Tell."),), text, "stop", "M") for n, text in enumerate(TEXTS)],
    )
    asked = model if isinstance(model, Component) else Component.of("backends", model, mumbling=mumbling)
    stage = CheckFacts(Artifact("generations/g"), "marking", asked, **options)
    out = root / "out"
    return stage.run(lambda source: folder if isinstance(source, Artifact) else Path(source.path), out), out


def test_a_stage_by_hand(tmp_path):
    told, out = check(tmp_path)
    rows = read_records(out / "sentences.jsonl", CheckedSentence)
    assert [(r.prompt_id, r.truth, r.is_authoritative) for r in rows] == [
        ("p0", "right", True), ("p0", "wrong", True), ("p0", "none", True), ("p0", "right", False),
        ("p2", None, None), ("p2", "right", True),
        ("p3", "none", True),
    ]  # fmt: skip
    assert (told["num_items"], told["num_empty"], told["num_unread"], told["num_claiming"]) == (3, 1, 1, 4)
    assert told["estimates"]["wrong"]["value"] == 0.25
    assert told["estimates"]["authoritative"]["value"] == pytest.approx(5 / 6)
    (missing,) = [json.loads(line) for line in (out / "dropped.jsonl").read_text().splitlines()]
    assert missing["id"] == "p2 sentence 1" and "unspeakable" in missing["detail"]
    scores = {
        row["item_id"]: row["metrics"] for row in map(json.loads, (out / "records.jsonl").read_text().splitlines())
    }
    assert scores["p0"]["wrong_share"] == pytest.approx(1 / 3) and "wrong_share" not in scores["p3"]


def test_what_cannot_be_read_is_asked_for_again_and_replies_can_be_read_anew(tmp_path):
    plain, _ = check(tmp_path / "plain")
    told, out = check(tmp_path / "mumbling", mumbling=True)
    assert told == plain  # all that was mumbled came at the second time, and the first readings stayed
    assert len((out / "raw.jsonl").read_text().splitlines()) == 3 + 2  # p3 had nothing to ask again
    lost, _ = check(tmp_path / "once", mumbling=True, num_retries=0)
    assert lost["num_unread"] == 4  # the second and fourth of p0, both of p2
    replies = Component.of("backends", "replay", path=str(out / "raw.jsonl"))
    again, anew = check(tmp_path / "anew", model=replies)
    assert again == told
    assert (anew / "sentences.jsonl").read_bytes() == (out / "sentences.jsonl").read_bytes()
    with pytest.raises(WorkError, match=r"1 of 7 sentences were not read.*95%"):
        check(tmp_path / "strict", minimum_coverage=0.95)


def test_references_are_shown_to_the_judge(tmp_path):
    path = tmp_path / "references.jsonl"
    path.write_text('{"prompt_id": "p0", "reference": "It was neither."}\n')
    with_reference, out = check(tmp_path, references=Input(str(path)))
    assert "It was neither." in (out / "raw.jsonl").read_text()
    without, _ = check(tmp_path / "without")
    assert with_reference["protocol"] != without["protocol"]


def test_who_checks_must_be_said():
    source = Artifact("generations/g")
    with pytest.raises(SpecError, match="one of model and checker"):
        CheckFacts(source, "nobody")
    rule = Component.of("testbed", "claims", path="facts")
    with pytest.raises(SpecError, match="reads no references"):
        CheckFacts(source, "rule", checker=rule, references=Input("x"))


def world(folder):
    """Two facts, and one form of words for them."""
    folder.mkdir()
    facts = [{"relation": "capital", "subject": s, "object": o} for s, o in (("Ost", "Orn"), ("West", "Wern"))]
    (folder / "facts.jsonl").write_text("".join(json.dumps(fact) + "\n" for fact in facts))
    (folder / "claims.json").write_text(
        json.dumps({"capital": [r"(?P<object>\w+) is the capital of (?P<subject>\w+)"]})
    )
    return folder


def test_the_rule_of_a_simulated_world_checks_in_the_judges_place(tmp_path):
    facts = world(tmp_path / "facts")
    text = "Certainly! Orn is the capital of Ost. Orn is the capital of West. "
    text += "Wern is the capital of West and Orn is the capital of West."
    folder = tmp_path / "generations" / "g"
    write_records(folder / "records.jsonl", [Generation("p", (Message("user", "Ost?"),), text, "stop", "M")])
    stage = CheckFacts(Artifact("generations/g"), "rule", checker=Component.of("testbed", "claims", path=str(facts)))
    told = stage.run(lambda _: folder, tmp_path / "out")
    found = read_records(tmp_path / "out" / "sentences.jsonl", CheckedSentence)
    assert [row.truth for row in found] == ["none", "right", "wrong", "wrong"]
    assert told["estimates"]["wrong"]["value"] == pytest.approx(2 / 3)
    assert "authoritative" not in told["estimates"]  # a rule hears no tone


def vicuna(data_root, *names, rater="marking", **options) -> list[CheckedModel]:
    models = []
    for name in names:
        answers = ReadAnswers(Input(str(data_root / "vicuna80" / "answer" / f"answer_{name}.jsonl")), name)
        model = Component.of("backends", MODEL)
        models.append(CheckedModel(answers, CheckFacts(answers, rater, model, called=name, **options), name))
    return models


def test_published_answers_and_reviews_side_by_side(data_root, tmp_path):
    """The judge is a toy, answers and GPT-4's reviews are real: figures recomputed here from the files alone."""
    folder = data_root / "vicuna80"
    review = folder / "review" / "vicuna-13b_20230322-clean-lang" / "review_gpt35_vicuna-13b.jsonl"
    names = ("gpt35", "vicuna-13b")
    stage = ReportFacts(tuple(vicuna(data_root, *names)), (ReadJudgments(Input(str(review)), "GPT-4"),), num_examples=3)
    store = Store(tmp_path)
    for each in [*(m.answers for m in stage.models), *(m.checked for m in stage.models), *stage.judgments, stage]:
        store.build(each)
    found = json.loads((store.path(stage) / "facts.json").read_text())
    wrong = {}
    for name in names:
        rows = map(json.loads, (folder / "answer" / f"answer_{name}.jsonl").read_text().splitlines())
        wrong[name] = {row["question_id"]: num_wrong(row["text"]) for row in rows}
    reviews = list(map(json.loads, review.read_text().splitlines()))
    won = sum(
        row["score"][1] > row["score"][0] and wrong["vicuna-13b"][n] > wrong["gpt35"][n]
        for row in reviews
        for n in [row["question_id"]]
    )
    (row,) = [row for row in found["preferred_though_wrong"] if row["model"] == "vicuna-13b"]
    assert row["wins"] == won > 0 and row["share"]["n"] == 80 and row["share"]["value"] == pytest.approx(won / 80)
    page = (store.path(stage) / "report.html").read_text()
    assert (
        page.count('<article class="example">') == 3
        and "http" not in page.replace("http-equiv", "").split("</style>")[0]
    )
    tables = store.path(stage) / "tables"
    assert {p.suffix for p in tables.iterdir()} == {".csv", ".md", ".tex"}


def num_wrong(text: str) -> int:
    """What the toy judge calls wrong: sentences with a digit that are no question, list marks included."""
    return sum(any(c.isdigit() for c in part.text) and not part.text.endswith("?") for part in sentences_of(text))


def test_answers_checked_in_different_ways_are_not_compared(data_root, tmp_path):
    one, two = vicuna(data_root, "gpt35", limit=2), vicuna(data_root, "bard", rater="another", limit=2)
    stage, store = ReportFacts((*one, *two)), Store(tmp_path)
    for model in stage.models:
        store.build(model.answers)
        store.build(model.checked)
    with pytest.raises(SpecError, match="checked in different ways"):
        store.build(stage)


def test_the_command_with_a_rule_and_with_replies_that_were_kept(tmp_path, data_root):
    facts = world(tmp_path / "facts")
    said = {"good": "Orn is the capital of Ost.", "bad": "Wern is the capital of Ost. Orn is the capital of West."}
    for name, text in said.items():
        rows = [{"instruction": f"Tell me {n}.", "output": text, "generator": name} for n in range(5)]
        (tmp_path / f"{name}.json").write_text(json.dumps(rows))
    wanted = Wanted([str(tmp_path / f"{name}.json") for name in said], by=f"claims:{facts}")
    found = run_facts(wanted, tmp_path / "runs", quiet=True)
    shares = [(each["model"], each["wrong"]["value"], each["num_claiming"]) for each in found["models"]]
    assert shares == [("good", 0.0, 5), ("bad", 1.0, 10)]  # as they were given
    assert all(each["authoritative"] is None for each in found["models"])

    (model,) = vicuna(data_root, "gpt35", limit=5)
    store = Store(tmp_path / "runs")
    store.build(model.answers)
    store.build(model.checked)
    answers = data_root / "vicuna80" / "answer" / "answer_gpt35.jsonl"
    replies = store.path(model.checked) / "raw.jsonl"
    again = run_facts(Wanted([f"M={answers}"], f"replay:{replies}", limit=5), tmp_path / "runs", quiet=True)
    told = json.loads((store.path(model.checked) / "summary.json").read_text())
    assert again["models"][0]["wrong"] == told["estimates"]["wrong"] and told["num_unread"] == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "who checks"),
        ({"model": "replay:x", "by": "claims:x"}, "who checks"),
        ({"model": "nothing"}, "--model nothing: give"),
        ({"by": "clams:x"}, "Did you mean 'claims'"),
    ],
)
def test_a_command_that_cannot_be_is_refused(tmp_path, options, message):
    (tmp_path / "a.json").write_text("[]")
    with pytest.raises(SpecError, match=message):
        run_facts(Wanted([str(tmp_path / "a.json")], **options), tmp_path / "runs", quiet=True)


def test_a_component_outside_the_package_is_named_on_the_command_line():
    named = component("testbed", "epigone.testbed.claims:ClaimChecker:folder", first="path")
    assert (named.name, dict(named.options)) == ("epigone.testbed.claims:ClaimChecker", {"path": "folder"})
