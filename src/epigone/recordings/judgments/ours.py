"""Our own judgments: the records.jsonl of a judgments artifact.

In: such a file. Out: Judgment or Drop.
Source: Judgment in epigone.records.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from epigone.records import Drop, Judgment, Verdict
from epigone.rows import beginning, finite, identity, read_array_or_rows, shown

First = Literal["a", "b", "unknown"]
_VERDICTS: tuple[Verdict, ...] = ("a", "b", "tie")
_FIRST: tuple[First, ...] = ("a", "b", "unknown")


@dataclass(frozen=True)
class Ours:
    """Reads judgments as they were written; fields that older records lack have their defaults."""

    def fits(self, path: Path) -> bool:
        """Rows with a, b, verdict and rater."""
        return {"prompt_id", "a", "b", "verdict", "rater"} <= beginning(path).keys()

    def read(self, path: Path) -> Iterator[Judgment | Drop]:
        """One Judgment or Drop a row, in file order. Raises DataError where a line is no JSON object."""
        for number, row in read_array_or_rows(path):
            judgment = _judgment(row)
            if isinstance(judgment, str):
                row_id = identity(row.get("prompt_id")) or f"row-{number}"
                yield Drop(row_id, "not a judgment", f"row {number}: {judgment} is {shown(row.get(judgment))}")
            else:
                yield judgment


def _judgment(row: dict[str, object]) -> Judgment | str:
    """The judgment, or the field that cannot be read."""
    if wrong := next((name for name, fits in _CHECKS.items() if name in row and not fits(row[name])), None):
        return wrong
    if missing := next((name for name in _NEEDED if name not in row), None):
        return missing
    scores = row.get("scores")
    marks = [mark for mark in map(finite, scores) if mark is not None] if isinstance(scores, list) else []
    return Judgment(
        prompt_id=str(row["prompt_id"]),
        a=str(row["a"]),
        b=str(row["b"]),
        verdict=next(known for known in _VERDICTS if known == row["verdict"]),
        rater=str(row["rater"]),
        first=next(known for known in _FIRST if known == row["first"]),
        simulated=row.get("simulated") is True,
        panel=str(row.get("panel", "")),
        is_person=row.get("is_person") is True,
        criterion=str(row.get("criterion", "")),
        share_a=finite(row.get("share_a")),
        scores=(marks[0], marks[1]) if marks else None,
        seconds=finite(row.get("seconds")),
    )


def _is_name(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_flag(value: object) -> bool:
    return isinstance(value, bool)


def _is_share(value: object) -> bool:
    share = finite(value)
    return value is None or (share is not None and 0 <= share <= 1)


def _is_duration(value: object) -> bool:
    return value is None or finite(value) is not None


def _is_pair(value: object) -> bool:
    return value is None or (isinstance(value, list) and len(value) == 2 and None not in map(finite, value))


_NEEDED = ("prompt_id", "a", "b", "rater", "verdict", "first")
_CHECKS: dict[str, Callable[[object], bool]] = {
    **dict.fromkeys(("prompt_id", "a", "b", "rater"), _is_name),
    **dict.fromkeys(("panel", "criterion"), _is_text),
    **dict.fromkeys(("simulated", "is_person"), _is_flag),
    "verdict": lambda value: value in _VERDICTS,
    "first": lambda value: value in _FIRST,
    "share_a": _is_share,
    "scores": _is_pair,
    "seconds": _is_duration,
}
