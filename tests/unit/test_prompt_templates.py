"""Templates: the paper's bytes, what is read out of replies of any shape, files that cannot be used."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epigone import discover
from epigone.errors import DataError, SpecError
from epigone.interfaces import Rounds
from epigone.prompts.nq_synthetic import SEEDS, TEMPLATE, NqSynthetic
from epigone.prompts.tweet_sentiment import TweetSentiment
from epigone.synthesis.template import Template, read_examples

TABLE_3 = """\
Q: who sang who wants to be a millionare in high society?
A: Frank Sinatra
Q: the last time la dodgers won the world series?
A: 1988
Q: who plays the medical examiner on hawaii five-o?
A: Masi Oka
Q: when did the first harry potter movie come out?
A: 2001
Q: when was the last time india won a gold medal in hockey at olympics
A: 1980
Q: who owns the rights to baby shark song
A: SmartStudy
Q: how many episodes are in one punch man season 1
A: 12
Q: name of the bird in the lion king
A: Zazu
Q: who sang the rap song change clothes
A: Jay-Z
Q: who stars as serena in gossip girl
A: Blake Lively
"""
TABLE_4 = """\
I want you to generate a series of questions and answers. I want the answers to be concise, just a few words. \
The questions should be lowercased and centered around Wikipedia-like entities. For example,
Q: one
A: 1
Q: two
A: 2
Q: three
A: 3
Q: four
A: 4
Q: five
A: 5"""


@pytest.fixture(scope="module")
def template():
    return Template.load(TEMPLATE)


def read(template, reply, *, is_cut=False):
    """(question, answer, problem) of everything that a reply holds."""
    found = template.read(reply, is_cut=is_cut)
    return [(f.example.get("question", ""), f.example.get("answer", ""), f.problem) for f in found]


def test_the_seeds_are_those_of_table_3(template):
    seeds = read_examples(SEEDS, template)
    assert "".join(f"Q: {s['question']}\nA: {s['answer']}\n" for s in seeds) == TABLE_3


def test_the_template_is_that_of_table_4(template):
    examples = [{"question": q, "answer": a} for q, a in zip(["one", "two", "three", "four", "five"], "12345")]
    assert template.fill(examples) == TABLE_4
    assert (template.fields, template.num_examples) == (("question", "answer"), 5)
    assert template.labels == {"question": "Q", "answer": "A"}


def test_a_prompt_shows_five_different_seeds_at_random():
    texts = NqSynthetic().pairs.texts(Rounds(seed=1), 0, 300)
    rows = [tuple(line[3:] for line in text.splitlines() if line.startswith("Q: ")) for text in texts]
    assert {len(set(row)) for row in rows} == {5}
    assert len(set(rows)) > 290, "order and choice are drawn for each prompt"
    counts = [sum(seed in row for row in rows) for seed in sorted({q for row in rows for q in row})]
    assert len(counts) == 10 and all(110 < count < 190 for count in counts), counts  # 150, five standard deviations
    assert texts == NqSynthetic().pairs.texts(Rounds(seed=1), 0, 300)
    assert texts[0] == NqSynthetic().pairs.texts(Rounds(seed=1), 0, 1)[0], "a prompt depends on its place alone"
    assert texts[0] not in NqSynthetic().pairs.texts(Rounds(seed=2), 0, 300)[:1]
    assert texts[0] not in NqSynthetic().pairs.texts(Rounds(seed=1), 1, 300)[:1]


@pytest.mark.parametrize(
    "line",
    [
        "Q: who wrote it\nA: Ann Lee",
        "1. Q: who wrote it\n   A: Ann Lee",
        "(1) Q: who wrote it\n(2) A: Ann Lee",
        "Q1: who wrote it\nA1: Ann Lee",
        "Q #1: who wrote it\nA #1: Ann Lee",
        "- **Q:** who wrote it\n- **A:** Ann Lee",
        "**Q: who wrote it**\n**A: Ann Lee**",
        "> q: who wrote it\n> a: Ann Lee",
        "Question: who wrote it\nAnswer: Ann Lee",
        "### Question 12: who wrote it\n\n**Answer 12:** Ann Lee",
        "Q: who wrote it A: Ann Lee",
        "7) Q: who wrote it **A:** Ann Lee",
        "Q: who wrote it\n\n(take your time)\n\nA: Ann Lee\nThat was her first book.",
    ],
)
def test_a_pair_is_found_in_any_dress(template, line):
    assert read(template, f"Sure! Here is one:\n\n{line}\n\nI hope this helps.") == [("who wrote it", "Ann Lee", "")]


@pytest.mark.parametrize(
    ("reply", "found"),
    [
        ("", [("", "", "empty reply")]),
        (" \n ", [("", "", "empty reply")]),
        ("I am sorry, I cannot do that.", [("", "", "nothing found")]),
        ("Q: a b\nQ: c d\nA: e", [("a b", "", "no answer"), ("c d", "e", "")]),
        ("A: e\nQ: c d\nA: f", [("", "e", "no question"), ("c d", "f", "")]),
        ("Q: a b\nA:\nQ: c d\nA: e", [("a b", "", "no answer"), ("c d", "e", "")]),
        ("Q:\nA: e", [("", "e", "no question")]),
        ("Q: a b\nA: e\nA: f", [("a b", "e", ""), ("", "f", "no question")]),
        ("Q: {question 6}\nA: {answer 6}", [("{question 6}", "{answer 6}", "the template's own place")]),
    ],
)
def test_what_is_malformed_is_named(template, reply, found):
    assert read(template, reply) == found


def test_the_last_pair_of_a_reply_that_is_cut_off_is_not_whole(template):
    reply = "Q: a b\nA: c\nQ: d e\nA: Frank Sin"
    assert read(template, reply, is_cut=True) == [("a b", "c", ""), ("d e", "Frank Sin", "cut off")]
    assert read(template, "Q: a b\nA: c\nQ: d", is_cut=True)[-1] == ("d", "", "no answer")
    assert read(template, "Q: a b A: Frank Sin", is_cut=True) == [("a b", "Frank Sin", "cut off")]
    assert read(template, f"{reply}\nThat was the la", is_cut=True)[-1] == ("d e", "Frank Sin", ""), "it was whole"


def test_a_question_goes_on_in_the_next_line_as_in_table_3(template):
    reply = "Q: when did india win gold in hockey\nat olympics\nA: 1980\nat Moscow\n\nQ: who won\n\nNote: easy\nA: Ann"
    assert read(template, reply) == [
        ("when did india win gold in hockey at olympics", "1980", ""),
        ("who won", "Ann", ""),
    ]


WORDS = ["who", "what", "sang", "the", "1988", "st.", "louis", "a", "q", "is:", "café", "é5", "ünder"]
words = st.lists(st.sampled_from(WORDS), min_size=1, max_size=7)
pairs = st.lists(st.tuples(words.map(" ".join), words.map(" ".join)), min_size=1, max_size=8)
dresses = st.sampled_from(
    ["Q: {q}\nA: {a}", "{n}. Q: {q}\n   A: {a}", "**Q{n}:** {q}\n**A{n}:** {a}", "Question: {q}\n\nAnswer: {a}"]
)
noise = st.sampled_from(["", "\n", "Here is another one!\n", "---\n", "```\n", "(from Wikipedia)\n\n"])


@given(pairs=pairs, data=st.data())
def test_all_pairs_come_back_in_order(pairs, data):
    template = Template.load(TEMPLATE)
    reply = ""
    for number, (question, answer) in enumerate(pairs, start=1):
        reply += data.draw(noise) + data.draw(dresses).format(n=number, q=question, a=answer) + "\n"
    assert read(template, reply) == [(q, a, "") for q, a in pairs]


@given(reply=st.text(alphabet="QqAa:*_ \n1.)#>-{}x", max_size=200), is_cut=st.booleans())
def test_no_reply_breaks_the_parser(reply, is_cut):
    found = Template.load(TEMPLATE).read(reply, is_cut=is_cut)
    assert found
    for each in found:
        assert each.problem or (each.example["question"].strip() and each.example["answer"].strip())


LONG = ["*" * 50_000, " " * 50_000 + "x", "Q" + "1" * 50_000, "Q: " + " *" * 25_000 + "A", "1. " * 20_000]


@pytest.mark.parametrize("line", LONG, ids=range(len(LONG)))
def test_long_lines_are_read_in_no_time(template, line):
    assert len(template.read(line, is_cut=False)) == 1  # a pattern that tries every split would take hours


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("no places", "two fields or more"),
        ("Q: {question 1}", "two fields or more"),
        ("Q: {question 1}\nA: {answer 2}", "numbered from 1"),
        ("Q: {question 1}\nA: {answer 1}\nQ: {question 3}\nA: {answer 3}", "numbered from 1"),
        ("{question 1}\nA: {answer 1}", "behind a label"),
    ],
)
def test_a_template_that_does_not_fit_together(text, said):
    with pytest.raises(SpecError, match=said):
        Template(text)


def made(options):
    return discover.make("prompts", "from_template", options).pairs


def test_ones_own_seeds_and_template(tmp_path):
    (tmp_path / "t.txt").write_text("More like these:\nWord: {word 1}\nRhyme: {rhyme 1}\n")
    (tmp_path / "s.jsonl").write_text('{"word": "cat", "rhyme": "hat"}\n')
    options = {"seeds": str(tmp_path / "s.jsonl"), "template": str(tmp_path / "t.txt"), "user": "A rhyme for {word}?"}
    own = made(options)
    assert own.texts(Rounds(), 0, 1) == ["More like these:\nWord: cat\nRhyme: hat"]
    (found,) = own.read("p", "Word: sea\nRhyme: tea", is_cut=False)
    assert [m.content for m in found.messages] == ["A rhyme for sea?", "tea"]
    for change, said in (
        ({"user": "{wort}"}, r"'wort'.*it has: \{word\}, \{rhyme\}"),
        ({"duplicates": "none"}, "pair, que"),
    ):
        with pytest.raises(SpecError, match=said):
            made(options | change)
    (tmp_path / "s.jsonl").write_text('{"word": "cat"}\n')
    with pytest.raises(DataError, match="row 1: field 'rhyme' is missing"):
        made(options)
    (tmp_path / "s.jsonl").write_text("")
    with pytest.raises(DataError, match="holds 0 seed examples and the template shows 1"):
        made(options)
    with pytest.raises(SpecError, match="cannot read the template"):
        made(options | {"template": str(tmp_path / "none")})


def test_tweets_are_asked_for_their_sentiment():
    pairs = TweetSentiment().pairs
    assert len(pairs.seeds) == 10 and {s["sentiment"] for s in pairs.seeds} == {"positive", "negative", "neutral"}
    (found,) = pairs.read("p", "3. Tweet: lunch was cold again\n   Sentiment: negative", is_cut=False)
    asked, answered = (m.content for m in found.messages)
    assert asked.endswith("Answer with one word.\n\nlunch was cold again") and answered == "negative"


def test_what_ships_is_in_the_package():
    for path in (SEEDS, TEMPLATE):
        assert path.is_file()
    assert [list(json.loads(line)) for line in SEEDS.read_text().splitlines()] == [["question", "answer"]] * 10
