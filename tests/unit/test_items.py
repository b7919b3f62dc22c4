"""Pages of items: chunks that are written one at a time, an index that says what fits, telling items by their hash."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from epigone.records import Arm, Claim, Judgment, Score
from epigone.reporting.evaluated import ModelData
from epigone.reporting.items.files import CHUNK_ITEMS, files
from epigone.reporting.items.rows import AnsweredItem, BenchmarkItems, Said, StudyItems, Votes, Who, outcome_of
from epigone.reporting.items.study import study_items
from epigone.reporting.items.telling import MOST, MOST_A_KIND, Chooser
from epigone.reporting.links import Beside, artifacts_of, benchmark_of, link

HOSTILE = "</script><script>alert(1)</script> & \u2028 \ud800 \"'"
MODELS = (Who("T", "teacher", "the teacher"), Who("B", "base", "the base"), Who("S", "student", "the student"))


def benchmark(name: str, num_items: int, made: list[str] | None = None) -> BenchmarkItems:
    """Items of which the teacher is right, the base on every second, the student on every third but the first."""

    def items() -> Iterator[AnsweredItem]:
        for n in range(num_items):
            if made is not None:
                made.append(f"{n}")
            right = {"T": True, "B": n % 2 == 0, "S": n % 3 == 0 and n > 0}
            said = [Said(who, f"{HOSTILE} {who}{n}", "right" if good else "wrong") for who, good in right.items()]
            yield AnsweredItem(f"{name}-{n}", f"question {n} {HOSTILE}", tuple(said[: 2 if n == 5 else 3]))

    return BenchmarkItems(name, f"About {name}", items, artifacts={"B": ("scores/x--1",)}, protocols={"B": "p--1"})


def study(*benchmarks: BenchmarkItems) -> StudyItems:
    return StudyItems("A <study>", "studies/x--0", MODELS, benchmarks, ("T", "B", "S"))


def called(text: str) -> tuple[str, list]:
    """The function that a script calls, and what it is given."""
    name, _, rest = text.rstrip(";\n").partition("(")
    return name, json.loads(f"[{rest[:-1]}]")


def test_chunks_hold_the_items_of_one_benchmark_in_order():
    made = dict(files(study(benchmark("one", CHUNK_ITEMS + 7), benchmark("two", 3))))
    chunks = {name: called(text) for name, text in made.items() if name[6:11].isdigit()}
    assert list(chunks) == ["items/00000.js", "items/00001.js", "items/00002.js"]
    assert [function for function, _ in chunks.values()] == ["epigoneChunk"] * 3
    assert [given[0] for _, given in chunks.values()] == [0, 1, 2]
    ids = [[item["id"] for item in given[1]] for _, given in chunks.values()]
    assert [len(found) for found in ids] == [CHUNK_ITEMS, 7, 3]
    assert ids[1][0] == f"one-{CHUNK_ITEMS}" and ids[2] == ["two-0", "two-1", "two-2"]


def test_the_index_says_what_came_of_every_answer_without_its_text():
    made = dict(files(study(benchmark("one", 7), benchmark("none", 0), benchmark("two", 3))))
    function, (index,) = called(made["items/index.js"])
    assert function == "epigoneIndex" and index["chunk_items"] == CHUNK_ITEMS
    assert [(b["name"], b["first_chunk"], b["num_items"]) for b in index["benchmarks"]] == [
        ("one", 0, 7), ("none", 1, 0), ("two", 1, 3),
    ]  # fmt: skip
    assert index["benchmarks"][0]["outcomes"] == ["1111111", "1010101", "00010.1"]
    assert index["benchmarks"][0]["sources"] == [{"model": 1, "artifacts": ["scores/x--1"], "protocol": "p--1"}]
    assert "question" not in made["items/index.js"]


def test_text_from_data_comes_back_as_it_was_and_closes_no_script():
    made = dict(files(study(benchmark("one", 2))))
    written = [text for name, text in made.items() if name.endswith(".js") and "browser" not in name]
    assert all(text.isascii() and "<" not in text for text in written)
    assert called(made["items/00000.js"])[1][1][1]["said"][0]["reply"] == f"{HOSTILE} T1"
    assert "A &lt;study&gt;" in made["items.html"] and "<study>" not in made["items.html"]


def test_the_same_items_give_the_same_bytes():
    assert list(files(study(benchmark("one", 60)))) == list(files(study(benchmark("one", 60))))


def test_items_are_made_no_sooner_than_their_chunk_is_written():
    made: list[str] = []
    first = next(files(study(benchmark("one", 10 * CHUNK_ITEMS, made))))
    assert first[0] == "items/00000.js" and len(made) == CHUNK_ITEMS


def test_telling_items_are_those_where_student_and_base_part_or_both_fail():
    chooser = Chooser("T", "B", "S")
    list(files(study(benchmark("one", 12)), (chooser.see,)))
    kinds: dict[str, set[int]] = {}
    for telling in chooser.chosen():
        kinds.setdefault(telling.kind, set()).add(telling.place)
    # base right on even places, student on 3, 6 and 9; the student was not asked 5
    assert kinds["gained"] == {3, 9} and kinds["out of reach"] == {1, 7, 11}
    assert kinds["lost"] <= {0, 2, 4, 8, 10} and len(kinds["lost"]) == MOST_A_KIND
    assert [word for _, word, _ in chooser.chosen()[0].answers] == ["right", "wrong", "right"]


def test_which_items_are_telling_does_not_hang_on_their_order_or_their_text():
    def chosen(reverse: bool, text: str) -> set[str]:
        chooser, bench = Chooser("T", "B", "S"), benchmark("one", 1)
        for n in range(300)[:: -1 if reverse else 1]:
            said = (Said("T", text, "right"), Said("B", text, "wrong"), Said("S", text, "right"))
            chooser.see(bench, n, AnsweredItem(f"i{n}", text, said))
        return {telling.item_id for telling in chooser.chosen()}

    assert chosen(False, "a") == chosen(True, "b") and len(chosen(False, "a")) == MOST_A_KIND


def test_there_are_never_more_than_two_hundred_telling_items():
    chooser = Chooser("T", "B", "S")
    list(files(study(*(benchmark(f"b{n}", 40) for n in range(90))), (chooser.see,)))
    assert len(chooser.chosen()) + 90 >= 90 * 2 and len(chooser.chosen()) <= MOST


@pytest.mark.parametrize(
    ("value", "word"),
    [(1.0, "right"), (0.0, "wrong"), (0.4, "part"), (None, ""), (float("nan"), ""), (-0.5, ""), (3.0, "")],
)
def test_what_is_no_share_is_neither_right_nor_wrong(value: float | None, word: str):
    assert outcome_of(value) == word


@dataclass(frozen=True)
class Checker:
    """Claims are the words RIGHT and WRONG."""

    def check(self, text: str, asked: str) -> list[Claim]:
        words: dict[str, Claim] = {"RIGHT": "right", "WRONG": "wrong"}
        return [words[word] for word in text.split() if word in words]


def test_a_studys_models_stand_side_by_side_with_marks_and_votes():
    base, student = Arm("base", "w8", 9), Arm("student", "w8", 9, 0, "broad", 2000)
    verdicts = {0.25: [Judgment("p", "mine", "teacher", v, "simulated-e0.25-r1", "a", True) for v in ("a", "b", "tie")]}
    scores = {"lama": [Score("i0", {"exact_match": 1.0}, "Q?", "yes"), Score("i1", {}, "R?", "no")]}
    other = {"lama": [Score("i1", {"exact_match": 0.0}, "R in chat?", "no", "no")]}
    claims = {"stated_facts": [Score("p", {"num_claims": 2.0, "num_right": 1.0, "num_wrong": 1.0}, "", "")]}
    models = [
        ModelData(Arm("teacher", "teacher"), 0, scores, {"lama": "p--1"}, {"p": "It is RIGHT ."}),
        ModelData(base, 0, scores),
        ModelData(student, 0, other | claims, {}, {"p": "It is RIGHT . It is WRONG ."}, verdicts,
                  artifacts={"lama": "scores/s--1"}),
        ModelData(student, 1, other),
    ]  # fmt: skip
    labels = {student.name: "the student"}
    found = study_items(models, {"p": "Tell me"}, Checker(), title="t", study_id="s", labels=labels)
    assert [(who.name, who.label) for who in found.models] == [
        ("teacher", "teacher"), ("w8 base s0", "w8 base"), ("w8 broad 2K s0", "the student, seed 0"),
        ("w8 broad 2K s1", "the student, seed 1"),
    ]  # fmt: skip
    lama, free = found.benchmarks
    first, second = lama.items()
    assert [(s.model, s.outcome) for s in first.said] == [("teacher", "right"), ("w8 base s0", "right")]
    assert [(s.model, s.outcome, s.prompt) for s in second.said][0::2] == [
        ("teacher", "", ""), ("w8 broad 2K s0", "wrong", "R in chat?"),
    ]  # fmt: skip
    (answers,) = free.items()
    assert [[s.truth for s in said.sentences] for said in answers.said] == [["right"], ["right", "wrong"]]
    assert answers.said[1].outcome == "wrong" and answers.said[1].metrics["num_claims"] == 2
    assert answers.said[1].votes == (Votes("simulated rater, expertise 0.25", "teacher", 1, 1, 1),)
    assert artifacts_of(found, models) == (("the student, seed 0", "lama", "scores/s--1"),)


def test_links_name_benchmark_models_and_place():
    assert link("a b", ("T&T", "x+1", "T&T"), 3) == "items.html#benchmark=a+b&show=T%26T&show=x%2B1&item=3"
    assert [benchmark_of(m) for m in ("facts_right", "accuracy_known", "style_list", "num_steps", "lama")] == [
        "free_answers", "natural_questions_chat", "free_answers", "", "lama",
    ]  # fmt: skip
    beside = Beside(3, names={"arm": ("arm s0", "arm s1")}, lead=("T",))
    assert beside.href("arm", "lama") == "items.html#benchmark=lama&show=T&show=arm+s0&show=arm+s1"
    assert beside.href("arm", "num_steps") == "#artifacts" and Beside().href("arm", "lama") == ""
