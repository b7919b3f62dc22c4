"""A study's items as files beside its report: `items.html`, and under `items/` an index and chunks of 50 items.

In: `StudyItems`. Out: (relative path, content), one file at a time, in an order that is always the same. A chunk is a
script that hands its items to the page, so that the page works from a folder on disk, where a browser fetches nothing.
The index holds one character an item and model and nothing of their text: what fits a filter is found without reading
a chunk. Everything from data travels as JSON in ASCII and becomes text nodes in the page, never markup.
"""

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from importlib import resources

from epigone.reporting.items.rows import PAGE, AnsweredItem, BenchmarkItems, Said, StudyItems
from epigone.reporting.page import template

PAGE_TEMPLATE = "items.html.j2"
CHUNK_ITEMS = 50
FORMAT = 1
OUTCOMES = {"right": "1", "wrong": "0", "part": "p", "": "-", "none": "."}
"""How the index writes what came of an answer; `none`: the model was not asked."""
FOLDER = "items"

See = Callable[[BenchmarkItems, int, AnsweredItem], None]


def files(items: StudyItems, watching: Sequence[See] = ()) -> Iterator[tuple[str, str]]:
    """Every file of the pages; those who are `watching` are told each item with its place in its benchmark."""
    places = {who.name: place for place, who in enumerate(items.models)}
    told: list[dict[str, object]] = []
    number = 0
    for benchmark in items.benchmarks:
        columns: list[list[str]] = [[] for _ in items.models]
        first, chunk, place = number, list[object](), 0
        for place, item in enumerate(benchmark.items(), 1):
            for see in watching:
                see(benchmark, place - 1, item)
            _count(columns, item, places)
            chunk.append(_item(item, places))
            if len(chunk) == CHUNK_ITEMS:
                yield _chunk(number, chunk)
                number, chunk = number + 1, []
        if chunk:
            yield _chunk(number, chunk)
            number += 1
        told.append(_benchmark(benchmark, first, place, columns, places))
    models = [asdict(who) for who in items.models]
    index = {"format": FORMAT, "title": items.title, "study_id": items.study_id, "chunk_items": CHUNK_ITEMS,
             "lead": list(items.lead), "models": models, "benchmarks": told}  # fmt: skip
    yield f"{FOLDER}/index.js", _call("epigoneIndex", index)
    yield f"{FOLDER}/browser.js", resources.files("epigone.reporting").joinpath("templates/items.js").read_text("utf-8")
    yield PAGE, template(PAGE_TEMPLATE).render(findings=items)


def _count(columns: list[list[str]], item: AnsweredItem, places: dict[str, int]) -> None:
    for column in columns:
        column.append(OUTCOMES["none"])
    for said in item.said:
        columns[places[said.model]][-1] = OUTCOMES[said.outcome]


def _benchmark(
    benchmark: BenchmarkItems, first: int, num_items: int, columns: list[list[str]], places: dict[str, int]
) -> dict[str, object]:
    sources = [
        {"model": place, "artifacts": list(benchmark.artifacts.get(name, ())), "protocol": protocol}
        for name, place in places.items()
        if (protocol := benchmark.protocols.get(name, "")) or benchmark.artifacts.get(name)
    ]
    return {
        "name": benchmark.name, "label": benchmark.label, "words": list(benchmark.words), "first_chunk": first,
        "num_items": num_items, "outcomes": ["".join(column) for column in columns], "sources": sources,
    }  # fmt: skip


def _item(item: AnsweredItem, places: dict[str, int]) -> dict[str, object]:
    row: dict[str, object] = {"id": item.id, "prompt": item.prompt, "said": [_said(s, places) for s in item.said]}
    return row | {"group": item.group} if item.group else row


def _said(said: Said, places: dict[str, int]) -> dict[str, object]:
    """What is empty is left out; numbers in six digits."""
    row: dict[str, object] = {
        "model": places[said.model],
        "outcome": OUTCOMES[said.outcome],
        "reply": said.reply,
        "parsed": said.parsed if said.parsed != said.reply else "",
        "metrics": {k: float(f"{v:.6g}") for k, v in said.metrics.items() if math.isfinite(v)},
        "prompt": said.prompt,
        "sentences": [[s.text, s.truth, s.begins] for s in said.sentences],
        "votes": [[v.who, v.against, v.wins, v.ties, v.losses] for v in said.votes],
    }
    return {name: value for name, value in row.items() if value not in ("", [], {}) or name == "reply"}


def _chunk(number: int, rows: list[object]) -> tuple[str, str]:
    return f"{FOLDER}/{number:05}.js", _call("epigoneChunk", number, rows)


def _call(function: str, *values: object) -> str:
    """A script of one call. ASCII alone, and no `<`: whatever reads it takes it for nothing but a script."""
    told = (json.dumps(value, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c") for value in values)
    return f"{function}({','.join(told)});\n"
