"""Who rates: people join by a personal code, or by an open link with or without a crowd platform's id.

In: what they came with. Out: a rater's id in the database, the same for the same code or platform id however often the
form is sent. A platform's id is kept as a keyed hash alone.
"""

import hmac
import secrets

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from epigone.rating.database import CODES, RATERS, Database

PLATFORM_IDS = ("PROLIFIC_PID", "workerId")
"""What platforms call a person in the address that they send them to."""


def identity(database: Database, *, code: str, open_code: str, platform_id: str, nonce: str) -> str:
    """The hash by which a person joins; empty where the code is neither a personal one nor the open one.

    With the open code alone, `nonce` (of the form that was sent) is all that tells people apart.
    """
    if open_code and hmac.compare_digest(code.encode(), open_code.encode()):
        return database.digest(f"platform:{platform_id}" if platform_id else f"form:{nonce}")
    with database.reading() as connection:
        known = connection.execute(select(CODES.c.code).where(CODES.c.code == code)).scalar()
    return database.digest(f"code:{known}") if known else ""


def join(database: Database, joined_by: str, domain: str, now: float) -> str:
    """The rater's id, made at the first time. The domain declared first stays."""
    if there := known_as(database, joined_by):
        return there
    row = {"id": secrets.token_hex(12), "joined_by": joined_by, "joined_at": now, "domain": domain}
    try:
        with database.writing() as connection:
            connection.execute(RATERS.insert().values(**row))
    except IntegrityError:
        return known_as(database, joined_by)  # the same form came twice at once
    return row["id"]


def known_as(database: Database, joined_by: str) -> str:
    """The id of whoever joined by this already; empty where nobody did."""
    with database.reading() as connection:
        return connection.execute(select(RATERS.c.id).where(RATERS.c.joined_by == joined_by)).scalar() or ""
