"""koala_eval: the paper's held-out prompts, and prompts with the ratings of two models' responses, as JSON lines.

In: such files, or prompts. Out: Prompts, or rows ready for JSON. The prompts are {"id", "prompt"}, as published; no
published file of ratings was at hand, so their rows are ours: docs/how-to/rate-with-people.md lists the fields.
Source: https://github.com/arnav-gudibande/koala-test-set; arXiv 2305.15717, footnote 4.
"""

from collections.abc import Iterable
from pathlib import Path

from epigone.errors import DataError
from epigone.rating.pairs import Pair
from epigone.rating.ratings import Rating
from epigone.records import Message, Prompt
from epigone.rows import read_rows, text_field


def read_prompts(path: Path) -> list[Prompt]:
    """The prompts, in file order. Raises DataError naming file and row, also where an id comes twice."""
    prompts: dict[str, Prompt] = {}
    for number, row in read_rows(path):
        where = f"{path}: row {number}"
        id_ = text_field(row, "id", where)
        if id_ in prompts:
            raise DataError(f"{where}: id {id_!r} comes twice; every prompt needs its own")
        prompts[id_] = Prompt(id_, messages=(Message("user", text_field(row, "prompt", where)),))
    return list(prompts.values())


def prompt_rows(prompts: Iterable[Prompt]) -> list[dict[str, str]]:
    """The same as rows. Of several turns, the last one stands for the prompt."""
    return [{"id": prompt.id, "prompt": prompt.messages[-1].content} for prompt in prompts]


def rating_row(pair: Pair, rating: Rating, rater: str) -> dict[str, object]:
    """One rating beside what was rated."""
    return {
        "id": pair.prompt_id,
        "prompt": pair.asked,
        "model_a": pair.a,
        "response_a": pair.text_a,
        "model_b": pair.b,
        "response_b": pair.text_b,
        "rating": rating.judgment.verdict,
        "first": rating.judgment.first,
        "rater": rater,
        "strength": rating.strength,
        "marks": list(rating.marks),
        "seconds": rating.judgment.seconds,
    }
