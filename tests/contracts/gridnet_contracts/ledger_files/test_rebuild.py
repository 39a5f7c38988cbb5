"""A ledger made again from its leaves: the same tables in another database, or nothing at all."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from gridnet.errors import LedgerError, VerificationError
from gridnet_contracts.audit.database import audit_database
from gridnet_contracts.audit.projection import compare
from gridnet_contracts.ledger import rebuild as rebuilding
from gridnet_contracts.ledger.actions.certificates import Issue
from gridnet_contracts.ledger.actions.registry import RegisterDevice
from gridnet_contracts.ledger.database import Database
from gridnet_contracts.ledger.entry import Order
from gridnet_contracts.ledger.export import export
from gridnet_contracts.ledger.privacy import Privacy
from gridnet_contracts.ledger.rebuild import rebuild
from gridnet_contracts.ledger.schema import METADATA
from tests.contracts.gridnet_contracts.audit.story import ENTRIES, FOUND, HASH, POLICY, Home, device, failed, issue, opened, tell


def tables(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table but the disclosures, which are not of the log."""
    with database.read() as connection:
        return {
            table.name: sorted(tuple(row) for row in connection.execute(table.select()))
            for table in METADATA.sorted_tables
            if table.name != "disclosures"
        }


@pytest.fixture
def source(home: Home) -> Iterator[Database]:
    database = Database.reading(home.url)
    yield database
    database.close()


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path}/again.db")
    yield database
    database.close()


def test_every_table_of_the_rebuilt_ledger_is_the_same(source: Database, target: Database) -> None:
    assert rebuild(source, target) == ENTRIES
    before = tables(source)
    assert tables(target) == before
    assert all(before.values()), "the story writes to every table"
    assert failed(audit_database(target, POLICY)) == 0


def test_batches_shorter_than_the_log_make_the_same_tables(
    source: Database, target: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rebuilding, "BATCH", 5)
    assert rebuild(source, target) == ENTRIES
    assert tables(target) == tables(source)


def test_postgresql_holds_the_same_and_passes_the_same_audit(source: Database, postgres: str, tmp_path: Path) -> None:
    target = Database(postgres)
    assert rebuild(source, target) == ENTRIES
    assert tables(target) == tables(source)
    reading = Database.reading(postgres)
    assert failed(audit_database(reading, POLICY)) == 0
    with reading.read() as connection:
        assert compare(connection).startswith(f"{ENTRIES} entries replayed: ")
    for table_format in ("csv", "jsonl", "parquet"):
        export(source, tmp_path / "one" / table_format, table_format)
        export(reading, tmp_path / "two" / table_format, table_format)
    again = [path for path in (tmp_path / "two").rglob("*") if path.is_file()]
    assert len(again) == 12
    for path in again:
        assert path.read_bytes() == (tmp_path / "one" / path.relative_to(tmp_path / "two")).read_bytes()
    back = Database(f"sqlite:///{tmp_path}/back.db")
    assert rebuild(reading, back) == ENTRIES
    assert tables(back) == tables(source)
    for database in (target, reading, back):
        database.close()


@pytest.mark.parametrize(
    ("change", "check"),
    [
        ("ALTER TABLE balances DISABLE TRIGGER balances_stay", 1),
        ("DROP TRIGGER movements_move ON movements", 1),
        ("DROP VIEW postings", 1),
        ("CREATE TABLE more (a INT)", 1),
        ("UPDATE alembic_version SET version_num = '9999'", 1),
        (
            "UPDATE balances SET amount = amount + 1 WHERE asset = 'eur'",
            3,
        ),
        ("UPDATE certificates SET party = 'mallory' WHERE status = 'active'", 3),
        ("UPDATE tiles SET hashes = hashes || hashes", 5),
        ("SELECT 1", 0),
    ],
)
def test_a_hand_in_the_tables_of_postgresql_is_found(postgres: str, tmp_path: Path, change: str, check: int) -> None:
    tell(postgres, tmp_path / "seal2")
    database = Database(postgres)
    with database.write() as connection:
        for statement in change.split(";"):
            connection.execute(text(statement))
    database.close()
    reading = Database.reading(postgres)
    assert failed(audit_database(reading, POLICY)) == check
    reading.close()


def test_a_target_that_holds_something_is_refused_and_left_as_it_is(source: Database, home: Home, tmp_path: Path) -> None:
    target = Database(f"sqlite:///{tmp_path}/other.db")
    rebuild(source, target)
    before = tables(target)
    for into in (target, Database(home.url)):
        with pytest.raises(LedgerError, match="name a new one"):
            rebuild(source, into)
    assert tables(target) == before
    target.close()


def test_a_log_that_breaks_the_rules_leaves_nothing_half_written(
    home: Home, target: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rebuilding, "BATCH", 5)
    with closing(sqlite3.connect(home.file)) as connection:
        connection.executescript("DROP TRIGGER entries_keep; UPDATE entries SET leaf = x'7b7d' WHERE seq = 30;")
    source = Database.reading(home.url)
    with pytest.raises(VerificationError, match="entry 30"):
        rebuild(source, target)
    assert not any(tables(target).values())
    source.close()


def test_an_interrupted_rebuild_leaves_nothing_and_can_be_done_again(
    source: Database, target: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(rebuilding, "store_checkpoint", interrupted)
        with pytest.raises(KeyboardInterrupt):
            rebuild(source, target)
    assert not any(tables(target).values())
    assert rebuild(source, target) == ENTRIES
    assert tables(target) == tables(source)


def test_disclosures_stay_where_they_are(source: Database, target: Database) -> None:
    rebuild(source, target)
    with target.read() as connection:
        assert connection.execute(METADATA.tables["disclosures"].select()).all() == []


def _newcomer(tmp_path: Path, *actions: RegisterDevice | Issue) -> Database:
    home = Home(f"sqlite:///{tmp_path}/new.db", tmp_path / "new", "ann", "bob")
    home.seal.mkdir()
    ledger = opened(home)
    ledger.database.migrate()
    ledger.commit([Order("found", FOUND)])
    for place, action in enumerate(actions):
        ledger.commit([Order(str(place), action)])
    return ledger.database


@pytest.mark.parametrize("held", [None, True], ids=["nothing yet", "a held certificate"])
def test_a_ledger_in_which_an_owner_has_no_active_certificate_passes(tmp_path: Path, held: bool | None) -> None:
    made = [] if held is None else [issue("ann", 0, held=held)]
    database = _newcomer(tmp_path, device("pv", "ann"), *made)
    assert failed(audit_database(database, POLICY)) == 0
    database.close()


def test_what_is_kept_about_a_device_before_it_is_registered_does_not_fail_the_audit(tmp_path: Path) -> None:
    database = _newcomer(tmp_path)
    Privacy(database).device("pv", {"location": HASH})
    assert failed(audit_database(database, POLICY)) == 0
    database.close()
