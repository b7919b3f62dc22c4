"""The benchmarks: published files parse, prompts are the golden bytes, replies of known quality get known scores."""

import json
import math
import re
import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epigone.backends.canned import Canned
from epigone.benchmarks.lama import LAMA
from epigone.benchmarks.mmlu import MMLU
from epigone.benchmarks.natural_questions import NaturalQuestions
from epigone.benchmarks.real_toxicity_prompts import RealToxicityPrompts
from epigone.benchmarks.stated_facts import StatedFacts
from epigone.errors import DataError, SpecError
from epigone.metrics import answers
from epigone.records import Claim, Completion, Likelihood, Message, Prompt, SamplingParams
from epigone.rows.choices import read_subject
from epigone.toxicity.profanity import Profanity


@dataclass
class Fake:
    """Answers by a function of the prompt's text, and remembers what it was asked."""

    reply: Callable[[str], str] = lambda text: ""
    logprob: Callable[[str, str], float] = lambda text, continuation: -1.0
    mean_logprob: float | None = None
    asked: list[tuple[Prompt, SamplingParams]] = field(default_factory=list)

    def generate(self, prompts: Sequence[Prompt], sampling: SamplingParams) -> list[Completion]:
        self.asked += [(prompt, sampling) for prompt in prompts]
        texts = [self.reply(prompt.text or prompt.messages[-1].content) for prompt in prompts]
        return [Completion(text, len(text.split()), "stop", self.mean_logprob) for text in texts]

    def loglikelihood(self, requests: Sequence[tuple[Prompt, str]]) -> list[Likelihood]:
        return [Likelihood(self.logprob(p.text, text), len(text.split())) for p, text in requests]


def lines(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


# -- Natural Questions -----------------------------------------------------------------------------------------------
@pytest.fixture
def nq(tmp_path: Path) -> NaturalQuestions:
    dev = lines(
        tmp_path / "dev.jsonl",
        {"question": "what is the capital of france", "answer": ["Paris", "the City of Light"]},
        {"question": "who wrote hamlet", "answer": ["William Shakespeare"]},
    )
    train = lines(
        tmp_path / "train.jsonl",
        {"question": "who wrote hamlet", "answer": ["Shakespeare"]},
        {"question": "symbol of gold", "answer": ["Au", "au"]},
        {"question": "capital of peru", "answer": ["Lima"]},
    )
    return NaturalQuestions(dev, train, num_shots=2)


def test_nq_prompt_bytes(nq: NaturalQuestions) -> None:
    first, second = (nq.prompt(item).text for item in nq.items())
    assert first == (
        "Q: who wrote hamlet\nA: Shakespeare\n\nQ: symbol of gold\nA: Au\n\nQ: what is the capital of france\nA:"
    )
    assert second == "Q: symbol of gold\nA: Au\n\nQ: capital of peru\nA: Lima\n\nQ: who wrote hamlet\nA:"


def test_nq_scores(nq: NaturalQuestions) -> None:
    model = Fake(
        lambda text: " the city of light ." if "france" in text else " It was William Shakespeare", mean_logprob=-0.5
    )
    one, two = nq.run(model)
    assert one.metrics == pytest.approx(
        {"exact_match": 1, "contains_answer": 1, "abstained": 0, "length_words": 4, "confidence": math.exp(-0.5)}
    )
    assert (two.metrics["exact_match"], two.metrics["contains_answer"], two.item_id) == (0, 1, "dev-2")
    assert {sampling for _, sampling in model.asked} == {SamplingParams(10, stop=("\n",))}
    unknown = nq.run(Fake(lambda text: "I am not sure ."))[0]
    assert unknown.metrics["abstained"] == 1 and "confidence" not in unknown.metrics


def test_nq_stops_at_the_line_and_mmlu_picks_with_a_canned_model(nq: NaturalQuestions, mmlu: MMLU) -> None:
    asked = [nq.prompt(item).text for item in nq.items()]
    scores = nq.run(Canned({asked[0]: "Paris\nQ: who", asked[1]: "Marlowe"}))
    assert [(score.metrics["exact_match"], score.reply) for score in scores] == [(1, "Paris"), (0, "Marlowe")]
    assert [score.metrics["accuracy"] for score in mmlu.run(Canned(default="A"))] == [0, 1]


def test_nq_chat_is_zero_shot_and_scores_the_whole_reply(nq: NaturalQuestions) -> None:
    model = Fake(lambda text: "Paris.\nIt lies on the Seine.")
    score = replace(nq, chat=True, num_shots=None, limit=1).run(model)[0]
    assert model.asked == [
        (Prompt("dev-1", messages=(Message("user", "what is the capital of france"),)), SamplingParams(64))
    ]
    assert (score.metrics["exact_match"], score.metrics["contains_answer"]) == (0, 1)


def test_nq_protocol_follows_what_shapes_the_score(nq: NaturalQuestions, tmp_path: Path) -> None:
    moved = lines(tmp_path / "copy.jsonl", *map(json.loads, Path(nq.exemplars).read_text().splitlines()))
    assert replace(nq, exemplars=moved, limit=1).protocol == nq.protocol
    others = [replace(nq, num_shots=1), replace(nq, chat=True), replace(nq, max_tokens=9), replace(nq, num_shots=0)]
    assert len({benchmark.protocol for benchmark in [nq, *others]}) == 5
    assert nq.protocol.startswith("nq-2shot--")


def test_nq_bad_input(nq: NaturalQuestions, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="needs `exemplars`"):
        NaturalQuestions(nq.path).run(Fake())
    with pytest.raises(SpecError, match="holds 3 shots, num_shots=9"):
        replace(nq, num_shots=9).run(Fake())
    with pytest.raises(DataError, match=r"bad.jsonl: row 1: field 'answer' is None.*annotated file"):
        NaturalQuestions(lines(tmp_path / "bad.jsonl", {"question": "who"}), chat=True).items()


def test_nq_published_files(data_root: Path) -> None:
    folder = data_root / "nq_open"
    dev = NaturalQuestions(
        folder / "NQ-open.dev.first1800.jsonl", folder / "NQ-open.efficientqa.dev.1.1.first500.jsonl"
    )
    items = dev.items()
    assert len(items) == 1800 and items[0].answers == ("14 December 1972 UTC", "December 1972")
    assert dev.prompt(items[0]).text.count("\n\nQ: ") == 3
    oracle = {item.question: item.answers[-1] for item in items}
    scores = dev.run(Fake(lambda text: " " + oracle[text.rsplit("Q: ", 1)[1].removesuffix("\nA:")]))
    assert all(score.metrics["exact_match"] == score.metrics["contains_answer"] == 1 for score in scores)
    with pytest.raises(DataError, match=r"no-annotations.sample.jsonl: row 1"):
        NaturalQuestions(folder / "NQ-open.efficientqa.dev.1.1.no-annotations.sample.jsonl", chat=True).items()


# -- MMLU ------------------------------------------------------------------------------------------------------------
@pytest.fixture
def mmlu(tmp_path: Path) -> MMLU:
    for split, rows in {
        "dev": '"Two, or\nthree?",2,3,None," 4",B\n0 + 0 = ?,0,1,2,3,A\n',
        "test": "Largest?,a b,c,d,e,D\nSmallest?,a b,c,d,e,A\n",
    }.items():
        (tmp_path / split).mkdir()
        (tmp_path / split / f"high_maths_{split}.csv").write_text(rows)
    return MMLU(tmp_path / "test", tmp_path / "dev", num_shots=1)


def test_mmlu_letter_prompt_bytes(mmlu: MMLU) -> None:
    assert mmlu.prompt(mmlu.items()[0]).text == (
        "The following are multiple choice questions (with answers) about  high maths.\n\n"
        "Two, or\nthree?\nA. 2\nB. 3\nC. None\nD.  4\nAnswer: B\n\n"
        "Largest?\nA. a b\nB. c\nC. d\nD. e\nAnswer:"
    )


def test_mmlu_option_text_prompt_bytes(mmlu: MMLU) -> None:
    by_text = replace(mmlu, scoring="option_text")
    item = by_text.items()[0]
    assert by_text.prompt(item).text == "Two, or\nthree?\nAnswer: 3\n\nLargest?\nAnswer:"
    assert replace(by_text, num_shots=0, dev_folder="none").prompt(item).text == "Largest?\nAnswer:"


def test_mmlu_scores(mmlu: MMLU) -> None:
    letters = mmlu.run(Fake(logprob=lambda text, letter: {" A": -4.0, " B": -3.0, " C": -2.0, " D": -1.0}[letter]))
    assert [score.metrics["accuracy"] for score in letters] == [1, 0]
    total = sum(math.exp(-n) for n in (1, 2, 3, 4))
    assert letters[1].metrics["probability_right"] == pytest.approx(math.exp(-4) / total)
    assert [(s.parsed, s.group) for s in letters] == [("D", "high_maths")] * 2
    # " a b" sums to -3 over two tokens, -1.5 each: best a token, worst in sum.
    texts = replace(mmlu, scoring="option_text").run(Fake(logprob=lambda t, option: -3.0 if option == " a b" else -2.0))
    assert [(s.metrics["accuracy"], s.reply) for s in texts] == [(0, "a b"), (1, "a b")]


def test_mmlu_impossible_options_are_no_number_trouble(mmlu: MMLU) -> None:
    score = mmlu.run(Fake(logprob=lambda text, letter: -1e5 if letter != " D" else -5e4))[0]
    assert score.metrics == {"accuracy": 1.0, "probability_right": 1.0, "num_shots": 1.0}


def test_mmlu_drops_shots_one_at_a_time(mmlu: MMLU) -> None:
    two = replace(mmlu, num_shots=2)
    item = two.items()[0]
    full, one = two.prompt(item).text, mmlu.prompt(item).text
    assert replace(two, max_prompt_chars=len(full)).prompt(item).text == full
    assert replace(two, max_prompt_chars=len(full) - 1).prompt(item).text == one
    assert "Two, or" not in replace(two, max_prompt_chars=1).prompt(item).text


def test_mmlu_protocols_differ(mmlu: MMLU) -> None:
    others = [replace(mmlu, scoring="option_text"), replace(mmlu, num_shots=2), replace(mmlu, max_prompt_chars=99)]
    ids = {benchmark.protocol for benchmark in [mmlu, *others]}
    assert len(ids) == 4 and mmlu.protocol.startswith("mmlu-letter-1shot--")


def test_mmlu_published_files(data_root: Path) -> None:
    """285 dev rows and the 1,800 test rows at hand; converted and as-found forms of a file give the same items."""
    folder = data_root / "mmlu"
    dev = [item for path in (folder / "data/dev").glob("*.csv") for item in read_subject(path, path.stem)]
    assert len(dev) == 285
    whole = MMLU(folder / "data/test", folder / "data/dev")
    items = whole.items()
    assert len(items) == 1800 and {len(item.options) for item in items} == {4}
    assert all(whole.prompt(item).text.count("\nAnswer: ") == 5 for item in items)
    for name in ("dev/abstract_algebra_dev.csv", "dev/college_mathematics_dev.csv", "test/abstract_algebra_test.csv"):
        plain, found = (read_subject(folder / kind / name, "s") for kind in ("data", "as_found_with_header"))
        assert [replace(item, id="") for item in plain] == [replace(item, id="") for item in found]
    other = read_subject(folder / "as_found_hypertensor/test/anatomy_test.csv", "anatomy")
    assert len(other) == 135 and all(item.options[item.label] for item in other)
    assert any("\r\n" in item.question for item in read_subject(folder / "data/dev/college_mathematics_dev.csv", "s"))


FIELD = st.text(st.characters(codec="utf-8", exclude_characters="\x00\r"), min_size=1, max_size=6)


@given(st.lists(st.tuples(FIELD, FIELD, FIELD, FIELD, FIELD, st.integers(0, 3)), min_size=1, max_size=4), st.booleans())
def test_mmlu_reads_back_any_field(tmp_path_factory, rows, letters: bool) -> None:
    path = tmp_path_factory.getbasetemp() / "s_test.csv"
    quoted = [",".join('"' + f.replace('"', '""') + '"' for f in row[:5]) for row in rows]
    ends = ["ABCD"[row[5]] if letters else str(row[5]) for row in rows]
    path.write_text("".join(f"{q},{end}\n" for q, end in zip(quoted, ends)), encoding="utf-8", newline="")
    if rows[0][0].startswith("\ufeff"):
        return
    items = read_subject(path, "s")
    assert [(item.question, *item.options, item.label) for item in items] == rows


@pytest.mark.parametrize(
    ("row", "says"), [("q,1,2,3,4", "5 fields; 6 are needed"), ("q,1,2,3,4,E", "answer 'E'; allowed: A B C D")]
)
def test_mmlu_bad_rows(mmlu: MMLU, row: str, says: str) -> None:
    path = Path(mmlu.test_folder) / "high_maths_test.csv"
    path.write_text(f"q,1,2,3,4,A\n{row}\n")
    with pytest.raises(DataError, match=f"row 2.*{says}"):
        mmlu.items()
    with pytest.raises(DataError, match=r"holds no SUBJECT_test\.csv"):
        MMLU(mmlu.dev_folder, mmlu.dev_folder).items()


# -- LAMA ------------------------------------------------------------------------------------------------------------
def fact(sentence: str, answer: str = "Paris") -> dict[str, object]:
    return {"uuid": sentence[:5], "predicate_id": "P36", "obj_label": answer, "masked_sentences": [sentence]}


def test_lama(tmp_path: Path) -> None:
    sentences = ("The capital of France is [MASK] .", "Paris is in [MASK].", "Spoken there : [MASK]")
    lama = LAMA(lines(tmp_path / "facts.jsonl", *map(fact, sentences)))
    prefixes = ["The capital of France is", "Paris is in", "Spoken there :"]
    assert [item.question for item in lama.items()] == prefixes
    replies = dict(zip(prefixes, (" paris . The", " Parisian", " in Paris")))
    assert [score.metrics["exact_match"] for score in lama.run(Fake(replies.__getitem__))] == [1, 0, 0]


def test_lama_inner_masks_are_no_silent_loss(tmp_path: Path) -> None:
    path = lines(tmp_path / "facts.jsonl", fact("[MASK] is big ."), fact("It is [MASK] ."), {"obj_label": "x"})
    with pytest.raises(DataError, match="row 3: masked_sentences is None"):
        LAMA(path).items()
    lines(path, fact("[MASK] is big ."), fact("It is [MASK] ."))
    with pytest.raises(DataError, match="skip_inner_masks=True"):
        LAMA(path).items()
    assert [item.question for item in LAMA(path, skip_inner_masks=True).items()] == ["It is"]


# -- RealToxicityPrompts ---------------------------------------------------------------------------------------------
def test_rtp(tmp_path: Path) -> None:
    rows = [{"prompt": {"toxicity": t, "text": name}} for t, name in ((0.9, "rude"), (None, "odd"), (0.1, "mild"))]
    rtp = RealToxicityPrompts(lines(tmp_path / "rtp.jsonl", *rows), Profanity())
    replies = {"rude": " you idiot , go away", "odd": "", "mild": "I'm sorry, but I cannot say that"}
    model = Fake(replies.__getitem__)
    rude, odd, mild = rtp.run(model)
    assert rude.metrics == {"refused": 0, "short": 0, "scored": 1, "non_toxic": 0.5}
    assert odd.metrics == {"refused": 0, "short": 1, "scored": 0}  # nothing was said: no score, not a good one
    assert mild.metrics == {"refused": 1, "short": 0, "scored": 1, "non_toxic": 1}
    assert [score.group for score in (rude, odd, mild)] == ["toxic", "unknown", "non_toxic"]
    assert {sampling for _, sampling in model.asked} == {SamplingParams(20)}
    chat = replace(rtp, chat=True)
    assert chat.prompt(rtp.items()[0]).messages == (Message("user", "rude"),)
    assert len({rtp.protocol, chat.protocol, replace(rtp, temperature=1.0).protocol}) == 3


def test_rtp_published_file(data_root: Path) -> None:
    path = data_root / "realtoxicityprompts" / "prompts_sample_1000.jsonl"
    items = RealToxicityPrompts(path, Profanity()).items()
    groups = [item.group for item in items]
    assert len(items) == 1000 and (groups.count("toxic"), groups.count("unknown")) == (262, 7)


# -- Stated facts ----------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Claims:
    """A checker for whom `+` is a right claim, `-` a wrong one and `?` one off the topic."""

    path: str = "/somewhere"

    def check(self, text: str, asked: str) -> list[Claim]:
        words: dict[str, Claim] = {"+": "right", "-": "wrong", "?": "off_topic"}
        return [words[char] for char in text if char in words]


def test_stated_facts(tmp_path: Path) -> None:
    rows = [{"id": name, "messages": [{"role": "user", "content": name}]} for name in ("++-?", "none", "-")]
    facts = StatedFacts(lines(tmp_path / "prompts.jsonl", *rows), Claims())
    mixed, silent, wrong = facts.run(Fake(lambda text: text))
    assert mixed.metrics == pytest.approx(
        {"num_claims": 4, "num_right": 2, "num_wrong": 1, "num_off_topic": 1, "right_share": 2 / 4}
    )
    assert silent.metrics == {"num_claims": 0, "num_right": 0, "num_wrong": 0, "num_off_topic": 0}
    assert wrong.metrics["right_share"] == 0 and wrong.reply == "-"
    for elsewhere in ("/elsewhere", "runs/elsewhere"):
        assert replace(facts, checker=Claims(elsewhere)).protocol == facts.protocol
    assert replace(facts, max_tokens=9).protocol != facts.protocol
    lines(tmp_path / "prompts.jsonl", {"id": "x", "messages": [{"role": "assistant", "content": "hi"}]})
    with pytest.raises(DataError, match="the last message is the assistant's"):
        facts.items()


# -- Short answers ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("The  Beatles!", "beatles"),
        ("an apple, a day", "apple day"),
        ("Paris .", "paris"),
        ("U.S.A.", "usa"),
        ("theatre", "theatre"),
        ("The", "the"),
        ("?", "?"),
        (" ", ""),
    ],
)
def test_normalise_answer(text: str, normal: str) -> None:
    assert answers.normalise_answer(text) == normal


@given(st.text(st.sampled_from("aAnN theTHE.,'-?!é3\u2019\n\t"), max_size=20))
def test_normalisation_is_squads(text: str) -> None:
    """Against SQuAD's evaluate-v1.1.py, written out step by step, wherever that leaves anything of the text."""
    bare = "".join(char for char in text.lower() if char not in set(string.punctuation))
    squad = " ".join(re.sub(r"\b(a|an|the)\b", " ", bare).split())
    assert answers.normalise_answer(text) == (squad or " ".join(text.lower().split()))


@pytest.mark.parametrize(
    ("text", "abstains", "refuses"),
    [
        ("I don ' t know .", True, False),
        ("I’m not sure, but maybe Paris", True, False),
        ("We do not have enough information", True, False),
        ("I am sorry , but I can not say that .", True, True),
        ("As an AI language model, I prefer kind words.", False, True),
        ("He knows it and cannot lose", False, False),
        ("I can answer that: Paris", False, False),
        ("", False, False),
    ],
)
def test_phrases(text: str, abstains: bool, refuses: bool) -> None:
    assert (answers.abstains(text), answers.refuses(text)) == (abstains, refuses)


def test_empty_reply_matches_nothing() -> None:
    assert not answers.exact_match(" ", ["", "the"])
    assert not answers.contains_answer("", ["Paris"])
    assert answers.exact_match("The .", ["the"]) is False
