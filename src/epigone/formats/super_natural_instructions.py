"""Super-NaturalInstructions: one task a file, {"Definition", "Positive Examples", "Instances": [{"input", "output"}]}.

In: a task's JSON file, packed or not; instances are streamed. Out: Conversation or Drop, one for each instance, with
the first of its accepted outputs as the answer (the others are counted).
Source: Wang et al. 2022 (arXiv 2204.07705), https://github.com/allenai/natural-instructions (tasks/README.md).
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from epigone.entries import Loss, Notes, read_members
from epigone.records import Conversation, Drop
from epigone.rows import bare_name, beginning, identity, lost, shown
from epigone.rows.chats import named_apart, one_turn

OTHER_OUTPUTS = "further accepted outputs left out"
_INSTANCES, _EXAMPLES = "Instances", "Positive Examples"


@dataclass(frozen=True)
class SuperNaturalInstructions:
    """Reads instances; a prompt is the definition and the instance's input, with examples between them on request."""

    num_examples: int = 0
    """Positive examples of the task that each prompt shows, as Tk-Instruct is asked (2 is usual)."""
    salvage: bool = False
    """Go on with what is whole where the file is damaged; the loss is a Drop."""

    def fits(self, path: Path) -> bool:
        """One object with a Definition, and Instances or Positive Examples."""
        names = beginning(path).keys()
        return "Definition" in names and bool({_INSTANCES, _EXAMPLES} & names)

    def read(self, path: Path, notes: Notes | None = None) -> Iterator[Conversation | Drop]:
        """Instances in file order. Raises DataError where the file is damaged or no such task."""
        notes = Counter() if notes is None else notes
        return named_apart(self._rows(path, notes), notes)

    def _rows(self, path: Path, notes: Notes) -> Iterator[Conversation | Drop]:
        task = self._task(path)
        number = 0
        for found in read_members(path, _INSTANCES, salvage=self.salvage, notes=notes):
            if isinstance(found, Loss):
                yield lost(found, path)
                continue
            name, instance = found
            if name != _INSTANCES:
                continue
            number += 1
            row_id = f"{bare_name(path)}-{number}"
            if not isinstance(instance, dict):
                yield Drop(row_id, "not an instance", f"{shown(instance)}; input and output are needed")
                continue
            outputs = instance.get("output")
            outputs = outputs if isinstance(outputs, list) else [outputs]
            notes[OTHER_OUTPUTS] += max(0, len(outputs) - 1)
            asked = self._prompt(task, instance.get("input"))
            row_id = identity(instance.get("id")) or row_id
            yield one_turn(row_id, asked, outputs[0] if outputs else "", path.name, notes)

    def _task(self, path: Path) -> dict[str, object]:
        """All fields but the instances, which may come before the definition."""
        found = read_members(path, _INSTANCES, salvage=self.salvage)
        return dict(pair for pair in found if not isinstance(pair, Loss) and pair[0] != _INSTANCES)

    def _prompt(self, task: dict[str, object], given: object) -> str:
        defined = task.get("Definition")
        definition = "\n".join(map(str, defined)) if isinstance(defined, list) else str(defined or "")
        if not isinstance(given, str) or not definition.strip():
            return ""
        examples = task.get(_EXAMPLES)
        shots = [e for e in examples if isinstance(e, dict)][: self.num_examples] if isinstance(examples, list) else []
        if not shots:
            return f"{definition.strip()}\n\n{given.strip()}"
        shown_before = [
            f"Positive Example {place}-\nInput: {shot.get('input')}\nOutput: {_first(shot.get('output'))}"
            for place, shot in enumerate(shots, start=1)
        ]
        asked = f"Now complete the following example-\nInput: {given.strip()}\nOutput:"
        return "\n\n".join([f"Definition: {definition.strip()}", *shown_before, asked])


def _first(output: object) -> object:
    return output[0] if isinstance(output, list) and output else output
