"""The answers store: what models behind servers said, so that it is paid for once; one SQLite file for each root.

In: answers and failures by key (a hash of all that shaped the answer), and what each request sent may have cost. Out:
the same, to every process that works on the root. Whoever asks holds a lease on the key while it does; a lease whose
holder has died is nobody's. A kill at any moment loses what was in flight, which is counted at its highest price.
Source: write-ahead logging, https://www.sqlite.org/wal.html; docs/decisions/0015.
"""

import fcntl
import os
import secrets
import sqlite3
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from epigone.errors import ArtifactError

FOLDER, FILE = "answers", "answers.sqlite"
LAYOUT = 1
"""Of the tables below; a file with another is refused."""
_TABLES = """
CREATE TABLE answers (key TEXT PRIMARY KEY, body TEXT NOT NULL, model TEXT NOT NULL,
  fingerprint TEXT NOT NULL, tokens_in INTEGER, tokens_out INTEGER, usd REAL, seconds REAL NOT NULL,
  asked_unix REAL NOT NULL, request_id TEXT NOT NULL, num_attempts INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE failures (key TEXT PRIMARY KEY, reason TEXT NOT NULL, detail TEXT NOT NULL, round INTEGER NOT NULL,
  asked_unix REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE leases (key TEXT PRIMARY KEY, holder TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE attempts (request_id TEXT PRIMARY KEY, collection TEXT NOT NULL, key TEXT NOT NULL, state TEXT NOT NULL,
  tokens_in INTEGER NOT NULL, tokens_out INTEGER NOT NULL, usd REAL) WITHOUT ROWID;
CREATE INDEX attempts_of ON attempts (collection);
CREATE TABLE batches (batch_id TEXT PRIMARY KEY, collection TEXT NOT NULL, request_ids TEXT NOT NULL) WITHOUT ROWID;
"""


@dataclass(frozen=True)
class Place:
    """Where answers are kept, and for whom: the folder of all artifacts, and the id of the one that is built."""

    root: Path
    collection: str


_PLACE: ContextVar[Place | None] = ContextVar("place", default=None)


@contextmanager
def kept_at(root: Path, collection: str) -> Generator[None, None, None]:
    """Within the block, what is asked is kept under this root and accounted to this collection."""
    token = _PLACE.set(Place(root, collection))
    try:
        yield
    finally:
        _PLACE.reset(token)


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply as the server gave it. Tokens are the server's count, None where it gave none; dollars where known."""

    key: str
    body: str
    model: str
    """What the server calls it."""
    fingerprint: str
    tokens_in: int | None
    tokens_out: int | None
    usd: float | None
    seconds: float
    asked_unix: float
    request_id: str
    num_attempts: int


@dataclass(frozen=True, slots=True)
class Failed:
    """A question that got no answer: why, and in which round it was asked."""

    key: str
    reason: str
    detail: str
    round: int
    asked_unix: float


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request that was sent, for a collection, and what it cost, at most where that is not known.

    state: open (in flight, or its process was killed), uncertain (sent, no count came back), paid (as the server says).
    """

    request_id: str
    collection: str
    key: str
    state: str
    tokens_in: int
    tokens_out: int
    usd: float | None


class Answers:
    """The store, open; a context. Without a place it lives in memory."""

    def __init__(self, place: Place | None = None) -> None:
        place = place or _PLACE.get()
        self.collection = place.collection if place else ""
        self._folder = place.root / FOLDER if place else None
        if self._folder:
            self._folder.mkdir(parents=True, exist_ok=True)
        self._file = self._folder / FILE if self._folder else Path(":memory:")
        self._holder, self._lock = self._take_lock()
        try:
            self._open()
        except sqlite3.DatabaseError as error:
            raise ArtifactError(f"{self._file} is no answers store ({error}); move it away and run again") from error

    def _open(self) -> None:
        self._database = sqlite3.connect(self._file, timeout=60, isolation_level=None)
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = NORMAL")
        with self._transaction():
            layout = self._database.execute("PRAGMA user_version").fetchone()[0]
            if layout == 0:
                for statement in filter(str.strip, _TABLES.split(";")):
                    self._database.execute(statement)
                self._database.execute(f"PRAGMA user_version = {LAYOUT}")
            elif layout != LAYOUT:
                raise ArtifactError(f"{self._file} has layout {layout}, not {LAYOUT}; move it away and run again")

    def __enter__(self) -> "Answers":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._database.execute("DELETE FROM leases WHERE holder = ?", (self._holder,))
        self._database.close()
        if self._lock is not None:
            (self._folder or Path()).joinpath(self._holder).unlink(missing_ok=True)
            os.close(self._lock)

    @contextmanager
    def _transaction(self) -> Generator[None, None, None]:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")

    def find(self, key: str) -> Answer | Failed | None:
        """What came of a question, whoever asked it."""
        row = self._database.execute("SELECT * FROM answers WHERE key = ?", (key,)).fetchone()
        if row:
            return Answer(*row)
        row = self._database.execute("SELECT * FROM failures WHERE key = ?", (key,)).fetchone()
        return Failed(*row) if row else None

    def claim(self, key: str, round: int) -> Answer | Failed | bool:
        """What came of it; or True where it is now for the caller to ask, False where another is asking it.

        A failure of an earlier round is to be asked again.
        """
        if done := self._done(key, round):
            return done
        insert = "INSERT INTO leases VALUES (?, ?) ON CONFLICT DO NOTHING"
        if not self._database.execute(insert, (key, self._holder)).rowcount and not self._inherit(key):
            return False
        if done := self._done(key, round):  # answered by another between the two
            self.release(key)
            return done
        return True

    def _inherit(self, key: str) -> bool:
        """Take over the lease of a holder that has died."""
        row = self._database.execute("SELECT holder FROM leases WHERE key = ?", (key,)).fetchone()
        if row is None or not self._is_dead(row[0]):
            return False
        update = "UPDATE leases SET holder = ? WHERE key = ? AND holder = ?"
        return self._database.execute(update, (self._holder, key, row[0])).rowcount == 1

    def _done(self, key: str, round: int) -> Answer | Failed | None:
        found = self.find(key)
        return None if isinstance(found, Failed) and found.round < round else found

    def release(self, key: str) -> None:
        """Leave it to others."""
        self._database.execute("DELETE FROM leases WHERE key = ? AND holder = ?", (key, self._holder))

    def keep(self, outcome: Answer | Failed, paid: Attempt | None = None) -> None:
        """An answer, or that there is none, with what it cost; the lease ends. All at once or not at all."""
        with self._transaction():
            if isinstance(outcome, Answer):
                self._insert("answers", outcome)
                self._database.execute("DELETE FROM failures WHERE key = ?", (outcome.key,))
            else:
                self._insert("failures", outcome)
            if paid:
                self._insert("attempts", paid)
            self.release(outcome.key)

    def note(self, attempt: Attempt) -> None:
        """A request that is about to be sent, or what became of it."""
        self._insert("attempts", attempt)

    def forget(self, request_id: str) -> None:
        """A request that cost nothing: it was refused, or never arrived."""
        self._database.execute("DELETE FROM attempts WHERE request_id = ?", (request_id,))

    def note_batch(self, batch_id: str, request_ids: Sequence[str]) -> None:
        """A provider's batch that was ordered, and what it asks."""
        row = (batch_id, self.collection, " ".join(request_ids))
        self._database.execute("INSERT OR REPLACE INTO batches VALUES (?, ?, ?)", row)

    def finish_batch(self, batch_id: str) -> None:
        """It was fetched."""
        self._database.execute("DELETE FROM batches WHERE batch_id = ?", (batch_id,))

    def batches(self) -> list[tuple[str, list[str]]]:
        """This collection's that were ordered and not fetched, with the ids of their requests."""
        query = "SELECT batch_id, request_ids FROM batches WHERE collection = ?"
        return [(batch_id, ids.split()) for batch_id, ids in self._database.execute(query, (self.collection,))]

    def attempts(self) -> list[Attempt]:
        """All requests that this collection has sent and may have to pay for."""
        rows = self._database.execute("SELECT * FROM attempts WHERE collection = ?", (self.collection,))
        return [Attempt(*row) for row in rows]

    def spent(self) -> tuple[int, float | None, int]:
        """Of this collection: tokens; dollars, None where a price was unknown; requests whose cost is not certain."""
        row = self._database.execute(
            "SELECT COALESCE(SUM(tokens_in + tokens_out), 0), SUM(usd), SUM(usd IS NULL), SUM(state != 'paid') "
            "FROM attempts WHERE collection = ?",
            (self.collection,),
        ).fetchone()
        tokens, usd, num_unpriced, num_uncertain = row
        return tokens, None if num_unpriced else usd or 0.0, num_uncertain or 0

    def _insert(self, table: str, row: Answer | Failed | Attempt) -> None:
        names = tuple(row.__slots__)
        values = [getattr(row, name) for name in names]
        self._database.execute(f"INSERT OR REPLACE INTO {table} VALUES ({', '.join('?' * len(names))})", values)

    def _take_lock(self) -> tuple[str, int | None]:
        """A file that is locked as long as this process lives."""
        while True:
            holder = f"asking-{secrets.token_hex(6)}.lock"
            if self._folder is None:
                return holder, None
            path = self._folder / holder
            lock = os.open(path, os.O_CREAT | os.O_RDWR)
            fcntl.flock(lock, fcntl.LOCK_EX)
            if path.exists() and path.stat().st_ino == os.fstat(lock).st_ino:  # nobody took it for a dead one's
                return holder, lock
            os.close(lock)

    def _is_dead(self, holder: str) -> bool:
        if holder == self._holder or self._folder is None:
            return False
        path = self._folder / holder
        try:
            lock = os.open(path, os.O_RDWR)
        except FileNotFoundError:
            return True
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        else:
            path.unlink(missing_ok=True)
            return True
        finally:
            os.close(lock)
