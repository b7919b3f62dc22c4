"""Files for a batch of Mechanical Turk, and which work of a batch to accept.

In: pairs, an offer; or a batch's results as downloaded. Out: input.csv, layout.html, hit.json, README.md; or the same
results with Approve and Reject filled in, as the site takes them back.
Columns are those of published batches (DExperts, arXiv 2105.03023): prompt_id, sentprefix, sourcea, senta, sourceb,
sentb; the answer is qOverall. The texts are escaped, since the site puts them into the page as HTML; the column
`escaping` says so. System a is shown first; which model that is, is random by comparison.
Source: https://docs.aws.amazon.com/AWSMechTurk (layout parameters, QualificationRequirements, batch results).
"""

import csv
import html
import io
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from epigone.errors import DataError
from epigone.rating.offers import APPROVAL_PERCENT, COUNTRIES, FEWEST_TASKS, Cost, Offer, num_checks
from epigone.rating.pairs import BETTER, WORSE, Pair
from epigone.rows import columns, read_table

COLUMNS = ("prompt_id", "sentprefix", "sourcea", "senta", "sourceb", "sentb", "escaping")
VERDICT = "Answer.qOverall"
FEWEST_MISSED = 2
_APPROVED, _COMPLETED, _LOCALE = "000000000000000000L0", "00000000000000000040", "00000000000000000071"
"""Ids of the qualifications that Mechanical Turk keeps by itself."""


@dataclass(frozen=True, slots=True)
class Decision:
    """One piece of work: accept it, or why not. `rater` is empty where the file names nobody."""

    accepted: bool
    reason: str = ""


def batch_rows(pairs: Sequence[Pair], checks: Sequence[Pair], seed: int = 0) -> list[dict[str, str]]:
    """One row a comparison, attention checks among them, in random order."""
    rng = random.Random(f"batch:{seed}")
    wanted = num_checks(len(pairs)) if checks else 0
    rows = [_row(pair, rng.random() < 0.5) for pair in [*pairs, *(checks[i % len(checks)] for i in range(wanted))]]
    rng.shuffle(rows)
    return rows


def as_csv(rows: Sequence[Mapping[str, str]], names: Sequence[str] = COLUMNS) -> str:
    """CSV as the site takes it."""
    told = io.StringIO(newline="")
    writer = csv.DictWriter(told, names, lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(rows)
    return told.getvalue()


def hit(offer: Offer, title: str = "Compare two responses to an instruction") -> dict[str, object]:
    """The settings of every HIT, as the API names them."""

    def needs(id_: str, comparator: str, **values: object) -> dict[str, object]:
        seen = {"ActionsGuarded": "DiscoverPreviewAndAccept"}
        return {"QualificationTypeId": id_, "Comparator": comparator, **values, **seen}

    return {
        "Title": title,
        "Description": "Read an instruction and two responses, and choose the better one, or say that they are equal.",
        "Keywords": "comparison, language, quality, responses, reading",
        "Reward": f"{offer.reward_usd:.2f}",
        "MaxAssignments": offer.num_raters,
        "AssignmentDurationInSeconds": max(600, 20 * round(offer.seconds)),
        "AutoApprovalDelayInSeconds": 3 * 86_400,
        "LifetimeInSeconds": 7 * 86_400,
        "QualificationRequirements": [
            needs(_APPROVED, "GreaterThanOrEqualTo", IntegerValues=[APPROVAL_PERCENT]),
            needs(_COMPLETED, "GreaterThanOrEqualTo", IntegerValues=[FEWEST_TASKS]),
            needs(_LOCALE, "In", LocaleValues=[{"Country": country} for country in COUNTRIES]),
        ],
    }


def readme(offer: Offer, cost: Cost) -> str:
    """What to do with the files."""
    return f"""\
# A batch for Mechanical Turk

1. Create a project on the requester site. Its settings are those of hit.json: a reward of ${offer.reward_usd:.2f},
   {offer.num_raters} assignments a HIT, workers with at least {APPROVAL_PERCENT} % approval and {FEWEST_TASKS} HITs,
   in {", ".join(COUNTRIES)}.
2. Paste layout.html as its design layout.
3. Publish a batch with input.csv: {cost.num_comparisons} comparisons and {cost.num_checks} attention checks.
   It costs ${cost.total_usd:,.2f}: ${cost.raters_usd:,.2f} for the workers, ${cost.fee_usd:,.2f} for the platform.
4. Download the results, look through them with `epigone crowd --review RESULTS.csv --out FOLDER`, and upload
   reviewed.csv. The results themselves are judgments: `epigone audit --judgments RESULTS.csv`.

Pay follows the median time. Look at WorkTimeInSeconds after some HITs: where it is longer than {offer.seconds:.0f}
seconds, pay the difference as a bonus and raise the reward.
"""


def reviewed(path: Path, fewest_seconds: float | int) -> tuple[list[str], list[dict[str, str]], list[Decision]]:
    """A batch's columns, rows with Approve or Reject filled in, and the decisions. Raises DataError.

    Not accepted is what holds no answer, what took less than `fewest_seconds`, and all work of somebody who answered
    wrongly in at least `FEWEST_MISSED` attention checks and half of them.
    """
    names = columns(path)
    answers = [name for name in names if name.startswith("Answer.")]
    verdict = VERDICT if VERDICT in names else ""
    if not answers or "AssignmentId" not in names:
        raise DataError(f"{path}: no results of a batch: AssignmentId and Answer columns are needed; it has {names}")
    rows = [row for _, row in read_table(path)]
    missed = _who_missed(rows, verdict)
    decisions = [_decided(row, verdict, answers, missed, fewest_seconds) for row in rows]
    out = [
        {**row, "Approve": "x" if decision.accepted else "", "Reject": decision.reason}
        for row, decision in zip(rows, decisions)
    ]
    return [*names, *(name for name in ("Approve", "Reject") if name not in names)], out, decisions


def layout() -> str:
    """The page of a HIT: Figure 7 of the paper. ${...} are filled in by the site."""
    return Path(__file__).with_name("turk_layout.html").read_text(encoding="utf-8")


def escaped(text: str) -> str:
    """Text that the site may put into a page; characters outside the basic plane, which it refuses, as numbers."""
    return "".join(c if ord(c) < 0x10000 else f"&#{ord(c)};" for c in html.escape(text))


def _row(pair: Pair, flip: bool) -> dict[str, str]:
    sides = [(pair.a, pair.text_a), (pair.b, pair.text_b)]
    (first, first_text), (second, second_text) = reversed(sides) if flip else sides
    values = (pair.prompt_id, escaped(pair.asked), first, escaped(first_text), second, escaped(second_text), "html")
    return dict(zip(COLUMNS, values, strict=True))


def _who_missed(rows: Sequence[Mapping[str, str]], verdict: str) -> dict[str, str]:
    """Worker -> why their work is not accepted, of those who did not look at the attention checks."""
    seen: dict[str, list[bool]] = {}
    for row in rows:
        systems = row.get("Input.sourcea", ""), row.get("Input.sourceb", "")
        if row.get("WorkerId") and verdict and WORSE in systems:
            right = row[verdict].strip().lower() == ("a" if systems[0] == BETTER else "b")
            seen.setdefault(row["WorkerId"], []).append(right)
    return {
        worker: f"{right.count(False)} of {len(right)} attention checks were answered wrongly."
        for worker, right in seen.items()
        if right.count(False) >= max(FEWEST_MISSED, len(right) / 2)
    }


def _decided(
    row: Mapping[str, str], verdict: str, answers: Sequence[str], missed: Mapping[str, str], fewest: float | int
) -> Decision:
    if verdict and not row[verdict].strip():
        return Decision(False, "No response was chosen.")
    if not any(row[name].strip() not in ("", "{}") for name in answers):
        return Decision(False, "Nothing was answered.")
    if reason := missed.get(row.get("WorkerId", "")):
        return Decision(False, reason)
    taken = row.get("WorkTimeInSeconds", "").strip()
    if taken.isascii() and taken.isdigit() and int(taken) < fewest:
        return Decision(False, f"Done in {taken} seconds, in which both responses cannot be read.")
    return Decision(True)
