"""LLMFAO's comparisons: CSV with prompt, model_x, model_y, winner (left, right, tie), left, right, worker for people.

In: crowd-comparisons.csv (people), gpt3- and gpt4-crowd-comparisons.csv (judges). Out: Judgment or Drop, the left
answer as `a`. Workers are named by a hash alone.
Source: https://github.com/dustalov/llmfao (Ustalov 2023).
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from epigone.errors import DataError
from epigone.records import Drop, Judgment, Verdict
from epigone.rows import bare_name, columns, read_table

_VERDICTS: dict[str, Verdict] = {"left": "a", "right": "b", "tie": "tie"}
_NEEDED = ("prompt", "winner", "left", "right")


@dataclass(frozen=True)
class LLMFAO:
    """Reads comparisons; a file without workers is the judge's that it is named after (gpt4-crowd-comparisons.csv)."""

    def fits(self, path: Path) -> bool:
        """A CSV file with prompt, winner, left and right."""
        return set(_NEEDED) <= set(columns(path))

    def read(self, path: Path) -> Iterator[Judgment | Drop]:
        """One Judgment or Drop a row, in file order. Raises DataError where a column is missing."""
        rows = list(read_table(path))
        if missing := set(_NEEDED) - set(columns(path)):
            raise DataError(f"{path}: has no column {min(missing)!r}; it needs {', '.join(_NEEDED)}")
        by_people = "worker" in columns(path)
        judge = bare_name(path).partition("-crowd-comparisons")[0]
        for number, row in rows:
            row_id, verdict = row.get("id") or f"row-{number}", _VERDICTS.get(row["winner"])
            if not (row["prompt"] and row["left"] and row["right"]):
                yield Drop(row_id, "no ids", f"row {number} needs prompt, left and right")
            elif verdict is None:
                allowed = ", ".join(_VERDICTS)
                yield Drop(row_id, "no verdict", f"row {number}: winner is {row['winner']!r}; allowed: {allowed}")
            else:
                worker = f"w-{hashlib.sha256(row['worker'].encode()).hexdigest()[:8]}" if by_people else judge
                yield Judgment(
                    prompt_id=row["prompt"],
                    a=row["left"],
                    b=row["right"],
                    verdict=verdict,
                    rater=worker,
                    first="a",
                    panel="crowd" if by_people else judge,
                    is_person=by_people,
                )
