"""AlpacaEval's model_outputs.json and AlpacaFarm's outputs: [{"instruction", "output", "generator"}], input optional.

In: such an array, or the same rows one a line. Out: Generation or Drop, prompts known by their text: an `input` follows
its instruction after a blank line, which gives AlpacaFarm's rows the text that AlpacaEval has for them.
Sources: https://github.com/tatsu-lab/alpaca_eval (results/MODEL/model_outputs.json); AlpacaFarm (arXiv 2305.14387).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from epigone.records import Drop, Generation, Message
from epigone.rows import (
    answered_once,
    bare_name,
    beginning,
    identity,
    instruction_of,
    prompt_id_of,
    read_array_or_rows,
    shown,
)

_PLAIN_NAMES = ("model_outputs", "outputs", "records")


@dataclass(frozen=True)
class AlpacaEval:
    """Reads the outputs; a row without `generator` is the model that the file, or its folder, is named after."""

    def fits(self, path: Path) -> bool:
        """Rows with instruction and output."""
        return {"instruction", "output"} <= beginning(path).keys()

    def read(self, path: Path) -> Iterator[Generation | Drop]:
        """One Generation or Drop a row, in file order. Raises DataError where the file is cut off or not JSON."""
        return answered_once(_generations(path))


def _generations(path: Path) -> Iterator[Generation | Drop]:
    stem = bare_name(path)
    named_after = path.absolute().parent.name if stem in _PLAIN_NAMES else stem
    for number, row in read_array_or_rows(path):
        prompt, text = instruction_of(row), row.get("output")
        model = named_after if row.get("generator") is None else identity(row["generator"])
        if not prompt:
            yield Drop(f"row-{number}", "no prompt", f"instruction is {shown(row.get('instruction'))}")
        elif not isinstance(text, str):
            yield Drop(f"row-{number}", "no answer text", f"output is {shown(text)}; a string is needed")
        elif not model:
            yield Drop(f"row-{number}", "no model name", f"generator is {shown(row['generator'])}")
        else:
            yield Generation(prompt_id_of(prompt), (Message("user", prompt),), text, "unknown", model)
