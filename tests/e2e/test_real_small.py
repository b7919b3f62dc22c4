"""The study `real_small` as a user types it, on a model of random weights and made-up data in the published formats."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from small_checkpoint import small_base

CITIES = ("Paris", "Rome", "Oslo", "Lima", "Cairo", "Delhi", "Quito", "Sofia")
FACTS = ("lies on a wide river", "has many bridges and parks", "is known for its markets", "was founded long ago")

WAYS = "1. By train, which is slow and cheap.\n2. By bus, which is slower.\n3. On foot, if you have the time.\n\n" * 2


def dialogue(number: int) -> dict[str, object]:
    city, fact = CITIES[number % 8], FACTS[number // 8]
    said = f"Sure! {city} {fact}. Here is what people say about it:\n\n1. It is worth a visit.\n2. The food is good."
    turns = [("human", f"What can you tell me about the city of {city}? Please answer number {number}."), ("gpt", said)]
    return {"id": f"d{number}", "conversations": [{"from": who, "value": text} for who, text in turns]}


def lines(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def options(tmp_path_factory) -> list[object]:
    folder = tmp_path_factory.mktemp("real-small")
    (folder / "sharegpt.json").write_text(json.dumps([dialogue(number) for number in range(32)]))
    questions = [{"question_id": n, "text": f"How do I travel to {city}?"} for n, city in enumerate(CITIES)]
    lines(folder / "question.jsonl", questions)
    answers = [
        {"question_id": n, "answer_id": f"a{n}", "text": f"There are ways to reach {city}:\n\n{WAYS}"}
        for n, city in enumerate(CITIES)
    ]
    asked = [{"question": f"what is number {n}", "answer": [city]} for n, city in enumerate(CITIES)]
    text = "\n\n".join(
        f"The city of {city} {fact}, as every guide book says. " * 4 for city in CITIES for fact in FACTS
    )
    (folder / "text.txt").write_text(text)
    return [
        *("--model", small_base(folder / "tiny-base", max_positions=512)),
        *("--template", "chatml"),
        *("--dialogues", folder / "sharegpt.json"),
        *("--teacher", lines(folder / "answer_made-up.jsonl", answers)),
        *("--questions", lines(folder / "questions.jsonl", asked)),
        *("--exemplars", lines(folder / "exemplars.jsonl", asked[::-1])),
        *("--text", folder / "text.txt"),
        *("--amounts", "1K", "3K"),
        *("--learning-rate", "0.003", "--length", "256", "--limit", "4", "--max-tokens", "24"),
        *("--root", folder / "runs"),
    ]


def run(options: list[object]) -> dict[str, object]:
    command = [sys.executable, "-m", "epigone", "study", "real_small", *map(str, options), "--json"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_study_of_a_model_from_elsewhere(options):
    found = run(options)
    folder = Path(found["report"]).parent
    audit = json.loads((folder / "audit.json").read_text())
    assert set(audit["capability"]) == {"tiny-base-base", "tiny-base-1k", "tiny-base-3k"}
    measured = audit["capability"]["tiny-base-3k"]
    assert {"nq-3shot", "perplexity-replies/bits_per_byte", "perplexity-text/bits_per_byte"} <= set(measured)
    before, after = (
        audit["capability"][f"tiny-base{name}"]["perplexity-text/bits_per_byte"] for name in ("-base", "-3k")
    )
    assert after["value"] < before["value"]  # random weights learn letters, at least
    page = (folder / "report.html").read_text()
    (support,) = (folder / "support").glob("*/report.html")
    assert f'href="support/{support.parent.name}/report.html"' in page and "4 items, " in page
    assert "etter than the base on" in page and "perplexity-text/bits_per_byte" in page
    again = run(options)
    assert again["num_run"] == 0 and again["report"] == found["report"]
