"""A service of this version comes while one of the version before goes on: nothing that either takes in is lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import text

from gridnet.app.service import marks
from gridnet.app.service import store as stores
from gridnet.app.service.names import MAIN
from gridnet.app.service.service import Service
from gridnet.app.service.store import VERSION_TABLE, Store
from gridnet.app.service.telemetry import CLOSED
from gridnet.errors import InputError
from gridnet_contracts.ledger.database import Database
from tests.gridnet.app.service.parts import ALICE, NOON, OPERATOR, QUARTER, Clock, Meter, metered, service_on

NOON_Q = int(NOON.timestamp()) // 900
FOLDER = Path(stores.__file__).parent / "migrations"

# What version 0002 says to its database, word for word.
KEEP = """INSERT INTO service_messages (meter, sequence, digest, raw, received_s, quarter)
VALUES (:meter, :sequence, :digest, :raw, :received_s, :quarter) ON CONFLICT DO NOTHING"""
KNOWN = "SELECT digest FROM service_messages WHERE meter = :meter AND digest IN (:digest)"
ARRIVED = "SELECT meter, raw FROM service_messages WHERE quarter = :quarter ORDER BY meter, sequence, digest"
MARKED = "SELECT value FROM service_meta WHERE key = :key"
MARK = """INSERT INTO service_meta (key, value) VALUES (:key, :value)
ON CONFLICT (key) DO UPDATE SET value = excluded.value"""


def before(url: str, revision: str = "0002", *, lived: bool = True) -> Database:
    """A database as a service of the version before left it, whose feeder has lived."""
    database = Database(url)
    with database.write() as connection:
        config = Config()
        config.set_main_option("script_location", str(FOLDER))
        config.attributes.update(connection=connection, version_table=VERSION_TABLE)
        command.upgrade(config, revision)
        if lived:
            connection.execute(text(MARK), {"key": "live scenario", "value": "tiny 1"})
    return database


class Old:
    """A process of the version before; it takes the ledger's lock for all that it writes."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.sent: list[bytes] = []

    def report(self, raw: bytes, number: int, quarter: int = NOON_Q) -> None:
        """Keeps a message."""
        row = {"meter": "bat-00", "sequence": number, "digest": sha256(raw).hexdigest(), "raw": raw}
        with self._database.write() as connection:
            assert connection.execute(text(KNOWN), {"meter": "bat-00", "digest": row["digest"]}).all() == []
            connection.execute(text(MARKED), {"key": "closed quarter"}).scalar()
            connection.execute(text(KEEP), {**row, "received_s": 0, "quarter": quarter})
        self.sent.append(raw)

    def close(self, quarter: int) -> list[bytes]:
        """Closes a quarter-hour; what counts in it."""
        with self._database.write() as connection:
            connection.execute(text(MARK), {"key": "closed quarter", "value": str(quarter)})
            return [bytes(row.raw) for row in connection.execute(text(ARRIVED), {"quarter": quarter})]


@pytest.fixture
def lived(url: str) -> Iterator[Database]:
    """Of the version before, on either kind of database."""
    made = before(url)
    yield made
    made.close()


def test_the_version_before_works_on_while_the_tables_are_changed(lived: Database, url: str) -> None:
    old, enough = Old(lived), threading.Event()

    def works() -> None:
        number = 0
        while not (enough.is_set() and number >= 200):
            old.report(f"message {number}".encode(), number)
            old.close(NOON_Q - 1)
            number += 1

    with ThreadPoolExecutor(1) as pool:
        working = pool.submit(works)
        try:
            while len(old.sent) < 50 and not working.done():
                time.sleep(0.01)
            service = service_on(url, Clock(), people=False)
        finally:
            enough.set()
        working.result()
    with service.store.read() as connection:
        found = [each.raw for each in service.telemetry.arrived(connection, NOON_Q)]
    assert found == old.sent
    assert len(found) >= 200
    service.store.database.close()


def test_what_comes_while_the_version_before_has_the_feeder_is_kept_where_it_looks(lived: Database, url: str) -> None:
    service, old, meter = service_on(url, Clock(), people=False), Old(lived), Meter()
    service.devices.add(OPERATOR, metered())
    first, second = meter.reads(NOON - 2 * QUARTER), meter.reads(NOON - QUARTER)
    assert not service.telemetry.report(ALICE, "alice-1", [first])[0].repeated
    assert service.telemetry.report(ALICE, "alice-1", [first])[0].repeated
    assert old.close(NOON_Q) == [first]
    service.telemetry.report(ALICE, "alice-1", [second])
    assert old.close(NOON_Q + 1) == [second]

    with service.store.write(MAIN) as connection:  # as a loop of this version does when it has the feeder
        marks.mark(connection, marks.MOVED, "0003")
    third = meter.reads(NOON)
    said = service.telemetry.report(ALICE, "alice-1", [second, third])
    assert [each.repeated for each in said] == [True, False]
    with service.store.read() as connection:
        assert [each.raw for each in service.telemetry.arrived(connection, NOON_Q + 1)] == [second]
        assert [each.raw for each in service.telemetry.arrived(connection, NOON_Q + 2)] == [third]
    assert old.close(NOON_Q + 2) == []
    service.store.database.close()


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_a_reading_is_either_in_the_quarter_hour_that_the_version_before_closes_or_in_the_next(lived: Database, url: str) -> None:
    service, meter = service_on(url, Clock(), people=False), Meter()
    service.devices.add(OPERATOR, metered())
    with ThreadPoolExecutor(1) as pool, lived.write() as connection:
        coming = pool.submit(service.telemetry.report, ALICE, "alice-1", [meter.reads(NOON)])
        connection.execute(text(MARK), {"key": CLOSED, "value": str(NOON_Q)})
        with pytest.raises(TimeoutError):
            coming.result(timeout=0.5)
        assert connection.execute(text(ARRIVED), {"quarter": NOON_Q}).all() == []
        connection.commit()
        assert coming.result()[0].problem is None
    with service.store.read() as connection:
        assert len(service.telemetry.arrived(connection, NOON_Q + 1)) == 1
    service.store.database.close()


def test_a_service_that_never_had_a_feeder_keeps_readings_by_week_at_once(url: str) -> None:
    before(url, lived=False).close()
    service = service_on(url, Clock(), people=False)
    service.devices.add(OPERATOR, metered())
    service.telemetry.report(ALICE, "alice-1", [Meter().reads(NOON)])
    with service.store.read() as connection:
        assert connection.execute(text("SELECT count(*) FROM service_readings")).scalar_one() == 1
    service.store.database.close()


def test_tables_of_a_later_version_are_refused_in_one_sentence(either: Service) -> None:
    with either.store.write() as connection:
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))
    with pytest.raises(InputError, match="tables are of version 9999"):
        Store(either.store.database, Clock()).migrate()
