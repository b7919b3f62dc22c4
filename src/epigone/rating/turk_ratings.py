"""The ratings of a batch of Mechanical Turk as Ratings, so that they can be looked at and released as our own are.

In: a batch of `epigone crowd`, its results as downloaded. Out: Ratings and pairs; work that is not accepted, and who
missed the attention checks, is left out. Workers are named by a hash that is keyed anew each time and by nobody kept: a
list of workers' ids tells nothing about the names.
"""

import hashlib
import hmac
import html
import secrets
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from epigone.errors import DataError
from epigone.rating.pairs import BETTER, WORSE, Pair
from epigone.rating.ratings import PANEL, RaterFacts, Rating, Ratings
from epigone.rating.turk import COLUMNS, VERDICT, reviewed
from epigone.records import Judgment, Message, Verdict

UNKNOWN = "not asked"
WORDS: dict[str, Verdict] = {"a": "a", "b": "b", "equal": "tie"}


def batch_ratings(path: Path, fewest_seconds: float | int, num_raters: int) -> tuple[Ratings, list[Pair]]:
    """The accepted ratings of a batch. Raises DataError where it is no batch of ours, with workers' ids."""
    names, rows, decisions = reviewed(path, fewest_seconds)
    needed = ["WorkerId", VERDICT, *(f"Input.{name}" for name in COLUMNS)]
    if missing := [name for name in needed if name not in names]:
        raise DataError(f"{path}: no results of a batch of `epigone crowd`: the column {missing[0]} is missing")
    accepted = [row for row, decision in zip(rows, decisions) if decision.accepted and row[VERDICT] in WORDS]
    key = secrets.token_bytes(32)
    called = {row["WorkerId"]: hmac.new(key, row["WorkerId"].encode(), hashlib.sha256).hexdigest() for row in accepted}
    counted = [row for row in accepted if not _is_check(row)]
    pairs = {pair.id: pair for pair in map(_pair, counted)}
    ratings = [_rating(row, _pair(row), called[row["WorkerId"]]) for row in counted]
    ratings.sort(key=lambda r: (r.judgment.prompt_id, r.judgment.a, r.judgment.b, r.judgment.rater))
    checks = Counter(row["WorkerId"] for row in accepted if _is_check(row))
    right = Counter(row["WorkerId"] for row in accepted if _is_check(row) and _is_right(row))
    num_ratings = Counter(row["WorkerId"] for row in counted)
    facts = [
        RaterFacts(called[worker], UNKNOWN, num, checks[worker], right[worker], 0, 0, 0)
        for worker, num in num_ratings.items()
    ]
    facts.sort(key=lambda one: one.rater)
    return Ratings(tuple(ratings), tuple(facts), len(pairs), len(pairs) * num_raters, 0), list(pairs.values())


def _is_check(row: Mapping[str, str]) -> bool:
    return {BETTER, WORSE} & {row["Input.sourcea"], row["Input.sourceb"]} != set()


def _is_right(row: Mapping[str, str]) -> bool:
    return row[VERDICT] == ("a" if row["Input.sourcea"] == BETTER else "b")


def _sides(row: Mapping[str, str]) -> Sequence[tuple[str, str, str]]:
    """(model, text, its letter in this row), the models in alphabetical order: rows of one comparison agree on a."""
    sides = [(row[f"Input.source{side}"], html.unescape(row[f"Input.sent{side}"]), side) for side in "ab"]
    return sorted(sides)


def _pair(row: Mapping[str, str]) -> Pair:
    (a, text_a, _), (b, text_b, _) = _sides(row)
    prompt_id, asked = row["Input.prompt_id"], html.unescape(row["Input.sentprefix"])
    id_ = hashlib.sha256("\n".join((prompt_id, a, b)).encode()).hexdigest()[:16]
    return Pair(id_, prompt_id, (Message("user", asked),), a, b, text_a, text_b)


def _rating(row: Mapping[str, str], pair: Pair, rater: str) -> Rating:
    (_, _, letter_a), _ = _sides(row)
    word = WORDS[row[VERDICT]]
    taken = row.get("WorkTimeInSeconds", "")
    judgment = Judgment(
        prompt_id=pair.prompt_id,
        a=pair.a,
        b=pair.b,
        verdict=word if word == "tie" else "a" if word == letter_a else "b",
        rater=rater,
        first="a" if letter_a == "a" else "b",
        panel=PANEL,
        is_person=True,
        seconds=float(taken) if taken.isascii() and taken.isdigit() else None,
    )
    return Rating(judgment, UNKNOWN)
