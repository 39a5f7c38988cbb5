"""The service's door to the database: transactions, migrations, seconds and JSON. The parts of the service build on it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Insert, Table, TextClause, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DataError

from gridnet.app.service import partitions
from gridnet.app.service.errors import Unavailable
from gridnet.errors import InputError, LedgerError
from gridnet_contracts.ledger.database import TURN, Database

VERSION_TABLE = "service_version"
SERVICE_LOCKS, FEEDER_LOCKS = 0x67737276, 0x67666472
"""Classes of PostgreSQL's advisory locks: of what the service writes, and of what one feeder does."""


class Store:
    """A database that has the service's tables. `clock` gives the present, aware and in UTC."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self.database = database
        self.clock = clock
        self._held = threading.local()

    def migrate(self) -> None:
        """Makes the tables, or brings them to this version, while processes of the version before go on. Raises `Unavailable`, and
        `InputError` where the tables are of a later version."""
        # Under the ledger's lock, which the versions before 0003 take for all they write.
        with _available(), self.database.write() as connection:
            config = Config()
            config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
            config.attributes["connection"] = connection
            config.attributes["version_table"] = VERSION_TABLE
            there = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE}).get_current_revision()
            known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
            if there is not None and there not in known:
                raise InputError(
                    f"the service's tables are of version {there}, which this gridnet does not know: start a later one"
                )
            command.upgrade(config, "head")
            partitions.prepare(connection, self.now_s() // partitions.QUARTER_S)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that sees one state; within a `view` that of the view. Raises `Unavailable` where the database is away."""
        held: Connection | None = getattr(self._held, "connection", None)
        if held is not None:
            yield held
            return
        with _available(), self.database.read() as connection:
            yield connection

    @contextmanager
    def view(self) -> Iterator[None]:
        """All that this thread reads within it is of one state, in one transaction; what is written meanwhile is not seen. Raises
        `Unavailable`."""
        with self.read() as connection:
            self._held.connection = connection
            try:
                yield
            finally:
                self._held.connection = None

    @contextmanager
    def write(self, feeder: str | None = None, *, shared: bool = False) -> Iterator[Connection]:
        """A transaction that no other one of the service, or of one feeder's, overlaps; on disk at the end. `shared`: only one that
        is not shared does not overlap it. SQLite has one writer at a time, whatever it writes. Raises `Unavailable`."""
        with _available(), self.database.write(turn(feeder, shared=shared)) as connection:
            yield connection

    def join(self, connection: Connection, feeder: str) -> None:
        """Takes the shared lock of one more feeder, within a transaction that writes."""
        if self.database.dialect == "postgresql":
            connection.execute(turn(feeder, shared=True))

    def now_s(self) -> int:
        """The present, whole seconds."""
        return seconds(self.clock())


def lock_number(name: str) -> int:
    """A name's number among PostgreSQL's advisory locks of one class, 32 bits with a sign; the same in every process."""
    return int.from_bytes(sha256(name.encode()).digest()[:4], signed=True)


@lru_cache(maxsize=4096)
def turn(feeder: str | None = None, *, shared: bool = False) -> TextClause:
    """The statement that takes the lock of the service's writers, or of a feeder's, until the transaction ends."""
    which = (SERVICE_LOCKS, 0) if feeder is None else (FEEDER_LOCKS, lock_number(feeder))
    return text(f"{TURN}{'_shared' if shared else ''}({which[0]}, {which[1]})")


@contextmanager
def _available() -> Iterator[None]:
    try:
        yield
    except LedgerError as error:
        if isinstance(error.__cause__, DataError):
            raise InputError("the database can't hold this: a character that it does not take, or a number too large") from error
        raise Unavailable(f"the database is away: {error}", retry_after_s=5) from error


def seconds(time: datetime) -> int:
    """Whole seconds since 1970, rounded down."""
    return int(time.timestamp() // 1)


def moment(at_s: int) -> datetime:
    """The time `at_s` seconds after 1970, in UTC."""
    return datetime.fromtimestamp(at_s, UTC)


def packed(body: Mapping[str, Any]) -> str:
    """JSON, keys sorted."""
    return json.dumps(body, sort_keys=True, separators=(",", ":"))


def upsert(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]], *, replace: bool = True) -> int:
    """Inserts rows; of those whose key is there, replaces the values or (`replace=False`) leaves them. Gives how many rows were
    written."""
    if not rows:
        return 0
    statement = _upsert(connection.dialect.name, table, tuple(rows[0]), replace)
    return connection.execute(statement, [dict(row) for row in rows]).rowcount


@lru_cache(maxsize=128)
def _upsert(dialect: str, table: Table, names: tuple[str, ...], replace: bool) -> Insert:
    # Built once for each table: to build it costs as much as to run it.
    made = (postgresql.insert if dialect == "postgresql" else sqlite.insert)(table)
    keys = [column.name for column in table.primary_key.columns]
    others = {name: made.excluded[name] for name in names if name not in keys}
    return made.on_conflict_do_update(index_elements=keys, set_=others) if replace and others else made.on_conflict_do_nothing()
