"""rate: what people said of two models' answers, out of the rating application's database into the store.

In: a file of Ratings, as `epigone rate --export` writes it (docs/decisions/0019). Out: `judgments/`: records.jsonl, one
Judgment a vote; ratings.jsonl, the same with the raters' fields and marks; raters.jsonl, what is known of each rater.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from epigone.errors import WorkError
from epigone.rating.overview import overview
from epigone.rating.ratings import Ratings
from epigone.records import Drop
from epigone.spec import Input
from epigone.store import read_record, write_records


@dataclass(frozen=True)
class Rate:
    """Options of taking ratings in."""

    source: Input
    """The file of Ratings."""
    name: str
    """What was compared, for people."""
    leave_out_flagged: bool = False
    """Drop the ratings of raters that the overview flags; their names and the reasons stand in dropped.jsonl."""
    minimum_coverage: float | int = 0.0
    """Share of the ratings asked for (0-1) that must be left; below it the stage fails."""

    kind: ClassVar[str] = "judgments"
    version: ClassVar[int] = 1

    @property
    def slug(self) -> str:
        """What was compared."""
        return re.sub(r"[^A-Za-z0-9.+]+", "-", self.name)

    @property
    def effort(self) -> float:
        """Seconds on one core, roughly."""
        return 0.5

    def run(self, inputs: Callable[[object], Path], out: Path) -> dict[str, object]:
        """Write every vote. Raises WorkError where too few are left."""
        found = read_record(inputs(self.source), Ratings)
        seen = overview(found)
        flagged = {line.facts.rater: f"{line.flag}: {line.reason}" for line in seen.raters if line.flag}
        left_out = flagged if self.leave_out_flagged else {}
        kept = [rating for rating in found.ratings if rating.judgment.rater not in left_out]
        if not kept or len(kept) < self.minimum_coverage * found.num_asked:
            raise WorkError(
                f"{self.name}: {len(kept)} of {found.num_asked} ratings are there, at least "
                f"{self.minimum_coverage:.0%} are needed; wait for more, or lower minimum_coverage"
            )
        write_records(out / "records.jsonl", [rating.judgment for rating in kept])
        write_records(out / "ratings.jsonl", kept)
        write_records(out / "raters.jsonl", found.raters)
        dropped = [r.judgment for r in found.ratings if r.judgment.rater in left_out]
        drops = [Drop(f"{j.prompt_id} {j.rater}", "flagged rater", flagged[j.rater]) for j in dropped]
        write_records(out / "dropped.jsonl", drops)
        return {
            "num_asked": found.num_asked,
            "num_rows": len(found.ratings),
            "num_kept": len(kept),
            "num_dropped": len(drops),
            "num_raters": len({rating.judgment.rater for rating in kept}),
            "num_flagged": len(flagged),
            "num_masked": found.num_masked,
            "alpha": seen.agreement.alpha.value if seen.agreement else None,
            "median_seconds": seen.median_seconds,
        }
