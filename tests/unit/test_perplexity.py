"""Likelihood of held-out text: bits per byte against a model that tells the likelihood by hand."""

import json
import math
from pathlib import Path

import pytest

from epigone.benchmarks.perplexity import Perplexity
from epigone.errors import DataError, SpecError
from epigone.formats.plain_text import PlainText
from epigone.records import Completion, Likelihood, Prompt, SamplingParams


class Halves:
    """Every character is a token of probability one half."""

    def __init__(self) -> None:
        self.asked: list[tuple[Prompt, str]] = []

    def generate(self, prompts: list[Prompt], sampling: SamplingParams) -> list[Completion]:
        raise NotImplementedError

    def loglikelihood(self, requests: list[tuple[Prompt, str]]) -> list[Likelihood]:
        self.asked = list(requests)
        return [Likelihood(-len(text) * math.log(2), len(text)) for _, text in requests]


class Talker:
    def generate(self, prompts: list[Prompt], sampling: SamplingParams) -> list[Completion]:
        return []


@pytest.fixture
def replies(tmp_path: Path) -> Path:
    rows = [
        {"prompt_id": "1", "messages": [{"role": "user", "content": "q"}], "text": "ä word or two of a reply"},
        {"prompt_id": "2", "messages": [{"role": "user", "content": "q"}], "text": "short"},
        {"prompt_id": "3", "messages": [{"role": "user", "content": "q"}], "text": "long " * 10},
    ]
    (tmp_path / "records.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path / "records.jsonl"


def test_replies_are_scored_after_their_prompt(replies):
    model = Halves()
    benchmark = Perplexity(replies, min_characters=10, max_characters=30)
    scores = benchmark.run(model)
    assert [text for _, text in model.asked] == ["ä word or two of a reply", "long long long long long long"]
    assert all(prompt.messages[-1].content == "q" for prompt, _ in model.asked)
    assert scores[0].metrics["bits_per_byte"] == pytest.approx(24 / 25)  # ä is two bytes
    assert scores[1].metrics == pytest.approx({"bits_per_byte": 1, "nats_per_token": math.log(2), "num_tokens": 29})
    assert [item.id for item in benchmark.items()] == ["1", "3"]


def test_documents_are_scored_after_their_first_words(tmp_path):
    (tmp_path / "t.txt").write_text("= Head =\n\none two three four five six seven\n\nalpha beta gamma delta epsilon")
    model = Halves()
    benchmark = Perplexity(tmp_path / "t.txt", PlainText(), context_words=2, min_characters=10, limit=2)
    benchmark.run(model)
    assert [(p.text, text) for p, text in model.asked] == [
        ("one two", " three four five six seven"),
        ("alpha beta", " gamma delta epsilon"),
    ]


def test_what_cannot_be_scored(replies, tmp_path):
    with pytest.raises(SpecError, match="needs log-likelihoods"):
        Perplexity(replies, min_characters=1).run(Talker())
    with pytest.raises(DataError, match="no text of 200 characters or more"):
        Perplexity(replies).run(Halves())
    protocols = {Perplexity(replies, **options).protocol for options in ({}, {"max_characters": 9}, {"what": "x"})}
    assert len(protocols) == 3 and Perplexity(tmp_path).protocol == Perplexity(replies).protocol
