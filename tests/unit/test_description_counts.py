"""What a description counts, beside counts by hand, numpy, sacrebleu, statsmodels and scikit-learn."""

import math
import random
import re
from pathlib import Path

import numpy as np
import pytest
import sacrebleu
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.proportion import proportion_confint

from epigone.curation.language import Language
from epigone.errors import DataError
from epigone.formats.sharegpt import ShareGPT
from epigone.metrics.categories import (
    CATEGORIES,
    TABLE_5,
    Label,
    agreements,
    by_rater,
    category_of,
    shares,
    wilson,
)
from epigone.metrics.corpus import Tally, queries_of
from epigone.metrics.diversity import amounts, curve
from epigone.metrics.languages import UNKNOWN, Languages, prose
from epigone.metrics.lengths import LengthTally
from epigone.metrics.openings import Openings, first_words
from epigone.metrics.query_sample import QuerySample
from epigone.metrics.ranks import Lowest, rank
from epigone.records import Conversation, Message
from epigone.similarity.bleu import Settings
from epigone.similarity.index import BleuIndex


def drawn(items: list[str], size: int, seed: int = 0) -> list[str]:
    lowest = Lowest[str](size, "test", seed)
    for item in items:
        lowest.offer(item, item)
    return list(lowest.items())


@given(st.lists(st.text(max_size=3), unique=True, max_size=12), st.randoms(use_true_random=False))
def test_a_draw_is_nested_and_the_same_in_any_order(items: list[str], shuffler: random.Random) -> None:
    mixed = list(items)
    shuffler.shuffle(mixed)
    whole = drawn(items, len(items))
    assert sorted(whole) == sorted(items)
    for size in (0, 1, len(items) // 2):
        assert drawn(mixed, size) == whole[:size]
    kept = [item for item in items if "a" not in item]
    assert drawn(kept, len(items)) == [item for item in whole if "a" not in item]


def test_a_draw_is_random_and_another_with_another_seed() -> None:
    items = [str(n) for n in range(400)]
    hits = np.zeros(400)
    for seed in range(100):
        for item in drawn(items, 100, seed):
            hits[int(item)] += 1
    # each item is in a quarter of the draws: 25 of 100 with standard deviation 4.3, reduced a little by the fixed size
    assert hits.mean() == 25 and 3.5 < hits.std() < 5.2
    assert rank("a", 0, "x", "y") != rank("a", 0, "xy") and 0 <= rank("b", 0) < 2**64


def test_what_is_read_twice_is_drawn_as_often_as_two_would_be() -> None:
    both = 0
    for seed in range(300):
        found = drawn([*[f"u{n}" for n in range(38)], "same", "same"], 20, seed)
        both += found.count("same") == 2
    assert 45 < both < 105  # 20 of 40 drawn: both in 19/78 of the draws, 73 of 300


def test_language_is_that_of_prose() -> None:
    code = "```python\ndef moyenne(valeurs):\n    return sum(valeurs)\n```"
    assert prose(f"Hello {code} <b>you</b> `x = 1` at https://example.org/a?b now") == "Hello you at now"
    languages = Languages()
    assert languages.of_text(f"Pouvez-vous m'expliquer ce que fait cette fonction ? {code}") == "fr"
    assert languages.of_text("Please explain to me what this function is doing.") == "en"
    assert languages.of_text("continue") == languages.of_text("") == languages.of_text(code) == UNKNOWN


def test_language_of_a_conversation_is_that_of_most_turns() -> None:
    languages = Languages()
    german, english = "Bitte schreibe mir ein Gedicht über den Herbst.", "Please write a poem about the autumn."
    assert languages.of_conversation([english, german, "ok", german], [english] * 9) == "de"
    assert (
        languages.of_conversation(["Wie heißt", "du denn heute", "mein Freund?"], []) == "de"
    )  # each too short, together not
    assert languages.of_conversation(["continue"], [german]) == "de"  # a model answers in the language it is asked in
    assert languages.of_conversation([], []) == languages.of_conversation(["continue"], ["ok"]) == UNKNOWN


@given(st.text("ab@.<>` \n/:wthps", max_size=40))
def test_prose_is_what_the_plain_patterns_leave(text: str) -> None:
    """The pattern for addresses is written to be linear; it means what the short one below says."""
    plain = text
    for pattern in (r"(?s)```.*?(?:```|\Z)|`[^`\n]*`", r"(?:https?://|www\.)\S+|\S+@\S+\.\S+", r"</?[a-zA-Z][^<>\n]*>"):
        plain = re.sub(pattern, " ", plain)
    assert prose(text) == " ".join(plain.split())


def test_a_description_knows_the_languages_that_the_filter_knows(data_root: Path) -> None:
    rows = list(ShareGPT().read(data_root / "sharegpt" / "sharegpt_small.json"))
    talks = [row for row in rows if isinstance(row, Conversation)]
    spoken = {c.id: c for c in talks} | {
        f"{c.id} in German": talk(f"{c.id} in German", ("user", "Bitte erkläre mir noch einmal das Folgende."))
        for c in talks[:3]
    }
    languages, kept = (
        Languages(),
        {row.id for row in Language().apply(spoken.values()) if isinstance(row, Conversation)},
    )
    for name, one in spoken.items():
        said = {role: [m.content for m in one.messages if m.role == role] for role in ("user", "assistant")}
        assert (languages.of_conversation(said["user"], said["assistant"]) in ("en", UNKNOWN)) == (name in kept), name
    assert len(kept) > 40 and len(spoken) - len(kept) >= 3


def test_openings_by_hand() -> None:
    counted = Openings()
    for query in ("Write a poem.", "write A story!", "Write", "  ", "What’s up?", "写一首诗"):
        counted.add(query)
    assert counted.num_queries == 6
    assert counted.top(1, 2) == (("write", 3), ("what's", 1))
    assert counted.top(2, 9) == (("write a", 2), ("what's up", 1), ("写 一", 1))
    assert counted.top(3, 9) == (("write a poem", 1), ("write a story", 1), ("写 一 首", 1))
    assert first_words("x" * 5000) == ["x" * 24] and first_words("?!") == []


@given(st.lists(st.integers(0, 70_000), max_size=40))
def test_lengths_as_numpy_has_them(values: list[int]) -> None:
    tally = LengthTally()
    for value in values:
        tally.add(value)
    found = tally.lengths()
    assert (found.num, found.total, found.longest) == (len(values), sum(values), max(values, default=0))
    assert sum(b.num for b in found.bins) == len(values)
    for b in found.bins:
        assert b.num == sum(b.low <= value <= b.high for value in values)
    if values:
        assert found.median == np.median(values) and found.mean == pytest.approx(np.mean(values))
        assert found.bins[-1].high >= max(values) >= found.bins[-1].low


def nearest(texts, **settings) -> np.ndarray:
    return BleuIndex.build(texts, Settings(**settings)).nearest().scores


def test_curve_is_that_of_brute_force_on_nested_sets() -> None:
    words = "write,a,poem,about,the,sea,and,an,old,ship,that,never,came,home,again".split(",")  # noqa: SIM905
    dice = random.Random(3)
    texts = [" ".join(dice.choices(words, k=dice.randint(3, 9))) for _ in range(40)]
    found = curve(texts, [10, 25, 40, 90], lambda t: nearest(t, smoothing="exp"))
    assert [p.num_queries for p in found] == [10, 25, 40]
    for point in found:
        n = point.num_queries
        best = [max(sacrebleu.sentence_bleu(texts[i], [texts[k]]).score for k in range(n) if k != i) for i in range(n)]
        assert point.mean.value == pytest.approx(np.mean(best) / 100)
        assert point.median.value == pytest.approx(np.median(best) / 100)
        assert point.mean.low < point.mean.value < point.mean.high
        assert point.median.low <= point.median.value <= point.median.high
        assert point.identical == pytest.approx(np.mean([b > 100 - 1e-6 for b in best]))


def test_curves_meet_at_equal_amounts() -> None:
    assert amounts([1266, 900], 50_000) == [250, 500, 900, 1000, 1266]
    assert amounts([1266], 700) == [250, 500, 700]
    assert amounts([0], 700) == amounts([1], 700) == amounts([], 5) == [] and amounts([3, 1], 9) == [3]


@given(st.integers(1, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_is_statsmodels(pair: tuple[int, int]) -> None:
    num, n = pair
    low, high = proportion_confint(num, n, method="wilson")
    found = wilson(num, n)
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-6)
    assert found.value == num / n and found.n == n


def test_a_share_of_nothing_is_refused() -> None:
    with pytest.raises(DataError, match="at least 1"):
        wilson(0, 0)


@pytest.mark.parametrize(
    ("reply", "category"),
    [
        ("Coding", "Coding"),
        ("  **General QA**.\n\nThe user asks ...", "General QA"),
        ("Category: non english", "Non-English"),
        ("Summarisation", "Summarization"),
        ("Coding or Chat", None),
        ("This is not Coding", None),
        ("", None),
        ("I cannot tell.", None),
        ("Translation", None),
    ],
)
def test_only_a_bare_category_is_one(reply: str, category: str | None) -> None:
    assert category_of(reply) == category


def test_table_5_is_the_papers() -> None:
    assert len(TABLE_5) == 9 and math.isclose(sum(TABLE_5.values()), 0.99)
    assert (TABLE_5["Generation"], TABLE_5["Non-English"], TABLE_5["Rewrite"]) == (0.31, 0.14, 0.02)


def test_kappa_of_nine_categories_is_scikit_learns() -> None:
    dice = random.Random(5)
    one = dice.choices(CATEGORIES, k=60)
    two = [c if dice.random() < 0.6 else dice.choice(CATEGORIES) for c in one]
    labels = [Label(f"q{n}", c, r) for r, said in (("person", one), ("model", two)) for n, c in enumerate(said)]
    sample = [f"q{n}" for n in range(50)]
    [found] = agreements(by_rater(labels), sample)
    assert found.raters == ("person", "model") and found.num_queries == 50
    assert found.kappa and found.kappa.value == pytest.approx(cohen_kappa_score(one[:50], two[:50]))
    assert found.same.value == np.mean([a == b for a, b in zip(one[:50], two[:50])])
    assert found.kappa.low < found.kappa.value < found.kappa.high


def test_raters_of_one_mind_have_no_kappa() -> None:
    labels = [Label(f"q{n}", "Chat", rater) for rater in ("a", "b") for n in range(4)]
    [found] = agreements(by_rater(labels), ["q0", "q1", "q9"])
    assert (found.num_queries, found.same.value, found.kappa) == (2, 1.0, None)


def test_what_is_not_labelled_is_missing() -> None:
    given_labels = by_rater([Label("a", "Chat", "p"), Label("a", "Coding", "p"), Label("z", "Chat", "p")])
    found = shares(["a", "b", "c"], "p", given_labels["p"])
    assert found and (found.num_sampled, found.num_labelled) == (3, 1)
    assert found.counts["Coding"] == 1 and found.counts["Invalid"] == 0
    assert shares(["b"], "p", given_labels["p"]) is None
    with pytest.raises(DataError, match=r"query q: 'Poetry' is no category; allowed: Generation, General QA"):
        by_rater([Label("q", "Poetry", "p")])


def talk(name: str, *turns: tuple[str, str], **more: str) -> Conversation:
    return Conversation(name, tuple(Message(role, text) for role, text in turns), more.get("source", "made up"))


def test_a_tally_by_hand() -> None:
    thinking = Message("assistant", "Yes.", reasoning="Is it so", tool_calls='[{"name": "f"}]')
    talks = [
        talk(
            "a", ("system", "Be kind."), ("user", "Is this one two three?"), ("assistant", "It is."), ("user", "Why?")
        ),
        Conversation("b", (Message("user", "And this?"), thinking, Message("tool", "4"), Message("assistant", " "))),
        talk("c", ("assistant", "Nobody asked me.")),
        talk("d", ("user", "Alone")),
        Conversation("e", ()),
    ]
    tally = Tally(lambda asked, answered: "xx" if asked else UNKNOWN, lambda texts: [len(text) for text in texts])
    for one in talks:
        tally.add(one)
    found = tally.contents()
    amounts_of = {r.role: (r.num_messages, r.num_words, r.num_tokens) for r in found.roles}
    assert amounts_of["system"] == (1, 2, 8) and amounts_of["tool"] == (1, 1, 1)
    assert amounts_of["user"] == (4, 9, 22 + 4 + 9 + 5)
    assert amounts_of["assistant"] == (4, 2 + 4 + 0 + 3, 6 + len("Is it so\nYes.") + 1 + 16)
    assert found.num_tokens == sum(num for _, _, num in amounts_of.values()) and found.num_messages == 10
    assert found.traits == {
        "system_prompt": 1, "several_queries": 1, "no_query": 2, "no_answer": 2, "ends_with_query": 2,
        "reasoning": 1, "tool_calls": 1, "tool_results": 1, "empty_answers": 1,
    }  # fmt: skip
    assert (found.turns.num, found.turns.total, found.query_words.total) == (5, 3 + 3 + 1 + 1 + 0, 9)
    assert [(c.name, c.num) for c in found.languages] == [("xx", 3), ("unknown", 2)] and found.num_languages == 1
    assert {c.name: c.num for c in found.sources} == {"made up": 3, "(not said)": 2}
    assert found.num_openings == 3 and {c.name for c in found.openings[0]} == {"is", "and", "alone"}


def test_without_a_tokenizer_no_tokens_are_counted() -> None:
    tally = Tally(lambda asked, answered: "xx", None, "all")
    tally.add(talk("a", ("user", "one"), ("user", " "), ("user", "two")))
    assert tally.contents().num_tokens is None and tally.contents().num_openings == 2
    assert queries_of(talk("a", ("user", " "), ("user", "two")), "first") == ["two"]


def test_samples_before_and_after_a_filter_share_what_was_kept() -> None:
    talks = [talk(str(n), ("user", f"query {n}")) for n in range(300)]
    samples = []
    for those in (talks, talks[:240]):
        sample = QuerySample(50, 7)
        for one in those:
            sample.offer(one)
        samples.append([q.text for q in sample.queries()])
    kept = [text for text in samples[0] if int(text.split()[1]) < 240]
    assert 30 < len(kept) < 50 and samples[1][: len(kept)] == kept
