"""Answers of LLMFAO: results.jsonl {"model", "name", "prompt", "result", "slug"}, many models in one file.

In: such a file; the prompts' texts from a prompts.jsonl {"id", "text"} beside it. Out: Generation or Drop.
Source: https://github.com/dustalov/llmfao (Ustalov 2023), on the results of https://benchmarks.llmonitor.com.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from epigone.records import Drop, Generation, Message
from epigone.rows import answered_once, beginning, identity, nearby, read_array_or_rows, shown


@dataclass(frozen=True)
class LLMFAO:
    """Reads the answers, each under its model's `name`."""

    def fits(self, path: Path) -> bool:
        """Rows with result, prompt and name."""
        return {"result", "prompt", "name"} <= beginning(path).keys()

    def read(self, path: Path) -> Iterator[Generation | Drop]:
        """One Generation or Drop a row, in file order. Raises DataError where a line is no JSON object."""
        return answered_once(_generations(path, _prompts(path)))


def _generations(path: Path, prompts: dict[str, str]) -> Iterator[Generation | Drop]:
    for number, row in read_array_or_rows(path):
        prompt_id, model, text = identity(row.get("prompt")), identity(row.get("name")), row.get("result")
        if not prompt_id or not model:
            yield Drop(f"row-{number}", "no prompt or name", f"{shown(row.get('prompt'))}, {shown(row.get('name'))}")
        elif not isinstance(text, str):
            yield Drop(f"row-{number}", "no answer text", f"result is {shown(text)}; a string is needed")
        else:
            messages = (Message("user", prompts[prompt_id]),) if prompt_id in prompts else ()
            yield Generation(prompt_id, messages, text, "unknown", model)


def _prompts(path: Path) -> dict[str, str]:
    file = nearby(path, "prompts.jsonl", 0)
    prompts: dict[str, str] = {}
    for _, row in read_array_or_rows(file) if file else ():
        text = row.get("text")
        if isinstance(text, str):
            prompts[identity(row.get("id"))] = text
    return prompts
