"""The console over a service that has lived, to be read alone, and over a copy that is one's own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gridnet.app.service.config import Config
from gridnet.app.service.live import LiveFeeder
from gridnet.app.service.service import Service
from gridnet.case import load_case
from gridnet_contracts.ledger.database import Database
from tests.gridnet.app.dashboard.visiting import Visits, visiting
from tests.gridnet.app.service.lived import Lived
from tests.gridnet.app.service.parts import PEOPLE, Clock


@pytest.fixture(scope="module")
def visits(lived_once: Lived) -> Iterator[Visits]:
    """Nothing is done here."""
    with visiting(lived_once.service, lived_once.live) as made:
        yield made


@pytest.fixture
def own_visits(lived_own: Lived) -> Iterator[Visits]:
    """For tests that do things."""
    with visiting(lived_own.service, lived_own.live) as made:
        yield made


@pytest.fixture
def young(tmp_path: Path) -> Iterator[Visits]:
    """A service that has not decided anything yet."""
    clock = Clock()
    live = LiveFeeder.at(load_case("rural1"), clock.now)
    meters = frozenset(point.name for point in live.points)
    service = Service.on(Database(f"sqlite:///{tmp_path / 'young.db'}"), Config(), meters, clock=clock)
    with service.store.write() as connection:
        for principal in PEOPLE.values():
            service.people.enter(connection, principal, None)
    with visiting(replace(service, worth=live.worth), live) as made:
        yield made
    service.store.database.close()
