"""The service's tables: as its migrations make them and as its code sees them, beside the ledger's."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import inspect, text

from gridnet.app.cli import main
from gridnet.app.service import partitions
from gridnet.app.service.schema import METADATA
from gridnet.app.service.service import Service
from gridnet.app.service.store import VERSION_TABLE
from gridnet_contracts.ledger.database import Database
from tests.contracts.gridnet_contracts.audit.story import KEY, Home, tell
from tests.gridnet.app.service.parts import ALICE, NOON, OPERATOR, QUARTER, Clock, metered, service_on, setpoint


def test_the_tables_are_those_that_the_code_sees(either: Service) -> None:
    with either.store.read() as connection:
        seen = inspect(connection)
        there = {name for name in seen.get_table_names() if name.startswith("service_")}
        parts = {partitions.name_of(week) for week in partitions.weeks(connection)}
        assert there - parts == {*METADATA.tables, VERSION_TABLE}
        for name, table in METADATA.tables.items():
            columns = {column["name"]: column["nullable"] for column in seen.get_columns(name)}
            assert columns == {column.name: column.nullable for column in table.columns}, name
            assert set(seen.get_pk_constraint(name)["constrained_columns"]) == {column.name for column in table.primary_key}, name
            wanted = {column.name for column in table.columns if column.unique}
            unique = [each["column_names"] for each in seen.get_unique_constraints(name)]
            assert {each[0] for each in unique if len(each) == 1} == wanted, name
            indexed = {each["column_names"][0] for each in seen.get_indexes(name) if not each.get("unique")}
            assert indexed == {column.name for column in table.columns if column.index}, name


def test_types_are_those_that_the_code_sees(either: Service) -> None:
    families = {"TEXT": "text", "BIGINT": "int", "FLOAT": "float", "REAL": "float", "BLOB": "bytes", "BYTEA": "bytes"}
    families |= {"DOUBLE": "float", "DOUBLE PRECISION": "float", "DOUBLE_PRECISION": "float"}
    with either.store.read() as connection:
        for name, table in METADATA.tables.items():
            columns = inspect(connection).get_columns(name)
            there = {column["name"]: families[str(column["type"]).partition(" COLLATE")[0]] for column in columns}
            assert there == {column.name: families[str(column.type)] for column in table.columns}, name


def test_migrating_again_changes_nothing(either: Service) -> None:
    either.devices.add(OPERATOR, metered())
    either.store.migrate()
    assert either.devices.page(OPERATOR)[1] == 1


@pytest.fixture
def beside(tmp_path: Path) -> Home:
    """A ledger with a service's tables beside it, both in use."""
    home = tell(f"sqlite:///{tmp_path}/ledger.db", tmp_path / "seal")
    service = service_on(home.url, Clock(), people=False)
    service.devices.add(OPERATOR, metered())
    service.controls.decided([setpoint(NOON, 1.0)], [setpoint(NOON + QUARTER, 1.0)])
    assert service.controls.effective(ALICE, "alice-1").p_kw == 1.0
    service.store.database.close()
    return home


def _verified(home: Home) -> int:
    return main(["audit", "verify", "--db", home.url, "--key", KEY.verifier.encode()])


def test_a_ledger_is_verified_with_the_services_tables_beside_it(beside: Home, capsys: pytest.CaptureFixture[str]) -> None:
    assert _verified(beside) == 0, capsys.readouterr()


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TRIGGER service_spy AFTER INSERT ON service_devices BEGIN DELETE FROM {ledger}; END",
        "CREATE TRIGGER spy AFTER INSERT ON {ledger} BEGIN SELECT 1; END",
        "CREATE TRIGGER service_x BEFORE INSERT ON {ledger} BEGIN SELECT RAISE(IGNORE); END",
        "CREATE VIEW service_view AS SELECT 1",
    ],
)
def test_a_foreign_trigger_or_view_is_refused_whatever_its_name(
    beside: Home, statement: str, capsys: pytest.CaptureFixture[str]
) -> None:
    database = Database(beside.url)
    with database.write() as connection:
        ledger = next(name for name in inspect(connection).get_table_names() if "entr" in name)
        connection.execute(text(statement.format(ledger=ledger)))
    database.close()
    assert _verified(beside) == 1
    capsys.readouterr()
