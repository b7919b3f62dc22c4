"""The stage that has a model answer: what was said, and what each answer took, kept apart."""

import json
from pathlib import Path

from epigone.spec import Component, Input
from epigone.stages.generate import Generate
from fault_server import running
from small_checkpoint import small_base

TEMPLATE = "{% for m in messages %}<|im_start|>{{ m.content }}<|im_end|>{% endfor %}"


def generated(tmp_path: Path, model: Component) -> tuple[dict, list[dict], list[dict]]:
    prompts = tmp_path / "prompts.jsonl"
    asked = [{"id": f"p{n}", "messages": [{"role": "user", "content": f"tell me of {n}"}]} for n in range(5)]
    prompts.write_text("".join(json.dumps(row) + "\n" for row in asked))
    stage = Generate(model, Input(str(prompts)), "m", max_tokens=6)
    out = tmp_path / "out"
    out.mkdir(exist_ok=True)
    told = stage.run(lambda given: Path(given.path), out)
    said, took = (
        [json.loads(line) for line in (out / n).read_text().splitlines()] for n in ("records.jsonl", "raw.jsonl")
    )
    assert [row["prompt_id"] for row in said] == [row["prompt_id"] for row in took] == [row["id"] for row in asked]
    assert not {"seconds", "usd"} & said[0].keys()  # clocks stand beside the answers, never in them
    return told, said, took


def test_a_checkpoints_answers_have_tokens_and_seconds_and_no_price(tmp_path):
    folder = small_base(tmp_path / "base", template=TEMPLATE)
    told, _, took = generated(tmp_path, Component.of("backends", "checkpoint", path=str(folder), batch_size=2))
    assert all(0 < row["tokens_out"] <= 6 and row["seconds"] > 0 and row["usd"] is None for row in took)
    assert sum(row["seconds"] for row in took) <= 2 * told["generating_seconds"] + 0.01  # two rows at once at most
    assert told["usd"] is None and told["median_seconds"] > 0


def test_a_servers_answers_have_what_it_billed(tmp_path):
    with running(latency_seconds=0.05) as url:
        options = {"url": url, "model": "m", "price_in": 1.0, "price_out": 2.0}
        told, said, took = generated(tmp_path, Component.of("backends", "openai", **options))
    for row, answer in zip(took, said, strict=True):
        assert row["tokens_out"] == len(answer["text"].split())  # as this server counts
        assert row["usd"] == (row["tokens_in"] + 2 * row["tokens_out"]) / 1e6
        assert row["seconds"] >= 0.05
    assert told["usd"] == sum(row["usd"] for row in took)
