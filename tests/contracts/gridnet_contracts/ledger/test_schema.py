"""The tables that the migration makes, the tables that the code sees, and the rows: one and the same."""

from __future__ import annotations

from dataclasses import fields
from importlib import import_module
from typing import Any, get_type_hints

import pytest
from sqlalchemy import BigInteger, Integer, LargeBinary, Text, inspect, text

from gridnet_contracts.ledger.actions.parse import KINDS
from gridnet_contracts.ledger.database import Database
from gridnet_contracts.ledger.errors import DatabaseRefused
from gridnet_contracts.ledger.rows import ROWS
from gridnet_contracts.ledger.rules.apply import RULES
from gridnet_contracts.ledger.rules.certificates import STATUSES
from gridnet_contracts.ledger.schema import METADATA, TABLE_NAMES, table_of

FIRST = import_module("gridnet_contracts.ledger.migrations.versions.v0001_ledger")
SORTS = {BigInteger: "int", Integer: "int", Text: "text", LargeBinary: "bytes"}


def _sort(column_type: Any, dialect: str) -> str:
    found = [sort for kind, sort in SORTS.items() if isinstance(column_type, kind)]
    assert found, f"a column of type {column_type!r}"
    if found[0] == "int" and dialect == "postgresql":
        assert isinstance(column_type, BigInteger), "32 bits do not hold an amount"
    return found[0]


def test_the_migrated_tables_are_those_of_the_code(url: str) -> None:
    database = Database(url)
    look = inspect(database.engine)
    assert set(look.get_table_names()) - {"alembic_version"} == set(METADATA.tables)
    for table in METADATA.sorted_tables:
        stored = {column["name"]: column for column in look.get_columns(table.name)}
        assert list(stored) == [column.name for column in table.columns], table.name
        for column in table.columns:
            theirs = stored[column.name]
            assert _sort(theirs["type"], database.dialect) == _sort(column.type, "sqlite"), f"{table.name}.{column.name}"
            rowid = database.dialect == "sqlite" and column.primary_key and len(table.primary_key) == 1
            assert not theirs["nullable"] or rowid, f"{table.name}.{column.name} may be null"
        assert look.get_pk_constraint(table.name)["constrained_columns"] == [column.name for column in table.primary_key]
    database.close()


def test_sqlite_holds_the_types_it_is_told(url: str) -> None:
    database = Database(url)
    if database.dialect == "sqlite":
        with database.read() as connection:
            tables = connection.execute(text("SELECT name, strict FROM pragma_table_list WHERE schema = 'main' AND type = 'table'"))
            loose = {name for name, strict in tables if not strict}
        assert loose <= {"alembic_version", "sqlite_schema"}
    database.close()


def test_a_key_is_used_once_by_the_database_itself(url: str) -> None:
    database = Database(url)
    look = inspect(database.engine)
    unique = {(name, tuple(one["column_names"])) for name in METADATA.tables for one in look.get_unique_constraints(name)}
    assert unique >= {("entries", ("key",)), ("issuances", ("device", "start")), ("lots", ("device", "rank"))}
    database.close()


def test_a_row_is_its_table() -> None:
    assert TABLE_NAMES.keys() == set(ROWS)
    for kind in ROWS:
        columns = table_of(kind).columns
        assert [field.name for field in fields(kind)] == [column.name for column in columns]
        hints = get_type_hints(kind)
        assert all((hints[column.name] is int) == isinstance(column.type, BigInteger) for column in columns)
        assert tuple(column.name for column in table_of(kind).primary_key) == kind.KEY
        assert set(kind.MUTABLE) == FIRST.MUTABLE.get(TABLE_NAMES[kind], set())


def test_the_statuses_are_those_of_the_database() -> None:
    named = {after for afters in FIRST.NEXT_STATUS.values() for after in afters.split()} | FIRST.NEXT_STATUS.keys()
    assert set(STATUSES) == named


def test_every_action_has_a_rule_and_its_own_kind() -> None:
    assert RULES.keys() in ({*KINDS.values()}, {*KINDS})
    assert {kind: model.kind for kind, model in KINDS.items()} == {kind: kind for kind in KINDS}


def test_migrating_again_changes_nothing(url: str) -> None:
    database = Database(url)
    before = database.version()
    database.migrate()
    assert database.version() == before is not None
    database.close()


def test_tables_of_a_later_version_are_refused(url: str) -> None:
    database = Database(url)
    with database.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(DatabaseRefused, match="9999"):
        database.migrate()
    database.close()
