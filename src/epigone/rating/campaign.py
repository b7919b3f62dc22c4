"""A rating in its database: the pairs, the rules and the codes, put in once and found again at every start.

In: pairs, known answers, rules. Out: a Campaign, read back from the database. Other pairs or rules than those that are
there are an error: a rating that runs is not changed.
"""

import hashlib
import json
import random
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import cast

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from epigone.errors import SpecError
from epigone.rating.database import CODES, META, PAIRS, SEATS, Database, meta
from epigone.rating.pairs import COMPARISON, Pair
from epigone.rating.rules import Rules
from epigone.store import decode

ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
"""Of codes: nothing that is easily taken for something else."""


@dataclass(frozen=True)
class Campaign:
    """What is compared and how, as the database holds it."""

    database: Database
    rules: Rules
    pairs: dict[str, Pair]
    """By id, in order."""
    num_by_kind: dict[str, int]

    @property
    def comparisons(self) -> list[Pair]:
        """The pairs that count."""
        return [pair for pair in self.pairs.values() if pair.kind == COMPARISON]

    def share_of(self) -> int:
        """Comparisons that one rater gets at most."""
        num_pairs = self.num_by_kind.get(COMPARISON, 0)
        return min(self.rules.most_per_rater or num_pairs, num_pairs)


def founded(database: Database, pairs: Sequence[Pair], known: Sequence[Pair], rules: Rules) -> Campaign:
    """Put a rating into an empty database, or find it there. Raises SpecError where another one is there."""
    if len({pair.id for pair in [*pairs, *known]}) != len(pairs) + len(known):
        raise SpecError("a comparison comes twice: give each model once, and each known answer")
    told = {"pairs": [asdict(pair) for pair in [*pairs, *known]], "rules": asdict(rules)}
    fingerprint = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
    try:
        with database.writing() as connection:
            if not meta(connection, "fingerprint"):
                connection.execute(META.insert(), [{"name": "fingerprint", "value": fingerprint}])
                connection.execute(META.insert(), [{"name": "rules", "value": json.dumps(asdict(rules))}])
                connection.execute(PAIRS.insert(), list(_pair_rows([*pairs, *known])))
                connection.execute(SEATS.insert(), list(_seat_rows(pairs, rules.num_raters)))
    except IntegrityError:
        pass  # another process founded it just now
    with database.reading() as connection:
        if meta(connection, "fingerprint") != fingerprint:
            raise SpecError(
                "the database holds a rating of other answers or with other options; leave out the answers and options "
                "to go on with it, or name another --database"
            )
    return found(database)


def found(database: Database) -> Campaign:
    """The rating that a database holds. Raises SpecError where it holds none."""
    with database.reading() as connection:
        if not meta(connection, "fingerprint"):
            raise SpecError("the database holds no rating yet; give answers of two models or more")
        rules = cast(Rules, decode(Rules, json.loads(meta(connection, "rules"))))
        rows = connection.execute(select(PAIRS.c.pair).order_by(PAIRS.c.place)).scalars()
        pairs = [cast(Pair, decode(Pair, json.loads(row))) for row in rows]
    kinds = [pair.kind for pair in pairs]
    return Campaign(database, rules, {pair.id: pair for pair in pairs}, {kind: kinds.count(kind) for kind in kinds})


def add_codes(database: Database, num_codes: int) -> list[str]:
    """Make personal codes until there are so many; all of them, in alphabetical order."""
    with database.writing() as connection:
        there = connection.execute(select(func.count()).select_from(CODES)).scalar_one()
        new = [{"code": "".join(secrets.choice(ALPHABET) for _ in range(12))} for _ in range(num_codes - there)]
        if new:
            connection.execute(CODES.insert(), new)
        return list(connection.execute(select(CODES.c.code).order_by(CODES.c.code)).scalars())


def _pair_rows(pairs: Iterable[Pair]) -> Iterable[dict[str, object]]:
    for place, pair in enumerate(pairs):
        yield {"id": pair.id, "kind": pair.kind, "place": place, "pair": json.dumps(asdict(pair))}


def _seat_rows(pairs: Sequence[Pair], num_raters: int) -> Iterable[dict[str, object]]:
    """Seat 0 of every comparison comes before any seat 1; within a number the order is random, and of each its own."""
    for number in range(num_raters):
        order = random.Random(f"seats:{number}")
        for pair in pairs:
            yield {"pair_id": pair.id, "kind": COMPARISON, "number": number, "place": order.random()}
