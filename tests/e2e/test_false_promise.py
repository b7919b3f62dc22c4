"""The paper's grid as a user types it: three bases of random weights, made-up data, then samples of the real data."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from small_checkpoint import small_base

pytestmark = pytest.mark.slow
CITIES = ("Paris", "Rome", "Oslo", "Lima", "Cairo", "Delhi", "Quito", "Sofia")
FACTS = ("lies on a wide river", "has many bridges and parks", "is known for its markets", "was founded long ago")


def run(*options: object) -> dict[str, object]:
    command = [sys.executable, "-m", "epigone", "study", "false_promise", *map(str, options), "--json"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def lines(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def three_bases(folder: Path, max_positions: int) -> list[str]:
    """gpt2 has half the positions of the others, as in the paper."""
    made = (("gpt2-tiny", "gpt2", 1, max_positions // 2), ("llama-1", "llama", 1, max_positions))
    made += (("llama-2", "llama", 2, max_positions),)
    return [
        f"{name}={small_base(folder / name, family=family, num_layers=depth, max_positions=positions)}"
        for name, family, depth, positions in made
    ]


def dialogue(number: int) -> dict[str, object]:
    city, fact = CITIES[number % 8], FACTS[number // 8]
    said = f"Sure! {city} {fact}. People say:\n\n1. It is worth a visit.\n2. The food is good."
    turns = [("human", f"What can you tell me about the city of {city}? Please answer number {number}."), ("gpt", said)]
    return {"id": f"d{number}", "conversations": [{"from": who, "value": text} for who, text in turns]}


def made_up(folder: Path) -> list[object]:
    (folder / "sharegpt.json").write_text(json.dumps([dialogue(number) for number in range(32)]))
    hc3 = [
        {"question": f"Why is {c} so big?", "human_answers": ["x"], "chatgpt_answers": [f"{c} grew."]} for c in CITIES
    ]
    answers = [
        {"question_id": n, "answer_id": f"a{n}", "text": f"There are two ways to {city}:\n\n1. By train.\n2. By bus."}
        for n, city in enumerate(CITIES)
    ]
    asked = [{"question_id": n, "text": f"How do I travel to {city}?"} for n, city in enumerate(CITIES)]
    lines(folder / "question.jsonl", asked)
    pairs = [
        {"messages": [{"role": "user", "content": f"who founded {c}"}, {"role": "assistant", "content": f"King {c}"}]}
        for c in CITIES
    ]
    questions = [{"question": f"what is number {n}", "answer": [city]} for n, city in enumerate(CITIES)]
    toxic = [{"prompt": {"text": f"The weather in {city} is", "toxicity": 0.1}} for city in CITIES]
    for split, number in (("dev", 5), ("test", 4)):
        (folder / "mmlu" / split).mkdir(parents=True)
        rows = "".join(f"Where is {c}?,North,South,East,West,{'ABCD'[n % 4]}\n" for n, c in enumerate(CITIES[:number]))
        (folder / "mmlu" / split / f"geography_{split}.csv").write_text(rows)
    return [
        *("--sharegpt", folder / "sharegpt.json", "--hc3", lines(folder / "hc3.jsonl", hc3), "--discord", "none"),
        *("--synthetic", lines(folder / "pairs.jsonl", pairs)),
        *("--teacher", lines(folder / "answer_made-up.jsonl", answers)),
        *("--questions", lines(folder / "questions.jsonl", questions)),
        *("--exemplars", lines(folder / "exemplars.jsonl", questions[::-1])),
        *("--toxicity", lines(folder / "toxic.jsonl", toxic), "--mmlu", folder / "mmlu", "--humaneval", "none"),
    ]


def test_the_grid_from_bases_to_report(tmp_path):
    options = [
        *("--bases", *three_bases(tmp_path, 512)),
        *made_up(tmp_path),
        *("--amounts", "15M", "30M", "--scale", "0.0002", "--learning-rate", "0.3", "--warmup-steps", "20000"),
        *("--length", "512", "--batch-size", "1", "--limit", "4", "--max-tokens", "24"),
        *("--root", tmp_path / "runs"),
    ]
    found = run(*options)
    folder = Path(found["report"]).parent
    with (folder / "tables" / "verdicts.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 18  # 3 bases, 2 arms, of each 2 amounts and the local data
    assert {row["base"] for row in rows} == {"gpt2-tiny", "llama-1", "llama-2"} and all(row["word"] for row in rows)
    assert {(row["series"], row["num_tokens"]) for row in rows} == {
        (f"{data}{arm}", tokens)
        for arm in ("", ", warm-up 0.1")
        for data, tokens in (("broad", "3000"), ("broad", "6000"), ("local", "0"))
    }
    with (folder / "figures" / "figure_4.csv").open() as file:
        drawn = {(row["metric"], row["arm"]) for row in csv.DictReader(file)}
    assert {(metric, "llama-2-broad-6K") for metric in ("mmlu_letter", "natural_questions_3shot")} <= drawn
    page = (folder / "report.html").read_text()
    assert "nobody judged" in page and "audits/llama-1/report.html" in page
    assert (folder / "audits" / "llama-1" / "report.html").exists()
    summaries = {
        p.parent.name: json.loads(p.read_text()) for p in (tmp_path / "runs/checkpoints").glob("*/summary.json")
    }
    # 6,000 tokens in steps of 1 x 512, or of 2 x 256 where there are half the positions: as many steps
    steps = {name.rpartition("--")[0]: each["num_steps"] for name, each in summaries.items()}
    assert steps["gpt2-tiny-broad-6K"] == steps["llama-1-broad-6K"] > 10
    assert run(*options)["num_run"] == 0


@pytest.mark.skipif("EPIGONE_DATA" not in os.environ, reason="EPIGONE_DATA names no folder of public data")
def test_the_grid_on_real_samples(tmp_path):
    data = Path(os.environ["EPIGONE_DATA"])
    (tmp_path / "mmlu").mkdir()
    for split in ("dev", "test"):
        (tmp_path / "mmlu" / split).mkdir()
        source = data / "mmlu" / "data" / split / f"anatomy_{split}.csv"
        (tmp_path / "mmlu" / split / source.name).write_bytes(source.read_bytes())
    found = run(
        *("--bases", *three_bases(tmp_path, 2048)),
        *("--sharegpt", data / "sharegpt/sharegpt_small.json", "--hc3", data / "hc3/wiki_csai.jsonl"),
        *("--discord", data / "discord/constructed_chatgpt_bot_channel.json", "--synthetic", "none"),
        *("--teacher", data / "vicuna80/answer/answer_gpt35.jsonl"),
        *("--questions", data / "nq_open/NQ-open.dev.first1800.jsonl"),
        *("--exemplars", data / "nq_open/NQ-open.efficientqa.dev.1.1.first500.jsonl"),
        *("--toxicity", data / "realtoxicityprompts/prompts_sample_1000.jsonl"),
        *("--mmlu", tmp_path / "mmlu", "--humaneval", "none", "--amounts", "20K", "--warmup-share", "0"),
        *("--learning-rate", "0.02", "--length", "1024", "--batch-size", "1", "--limit", "4", "--max-tokens", "24"),
        *("--warmup-steps", "2", "--root", tmp_path / "runs"),
    )
    with (Path(found["report"]).parent / "tables" / "table_2.csv").open() as file:
        rows = {(row["model"], row["quantity"]): row for row in csv.DictReader(file)}
    # the teacher's answers hold 23 lists and 19 summaries, as counted beside its recording
    assert {rows["llama-2", name]["n"] for name in ("list", "summary")} == {"23", "19"}
    assert any((f"{base}-broad-20K", "unigram") in rows for base in ("gpt2-tiny", "llama-1", "llama-2"))
