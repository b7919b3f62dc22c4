"""A study for Prolific that sends people to our rating application, and whose submission to accept.

In: an offer and the open link; or Prolific's export of a study and the facts of raters. Out: study.json and README.md;
or lists of participants to approve, to reject with a category and reason, and to look at.
Participants come with PROLIFIC_PID in the address. The database keeps a keyed hash of it alone; the export's ids are
hashed the same way to find whose ratings are whose.
Source: https://docs.prolific.com/api-reference (studies, filters, submissions).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from epigone.errors import DataError, SpecError
from epigone.rating.offers import APPROVAL_PERCENT, COUNTRIES, FEWEST_TASKS, Cost, Offer
from epigone.rating.overview import missed_checks
from epigone.rating.ratings import RaterFacts
from epigone.rows import columns, read_table

PERSON, STATUS, TAKEN = "Participant id", "Status", "Time taken"
WITHDREW = ("RETURNED", "TIMED-OUT", "REJECTED", "SCREENED OUT")
"""Of these nothing is used: who returns a submission takes the consent back."""
REVIEWED = "AWAITING REVIEW"
_NAMES = {"US": "United States", "GB": "United Kingdom", "CA": "Canada", "AU": "Australia", "NZ": "New Zealand",
          "IE": "Ireland"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Submission:
    """One row of an export; `who` is the keyed hash by which the rater joined."""

    participant: str
    who: str
    status: str
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Decision:
    """Of one submission: approve, reject or look; what is rejected has a category of Prolific."""

    participant: str
    word: str
    reason: str = ""
    category: str = ""


def study(offer: Offer, url: str, completion_code: str, *, num_people: int, num_each: int) -> dict[str, object]:
    """A study as Prolific's API takes it. Raises SpecError without a link or a completion code.

    Countries and languages are chosen by names here; Prolific's ids of them are asked of its API.
    """
    if not url.startswith(("https://", "http://")) or not completion_code:
        raise SpecError(
            "prolific needs --url, the open link of a running `epigone rate`, and --completion-code, which it shows at "
            "the end (set both there and here)"
        )
    minutes = math.ceil(num_each * offer.seconds / 60)
    return {
        "name": "Compare responses to instructions",
        "description": "You read instructions with two responses to each, and choose the better one.",
        "external_study_url": f"{url}?PROLIFIC_PID={{{{%PROLIFIC_PID%}}}}",
        "prolific_id_option": "url_parameters",
        "completion_codes": [
            {"code": completion_code, "code_type": "COMPLETED", "actions": [{"action": "MANUALLY_REVIEW"}]}
        ],
        "estimated_completion_time": minutes,
        "maximum_allowed_time": max(4 * minutes, 30),
        "reward": round(100 * num_each * offer.reward_usd),
        "total_available_places": num_people,
        "device_compatibility": ["desktop", "tablet", "mobile"],
        "filters": [
            {"filter_id": "approval_rate", "selected_range": {"lower": APPROVAL_PERCENT, "upper": 100}},
            {"filter_id": "approval_numbers", "selected_range": {"lower": FEWEST_TASKS}},
            {"filter_id": "current-country-of-residence", "selected_names": [_NAMES[c] for c in COUNTRIES]},
            {"filter_id": "fluent-languages", "selected_names": ["English"]},
        ],
    }


def num_people(cost: Cost, num_each: int) -> int:
    """How many people are needed where each rates `num_each`."""
    return math.ceil(cost.num_ratings / num_each)


def readme(offer: Offer, cost: Cost, num_each: int) -> str:
    """What to do with the file."""
    people = num_people(cost, num_each)
    return f"""\
# A study for Prolific

1. Run `epigone rate` where the link of study.json leads, with the environment's open code, `--most {num_each}` and
   `--completion-code` as in study.json.
2. Create the study: its settings are those of study.json, by hand or by the API. The API wants ids in place of
   `selected_names`; it lists them under /api/v1/filters/.
3. It needs {people} people, ${num_each * offer.reward_usd:.2f} each, and costs ${cost.total_usd:,.2f}:
   ${cost.raters_usd:,.2f} for them, ${cost.fee_usd:,.2f} for the platform.
4. Download the export of the study and look through it with
   `epigone crowd --platform prolific --review EXPORT.csv --database DATABASE --out FOLDER`.

Pay follows the median time. Prolific tells it on the study's page: where it is longer than planned, raise the reward.
"""


def read_export(path: Path, digest: Callable[[str], str]) -> list[Submission]:
    """The export of a study. Raises DataError where it is none."""
    names = columns(path)
    if missing := [name for name in (PERSON, STATUS) if name not in names]:
        raise DataError(f"{path}: no export of Prolific: the column {missing[0]!r} is missing; there are: {names}")
    found: list[Submission] = []
    for number, row in read_table(path):
        participant = row[PERSON].strip()
        if not participant:
            raise DataError(f"{path}: row {number} has no {PERSON}")
        taken = row.get(TAKEN, "").strip()
        seconds = float(taken) if taken.isascii() and taken.replace(".", "", 1).isdigit() else None
        found.append(Submission(participant, digest(f"platform:{participant}"), row[STATUS].strip().upper(), seconds))
    return found


def decided(
    submissions: Sequence[Submission], facts: Mapping[str, RaterFacts], *, share: int, fewest_seconds: float | int
) -> list[Decision]:
    """What to do with every submission that waits for a review; `facts` are by the hash that raters joined with."""
    waiting = [one for one in submissions if one.status == REVIEWED]
    return [_decided(one, facts.get(one.who), share, fewest_seconds) for one in waiting]


def _decided(one: Submission, facts: RaterFacts | None, share: int, fewest_seconds: float | int) -> Decision:
    if facts is None or facts.num_ratings == 0:
        return Decision(one.participant, "reject", "No rating arrived.", "NO_DATA")
    if missed := missed_checks(facts):
        return Decision(one.participant, "reject", f"{missed[1].capitalize()}.", "FAILED_CHECK")
    if one.seconds is not None and one.seconds < fewest_seconds * facts.num_ratings:
        each = one.seconds / facts.num_ratings
        return Decision(one.participant, "look", f"{each:.1f} seconds a comparison; not enough to read both responses")
    if facts.num_ratings < share:
        return Decision(one.participant, "look", f"{facts.num_ratings} of {share} comparisons")
    return Decision(one.participant, "approve")
