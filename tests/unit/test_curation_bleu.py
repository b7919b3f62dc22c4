"""The filters that compare by BLEU, against sacrebleu on real texts; and the stage that filters prompts with them."""

import json
from functools import cache
from pathlib import Path

import pytest
from sacrebleu import sentence_bleu

from epigone.curation.contamination import Contamination
from epigone.curation.near_duplicates import NearDuplicates
from epigone.curation.training_overlap import TrainingOverlap
from epigone.datasets import write_dataset
from epigone.errors import DataError, SpecError
from epigone.interfaces import Filter
from epigone.records import Conversation, Drop, Message
from epigone.rows import read_prompts
from epigone.spec import Component, Input
from epigone.stages.filter_prompts import FilterPrompts
from epigone.store import read_records

KOALA = "koala/koala_test_set.jsonl"


def talk(id: str, *texts: str) -> Conversation:
    return Conversation(id, tuple(Message(("user", "assistant")[n % 2], text) for n, text in enumerate(texts)))


@pytest.fixture(scope="session")
def talks(data_root: Path) -> list[Conversation]:
    """30 real conversations, cut to four turns of 400 characters (sacrebleu is slow), and one with a leaked prompt."""
    rows = json.loads((data_root / "sharegpt" / "sharegpt_small.json").read_text(encoding="utf-8"))
    found = [
        talk(f"{number}", *(turn["value"][:400] for turn in row["conversations"][:4]))
        for number, row in enumerate(rows)
        if row["conversations"] and row["conversations"][0]["from"] == "human"
    ]
    leaked = "could you list the layers of the TCP/IP model and for each layer identify one protocol?"
    return [*found[:30], talk("leaked", "Hello", "Hi", leaked, "Sure"), talk("mute", *["", "Hello"])]


@pytest.fixture(scope="session")
def prompts(data_root: Path) -> list[str]:
    text = (data_root / KOALA).read_text(encoding="utf-8")
    return [json.loads(line)["prompt"][:400] for line in text.split("\n") if line][:25]


@pytest.fixture
def evaluation(tmp_path: Path, prompts: list[str]) -> Path:
    path = tmp_path / "koala.jsonl"
    path.write_text("".join(json.dumps({"prompt": text}) + "\n" for text in prompts), encoding="utf-8")
    return path


@cache
def bleu(hypothesis: str, reference: str, lowercase: bool = False) -> float:
    return sentence_bleu(hypothesis, [reference], smooth_method="none", lowercase=lowercase).score


def scores(rule: Filter, talks: list[Conversation]) -> dict[str, float]:
    """What a filter says of those that it drops."""
    drops = [row for row in rule.apply(talks) if isinstance(row, Drop)]
    return {row.id: float(row.detail.split()[1]) for row in drops if row.detail.startswith("BLEU")}


@pytest.mark.parametrize("hypothesis", ["training", "evaluation", "either"])
@pytest.mark.parametrize("turns", ["user", "all"])
def test_contamination_is_sacrebleus(evaluation, talks, prompts, hypothesis, turns) -> None:
    threshold = 4.0
    wanted = {}
    for conversation in talks:
        texts = [m.content for m in conversation.messages if turns == "all" or m.role == "user"]
        pairs = [(text, prompt) for text in texts for prompt in prompts]
        forward = [bleu(text, prompt) for text, prompt in pairs] if hypothesis != "evaluation" else []
        backward = [bleu(prompt, text) for text, prompt in pairs] if hypothesis != "training" else []
        best = max([*forward, *backward], default=0.0)
        if best > threshold:
            wanted[conversation.id] = best
    rule = Contamination(str(evaluation), threshold=threshold, turns=turns, hypothesis=hypothesis)
    found = scores(rule, talks)
    assert found == {id: pytest.approx(score, abs=0.051) for id, score in wanted.items()} and "leaked" in found


def test_contamination_at_the_papers_threshold_finds_the_leak_and_says_where(evaluation, talks) -> None:
    (drop,) = [row for row in Contamination((evaluation,)).apply(talks) if isinstance(row, Drop)]
    assert (drop.id, drop.reason, drop.detail[-17:]) == ("leaked", "contaminated", "koala.jsonl row 3")


def test_training_overlap_is_the_same_from_the_other_side(tmp_path, talks, prompts) -> None:
    write_dataset(tmp_path / "records.parquet", talks)
    asked = [talk(str(number), prompt) for number, prompt in enumerate(prompts)] + [talk("same", "HELLO!")]
    for hypothesis in ("training", "evaluation"):
        rule = TrainingOverlap(tmp_path / "records.parquet", threshold=4, turns="user", hypothesis=hypothesis)
        out = list(rule.apply(asked))
        assert [row.id for row in out] == [row.id for row in asked] and isinstance(out[-1], Drop)
        assert out[-1].detail == "same words as leaked"
        for row in out[:-1]:
            prompt = prompts[int(row.id)]
            texts = [(m.content, c.id) for c in talks for m in c.messages if m.role == "user"]
            near = [(bleu(*pair) if hypothesis == "training" else bleu(*reversed(pair)), who)
                    for pair, who in (((text, prompt), who) for text, who in texts)]  # fmt: skip
            best = max(near)[0]
            assert isinstance(row, Drop) == (best > 4)
            if isinstance(row, Drop):
                score, who = row.detail.removeprefix("BLEU ").split(" with ")
                assert float(score) == pytest.approx(best, abs=0.051)
                assert who in {other for found, other in near if found == pytest.approx(best)}


@pytest.mark.parametrize("hypothesis", ["later", "earlier"])
def test_near_duplicates_are_those_of_a_plain_loop(talks, hypothesis) -> None:
    variants = [talk(f"{c.id} again", f"Please, {c.messages[0].content}", "Yes") for c in talks[::4]]
    twice = [talk(f"{c.id} same", c.messages[0].content, "Yes") for c in talks[::5]]
    everything = [*talks, *variants, *twice, Conversation("silent", (Message("assistant", "Hi"),))]
    kept: list[Conversation] = []
    wanted = []
    for conversation in everything:
        query = next((m.content for m in conversation.messages if m.role == "user"), None)
        others = [c.messages[0].content for c in kept]
        pairs = [(query, other) if hypothesis == "later" else (other, query) for other in others if query is not None]
        if query is None or query in others or any(bleu(*pair, lowercase=True) > 60 for pair in pairs):
            wanted.append(conversation.id)
        else:
            kept.append(conversation)
    out = list(NearDuplicates(hypothesis=hypothesis).apply(everything))
    assert [row.id for row in out] == [row.id for row in everything]
    assert [row.id for row in out if isinstance(row, Drop)] == wanted and len(wanted) > len(twice) + len(variants) / 2
    assert [row for row in out if isinstance(row, Conversation)] == kept


def test_a_dropped_query_drops_no_other() -> None:
    """b is near a and goes; c is near b alone and stays; d is b once more and goes with it."""
    a = "one two three four five six seven eight nine ten"
    b = "one two three four five six seven eight nine X Y"
    c = "P Q R four five six seven eight nine X Y"
    assert bleu(b, a) > 50 and bleu(c, b) > 50 > bleu(c, a)
    rule = NearDuplicates(threshold=50)
    out = list(rule.apply([talk(name, text, "ok") for name, text in zip("abcd", (a, b, c, b))]))
    assert [type(row) for row in out] == [Conversation, Drop, Conversation, Drop]
    assert all(isinstance(row, Drop) and row.detail.endswith("with a") for row in out[1::2])


def test_thresholds_that_mean_nothing_are_refused() -> None:
    for make in (
        lambda: Contamination("a", threshold=100),
        lambda: TrainingOverlap("a", threshold=-1),
        lambda: NearDuplicates(threshold=0),
    ):
        with pytest.raises(SpecError, match=r"threshold .* in percent"):
            make()


# the stage


def inputs(value: object) -> Path:
    assert isinstance(value, Input)
    return Path(value.path)


def test_prompts_are_filtered_as_the_paper_does(tmp_path, data_root: Path, talks) -> None:
    write_dataset(tmp_path / "records.parquet", talks)
    spec = FilterPrompts(
        (Input(str(data_root / KOALA)), Input(str(data_root / "vicuna80" / "question.jsonl"))),
        (
            Component.of("curation", "training_overlap", path=Input(str(tmp_path / "records.parquet"))),
            Component.of("curation", "language"),
            Component.of("curation", "code_prompts"),
        ),
        name="255",
    )
    counts = spec.run(inputs, tmp_path / "out")
    kept = read_prompts(tmp_path / "out" / "records.jsonl")
    drops = read_records(tmp_path / "out" / "dropped.jsonl", Drop)
    assert counts["num_read"] == 260 == len(kept) + len(drops) and counts["num_kept"] == len(kept)
    assert {drop.filter for drop in drops} == {"training_overlap", "code_prompts"}, "all of Koala's prompts are English"
    assert [drop.id for drop in drops if drop.filter == "training_overlap"] == ["koala_2"]
    categories = (data_root / "vicuna80" / "question.jsonl").read_text(encoding="utf-8").splitlines()
    coding = {f"question-{r['question_id']}" for r in map(json.loads, categories) if r["category"] == "coding"}
    assert {drop.id for drop in drops if drop.id.startswith("question-")} == coding


def test_prompts_with_one_id_or_none_left_are_errors(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.jsonl").write_text('{"id": "q", "prompt": "Write bash code"}\n')
    sources = tuple(Input(str(tmp_path / f"{name}.jsonl")) for name in ("a", "b"))
    with pytest.raises(DataError, match=r"b\.jsonl: row 1: the id 'q' is taken"):
        FilterPrompts(sources).run(inputs, tmp_path)
    with pytest.raises(DataError, match=r"all 1 prompts were dropped \({'code prompt': 1}\)"):
        FilterPrompts(sources[:1], (Component.of("curation", "code_prompts"),)).run(inputs, tmp_path)
