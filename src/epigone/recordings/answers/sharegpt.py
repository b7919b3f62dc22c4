"""Answers out of dialogues in ShareGPT's form: [{"id", "conversations": [{"from", "value"}]}].

In: such an array, or one entry a line. Out: Generation or Drop: the first question and the first answer after it, the
prompt known by its text. Of a conversation in parts, each part counts as one of its own.
Source: FastChat's data (https://github.com/lm-sys/FastChat/blob/main/docs/training.md).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from epigone.records import Drop, Generation, Message
from epigone.rows import answered_once, bare_name, beginning, identity, prompt_id_of, read_array_or_rows, shown

_ASKERS = ("human", "user")
_ANSWERERS = ("gpt", "chatgpt", "assistant")


@dataclass(frozen=True)
class ShareGPT:
    """Reads first answers; the model is a row's `model`, else the one that the file is named after."""

    def fits(self, path: Path) -> bool:
        """Rows with conversations."""
        return "conversations" in beginning(path)

    def read(self, path: Path) -> Iterator[Generation | Drop]:
        """One Generation or Drop an entry, in file order. Raises DataError where the file is cut off or not JSON."""
        return answered_once(_generations(path))


def _generations(path: Path) -> Iterator[Generation | Drop]:
    for number, row in read_array_or_rows(path):
        entry_id = identity(row.get("id")) or f"row-{number}"
        turns = _turns(row.get("conversations"))
        model = bare_name(path) if row.get("model") is None else identity(row["model"])
        if turns is None:
            yield Drop(entry_id, "not a ShareGPT entry", "conversations must be a list of from and value, both strings")
        elif not model:
            yield Drop(entry_id, "no model name", f"model is {shown(row['model'])}")
        else:
            yield _first_answer(turns, entry_id, model)


def _first_answer(turns: list[tuple[str, str]], entry_id: str, model: str) -> Generation | Drop:
    asked = [place for place, (speaker, value) in enumerate(turns) if speaker in _ASKERS and value.strip()]
    if not asked:
        return Drop(entry_id, "no question")
    prompt = turns[asked[0]][1]
    for speaker, value in turns[asked[0] + 1 :]:
        if speaker in _ANSWERERS:
            return Generation(prompt_id_of(prompt), (Message("user", prompt),), value, "unknown", model)
    return Drop(entry_id, "no answer to a question", f"answers are from {', '.join(_ANSWERERS)}")


def _turns(value: object) -> list[tuple[str, str]] | None:
    turns: list[tuple[str, str]] = []
    for turn in value if isinstance(value, list) else [None]:
        speaker, said = (turn.get("from"), turn.get("value")) if isinstance(turn, dict) else (None, None)
        if not isinstance(speaker, str) or not isinstance(said, str):
            return None
        turns.append((speaker, said))
    return turns
