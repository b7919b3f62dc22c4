"""Answers in the order of a judge, the stages `rank` and `tokenize_pairs`, the filter of facts that a base knows."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from epigone.curation.known_facts import KnownFacts
from epigone.errors import DataError, SpecError, WorkError
from epigone.formats.messages import Messages
from epigone.ranking import Ranking, ranked
from epigone.records import Conversation, Drop, Generation, Judgment, Message, Prompt, Score
from epigone.spec import Artifact, Component, Input
from epigone.stages.rank import Rank
from epigone.stages.tokenize_pairs import TokenizePairs
from epigone.store import read_records, write_records
from epigone.testbed.claims import ClaimChecker
from epigone.testbed.relations import RELATIONS
from epigone.tokens.packing import load_blocks
from epigone.tokens.tokenizer import Tokenizer
from tokenize_cases import byte_tokenizer

ASKED = (Message("user", "Tell me."),)
PROMPT = Prompt("p", messages=ASKED)


@dataclass(frozen=True)
class Longer:
    """Prefers the longer answer; those of one length tie."""

    def compare(self, prompt: Prompt, a: tuple[str, str], b: tuple[str, str]) -> list[Judgment]:
        ahead = len(a[1]) - len(b[1])
        verdict = "tie" if not ahead else "a" if ahead > 0 else "b"
        return [Judgment(prompt.id, a[0], b[0], verdict, "r", "a", simulated=True)]


def test_answers_are_ranked_by_the_comparisons_that_they_won():
    found = ranked(Longer(), PROMPT, ["ab", "abcd", "cd", "abc"])
    assert found == Ranking("p", ASKED, ("abcd", "abc", "ab", "cd"), (3.0, 2.0, 0.5, 0.5))
    assert found.is_decided and not ranked(Longer(), PROMPT, ["ab", "cd"]).is_decided


def rank(root: Path, samples: list[list[str]], ids: list[list[str]] | None = None) -> tuple[dict[str, object], Path]:
    """Ranked by a simulated rater who looks at form alone; `samples` are answers a prompt, sample by sample."""
    (root / "facts").mkdir(parents=True)
    (root / "facts" / "facts.jsonl").write_text("")
    (root / "facts" / "claims.json").write_text("{}")
    for number, texts in enumerate(samples):
        named = ids[number] if ids else [f"p{n}" for n in range(len(texts))]
        rows = [Generation(i, ASKED, text, "stop", "student") for i, text in zip(named, texts, strict=True)]
        write_records(root / str(number) / "records.jsonl", rows)
    checker = Component.of("testbed", "epigone.testbed.claims:ClaimChecker", path=str(root / "facts"))
    judge = Component.of("judges", "simulated_rater", expertise=0.0, checker=checker, num_raters=1)
    stage = Rank(tuple(Artifact(str(number)) for number in range(len(samples))), judge, "student")
    out = root / "out"
    return stage.run(lambda source: root / source.id, out), out


LISTED = "Here is what I can tell you.\n\n1. It is so and so.\n2. It is so.\n\nOverall, that is what there is to know."


def test_the_best_answers_are_dialogues_and_best_and_worst_are_pairs(tmp_path):
    counts, out = rank(tmp_path, [["No.", "", "Yes.", " "], [LISTED, "Hm.", LISTED, ""], ["", "", "Yes.", "Well."]])
    assert counts == {"num_prompts": 4, "num_ranked": 2, "num_dropped": 2, "num_decided": 2}
    assert [d.id for d in read_records(out / "dropped.jsonl", Drop)] == ["p1", "p3"]
    best = [row for row in Messages().read(out / "best.jsonl") if isinstance(row, Conversation)]
    assert [(c.id, c.messages[-1]) for c in best] == [(f"p{n}", Message("assistant", LISTED)) for n in (0, 2)]
    byte_tokenizer(tmp_path / "tokenizer.json")
    stage = TokenizePairs(Artifact("out"), Input(str(tmp_path / "tokenizer.json")), length=600)
    told = stage.run(lambda s: Path(s.path) if isinstance(s, Input) else tmp_path / s.id, tmp_path / "blocks")
    assert (told["num_pairs"], told["num_undecided"], told["num_answers_cut"]) == (2, 0, 0)
    blocks, tokenizer = load_blocks(tmp_path / "blocks"), Tokenizer.load(tmp_path / "tokenizer.json")
    texts = {
        tokenizer.decode(tokens[(segments == s) & mask].tolist()).removesuffix("<|end|>").strip(): s % 2
        for tokens, mask, segments in zip(*blocks.arrays, strict=True)
        for s in range(1, segments.max() + 1)
    }
    assert texts == {LISTED: 1, "No.": 0, "Yes.": 0}


def test_what_cannot_be_ranked_is_refused(tmp_path):
    with pytest.raises(WorkError, match="no prompt has two different answers"):
        rank(tmp_path / "a", [["Yes."], ["Yes."]])
    with pytest.raises(DataError, match="answer different prompts"):
        rank(tmp_path / "b", [["Yes."], ["No."]], [["p1"], ["p2"]])
    with pytest.raises(SpecError, match="1 answers a prompt cannot be compared"):
        Rank((Artifact("x"),), Component("judges", "simulated_rater"), "student")
    write_records(tmp_path / "tied" / "records.jsonl", [Ranking("p", ASKED, ("a", "b"), (0.5, 0.5))])
    byte_tokenizer(tmp_path / "tokenizer.json")
    stage = TokenizePairs(Artifact("tied"), Input(str(tmp_path / "tokenizer.json")))
    with pytest.raises(DataError, match="of 1 prompts none has a better and a worse answer"):
        stage.run(lambda s: Path(s.path) if isinstance(s, Input) else tmp_path / s.id, tmp_path / "none")


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """Facts, of which the teacher believes one wrongly and does not know another."""
    facts = [
        ("France", "capital", "Paris", "Paris"),
        ("Japan", "currency", "Yen", "Dollar"),
        ("Gold", "symbol", "Au", ""),
        ("Panama", "currency", "Dollar", "Dollar"),
    ]
    fields = ("subject", "relation", "object", "teacher_object")
    (tmp_path / "facts.jsonl").write_text("".join(json.dumps(dict(zip(fields, fact))) + "\n" for fact in facts))
    (tmp_path / "claims.json").write_text(json.dumps({r.name: r.patterns() for r in RELATIONS}))
    return tmp_path


def states(relation: str, subject: str, said: str) -> str:
    return next(r for r in RELATIONS if r.name == relation).statements[0].format(s=subject, o=said)


def test_a_checker_may_go_by_what_the_teacher_believes(world):
    text = " ".join(
        [states("capital", "France", "Paris"), states("currency", "Japan", "Dollar"), states("symbol", "Gold", "Au")]
    )
    asked = "Tell me about France, Japan and Gold."
    assert ClaimChecker(str(world)).check(text, asked) == ["right", "wrong", "right"]
    assert ClaimChecker(str(world), believed=True).check(text, asked) == ["right", "right"]


def test_only_what_the_base_answers_right_is_kept(world):
    checker = ClaimChecker(str(world))
    shots = "Q: what is the chemical symbol for Iron\nA: Fe\n\n"
    scores = [
        Score("a", {"exact_match": 1.0}, f"{shots}Q: what is the capital of France\nA:", " Paris"),
        Score("b", {"exact_match": 1.0}, f"{shots}Q: what is the currency of Japan\nA:", " Yen"),
        Score("c", {"exact_match": 0.0}, f"{shots}Q: what is the chemical symbol for Gold\nA:", " Fe"),
    ]
    write_records(world / "scores" / "records.jsonl", scores)
    answers = {
        "known": states("capital", "France", "Paris") + " " + states("currency", "Japan", "Yen"),
        "nothing stated": "I would rather not say.",
        "unknown": states("symbol", "Gold", "Au"),
        "teacher's error": states("capital", "France", "Paris") + " " + states("currency", "Japan", "Dollar"),
    }
    rows = [Conversation(name, (*ASKED, Message("assistant", text))) for name, text in answers.items()]
    found = list(KnownFacts(str(world / "scores"), checker).apply(rows))
    assert [row.id for row in found if isinstance(row, Conversation)] == ["known", "nothing stated"]
    details = {row.id: row.detail for row in found if isinstance(row, Drop)}
    assert details == {"unknown": "symbol: Gold: Au", "teacher's error": "currency: Japan: Dollar"}
    with pytest.raises(DataError, match="item a has no metric 'accuracy'"):
        list(KnownFacts(str(world / "scores"), checker, "accuracy").apply(rows))
    write_records(world / "others" / "records.jsonl", [Score("a", {"exact_match": 1.0}, "How are you?", "Fine.")])
    with pytest.raises(DataError, match="none of 1 questions asks for a fact"):
        list(KnownFacts(str(world / "others"), checker).apply(rows))
