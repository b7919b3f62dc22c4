"""The database of a rating: SQLite in one file, or PostgreSQL by its URL; tables, transactions, secrets.

In: a file's path or a URL. Out: a Database. A seat is one rating that is asked for: a comparison has as many as it gets
raters, each taken by one rater at most, and no rater takes two of one comparison. The database holds these two rules
itself (unique columns), so that no crash and no race can break them: docs/decisions/0019.
"""

import hashlib
import hmac
import secrets
import threading
from collections.abc import Generator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    Engine,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    create_engine,
    event,
    select,
)
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, NoSuchModuleError

from epigone.errors import SpecError

METADATA = MetaData()
META = Table("meta", METADATA, Column("name", String(40), primary_key=True), Column("value", Text, nullable=False))
PAIRS = Table(
    "pairs",
    METADATA,
    Column("id", String(16), primary_key=True),
    Column("kind", String(12), nullable=False),
    Column("place", Integer, nullable=False),
    Column("pair", Text, nullable=False),
)
RATERS = Table(
    "raters",
    METADATA,
    Column("id", String(24), primary_key=True),
    Column("joined_by", String(64), nullable=False, unique=True),
    Column("joined_at", Float, nullable=False),
    Column("domain", String(80), nullable=False),
)
CODES = Table("codes", METADATA, Column("code", String(16), primary_key=True))
SEATS = Table(
    "seats",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("pair_id", String(16), ForeignKey("pairs.id"), nullable=False),
    Column("kind", String(12), nullable=False),
    Column("number", Integer),
    Column("place", Float, nullable=False),
    Column("rater_id", String(24), ForeignKey("raters.id")),
    Column("ticket", String(32), unique=True),
    Column("first", String(1)),
    Column("taken_at", Float),
    Column("expires_at", Float),
    Column("voted_at", Float),
    Column("verdict", String(3)),
    Column("strength", String(10)),
    Column("reason", Text),
    Column("marks", Text),
    Column("read_seconds", Float),
    UniqueConstraint("pair_id", "kind", "number"),
    UniqueConstraint("pair_id", "kind", "rater_id"),
    Index("seats_of_rater", "rater_id", "voted_at"),
    Index("seats_to_take", "kind", "number", "place"),
)
WITHDRAWN = Table(
    "withdrawn",
    METADATA,
    Column("ticket", String(32), primary_key=True),
    Column("rater_id", String(24), nullable=False),
    Column("pair_id", String(16), nullable=False),
    Column("kind", String(12), nullable=False),
    Column("verdict", String(3), nullable=False),
    Column("voted_at", Float, nullable=False),
    Column("withdrawn_at", Float, nullable=False),
)
BUSY_SECONDS = 30


@dataclass(frozen=True)
class Database:
    """An open database. `salt` names raters outside of it, `secret` signs cookies and forms; both stay in it."""

    engine: Engine
    lock: Any
    salt: bytes
    secret: bytes

    @contextmanager
    def reading(self) -> Generator[Connection, None, None]:
        """A connection to read with."""
        with self.engine.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Generator[Connection, None, None]:
        """A transaction; what is in it is on the disk when the block ends. SQLite has one at a time."""
        with self.lock, self.engine.execution_options(writes=True).begin() as connection:
            yield connection

    def name_of(self, rater_id: str) -> str:
        """What a rater is called outside: the same in every export of this database, and traced back by no one else."""
        return "rater-" + self.digest(f"rater:{rater_id}")[:12]

    def digest(self, text: str) -> str:
        """Hex digits of a keyed hash of what must not be kept itself, such as a platform's id of a person."""
        return hmac.new(self.salt, text.encode(), hashlib.sha256).hexdigest()

    def close(self) -> None:
        """Give back every connection."""
        self.engine.dispose()


def opened(where: str) -> Database:
    """The database at a path or URL, its tables made where they are missing.

    Raises SpecError for what cannot be opened.
    """
    url = _url(where)
    is_sqlite = url.startswith("sqlite")
    try:
        if is_sqlite:
            engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False})
            _as_sqlite(engine)
        else:
            engine = create_engine(url, pool_size=10, max_overflow=20, pool_pre_ping=True)
        METADATA.create_all(engine)
        salt, secret = (_kept(engine, name) for name in ("salt", "secret"))
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
        known = "a file's path, or postgresql://USER@HOST/NAME (pip install 'epigone[postgres]')"
        raise SpecError(f"--database {_shown(where)}: {error}; give {known}") from error
    except DBAPIError as error:
        raise SpecError(f"--database {_shown(where)} cannot be opened: {error.orig}") from error
    return Database(engine, threading.Lock() if is_sqlite else nullcontext(), salt, secret)


def meta(connection: Connection, name: str) -> str:
    """A value that the database keeps by name; empty where it does not."""
    return connection.execute(select(META.c.value).where(META.c.name == name)).scalar() or ""


def _url(where: str) -> str:
    scheme, rest = where.partition("://")[::2]
    if scheme in ("postgres", "postgresql"):
        return f"postgresql+psycopg://{rest}"
    if rest:
        return where
    path = Path(where)
    path.parent.mkdir(parents=True, exist_ok=True)
    return f"sqlite:///{path.resolve()}"


def _shown(where: str) -> str:
    """Without a password."""
    scheme, rest = where.partition("://")[::2]
    return f"{scheme}://...@{rest.rpartition('@')[2]}" if "@" in rest else where


def _as_sqlite(engine: Engine) -> None:
    """Write-ahead log, every commit on the disk, and transactions that are begun as what they are."""

    def connected(connection: Any, _: object) -> None:
        connection.isolation_level = None  # the driver begins none by itself
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    def began(connection: Connection) -> None:
        writes = connection.get_execution_options().get("writes")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    event.listen(engine, "connect", connected)
    event.listen(engine, "begin", began)


def _kept(engine: Engine, name: str) -> bytes:
    """32 random bytes that were made when the database was, by whichever process came first."""
    try:
        with engine.execution_options(writes=True).begin() as connection:
            if not meta(connection, name):
                connection.execute(META.insert().values(name=name, value=secrets.token_hex(32)))
    except IntegrityError:
        pass  # another process made them just now
    with engine.connect() as connection:
        return bytes.fromhex(meta(connection, name))
