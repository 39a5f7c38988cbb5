"""A ledger on SQLite and one on PostgreSQL: every test that asks for one of these fixtures runs on both."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gridnet_contracts.ledger.ledger import Ledger
from gridnet_contracts.ledger.seal import Seal
from tests.contracts.gridnet_contracts.ledger.builders import furnish
from tests.contracts.gridnet_contracts.ledger.children import OPENED
from tests.contracts.gridnet_contracts.ledger.stores import Place, PostgresStore, SqliteStore, Store, Templates, postgres_server


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of one server for all tests."""
    with postgres_server() as uri:
        yield uri


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def templates(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Templates:
    """What tests start from, per kind of database."""
    folder = tmp_path_factory.mktemp("ledgers")
    store: Store = SqliteStore(folder) if request.param == "sqlite" else PostgresStore(request.getfixturevalue("postgres"))
    return Templates(store, folder)


@pytest.fixture
def url(templates: Templates) -> str:
    """A database with the ledger's tables, all empty."""
    return templates.migrated()


@pytest.fixture
def place(templates: Templates, tmp_path: Path) -> Place:
    """A ledger that holds its first entry, closed."""
    return templates.founded(tmp_path / "seal")


@pytest.fixture
def ledger(place: Place) -> Iterator[Ledger]:
    """A ledger with money, a rooftop and a battery."""
    opened = Ledger.open(place.url, Seal.at(place.folder))
    furnish(opened)
    yield opened
    opened.close()


@pytest.fixture(autouse=True)
def closing() -> Iterator[None]:
    """Closes what a test has opened, also one that failed."""
    yield
    while OPENED:
        OPENED.pop().close()
