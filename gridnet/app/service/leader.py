"""Which process keeps which live feeder going: whoever holds its lock in the database. Others take it over when that one is gone.

On PostgreSQL a process has one connection that holds all its locks, so that all are let go of when it dies, at once. A process that
is stopped, or whose host vanished, loses them within half a minute: the server ends a connection that says nothing for so long.
Each process announces itself by a lock of another class; from how many there are follows how many feeders each may have, so that
they are shared out. On SQLite one file beside the database is the lock of all feeders.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import threading
import time
from collections.abc import Sequence

from sqlalchemy import Connection, TextClause, text
from sqlalchemy.exc import DBAPIError

from gridnet.app.service.names import MAIN
from gridnet.app.service.store import lock_number
from gridnet_contracts.ledger.database import Database

LOCK = 0x6C697665
"""Number of the main feeder's advisory lock, and class of the further ones'."""
PROCESSES = 0x70726F63
"""Class of the locks by which processes announce themselves."""
LEASE_S = 30
"""A connection that says nothing for so long is ended by the server."""
_FRESH_S = 0.5
# PostgreSQL before 14 knows no such setting, and goes without.
_LEASE = text(f"SELECT set_config(name, '{LEASE_S * 1000}', false) FROM pg_settings WHERE name = 'idle_session_timeout'")
_ANNOUNCE = text("SELECT pg_advisory_lock(:class, :number)")
_GIVE_ALL = text("SELECT pg_advisory_unlock_all()")
_COUNT = text(
    "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND classid = :class AND objsubid = 2"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


class Leadership:
    """The locks of one process; each held until `release`, or until the process or its connection dies. For several threads."""

    def __init__(self, database: Database, feeders: Sequence[str] = (MAIN,)) -> None:
        """`feeders`: all there are, whoever holds them."""
        self._database = database
        self._feeders = tuple(feeders)
        self._connection: Connection | None = None
        self._file: int | None = None
        self._mine: set[str] = set()
        self._share = 0
        self._looked = -1.0
        self._turn = threading.Lock()

    def held(self, feeder: str = MAIN) -> bool:
        """Takes the feeder's lock where nobody has it and this process has not its share yet; whether it is ours now."""
        with self._turn:
            if self._database.dialect != "postgresql":
                return self._held_by_file()
            try:
                connection = self._looked_after()
                if feeder not in self._mine and len(self._mine) < self._share and connection.execute(_take(feeder)).scalar():
                    self._mine.add(feeder)
            except DBAPIError:
                self._let_go()
            return feeder in self._mine

    def beat(self) -> None:
        """Says that this process lives; to be called every few seconds, whatever its other threads do."""
        with self._turn:
            if self._connection is not None:
                try:
                    self._looked_after()
                except DBAPIError:
                    self._let_go()

    def spared(self, feeder: str) -> bool:
        """Lets another have this feeder if there are so many processes that this one has too much; whether it did."""
        with self._turn:
            if self._connection is None or feeder not in self._mine or len(self._mine) <= self._share:
                return False
            return self._freed(self._connection, feeder)

    def release(self, feeder: str | None = None) -> None:
        """Lets another have one feeder, or all."""
        with self._turn:
            if feeder is None:
                self._freed_all()
            elif self._connection is not None and feeder in self._mine:
                self._freed(self._connection, feeder)

    def _freed(self, connection: Connection, feeder: str) -> bool:
        self._mine.discard(feeder)
        try:
            connection.execute(_give(feeder))
        except DBAPIError:
            self._let_go()
        return True

    def _freed_all(self) -> None:
        if self._connection is not None:
            # The server would see by itself that the connection is gone, a moment later.
            with contextlib.suppress(DBAPIError):
                self._connection.execute(_GIVE_ALL)
        self._let_go()

    def _looked_after(self) -> Connection:
        """The connection, which lives, and how many processes there are as of just now. Raises `DBAPIError`."""
        if self._connection is not None and time.monotonic() - self._looked < _FRESH_S:
            return self._connection
        if self._connection is None:
            self._connection = self._opened()
        processes = int(self._connection.execute(_COUNT, {"class": PROCESSES}).scalar_one())
        self._share = -(-len(self._feeders) // max(processes, 1))
        self._looked = time.monotonic()
        return self._connection

    def _opened(self) -> Connection:
        """A connection of its own: whoever is let go of it is let go of the locks. Raises `DBAPIError`."""
        connection = self._database.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        try:
            connection.execute(_LEASE)
            connection.execute(_ANNOUNCE, {"class": PROCESSES, "number": secrets.randbits(31)})
        except DBAPIError:
            connection.invalidate()
            connection.close()
            raise
        return connection

    def _let_go(self) -> None:
        self._mine.clear()
        if self._connection is not None:
            self._connection.invalidate()
            self._connection.close()
            self._connection = None
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _held_by_file(self) -> bool:
        if self._file is None:
            with self._database.read() as connection:
                path = connection.execute(text("SELECT file FROM pragma_database_list WHERE name = 'main'")).scalar_one()
            file = os.open(f"{path}.live", os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(file)
                return False
            self._file = file
        return True


def _take(feeder: str) -> TextClause:
    return text(f"SELECT pg_try_advisory_lock({_number(feeder)})")


def _give(feeder: str) -> TextClause:
    return text(f"SELECT pg_advisory_unlock({_number(feeder)})")


def _number(feeder: str) -> str:
    # The main feeder's is the one that it had when it was the only feeder: an older version that still runs takes that one.
    return str(LOCK) if feeder == MAIN else f"{LOCK}, {lock_number(feeder)}"
