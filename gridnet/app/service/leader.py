"""One process of several keeps the live feeder going: whoever holds the database's lock. Another takes over when it is gone."""

from __future__ import annotations

import fcntl
import os
import threading

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from gridnet_contracts.ledger.database import Database

LOCK = 0x6C697665
"""Number of PostgreSQL's advisory lock. SQLite has a file beside the database."""


class Leadership:
    """The lock; held until `release`, or until the process or its connection dies."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection: Connection | None = None
        self._file: int | None = None
        self._turn = threading.Lock()

    def held(self) -> bool:
        """Takes the lock where nobody has it; whether it is ours now."""
        with self._turn:
            return self._held()

    def _held(self) -> bool:
        if self._database.dialect == "postgresql":
            return self._held_there()
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

    def release(self) -> None:
        """Lets another have it."""
        if self._connection is not None:
            self._connection.invalidate()
            self._connection.close()
            self._connection = None
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _held_there(self) -> bool:
        try:
            if self._connection is None:
                self._connection = self._database.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
                # Of one's own session alone: whoever is let go of its connection is let go of the lock.
                if not self._connection.execute(text("SELECT pg_try_advisory_lock(:lock)"), {"lock": LOCK}).scalar():
                    self.release()
                    return False
            self._connection.execute(text("SELECT 1"))
        except DBAPIError:
            self.release()
            return False
        return True
