"""Ratings in the koala_eval format: the ratings.jsonl of a release of `epigone rate --release`.

In: such a file; each row has the prompt, two models with their responses, and one rating of one rater. Out: Judgment or
Drop a row.
Source: https://github.com/arnav-gudibande/koala-test-set for `id` and `prompt`; the ratings' fields are ours.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from epigone.records import Drop, Judgment, Verdict
from epigone.rows import beginning, finite, identity, read_array_or_rows, shown

_VERDICTS: dict[object, Verdict] = {"a": "a", "b": "b", "tie": "tie"}
_SIDES: dict[object, Literal["a", "b"]] = {"a": "a", "b": "b"}
_NAMES = ("id", "model_a", "model_b", "rater")


@dataclass(frozen=True)
class KoalaEval:
    """Reads released ratings; `panel` is what their raters are called together."""

    panel: str = "people"
    """Whose verdicts are pooled."""

    def fits(self, path: Path) -> bool:
        """Rows with prompt, model_a, model_b, rating and rater."""
        return {"prompt", "model_a", "model_b", "rating", "rater"} <= beginning(path).keys()

    def read(self, path: Path) -> Iterator[Judgment | Drop]:
        """One Judgment or Drop a row, in file order. Raises DataError where a line is no JSON object."""
        for number, row in read_array_or_rows(path):
            names = [identity(row.get(name)) for name in _NAMES]
            verdict = _VERDICTS.get(row.get("rating")) if isinstance(row.get("rating"), str) else None
            if not all(names):
                missing = _NAMES[names.index("")]
                yield Drop(
                    names[0] or f"row-{number}", "no ids", f"row {number}: {missing} is {shown(row.get(missing))}"
                )
            elif verdict is None:
                yield Drop(names[0], "no verdict", f"row {number}: rating is {shown(row.get('rating'))}")
            else:
                first = row.get("first") if isinstance(row.get("first"), str) else None
                yield Judgment(
                    prompt_id=names[0],
                    a=names[1],
                    b=names[2],
                    verdict=verdict,
                    rater=names[3],
                    first=_SIDES.get(first, "unknown"),
                    panel=self.panel,
                    is_person=True,
                    seconds=finite(row.get("seconds")),
                )
