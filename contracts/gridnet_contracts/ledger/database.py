"""One database, SQLite or PostgreSQL by URL: how it is opened, migrated, read and written, and what its errors mean."""

from __future__ import annotations

import os
import secrets
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, Executable, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, NoSuchModuleError
from sqlalchemy.pool import QueuePool

from gridnet.errors import Fault, InputError
from gridnet_contracts.ledger.errors import AlreadyThere, DatabaseRefused, InsufficientBalance

__all__ = ["Connection", "Database", "database_beside", "sqlite_engine"]

LEDGER_LOCK = 0x67726964
"""Number of the advisory lock that PostgreSQL's writers take in turn."""
TURN = "SELECT set_config('idle_in_transaction_session_timeout', '30000', true), pg_advisory_xact_lock"
"""Beginning of a statement that takes a lock until the transaction ends. A writer that is stopped in the midst of it, and says
nothing for half a minute, is ended by the server: else others would wait for ever."""
LEDGER_TURN = text(f"{TURN}({LEDGER_LOCK})")
BUSY_S = 60
"""How long a writer waits for another one."""
_ALIVE = {"keepalives": 1, "keepalives_idle": 15, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 30_000}
"""So that a server or a host that vanished is noticed within half a minute."""
_ALIVE_THERE = "-c tcp_keepalives_idle=15 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3"
WRITING = "nothing was written. Free the disk, make it writable, or name another --db"
READING = "bring back the file or the server, or name another --db"
DURABLE = (
    "journal_mode=WAL",
    "synchronous=FULL",  # a commit is on the disk when it returns
    "foreign_keys=ON",
    "recursive_triggers=ON",  # INSERT OR REPLACE deletes: the triggers against deletion must see it
    "secure_delete=ON",
    f"busy_timeout={BUSY_S * 1000}",
)


class Database:
    """A ledger's database. `write` serialises writers; `read` sees one state, whatever is written meanwhile."""

    def __init__(self, url: str, engine: Engine | None = None) -> None:
        """Opens it without looking at it. Raises `InputError` for a URL that is none."""
        self.engine = _engine(url, writing=True) if engine is None else engine
        self.dialect = self.engine.dialect.name

    @classmethod
    def reading(cls, url: str) -> Self:
        """One that nothing is written to, whatever is asked. Raises `InputError`."""
        return cls(url, _engine(url, writing=False))

    @contextmanager
    def write(self, turn: Executable = LEDGER_TURN) -> Iterator[Connection]:
        """A transaction that no other writer overlaps: whole and on disk at the end, or nothing of it. `turn`: the statement that
        takes PostgreSQL's lock, for what is not the ledger's; SQLite has one writer at a time anyway. Raises `LedgerError`."""
        with (
            _own_errors(WRITING),
            self.engine.connect().execution_options(begin="BEGIN IMMEDIATE") as connection,
            connection.begin(),
        ):
            if self.dialect == "postgresql":
                connection.execute(turn)
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that sees one state and writes nothing. Raises `LedgerError`."""
        options: dict[str, Any] = {"isolation_level": "REPEATABLE READ"} if self.dialect == "postgresql" else {"begin": "BEGIN"}
        with _own_errors(READING), self.engine.connect().execution_options(**options) as connection, connection.begin():
            yield connection

    def migrate(self) -> None:
        """Makes the tables, or brings them to this version. Raises `DatabaseRefused` for a database of a later version."""
        with self.write() as connection:
            config = _alembic(connection)
            current = MigrationContext.configure(connection).get_current_revision()
            known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
            if current is not None and current not in known:
                raise DatabaseRefused(
                    f"the ledger's tables are of version {current}, which this gridnet does not know: use a later one"
                )
            command.upgrade(config, "head")

    def version(self) -> str | None:
        """The version of its tables; None where there are none."""
        with self.read() as connection:
            return MigrationContext.configure(connection).get_current_revision()

    def close(self) -> None:
        """Lets go of its connections."""
        self.engine.dispose()


@contextmanager
def database_beside(url: str) -> Iterator[str]:
    """The URL of a new, empty database on the PostgreSQL server of `url`, dropped at the end: for what is measured or tried out.
    Raises `InputError`, `LedgerError`."""
    server, name = Database(url), f"gridnet_{secrets.token_hex(6)}"
    try:
        _order(server, f"CREATE DATABASE {name}")
        try:
            yield server.engine.url.set(drivername="postgresql", database=name).render_as_string(hide_password=False)
        finally:
            _order(server, f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        server.close()


def _order(server: Database, statement: str) -> None:
    """What PostgreSQL does in no transaction."""
    with _own_errors(READING), server.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql(statement)


def _alembic(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _engine(url: str, *, writing: bool) -> Engine:
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() == "postgresql":
            options = _ALIVE_THERE if writing else f"{_ALIVE_THERE} -c default_transaction_read_only=on"
            return create_engine(parsed.set(drivername="postgresql+psycopg"), connect_args={**_ALIVE, "options": options})
        if parsed.get_backend_name() == "sqlite" and parsed.database:
            return sqlite_engine(partial(_writer, parsed.database)) if writing else _reader(parsed.database)
    except (ArgumentError, NoSuchModuleError):
        pass
    fault = Fault("--db", repr(url), "sqlite:///FILE or postgresql://USER@HOST/NAME")
    raise InputError("can't tell which database is meant:", [fault])


def _reader(path: str) -> Engine:
    """On a file that is there, which is not touched."""
    if not Path(path).is_file():
        raise InputError("there is no such ledger:", [Fault("--db", repr(path), "a file that exists")])
    return sqlite_engine(partial(_read_only, path))


def _writer(path: str) -> sqlite3.Connection:
    """A connection that is durable on every commit; one for reading where the disk allows no more."""
    if Path(path).is_file() and not os.access(Path(path).parent, os.W_OK):
        return _read_only(path)
    connection = sqlite3.connect(path, timeout=BUSY_S, check_same_thread=False)
    for pragma in DURABLE:
        connection.execute(f"PRAGMA {pragma}")
    return connection


def _read_only(path: str) -> sqlite3.Connection:
    """A connection that touches nothing, not even the write-ahead log, where no writer has one open."""
    waiting = Path(f"{path}-wal").exists()
    address = f"file:{quote(path)}?mode=ro{'' if waiting else '&immutable=1'}"
    return sqlite3.connect(address, uri=True, timeout=BUSY_S, check_same_thread=False)


def sqlite_engine(connect: Callable[[], sqlite3.Connection]) -> Engine:
    """An engine on the SQLite connections that `connect` opens. The pool lends each to one thread at a time, not always to one."""
    engine = create_engine("sqlite://", creator=connect, poolclass=QueuePool)

    @event.listens_for(engine, "connect")
    def _prepare(connection: sqlite3.Connection, _: object) -> None:
        connection.isolation_level = None  # transactions are begun below, not guessed by the driver

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(connection.get_execution_options().get("begin", "BEGIN"))

    return engine


@contextmanager
def _own_errors(advice: str) -> Iterator[None]:
    try:
        yield
    except IntegrityError as error:
        raise _meaning(str(error.orig)) from error
    except UnicodeDecodeError as error:  # sqlite3 quotes a damaged schema in its message
        raise DatabaseRefused(f"the database is damaged: {error}; {READING}") from error
    except DBAPIError as error:
        reason = str(error.orig).strip().splitlines()[0]
        raise DatabaseRefused(
            f"the database refused: {reason}; nothing was written. Free the disk, or name another --db"
        ) from error


def _meaning(refusal: str) -> AlreadyThere | InsufficientBalance | DatabaseRefused:
    """What a constraint's refusal says. It speaks only where the rules did not: a race, or a hand in the tables."""
    if "balance_not_below_zero" in refusal:
        return InsufficientBalance(f"an account would fall below zero: {refusal}")
    if "UNIQUE" in refusal or "unique constraint" in refusal:
        return AlreadyThere(f"it was recorded before: {refusal}")
    return DatabaseRefused(f"the database's own rules refuse it: {refusal}")
