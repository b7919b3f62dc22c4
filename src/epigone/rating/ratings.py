"""What was rated, without anyone who can be recognised: every vote as a Judgment, and what is known of each rater.

In: a campaign. Out: Ratings, in an order that tells nothing of when a vote was given. Raters bear names that are keyed
hashes; reasons that people wrote stay in the database.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import func, select

from epigone.rating.campaign import Campaign
from epigone.rating.database import RATERS, SEATS, WITHDRAWN, Database
from epigone.rating.pairs import ATTENTION, COMPARISON, PRACTICE, REPEAT
from epigone.records import Judgment

PANEL = "people"
SHARES = {"a little": 0.75, "clearly": 1.0}
"""How far the better one is preferred, by the word of strength."""


@dataclass(frozen=True, slots=True)
class RaterFacts:
    """One rater, by the name used outside. Counts are of votes that were not taken back."""

    rater: str
    domain: str
    num_ratings: int
    num_attention: int
    num_attention_right: int
    num_repeats: int
    num_repeats_same: int
    num_withdrawn: int


@dataclass(frozen=True, slots=True)
class Rating:
    """One vote beside what no Judgment holds: the rater's field, the word of strength, sentences marked as wrong."""

    judgment: Judgment
    domain: str
    strength: str = ""
    marks: tuple[str, ...] = ()
    """`a0` is the first sentence of a's answer."""


@dataclass(frozen=True, slots=True)
class Ratings:
    """Everything that leaves a database. `num_asked` is comparisons x raters, `num_masked` names taken out."""

    ratings: tuple[Rating, ...]
    raters: tuple[RaterFacts, ...]
    num_pairs: int
    num_asked: int
    num_masked: int


def ratings_of(campaign: Campaign) -> Ratings:
    """All votes on comparisons that count, ordered by prompt, pair and rater."""
    rows = seat_rows(campaign.database)
    names, domains = _people(campaign.database)
    found = [
        _rating(campaign, row, names[row["rater_id"]], domains[row["rater_id"]])
        for row in rows
        if row["kind"] == COMPARISON
    ]
    places = {pair.prompt_id: place for place, pair in enumerate(campaign.comparisons)}
    found.sort(key=lambda r: (places[r.judgment.prompt_id], r.judgment.a, r.judgment.b, r.judgment.rater))
    return Ratings(
        ratings=tuple(found),
        raters=tuple(_facts(campaign, rows, names, domains)),
        num_pairs=len(campaign.comparisons),
        num_asked=len(campaign.comparisons) * campaign.rules.num_raters,
        num_masked=sum(pair.num_masked for pair in campaign.comparisons),
    )


def seat_rows(database: Database) -> list[dict[str, Any]]:
    """Every vote that was given and not taken back, by column, as the database holds it."""
    given = select(SEATS).where(SEATS.c.voted_at.is_not(None)).order_by(SEATS.c.id)
    with database.reading() as connection:
        return [{str(name): value for name, value in row.items()} for row in connection.execute(given).mappings()]


def _people(database: Database) -> tuple[dict[str, str], dict[str, str]]:
    """Names and fields by the database's own id."""
    with database.reading() as connection:
        rows = connection.execute(select(RATERS.c.id, RATERS.c.domain)).all()
    return {row.id: database.name_of(row.id) for row in rows}, {row.id: row.domain for row in rows}


def _rating(campaign: Campaign, row: Mapping[str, Any], rater: str, domain: str) -> Rating:
    pair, share = campaign.pairs[row["pair_id"]], SHARES.get(row["strength"])
    judgment = Judgment(
        prompt_id=pair.prompt_id,
        a=pair.a,
        b=pair.b,
        verdict=row["verdict"],
        rater=rater,
        first=row["first"],
        panel=PANEL,
        is_person=True,
        share_a=None if share is None else share if row["verdict"] == "a" else 1 - share,
        seconds=seconds_of(row),
    )
    return Rating(judgment, domain, row["strength"], tuple(json.loads(row["marks"])))


def seconds_of(row: Mapping[str, Any]) -> float:
    """How long the rater took: as long as the page was in view, never longer than from asking to answering."""
    taken = max(row["voted_at"] - row["taken_at"], 0.0)
    return round(min(taken, row["read_seconds"] or taken), 1)


def _facts(
    campaign: Campaign, rows: Sequence[Mapping[str, Any]], names: Mapping[str, str], domains: Mapping[str, str]
) -> list[RaterFacts]:
    with campaign.database.reading() as connection:
        counted = select(WITHDRAWN.c.rater_id, func.count()).group_by(WITHDRAWN.c.rater_id)
        num_withdrawn = {rater_id: count for rater_id, count in connection.execute(counted)}
    by_rater: defaultdict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        by_rater[row["rater_id"]].append(row)
    found: list[RaterFacts] = []
    for rater_id, mine in by_rater.items():
        kinds = Counter(row["kind"] for row in mine)
        said = {row["pair_id"]: row["verdict"] for row in mine if row["kind"] == COMPARISON}
        facts = RaterFacts(
            rater=names[rater_id],
            domain=domains[rater_id],
            num_ratings=kinds[COMPARISON],
            num_attention=kinds[ATTENTION],
            num_attention_right=sum(
                row["verdict"] == campaign.pairs[row["pair_id"]].expected for row in mine if row["kind"] == ATTENTION
            ),
            num_repeats=kinds[REPEAT],
            num_repeats_same=sum(row["kind"] == REPEAT and row["verdict"] == said.get(row["pair_id"]) for row in mine),
            num_withdrawn=num_withdrawn.get(rater_id, 0),
        )
        if len(kinds) > (PRACTICE in kinds):  # practice alone is no rating
            found.append(facts)
    return sorted(found, key=lambda facts: facts.rater)


def names_by_joining(database: Database) -> dict[str, str]:
    """What a rater is called outside, by the hash that they joined with: how a platform's export is matched."""
    with database.reading() as connection:
        rows = connection.execute(select(RATERS.c.joined_by, RATERS.c.id)).all()
    return {row.joined_by: database.name_of(row.id) for row in rows}


def without(found: Ratings, left_out: Collection[str]) -> Ratings:
    """The same without some raters, by name: who withdrew, for example."""
    return replace(
        found,
        ratings=tuple(rating for rating in found.ratings if rating.judgment.rater not in left_out),
        raters=tuple(facts for facts in found.raters if facts.rater not in left_out),
    )
