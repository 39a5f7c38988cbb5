"""Raw SQL against the database's own rules: what was written stays, whoever holds the connection."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Column, Connection, Table, create_engine, delete, insert, select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from gridnet_contracts.ledger.actions.certificates import Cancel, Claim, Expire, Lock, Reserve, Split, Withdraw
from gridnet_contracts.ledger.actions.records import Consume, GridFactor, Impact, Verdict, Verify
from gridnet_contracts.ledger.actions.registry import SetEfficiency
from gridnet_contracts.ledger.ledger import Ledger
from gridnet_contracts.ledger.rows import ROWS
from gridnet_contracts.ledger.schema import METADATA, TABLE_NAMES
from tests.contracts.gridnet_contracts.ledger.audit import audit, dump
from tests.contracts.gridnet_contracts.ledger.builders import HASH, at, certificate, charge, discharge, do, issue
from tests.contracts.gridnet_contracts.ledger.status_table import FROM
from tests.contracts.gridnet_contracts.ledger.stores import Place

CHANGEABLE = {"balances": {"amount"}, "tiles": {"hashes"}} | {TABLE_NAMES[kind]: set(kind.MUTABLE) for kind in ROWS}
KEPT = [table for table in METADATA.sorted_tables if table.name != "disclosures"]
ALLOWED = {
    "held": {"active", "withdrawn", "expired"},
    "active": {"active", "split", "cancelled", "claimed", "withdrawn", "locked", "reserved", "expired", "cancelled_for_storage"},
    "locked": {"active", "claimed", "withdrawn"},
    "reserved": {"active", "claimed", "withdrawn", "expired"},
}
STATUSES = ["held", *sorted(ALLOWED["active"]), "nonsense", ""]


@pytest.fixture
def full(ledger: Ledger) -> Ledger:
    """A row in every table, a certificate in every status."""
    expired = {"expires": at(24 * 60)}
    do(ledger, *(issue(15 * k, held=k == 0, **(expired if k == 1 else {})) for k in range(10)))
    names = [certificate(15 * k) for k in range(10)]
    do(
        ledger,
        Expire(certificate=names[1], owner="ann"),
        Split(certificate=names[3], owner="ann", wh=1),
        Cancel(certificate=names[4], owner="ann", reason="r"),
        Claim(certificate=names[5], owner="ann", beneficiary="ann", purpose="p"),
        Withdraw(certificate=names[6], owner="ann", reason="r"),
        Lock(certificate=names[7], owner="ann", reason="r"),
        Reserve(certificate=names[8], owner="ann", beneficiary="bob"),
        charge(120, 1500, (names[9],)),
        discharge(180, 900),
        SetEfficiency(device="bat", efficiency_ppm=800_000, start=at(0), end=at(60), method="m", evidence=HASH),
        Consume(consumer="ann", start=at(0), end=at(15), wh=5, evidence=HASH),
        GridFactor(
            zone="de",
            start=at(0),
            end=at(60),
            emissions_mg_per_kwh=1,
            residual_mg_per_kwh=1,
            carbon_free_ppm=1,
            origin="o",
        ),
        Verify(community="c", start=at(0), end=at(15), messages=HASH, verdicts=HASH, accepted=1, rejected=0, missing=0),
        Verdict(device="pv", start=at(0), end=at(15), level=3, outcome="hold", finding="f", evidence=HASH),
        Impact(community="c", start=at(0), end=at(60), saved_g=-1, baseline="b", evidence=HASH),
    )
    return ledger


class Rollback(Exception):
    """Leaves a transaction without a trace."""


def _refused(ledger: Ledger, statement: Any, row: dict[str, Any] | None = None) -> bool:
    """Whether the database refuses a statement; undone in any case."""
    try:
        with ledger.database.engine.connect() as connection, connection.begin():
            assert connection.execute(statement, row).rowcount, f"{statement} touches nothing"
            raise Rollback
    except DBAPIError:
        return True
    except Rollback:
        return False


def _other(column: Column[Any]) -> Any:
    """Another value of the column's type."""
    kind = column.type.python_type
    return column + 1 if kind is int else b"other" if kind is bytes else column.concat("x")


def _columns(changeable: bool) -> Iterator[tuple[Table, Column[Any]]]:
    for table in KEPT:
        for column in table.columns:
            if (column.name in CHANGEABLE.get(table.name, set())) == changeable:
                yield table, column


def test_every_table_has_a_row(full: Ledger) -> None:
    counts = {name: len(rows) for name, rows in dump(full).items()}
    assert [name for name, count in counts.items() if not count] == ["disclosures"]


def test_no_column_that_stays_can_be_changed(full: Ledger) -> None:
    columns = list(_columns(changeable=False))
    assert len(columns) > 100
    assert [
        f"{table}.{column.name}" for table, column in columns if not _refused(full, update(table).values({column: _other(column)}))
    ] == []
    audit(full)


def test_a_column_that_may_change_can_be(full: Ledger) -> None:
    """The negative: the refusals above are of the columns, not of everything."""
    rows = {
        "certificates": "status = 'active'",
        "lots": "remaining_wh > 1",
        "devices": "efficiency_ppm > 1",
        "balances": "account LIKE 'source/%'",
        "tiles": "level = 0",
    }
    for table, column in _columns(changeable=True):
        fresh = "claimed" if column.name == "status" else column - 1 if column.type.python_type is int else _other(column)
        statement = update(table).where(text(rows[table.name])).values({column: fresh})
        assert not _refused(full, statement), f"{table}.{column.name}"


def test_no_row_can_be_deleted(full: Ledger) -> None:
    assert [table.name for table in KEPT if not _refused(full, delete(table))] == []


def test_no_table_can_be_emptied(full: Ledger) -> None:
    if full.database.dialect == "sqlite":
        pytest.skip("TRUNCATE is PostgreSQL's")
    assert [table.name for table in KEPT if not _refused(full, text(f"TRUNCATE {table.name} CASCADE"))] == []


@pytest.mark.parametrize("pragma", ["recursive_triggers = ON", "recursive_triggers = OFF"])
def test_no_row_can_be_replaced(full: Ledger, place: Place, pragma: str) -> None:
    """SQLite's REPLACE deletes what is in the way, past a trigger on DELETE unless the connection asks for it."""
    if full.database.dialect == "postgresql":
        pytest.skip("REPLACE is SQLite's")
    plain = create_engine(place.url)
    replaced = []
    for table in KEPT:
        with plain.connect() as connection:
            row = dict(connection.execute(select(table)).mappings().first() or {})
            changed = row | {
                column.name: "other" for column in table.columns if column.type.python_type is str and not column.primary_key
            }
            connection.exec_driver_sql(f"PRAGMA {pragma}")
            try:
                connection.execute(insert(table).prefix_with("OR REPLACE"), changed)
                replaced.append(table.name)
            except DBAPIError:
                pass
            connection.rollback()
    plain.dispose()
    assert replaced == []


def test_a_disclosure_can_be_deleted(full: Ledger) -> None:
    with full.database.write() as connection:
        connection.execute(insert(METADATA.tables["disclosures"]), [{"subject": "s", "kind": "k", "salt": b"s", "content": b"c"}])
        assert connection.execute(delete(METADATA.tables["disclosures"])).rowcount == 1


def test_only_a_stated_status_change_is_possible(full: Ledger) -> None:
    with full.database.read() as connection:
        there = {status: name for name, status in connection.execute(text("SELECT certificate, status FROM certificates"))}
    assert there.keys() == set(STATUSES) - {"nonsense", ""}
    change = text("UPDATE certificates SET status = :status WHERE certificate = :certificate")
    for before, name in there.items():
        allowed = {after for after in STATUSES if not _refused(full, change, {"status": after, "certificate": name})}
        assert allowed == ALLOWED.get(before, set()), f"from {before}"


def test_the_owner_of_what_is_no_longer_active_stays(full: Ledger) -> None:
    change = text("UPDATE certificates SET party = 'thief' WHERE status = :status")
    passed = {status for status in STATUSES[:-2] if not _refused(full, change, {"status": status})}
    assert passed == {"active"}
    assert all(statuses <= ALLOWED.keys() for statuses in FROM.values())


MOVEMENT = text("INSERT INTO movements (entry, leg, asset, debit, credit, amount) VALUES (0, 9, 'eur', :debit, :credit, :amount)")


@pytest.mark.parametrize(
    ("debit", "credit", "amount"),
    [
        ("owned/ann", "source/bank", 1001),
        ("owned/ann", "source/bank", 0),
        ("owned/ann", "source/bank", -5),
        ("owned/ann", "owned/ann", 5),
        ("owned/ann", "owned/nobody", 5),
        ("source/bank", "owned/ann", 2**53),
    ],
)
def test_a_movement_that_can_not_be_is_refused(ledger: Ledger, debit: str, credit: str, amount: int) -> None:
    before = dump(ledger)
    assert not _refused(ledger, MOVEMENT, {"debit": "owned/ann", "credit": "source/bank", "amount": 1000})
    assert _refused(ledger, MOVEMENT, {"debit": debit, "credit": credit, "amount": amount})
    assert dump(ledger) == before


def test_a_balance_below_zero_is_refused(ledger: Ledger) -> None:
    with pytest.raises(IntegrityError, match="balance_not_below_zero"), _raw(ledger) as connection, connection.begin():
        connection.execute(text("UPDATE balances SET amount = -1 WHERE account = 'owned/ann'"))


def _raw(ledger: Ledger) -> Connection:
    return ledger.database.engine.connect()
