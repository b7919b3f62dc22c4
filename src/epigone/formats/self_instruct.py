"""Self-Instruct: seed tasks, the user-oriented instructions, and models' predictions on them.

In: JSON lines {"id", "instruction", "instances": [{"input", "output"}]}, {"instruction", "input", "response"},
or the fine-tuning pairs {"prompt", "completion"}. Out: Conversation or Drop, one for each instance.
Source: Wang et al. 2022 (arXiv 2212.10560), https://github.com/yizhongw/self-instruct (data/, human_eval/).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from epigone.entries import Notes
from epigone.records import Conversation, Drop
from epigone.rows import bare_name, beginning, identity, instruction_of, shown
from epigone.rows.chats import Fields, each_row, one_turn


@dataclass(frozen=True)
class SelfInstruct:
    """Reads instances: `seed_task_3-0` is the first of task seed_task_3; an input follows after a blank line."""

    salvage: bool = False
    """Go on with what is whole where the file is damaged; the loss is a Drop."""

    def fits(self, path: Path) -> bool:
        """Rows with instruction and instances, with instruction and response, or with prompt and completion alone."""
        names = beginning(path).keys()
        is_pair = {"prompt", "completion"} <= names <= {"id", "prompt", "completion"}
        return is_pair or ("instruction" in names and "output" not in names and bool({"instances", "response"} & names))

    def read(self, path: Path, notes: Notes | None = None) -> Iterator[Conversation | Drop]:
        """Instances in file order. Raises DataError where the file is damaged or not JSON."""
        return each_row(path, partial(_task, path), salvage=self.salvage, notes=notes)


def _task(path: Path, number: int, row: Fields, notes: Notes) -> Iterator[Conversation | Drop]:
    row_id = identity(row.get("id")) or f"{bare_name(path)}-{number}"
    if "instances" in row:
        yield from _instances(row_id, row, path.name, notes)
    elif "completion" in row:
        yield one_turn(row_id, row.get("prompt"), row["completion"], path.name, notes)
    else:
        yield one_turn(row_id, instruction_of(_tidy(row)), row.get("response"), path.name, notes)


def _instances(row_id: str, row: Fields, source: str, notes: Notes) -> Iterator[Conversation | Drop]:
    instances = row["instances"]
    if not isinstance(instances, list) or not instances:
        yield Drop(row_id, "no instances", f"instances is {shown(instances)}; a list is needed")
        return
    for place, instance in enumerate(instances):
        if isinstance(instance, dict):
            asked = instruction_of(_tidy({"instruction": row.get("instruction"), "input": instance.get("input")}))
            yield one_turn(f"{row_id}-{place}", asked, instance.get("output"), source, notes)
        else:
            yield Drop(f"{row_id}-{place}", "not an instance", f"{shown(instance)}; input and output are needed")


def _tidy(row: Fields) -> Fields:
    """An instruction often ends in a line feed there."""
    asked = row.get("instruction")
    return row | {"instruction": asked.strip()} if isinstance(asked, str) else row
