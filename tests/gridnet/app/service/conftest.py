"""A service on SQLite, one on PostgreSQL, and a small feeder with a year of series."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url

from gridnet.app.service.service import Service
from tests.contracts.gridnet_contracts.ledger.stores import postgres_server
from tests.gridnet.app.service.feeder import write_year
from tests.gridnet.app.service.parts import Clock, service_on


@pytest.fixture
def clock() -> Clock:
    """Five past noon."""
    return Clock()


@pytest.fixture
def service(tmp_path: Path, clock: Clock) -> Iterator[Service]:
    """On SQLite; nobody has a secret."""
    made = service_on(f"sqlite:///{tmp_path / 'service.db'}", clock, people=False)
    yield made
    made.store.database.close()


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """A PostgreSQL server of its own; gives the URL of its first database."""
    with postgres_server() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'either.db'}"
    server, name = request.getfixturevalue("postgres"), f"service{os.urandom(4).hex()}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    return make_url(server).set(database=name).render_as_string(hide_password=False)


@pytest.fixture
def either(url: str, clock: Clock) -> Iterator[Service]:
    """A service on either kind of database."""
    made = service_on(url, clock, people=False)
    yield made
    made.store.database.close()


@pytest.fixture(scope="session")
def year(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a scenario that a live feeder can be made of."""
    return write_year(tmp_path_factory.mktemp("year"))
