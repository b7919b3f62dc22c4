"""`epigone held-out`: drawn by seed, nothing of the training set, and a hard set of which nothing was asked."""

import json
from pathlib import Path

import pytest

from epigone.commands.held_out import Wanted, run_held_out
from epigone.datasets import write_dataset
from epigone.errors import SpecError, WorkError
from epigone.records import Conversation, Message
from epigone.synthesis.selection import random_order

TOPICS = ("rivers of the north and their water", "a poem on love and spring in verse")


def talk(number: int, *said: str) -> Conversation:
    roles = ("user", "assistant")
    return Conversation(f"c{number}", tuple(Message(roles[k % 2], text) for k, text in enumerate(said)))


@pytest.fixture
def training(tmp_path: Path) -> str:
    write_dataset(tmp_path / "training" / "records.parquet", [talk(1, "Hello there, who are you?", "A model.")])
    return str(tmp_path / "training")


def prompts(folder: Path, num: int = 40) -> str:
    """Of two topics, every second one each; even numbers are rivers."""
    path = folder / "asked.jsonl"
    rows = [
        {"id": f"q{n}", "prompt": f"Tell me about {TOPICS[n % 2]}, number {n}.", "category": "ab"[n % 2]}
        for n in range(num)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def ids(path: object) -> list[str]:
    return [json.loads(line)["id"] for line in Path(str(path)).read_text().splitlines()]


def test_published_prompts_are_held_out_of_a_training_set(data_root: Path, tmp_path: Path) -> None:
    koala, vicuna = data_root / "koala" / "koala_test_set.jsonl", data_root / "vicuna80" / "question.jsonl"
    leaked = json.loads(koala.read_text().splitlines()[0])
    asked = f"{leaked['prompt']} Please."
    write_dataset(tmp_path / "records.parquet", [talk(1, "Hi", "Hello"), talk(2, asked, "Certainly: ...")])
    wanted = Wanted([str(koala), str(vicuna)], [str(tmp_path / "records.parquet")], num=100)
    found = run_held_out(wanted, tmp_path / "runs", quiet=True)
    kept = ids(found["prompts"])
    assert found["num_read"] == 260 and len(set(kept)) == 100 == sum(found["sources"].values())
    drops = {r["id"]: r for r in map(json.loads, (Path(found["filtered"]) / "dropped.jsonl").read_text().splitlines())}
    assert drops[leaked["id"]]["filter"] == "training_overlap" and "c2" in drops[leaked["id"]]["detail"]
    assert not set(drops) & set(kept) and found["num_left"] == 260 - len(drops)
    published = {
        f"question-{r['question_id']}": r["category"] for r in map(json.loads, vicuna.read_text().splitlines())
    }
    mine = [published[name] for name in kept if name in published]
    assert found["categories"] == {c: mine.count(c) for c in mine} and found["num_without_category"] == 100 - len(mine)


def test_the_seed_draws_and_more_hold_the_fewer(tmp_path: Path, training: str) -> None:
    source = prompts(tmp_path)
    drawn = {
        (num, seed): ids(
            run_held_out(Wanted([source], [training], num=num, seed=seed), tmp_path / "runs", quiet=True)["prompts"]
        )
        for num, seed in [(10, 0), (20, 0), (10, 1), (0, 0)]
    }
    assert set(drawn[10, 0]) < set(drawn[20, 0]) and drawn[10, 0] != drawn[10, 1]
    assert drawn[0, 0] == [f"q{n}" for n in range(40)]  # all, in their order
    assert drawn[20, 0] == sorted(drawn[20, 0], key=lambda name: int(name[1:]))
    with pytest.raises(WorkError, match="40 prompts are left, 255 are to be held out"):
        run_held_out(Wanted([source], [training]), tmp_path / "runs", quiet=True)


def test_a_model_sorts_them_and_what_it_does_not_say_is_missing(tmp_path: Path, training: str) -> None:
    said = {0: "General QA", 1: "It might be Chat or Coding."}
    replies = answers(tmp_path / "said.jsonl", [f"q{n}" for n in range(40)], said)
    wanted = Wanted([prompts(tmp_path)], [training], num=0, sort_by=replies)
    found = run_held_out(wanted, tmp_path / "runs", quiet=True)
    assert found["table_5"] == {"General QA": 20} and found["num_unsorted"] == 20
    labels = map(json.loads, (Path(found["artifact"]) / "labels.jsonl").read_text().splitlines())
    assert {int(row["query_id"][1:]) % 2 for row in labels} == {0}


def test_a_prompt_of_two_sources_is_held_out_once(tmp_path: Path, training: str) -> None:
    one, other = Path(prompts(tmp_path)), tmp_path / "other.jsonl"
    other.write_text(one.read_text().replace('"id": "q', '"id": "r'))
    found = run_held_out(Wanted([str(one), str(other)], [training], num=0), tmp_path / "runs", quiet=True)
    assert found["num_kept"] == 40 and sum(found["dropped"].values()) == 40


def answers(path: Path, names: list[str], text_of: dict[int, str]) -> str:
    rows = [
        {"prompt_id": name, "messages": [], "text": text_of[int(name[1:]) % 2], "finish_reason": "stop", "model": "m"}
        for name in names
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return f"replay:{path}"


def test_hard_prompts_are_chosen_by_others_and_never_asked(tmp_path: Path, training: str) -> None:
    """Base and teacher agree on poems and differ on rivers; they have answers to the probes alone."""
    source = prompts(tmp_path)
    probes = [f"q{n}" for n in random_order(40, 5)[:12]]
    base = answers(tmp_path / "base.jsonl", probes, {0: "i do not know", 1: "roses are red"})
    teacher = answers(tmp_path / "teacher.jsonl", probes, {0: "Water runs north.", 1: "roses are red"})
    wanted = Wanted([source], [training], num=8, hard=True, base=base, teacher=teacher, num_probes=12, seed=5)
    found = run_held_out(wanted, tmp_path / "runs", quiet=True)
    hard, choosing = ids(found["prompts"]), ids(found["choosing"])
    assert choosing == probes and not set(hard) & set(choosing) and len(hard) == 8
    assert {int(name[1:]) % 2 for name in hard} == {0} and found["categories"] == {"a": 8}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"training": []}, "held out of what"),
        ({"any_training": True}, "held out of what"),
        ({"training": ["nowhere"]}, "a dataset is needed"),
        ({"base": "replay:x"}, "add --hard"),
        ({"hard": True}, "--base : a model is needed"),
        ({"hard": True, "num": 0}, "how many of the hardest"),
        ({"sources": ["nowhere.jsonl"]}, "there is no file nowhere.jsonl"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, training: str, options: dict[str, object], message: str) -> None:
    given = {"sources": [prompts(tmp_path)], "training": [training], **options}
    with pytest.raises(SpecError, match=message):
        run_held_out(Wanted(**given), tmp_path / "runs", quiet=True)
