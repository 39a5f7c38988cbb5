"""Disks that are full or may not be written: one typed error, nothing half written, and on it goes once there is room."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, make_url, text

from gridnet_contracts.ledger.errors import DatabaseRefused
from gridnet_contracts.ledger.ledger import Ledger
from tests.contracts.gridnet_contracts.ledger.audit import audit, dump
from tests.contracts.gridnet_contracts.ledger.builders import do, issue, orders, pay
from tests.contracts.gridnet_contracts.ledger.children import opened
from tests.contracts.gridnet_contracts.ledger.disk_child import SCENARIOS
from tests.contracts.gridnet_contracts.ledger.stores import Place

OWN_SPACE = ["unshare", "--map-root-user", "--mount"]


def _may_mount(folder: Path) -> bool:
    if shutil.which("unshare") is None:
        return False
    mount = [*OWN_SPACE, "mount", "-t", "tmpfs", "tmpfs", str(folder)]
    return subprocess.run(mount, check=False, capture_output=True).returncode == 0


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_real_disk(tmp_path: Path, scenario: str) -> None:
    if not _may_mount(tmp_path):
        pytest.skip("this machine lets nobody mount a small disk")
    child = [*OWN_SPACE, sys.executable, "-m", "tests.contracts.gridnet_contracts.ledger.disk_child", scenario, str(tmp_path)]
    paths = os.pathsep.join(each for each in sys.path if each)
    ended = subprocess.run(child, check=False, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": paths})
    assert ended.returncode == 0, ended.stderr


def _full_after(place: Place, pages: int) -> Ledger:
    """A ledger on SQLite that may not grow by more than so many pages."""
    ledger = opened(place)

    @event.listens_for(ledger.database.engine, "connect")
    def _limit(connection: Any, _: object) -> None:
        held = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {held + pages}")

    return ledger


def test_a_database_that_may_not_grow(ledger: Ledger, place: Place) -> None:
    if ledger.database.dialect != "sqlite":
        pytest.skip("SQLite's own limit")
    for pages in range(3):
        small, before, many = _full_after(place, pages), dump(ledger), orders(*[pay(1, "source/bank")] * 200)
        with pytest.raises(DatabaseRefused):
            small.commit(many)
        assert dump(small) == before
        small.close()
        ledger.commit(many)
    audit(ledger)


@pytest.mark.parametrize("table", ["entries", "movements", "tiles", "balances", "certificates", "checkpoints"])
def test_a_postgresql_disk_that_fills_up_midway(ledger: Ledger, table: str) -> None:
    """What the server says of a full disk, said at each table in turn."""
    if ledger.database.dialect != "postgresql":
        pytest.skip("PostgreSQL's own error")
    with ledger.database.write() as connection:
        body = "RAISE EXCEPTION 'No space left on device' USING ERRCODE = '53100';"
        connection.execute(text(f"CREATE FUNCTION fills_up() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$"))
        connection.execute(text(f"CREATE TRIGGER full_disk BEFORE INSERT OR UPDATE ON {table} EXECUTE FUNCTION fills_up()"))
    asked, before = orders(pay(1, credit="owned/dan"), issue()), dump(ledger)
    with pytest.raises(DatabaseRefused):
        ledger.commit(asked)
    assert (dump(ledger) == before) == (table != "checkpoints")
    audit(ledger)
    with ledger.database.write() as connection:
        connection.execute(text(f"DROP TRIGGER full_disk ON {table}"))
    again = ledger.commit(asked)
    audit(ledger, {receipt.entry: receipt.leaf_hash for receipt in again})


def test_a_postgresql_that_may_only_be_read(ledger: Ledger, place: Place) -> None:
    if ledger.database.dialect != "postgresql":
        pytest.skip("PostgreSQL's own setting")
    name = make_url(place.url).database
    with ledger.database.write() as connection:
        connection.execute(text(f"ALTER DATABASE {name} SET default_transaction_read_only = on"))
    ledger.close()
    reader, before = opened(place), dump(ledger)
    ledger.close()
    with pytest.raises(DatabaseRefused):
        do(reader, pay(1))
    assert dump(reader) == before
    audit(reader)
    reader.close()


def test_a_postgresql_connection_that_is_cut(ledger: Ledger, place: Place) -> None:
    if ledger.database.dialect != "postgresql":
        pytest.skip("SQLite has no connection to cut")
    other, asked, before = opened(place), orders(pay(1)), dump(ledger)
    with other.database.write() as connection:
        cut = (
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        assert connection.execute(text(cut)).all()
    other.close()
    try:
        ledger.commit(asked)
    except DatabaseRefused:  # it may say so once
        assert dump(ledger) == before
        ledger.commit(asked)
    assert audit(ledger) == 6
