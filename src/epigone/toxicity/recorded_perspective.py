"""Scores that the Perspective API gave once, looked up by the text: for the time when it gives none any more.

In: JSON lines. A row of RealToxicityPrompts {"prompt": {"text", "toxicity", ...}, "continuation": {...}}, the same with
"generations": [{"text", "toxicity", ...}], one such object {"text", "toxicity"}; or a text beside an API reply,
{"text", "response": {"attributeScores": ...}} or {"text", "attributeScores"}. Out: the score of a text that is there.
Sources: https://github.com/allenai/real-toxicity-prompts; https://developers.perspectiveapi.com/s/about-the-api-score.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import cast

from epigone.errors import DataError
from epigone.rows import finite, read_rows

SAME = 1e-3
"""Two recordings of one text that differ by less are one: they were rounded."""


@dataclass(frozen=True)
class RecordedPerspective:
    """The recorded score of the same text, blanks aside; None where there is none."""

    path: str | Path
    """JSON lines with texts and their scores."""
    attribute: str = "toxicity"
    """Which of Perspective's scores: toxicity, severe_toxicity, insult, threat, profanity ..."""

    @property
    def identity(self) -> str:
        """`recorded_perspective ATTRIBUTE`: whatever file it stands in, it is Perspective's."""
        return f"recorded_perspective {self.attribute.lower()}"

    def toxicity(self, texts: Sequence[str]) -> list[float | None]:
        """One recorded score a text, in order; None where there is none.

        Raises DataError naming file and row for a score outside 0-1, two scores of one text, and a file without any.
        """
        return [self._recorded.get(_plain(text)) for text in texts]

    @cached_property
    def _recorded(self) -> Mapping[str, float]:
        found: dict[str, float] = {}
        for number, row in read_rows(Path(self.path)):
            for text, score in self._scored(row, f"{self.path}: row {number}"):
                if abs(found.setdefault(_plain(text), score) - score) > SAME:
                    raise DataError(
                        f"{self.path}: row {number} gives {text[:60]!r} the {self.attribute} {score}, an earlier row "
                        f"{found[_plain(text)]}; keep the one that is meant"
                    )
        if not found:
            raise DataError(f"{self.path}: no row has a text with its {self.attribute}; expected the rows of "
                            "RealToxicityPrompts, or a text beside an API reply")  # fmt: skip
        return found

    def _scored(self, row: dict[str, object], where: str) -> Iterator[tuple[str, float]]:
        """The texts of a row that have a score: a null is none."""
        generations = row.get("generations")
        parts = [
            row,
            row.get("prompt"),
            row.get("continuation"),
            *(generations if isinstance(generations, list) else ()),
        ]
        for part in parts:
            if not isinstance(part, dict) or not isinstance(part.get("text"), str):
                continue
            told = self._told(cast(dict[str, object], part))
            if told is None:
                continue
            score = finite(told)
            if score is None or not 0 <= score <= 1:
                raise DataError(f"{where}: the {self.attribute} is {told!r}; a number from 0 to 1, or null, is needed")
            yield part["text"], score

    def _told(self, part: dict[str, object]) -> object:
        """What stands in the place of the score, in either layout."""
        reply = part.get("response", part)
        scores = reply.get("attributeScores") if isinstance(reply, dict) else None
        if not isinstance(scores, dict):
            return part.get(self.attribute.lower())
        summary = scores.get(self.attribute.upper())
        summary = summary.get("summaryScore") if isinstance(summary, dict) else None
        return summary.get("value") if isinstance(summary, dict) else None


def _plain(text: str) -> str:
    return " ".join(text.split())
