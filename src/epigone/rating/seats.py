"""Who rates what next, and what they said: seats are taken for a while, voted on once, and given up again.

In: a campaign, a rater, the time. Out: a Seat, or why there is none; the outcome of a vote. Every change is one
transaction that names what it expects to find, so that two requests at once, or one sent twice, end as one would:
docs/decisions/0019.
"""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, func, or_, select, update
from sqlalchemy.exc import IntegrityError

from epigone.rating.campaign import Campaign
from epigone.rating.database import SEATS, WITHDRAWN, Database
from epigone.rating.pairs import COMPARISON, REPEAT
from epigone.rating.rules import next_kind

NUM_TRIES, NUM_CANDIDATES = 6, 16
OTHER = {"a": "b", "b": "a"}


@dataclass(frozen=True, slots=True)
class Seat:
    """A rating that a rater holds. `first` is the side that is shown as Response A."""

    ticket: str
    pair_id: str
    kind: str
    first: str


@dataclass(frozen=True, slots=True)
class Rest:
    """There is nothing to rate: the rater has finished, or others hold what is left for now."""

    is_over: bool


@dataclass(frozen=True, slots=True)
class Ballot:
    """What a rater said of one seat; `verdict` and `marks` name the sides a and b, not their places on the page."""

    verdict: str
    strength: str = ""
    reason: str = ""
    marks: tuple[str, ...] = ()
    read_seconds: float | int | None = None
    """How long the page was in view, by the browser."""


def seat_for(campaign: Campaign, rater_id: str, now: float) -> Seat | Rest:
    """The seat that the rater holds, or a new one."""
    for _ in range(NUM_TRIES):
        try:
            with campaign.database.writing() as connection:
                if (found := _held(connection, campaign, rater_id, now)) or (
                    found := _taken(connection, campaign, rater_id, now)
                ):
                    return found
        except IntegrityError:
            continue  # the same rater's other window took that one just now
    return Rest(is_over=False)


def vote(database: Database, rater_id: str, ticket: str, ballot: Ballot, now: float) -> str:
    """Count a vote once: `counted`; `already`, where it is there; `withdrawn`; `gone`, where the seat is another's."""
    values = {
        "voted_at": now,
        "verdict": ballot.verdict,
        "strength": ballot.strength,
        "reason": ballot.reason,
        "marks": json.dumps(ballot.marks),
        "read_seconds": ballot.read_seconds,
    }
    mine = and_(SEATS.c.ticket == ticket, SEATS.c.rater_id == rater_id)
    with database.writing() as connection:
        counted = connection.execute(update(SEATS).where(mine, SEATS.c.voted_at.is_(None)).values(values)).rowcount
        if counted:
            return "counted"
        if connection.execute(select(SEATS.c.id).where(mine)).first():
            return "already"
        given_up = and_(WITHDRAWN.c.ticket == ticket, WITHDRAWN.c.rater_id == rater_id)
        return "withdrawn" if connection.execute(select(WITHDRAWN.c.ticket).where(given_up)).first() else "gone"


def withdraw(campaign: Campaign, rater_id: str, ticket: str, now: float) -> bool:
    """Take the rater's last vote back, so that the seat can be voted on again; False where it is not the last."""
    with campaign.database.writing() as connection:
        last = _last(connection, rater_id)
        if last is None or last["ticket"] != ticket:
            return False
        emptied = {name: None for name in ("voted_at", "verdict", "strength", "reason", "marks", "read_seconds")}
        fresh = {**emptied, "ticket": _ticket(), **_lease(campaign, now)}
        mine = and_(SEATS.c.id == last["id"], SEATS.c.ticket == ticket, SEATS.c.voted_at.is_not(None))
        if not connection.execute(update(SEATS).where(mine).values(fresh)).rowcount:
            return False
        row = {name: last[name] for name in ("ticket", "rater_id", "pair_id", "kind", "verdict", "voted_at")}
        connection.execute(WITHDRAWN.insert().values(**row, withdrawn_at=now))
        return True


def last_ticket(connection: Connection, rater_id: str) -> str:
    """Of the rater's last vote, which may be taken back; empty where there is none."""
    last = _last(connection, rater_id)
    return last["ticket"] if last else ""


def done_by(connection: Connection, rater_id: str) -> dict[str, int]:
    """How many votes a rater has given, by kind."""
    mine = and_(SEATS.c.rater_id == rater_id, SEATS.c.voted_at.is_not(None))
    rows = connection.execute(select(SEATS.c.kind, func.count()).where(mine).group_by(SEATS.c.kind))
    return {kind: count for kind, count in rows}


def voted(connection: Connection, rater_id: str, ticket: str) -> tuple[str, str] | None:
    """(pair id, verdict) of a rater's vote, if it is there."""
    mine = and_(SEATS.c.ticket == ticket, SEATS.c.rater_id == rater_id, SEATS.c.voted_at.is_not(None))
    row = connection.execute(select(SEATS.c.pair_id, SEATS.c.verdict).where(mine)).first()
    return (row.pair_id, row.verdict) if row else None


def _held(connection: Connection, campaign: Campaign, rater_id: str, now: float) -> Seat | None:
    """The open seat that is the rater's, its lease renewed once half of it is over."""
    mine = and_(SEATS.c.rater_id == rater_id, SEATS.c.voted_at.is_(None))
    row = connection.execute(select(SEATS).where(mine).order_by(SEATS.c.taken_at.desc()).limit(1)).first()
    if row is None:
        return None
    lease = _lease(campaign, now)
    if row.expires_at - now < (lease["expires_at"] - now) / 2:
        still = and_(SEATS.c.id == row.id, SEATS.c.ticket == row.ticket, SEATS.c.voted_at.is_(None))
        renewed = update(SEATS).where(still).values(expires_at=lease["expires_at"])
        if not connection.execute(renewed).rowcount:
            return None
    return Seat(row.ticket, row.pair_id, row.kind, row.first)


def _taken(connection: Connection, campaign: Campaign, rater_id: str, now: float) -> Seat | Rest | None:
    """A new seat of the kind that is due; None where another was quicker."""
    done = done_by(connection, rater_id)
    kind = next_kind(done, campaign.num_by_kind, campaign.rules)
    if kind == REPEAT:
        if again := _again(connection, campaign, rater_id, now):
            return again
        kind = COMPARISON
    if kind != COMPARISON:
        seen = _pairs_of(connection, rater_id, kind)
        pair_id = next(pair.id for pair in campaign.pairs.values() if pair.kind == kind and pair.id not in seen)
        return _made(connection, campaign, rater_id, (pair_id, kind, _side(campaign, rater_id, pair_id)), now)
    if done.get(COMPARISON, 0) >= campaign.share_of():
        return Rest(is_over=True)
    return _free(connection, campaign, rater_id, now)


def _free(connection: Connection, campaign: Campaign, rater_id: str, now: float) -> Seat | Rest | None:
    """A seat that nobody holds, or whose lease is over, of a comparison that this rater has not had."""
    is_free = _is_free(now)
    others = and_(SEATS.c.kind == COMPARISON, SEATS.c.pair_id.not_in(_pairs_of(connection, rater_id, COMPARISON)))
    wanted = select(SEATS.c.id, SEATS.c.pair_id).where(others, is_free).order_by(SEATS.c.number, SEATS.c.place)
    candidates = connection.execute(wanted.limit(NUM_CANDIDATES)).all()
    for row in candidates:
        seat = Seat(_ticket(), row.pair_id, COMPARISON, _side(campaign, rater_id, row.pair_id))
        values = {"rater_id": rater_id, "ticket": seat.ticket, "first": seat.first, **_lease(campaign, now)}
        if connection.execute(update(SEATS).where(SEATS.c.id == row.id, is_free).values(values)).rowcount:
            return seat
    if candidates:
        return None
    held = select(SEATS.c.id).where(others, SEATS.c.voted_at.is_(None)).limit(1)
    return Rest(is_over=connection.execute(held).first() is None)


def _again(connection: Connection, campaign: Campaign, rater_id: str, now: float) -> Seat | None:
    """The rater's oldest comparison that was not repeated yet, the other way round."""
    repeated = _pairs_of(connection, rater_id, REPEAT)
    mine = and_(SEATS.c.rater_id == rater_id, SEATS.c.kind == COMPARISON, SEATS.c.voted_at.is_not(None))
    old = select(SEATS.c.pair_id, SEATS.c.first).where(mine, SEATS.c.pair_id.not_in(repeated))
    row = connection.execute(old.order_by(SEATS.c.voted_at, SEATS.c.id).limit(1)).first()
    return _made(connection, campaign, rater_id, (row.pair_id, REPEAT, OTHER[row.first]), now) if row else None


def _made(connection: Connection, campaign: Campaign, rater_id: str, what: tuple[str, str, str], now: float) -> Seat:
    """A seat that is this rater's alone: a known answer, or a repeated comparison."""
    pair_id, kind, first = what
    seat = Seat(_ticket(), pair_id, kind, first)
    values = {"pair_id": pair_id, "kind": kind, "place": 0.0, "rater_id": rater_id, "ticket": seat.ticket}
    connection.execute(SEATS.insert().values(**values, first=first, **_lease(campaign, now)))
    return seat


def _ticket() -> str:
    return secrets.token_urlsafe(18)


def _is_free(now: float) -> ColumnElement[bool]:
    return or_(SEATS.c.rater_id.is_(None), and_(SEATS.c.voted_at.is_(None), SEATS.c.expires_at < now))


def _pairs_of(connection: Connection, rater_id: str, kind: str) -> list[str]:
    mine = and_(SEATS.c.rater_id == rater_id, SEATS.c.kind == kind)
    return list(connection.execute(select(SEATS.c.pair_id).where(mine)).scalars())


def _last(connection: Connection, rater_id: str) -> dict[str, Any] | None:
    mine = and_(SEATS.c.rater_id == rater_id, SEATS.c.voted_at.is_not(None))
    newest = select(SEATS).where(mine).order_by(SEATS.c.voted_at.desc(), SEATS.c.id.desc()).limit(1)
    row = connection.execute(newest).mappings().first()
    return {str(name): value for name, value in row.items()} if row else None


def _lease(campaign: Campaign, now: float) -> Mapping[str, float]:
    return {"taken_at": now, "expires_at": now + 60 * campaign.rules.lease_minutes}


def _side(campaign: Campaign, rater_id: str, pair_id: str) -> str:
    """Which answer is shown first: random by rater and pair, and the same whenever the page is shown again."""
    return "ab"[int(campaign.database.digest(f"side:{rater_id}:{pair_id}")[:8], 16) % 2]
