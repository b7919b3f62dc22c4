"""Every filter: each conversation goes out once, in order; those that can, stream; verdicts against other sources."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from epigone import discover
from epigone.backends.canned import Canned
from epigone.curation.code_prompts import CodePrompts, sign_of_code
from epigone.curation.keywords import Keywords
from epigone.curation.language import Language
from epigone.curation.length import Length
from epigone.curation.pii import PII
from epigone.curation.toxicity import Toxicity
from epigone.errors import SpecError
from epigone.interfaces import Filter
from epigone.metrics.languages import prose
from epigone.records import Conversation, Drop, Message, Score
from epigone.spec import Component
from epigone.store import write_records
from epigone.toxicity.profanity import Profanity


def talk(*texts: str, id: str = "a", first: str = "user") -> Conversation:
    """Turns of user and assistant, by turns."""
    roles = ("user", "assistant") if first == "user" else ("assistant", "user")
    return Conversation(id, tuple(Message(roles[n % 2], text) for n, text in enumerate(texts)))


def dropped(rule: Filter, *talks: Conversation) -> list[str]:
    return [row.detail for row in rule.apply(talks) if isinstance(row, Drop)]


class Asked:
    """Reads the fact `asked` out of a question, and no fact out of a dialogue."""

    def stated(self, text: str) -> list[str]:
        return []

    def asked(self, question: str) -> str:
        return question


@pytest.fixture(scope="session")
def all_filters(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Filter]:
    """Every filter there is, by its file's name, with options that it needs."""
    from epigone.datasets import write_dataset

    folder = tmp_path_factory.mktemp("filters")
    (folder / "asked.jsonl").write_text('{"prompt": "Write a poem about the sea and the sky"}\n')
    write_dataset(folder / "records.parquet", [talk("Write a poem about the sea and the land", "No")])
    (folder / "scores").mkdir()
    write_records(folder / "scores" / "records.jsonl", [Score("a", {"exact_match": 1.0}, "asked", "reply")])
    options: dict[str, dict[str, object]] = {
        "contamination": {"paths": (str(folder / "asked.jsonl"),)},
        "training_overlap": {"path": str(folder / "records.parquet")},
        "toxicity": {"scorer": Profanity()},
        "known": {"model": Canned(default="No")},
        "known_facts": {"scores": str(folder / "scores"), "facts": Asked()},
    }
    return {name: discover.make("curation", name, options.get(name, {})) for name in discover.names("curation")}


TEXTS = st.sampled_from(
    [
        "Write a poem about the sea and the sky",
        "write a poem about the sea and the hills",
        "Schreibe bitte ein Gedicht über das weite Meer",
        "print `x` in python, my mail is jo@somewhere.org",
        "what the fuck, chatgpt",
        "\u200b",
        "",
    ]
) | st.text(max_size=12)
ROLES = st.sampled_from(["user", "assistant", "system", "tool"])
TALKS = st.lists(st.lists(st.builds(Message, role=ROLES, content=TEXTS), max_size=4), max_size=6)


@pytest.mark.parametrize("name", discover.names("curation"))
def test_everything_goes_out_once_in_order_unchanged(all_filters, name: str) -> None:
    @settings(max_examples=30)
    @given(TALKS)
    def check(conversations) -> None:
        talks = [Conversation(str(n), tuple(messages), "here") for n, messages in enumerate(conversations)]
        out = list(all_filters[name].apply(iter(talks)))
        assert [row.id for row in out] == [row.id for row in talks]
        assert all(row == was if isinstance(row, Conversation) else row.reason for row, was in zip(out, talks))

    check()


STREAMING = {"code_prompts", "duplicates", "keywords", "known_facts", "language", "length", "pii", "toxicity"}


@pytest.mark.parametrize("name", discover.names("curation"))
def test_filters_read_no_further_than_they_must(all_filters, name: str) -> None:
    """A streaming filter answers before it asks for the next; contamination reads one batch; the rest read all."""
    read = []

    def source() -> Iterator[Conversation]:
        for number in range(600):
            read.append(number)
            yield talk(f"Describe w{number} and x{number}", "A number.", id=str(number))

    out = all_filters[name].apply(source())
    assert read == []
    assert next(out).id == "0"
    assert len(read) == (1 if name in STREAMING else 512 if name in ("contamination", "known") else 600)


# language


def test_language_of_the_user_code_and_addresses_aside() -> None:
    french = "Écris une lettre de motivation pour un poste de comptable"
    english = "Write a letter of motivation for the post of an accountant"
    assert dropped(Language(), talk(english, french)) == []
    assert dropped(Language(turns="all"), talk(french, french, english, french))[0].startswith("fr in 3 of 4 turns")
    assert dropped(Language(), talk(french, english))[0].startswith("fr in 1 of 1 turns, confidence ")
    assert dropped(Language(languages=("fr", "de")), talk(french, english)) == []
    assert dropped(Language(), talk(f"```\n{french}\n{french}\n```\n{english}")) == []
    assert prose("See `x = 1` at https://a.org/b?c or <b>me@a.org</b>, or\n```py\nx\n```\nno") == "See at or or no"


def test_a_short_turn_inherits_and_what_stays_unknown_is_kept_unless_told() -> None:
    french = "Pourquoi le ciel est-il bleu pendant la journée ?"
    assert "fr in 1 of 3 turns" in dropped(Language(), talk("ok", "?", french, "?", "ok"))[0]
    assert "fr in the answers" in dropped(Language(), talk("Bonjour", "Bonjour ! Comment puis-je vous aider ?"))[0]
    assert "de in the turns together" in dropped(Language(), talk(*["Wo ist das Buch", "?"] * 3))[0]
    assert dropped(Language(), talk("1 + 1", "2")) == []
    assert dropped(Language(unknown="drop"), talk("1 + 1", "2"), talk(""))[1].startswith("unknown")


def test_language_on_published_english_prompts(data_root: Path) -> None:
    """All are English: at most 2 in 1,000 may go."""
    for path, field in (
        ("koala/koala_test_set.jsonl", "prompt"),
        ("vicuna80/question.jsonl", "text"),
        ("self_instruct/user_oriented_instructions.jsonl", "instruction"),
        ("hc3/medicine.jsonl", "question"),
        ("nq_open/NQ-open.dev.first1800.jsonl", "question"),
    ):
        rows = [json.loads(line) for line in (data_root / path).read_text(encoding="utf-8").split("\n") if line]
        assert len(dropped(Language(), *(talk(row[field]) for row in rows))) <= 0.002 * len(rows), path


# code


def test_code_prompts_against_published_labels(data_root: Path) -> None:
    """HumanEval is code; Vicuna's and MT-bench's categories say what is."""
    with gzip.open(data_root / "humaneval" / "HumanEval.jsonl.gz", "rt", encoding="utf-8") as handle:
        assert all(sign_of_code(json.loads(line)["prompt"]) for line in handle)
    verdicts = []
    for path in ("vicuna80/question.jsonl", "fastchat_llm_judge/mt_bench/question.jsonl"):
        for line in (data_root / path).read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            asked = row["turns"] if "turns" in row else [row["text"]]
            verdicts.append((row["category"] == "coding", any(map(sign_of_code, asked))))
    assert verdicts.count((True, True)) >= 16 and verdicts.count((True, False)) <= 1
    assert verdicts.count((False, True)) <= 1, "MT-bench's extraction has one with a code fence"
    for name in ("medicine", "open_qa", "wiki_csai"):
        lines = (data_root / "hc3" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
        assert not any(sign_of_code(json.loads(line)["question"]) for line in lines)


@pytest.mark.parametrize(
    "text",
    [
        "Traceback (most recent call last):\n  File 'a'",
        "Why does `df.groupby(x)` not work?",
        "How do I sort a list in Python?",
        "bash loop",
        "const x = 1;\nfoo(x);",
        "Write a function that reverses a string",
        "SELECT name FROM users",
        "write me the code for it",
    ],
)
def test_coding_prompts(text: str) -> None:
    assert dropped(CodePrompts(), talk("Hello there", "yes", text)) == [sign_of_code(text)] != [""]
    assert dropped(CodePrompts(turns="first"), talk("Hello there", "yes", text)) == []


@pytest.mark.parametrize(
    "text",
    [
        "Write a script for a film about a snake in a zoo",
        "Create a plan for the visitors. " + "Then they rest. " * 20 + "They see a python. " + "It sleeps. " * 20,
        "What is the zip code of Boston?",
        "Explain the code of conduct",
        "I am reacting badly; what should I do; where do I go?",
        "What does a gene express when it functions?",
        "Write an essay on the ruby slippers and the pearl",
    ],
)
def test_other_prompts(text: str) -> None:
    assert sign_of_code(text) == ""


# length


def test_length_names_the_limit_and_counts_what_can_be_seen() -> None:
    assert dropped(Length(), talk("Hi", "Hello")) == []
    assert dropped(Length(), talk("Hi", "\u200b")) == ["0 answer characters, at least 1 wanted"]
    assert dropped(Length(), talk(" \n", "x")) == ["0 query characters, at least 1 wanted"]
    rule = Length(min_turns=3, max_query_words=2, min_query_characters=3, max_answer_characters=4)
    assert dropped(rule, talk("Hi", "x")) == ["2 turns, at least 3 wanted"]
    assert dropped(rule, talk("Hi", "x", "y")) == ["2 query characters, at least 3 wanted"]
    assert dropped(rule, talk("Hi to you", "x", "y")) == ["3 query words, at most 2 allowed"]
    assert dropped(rule, talk("Hi you", "x", "y", "a bcde")) == ["5 answer characters, at most 4 allowed"]
    assert dropped(rule, talk("Hi you", "x", "y", "a bcd")) == []
    assert dropped(Length(max_characters=7), talk("Hi you", "x")) == []
    assert dropped(Length(max_characters=7), talk("Hi you", "x", "abc")) == ["9 characters, at most 7 allowed"]
    with pytest.raises(SpecError, match="min_turns 3 is above max_turns 2"):
        Length(min_turns=3, max_turns=2)


# keywords


def test_koalas_keywords() -> None:
    """Of the published rule: any turn, any case, inside words."""
    assert dropped(Keywords(), talk("Who made you?", "OpenAI did.")) == ["mentions 'openai'"]
    assert dropped(Keywords(), talk("ChatGPT's rival")) == ["mentions 'chatgpt'"]
    assert dropped(Keywords(), talk("Chat GPT, and GPT-2")) == []
    assert dropped(Keywords(turns="user"), talk("Who made you?", "OpenAI did.")) == []
    assert dropped(Keywords(keywords=("As an AI",)), talk("?", "as an ai language model")) == ["mentions 'as an ai'"]
    with pytest.raises(SpecError, match="name at least one"):
        Keywords(keywords=("",))


# toxicity


def test_toxicity_takes_any_scorer_and_the_most_toxic_line() -> None:
    class Loud:
        identity = "loud"

        def toxicity(self, texts):
            return [sum(map(str.isupper, text)) / len(text) if text != "?" else None for text in texts]

    assert dropped(Toxicity(Loud()), talk("quiet\n\nLOUD", "yes")) == ["toxicity 1.00 of at most 0.50"]
    assert dropped(Toxicity(Loud(), turns="user"), talk("quiet", "LOUD")) == []
    assert dropped(Toxicity(Loud(), threshold=0.3), talk("ABc"), talk("abC")) == [
        "toxicity 0.67 of at most 0.30",
        "toxicity 0.33 of at most 0.30",
    ]
    assert dropped(Toxicity(Loud()), talk("?", "LOUD"), talk("?", "quiet")) == [
        "toxicity 1.00 of at most 0.50",
        "the scorer has no score for 1 lines",
    ]
    with pytest.raises(SpecError, match="threshold 0"):
        Toxicity(Loud(), threshold=0.0)


def test_toxicity_as_a_recipe_names_its_scorer() -> None:
    rule = Component.of("curation", "toxicity", scorer=Component.of("toxicity", "profanity")).make(lambda path: path)
    assert dropped(rule, talk("you fucking idiot"), talk("you dear friend")) == ["toxicity 0.95 of at most 0.50"]


# PII: numbers from presidio's own tests and documentation


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("4012-8888-8888-1881", "CREDIT_CARD"),
        ("my credit card: 371449635398431", "CREDIT_CARD"),
        ("I live here, info@presidio.site", "EMAIL_ADDRESS"),
        ("my ssn is 078-05-1123", "US_SSN"),
        ("IL150120690000003111111", "IBAN_CODE"),
        ("my wallet 16Yeky6GMjeNkAiNcBY7ZhrLoMSgg1BoyZ", "CRYPTO"),
        ("the server is 8.8.8.8", "IP_ADDRESS"),
        ("My US number is (415) 555-0132", "PHONE_NUMBER"),
        ("international: +44 20 7946 0958", "PHONE_NUMBER"),
    ],
)
def test_pii_of_each_kind(text: str, kind: str) -> None:
    assert dropped(PII(), talk(text)) == [f"1 {kind}"]
    assert dropped(PII(entities=("CRYPTO",) if kind != "CRYPTO" else ("US_SSN",)), talk(text)) == []


@pytest.mark.parametrize(
    "text",
    [
        "4012-8888-8888-1882",
        "078-05-0000",
        "somebody@nowhere.notadomain",
        "john.doe@example.com",
        "me@mail.example.org",
        "192.168.0.1 and 127.0.0.1",
        "on 07-04-2023, from 2019 to 2021, 1679981790 seconds",
        "see https://www.python.org/downloads",
    ],
)
def test_no_pii(text: str) -> None:
    """Checksums that fail, domains that do not exist, addresses reserved for examples, dates."""
    assert dropped(PII(), talk(text)) == []


def test_pii_masked_stays_and_reads_as_before_elsewhere() -> None:
    told = "Write to info@presidio.site or call (415) 555-0132, please"
    said = talk(told, "I wrote to info@presidio.site", "thanks")
    assert list(PII(action="mask").apply([said])) == [
        talk("Write to <EMAIL_ADDRESS> or call <PHONE_NUMBER>, please", "I wrote to <EMAIL_ADDRESS>", "thanks")
    ]
    (row,) = PII(action="mask", turns="user").apply([said])
    assert isinstance(row, Conversation) and row.messages[1] == said.messages[1]
    assert list(PII(action="mask").apply([row])) != [row] and dropped(PII(), said) == [
        "2 EMAIL_ADDRESS, 1 PHONE_NUMBER"
    ]


def test_pii_without_its_extra_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "presidio_analyzer.predefined_recognizers", None)
    with pytest.raises(SpecError, match=r"epigone\[pii\]"):
        list(PII().apply([talk("hello")]))
    with pytest.raises(SpecError, match="allowed are CREDIT_CARD"):
        PII(entities=("NAME",))


def test_what_pii_passes_over_at_once_holds_nothing(data_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The patterns that save time change no verdict on real texts."""
    from epigone.curation import pii

    rows = json.loads((data_root / "sharegpt" / "sharegpt_small.json").read_text(encoding="utf-8"))
    talks = [talk(*(turn["value"] for turn in row["conversations"]), id=row["id"]) for row in rows]
    quick = list(PII(threshold=0.05).apply(talks))
    monkeypatch.setattr(pii, "_MAY_HOLD", {})
    assert list(PII(threshold=0.05).apply(talks)) == quick and any(isinstance(row, Drop) for row in quick)
