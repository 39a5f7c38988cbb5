"""What the tests of the reports share: a founded ledger on SQLite, and short words for what happens in it."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from gridnet_contracts.ledger.actions import certificates, records, registry, storage
from gridnet_contracts.ledger.actions.base import Action, instant, moment
from gridnet_contracts.ledger.database import Database
from gridnet_contracts.ledger.entry import Order
from gridnet_contracts.ledger.ledger import Ledger
from gridnet_contracts.ledger.rows import Certificate
from gridnet_contracts.ledger.seal import Seal
from gridnet_contracts.ledger.store import stored_rows

ORIGIN = "example.org/reports"
EVIDENCE = "0" * 64
NOW = datetime(2018, 8, 1, tzinfo=UTC)
EXPIRES = "2019-08-01T00:00Z"
FOUND = registry.Found(
    origin=ORIGIN,
    issuer="Example grid",
    country="DE",
    market_zone="DE-LU",
    legal_status="none",
    purpose="disclosure",
    quality_scheme="none",
    configuration="1",
)


def until(start: str, minutes: int) -> str:
    return instant(moment(start) + timedelta(minutes=minutes))


@dataclass
class World:
    """A ledger with the device `pv` of `ann`, and, after `battery`, the storage device `bat` of hers."""

    ledger: Ledger
    file: Path
    now: datetime = NOW
    serial: Iterator[int] = field(default_factory=lambda: count(100))
    asked: list[Action] = field(default_factory=list)

    def do(self, *actions: Action) -> None:
        """Asks for actions; they are done, in one batch, when somebody looks."""
        self.asked += actions

    @property
    def database(self) -> Database:
        """The ledger's database with all in it that was asked for. Raises `LedgerError`, and then nothing of that was done."""
        orders = [Order(f"order-{next(self.serial)}", action) for action in self.asked]
        self.asked = []
        if orders:
            self.ledger.commit(orders, self.now)
        return self.ledger.database

    def device(self, device: str, *, owner: str = "ann", storage_wh: int = 0) -> None:
        self.do(
            registry.RegisterDevice(
                device=device,
                owner=owner,
                carrier="electricity",
                source="solar",
                technology="pv",
                capacity_w=1_000_000,
                commissioned="2017-01-01T00:00Z",
                grid_operator="Example net",
                grid_connection="low voltage",
                support="none",
                private=EVIDENCE,
                storage_wh=storage_wh,
                efficiency_ppm=900_000 if storage_wh else 0,
            )
        )

    def issue(self, start: str, wh: int, **more: Any) -> str:
        """A certificate of an hour, or of `minutes`; its name."""
        minutes, device = more.pop("minutes", 60), more.pop("device", "pv")
        fields = {"owner": "ann", "held": False, "expires": EXPIRES, "evidence": EVIDENCE, **more}
        self.do(certificates.Issue(device=device, start=start, end=until(start, minutes), wh=wh, **fields))
        return f"{device}@{start}/0-{wh}"

    def claim(self, certificate: str, owner: str = "ann", beneficiary: str = "bob") -> None:
        self.do(certificates.Claim(certificate=certificate, owner=owner, beneficiary=beneficiary, purpose="consumption"))

    def consume(self, start: str, wh: int, minutes: int = 60, consumer: str = "bob") -> None:
        self.do(records.Consume(consumer=consumer, start=start, end=until(start, minutes), wh=wh, evidence=EVIDENCE))

    def factor(self, start: str, grid: int, residual: int, *, free: int = 0, minutes: int = 60, zone: str = "de") -> None:
        self.do(
            records.GridFactor(
                zone=zone,
                start=start,
                end=until(start, minutes),
                emissions_mg_per_kwh=grid,
                residual_mg_per_kwh=residual,
                carbon_free_ppm=free,
                origin="a table",
            )
        )

    def charge(self, start: str, wh: int, *names: str) -> None:
        self.do(
            storage.Charge(
                device="bat", owner="ann", start=start, end=until(start, 60), wh=wh, certificates=names, evidence=EVIDENCE
            )
        )

    def discharge(self, start: str, wh: int) -> None:
        self.do(
            storage.Discharge(
                device="bat",
                owner="ann",
                start=start,
                end=until(start, 60),
                wh=wh,
                held=False,
                expires=EXPIRES,
                evidence=EVIDENCE,
            )
        )

    def certificates(self) -> list[Certificate]:
        with self.database.read() as connection:
            return list(stored_rows(connection, Certificate))

    def tamper(self, *statements: str) -> None:
        """Raw SQL, once the triggers and the rules that stand in its way are gone."""
        assert self.database
        with contextlib.closing(sqlite3.connect(self.file)) as connection:
            triggers = connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
            for (name,) in triggers:
                connection.execute(f"DROP TRIGGER {name}")
            connection.execute("PRAGMA ignore_check_constraints = ON")
            for statement in statements:
                assert connection.execute(statement).rowcount > 0, f"nothing was tampered with by: {statement}"
            connection.commit()


@pytest.fixture(scope="session")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a ledger that has its tables and the device `pv`; to be copied."""
    folder = tmp_path_factory.mktemp("founded")
    ledger = Ledger(Database(f"sqlite:///{folder / 'ledger.db'}"), Seal.make(folder / "seal", ORIGIN))
    ledger.database.migrate()
    ledger.commit([Order("found", FOUND)], NOW)  # `Ledger.found` would found it today, and NOW is before that
    world = World(ledger, folder / "ledger.db", serial=count())
    world.device("pv")
    assert world.certificates() == []
    ledger.close()
    return folder


def _hurry(connection: sqlite3.Connection, _: object) -> None:
    """No wait for the disk: nothing of a test outlives a loss of power."""
    connection.execute("PRAGMA synchronous = OFF")


@pytest.fixture
def new_world(founded: Path, tmp_path: Path) -> Iterator[Callable[[], World]]:
    """Makes another world each time, for properties that need many."""
    made: list[Ledger] = []

    def make() -> World:
        folder = tmp_path / f"world-{len(made)}"
        shutil.copytree(founded, folder)
        made.append(Ledger(Database(f"sqlite:///{folder / 'ledger.db'}"), Seal.at(folder / "seal")))
        event.listen(made[-1].database.engine, "connect", _hurry)
        return World(made[-1], folder / "ledger.db")

    yield make
    for ledger in made:
        ledger.close()


@pytest.fixture
def world(new_world: Callable[[], World]) -> World:
    return new_world()
