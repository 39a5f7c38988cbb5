"""The ledger's tables, as SQLAlchemy Core sees them. `migrations/` makes them; a test holds both together."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, cast, get_type_hints

from sqlalchemy import BigInteger, Column, LargeBinary, MetaData, Table, Text

from gridnet_contracts.ledger import rows
from gridnet_contracts.ledger.rows import ROWS, Row
from gridnet_contracts.ledger.state import R

METADATA = MetaData()

entries = Table(
    "entries",
    METADATA,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("key", Text, nullable=False, unique=True),
    Column("kind", Text, nullable=False),
    Column("time", Text, nullable=False),
    Column("body_hash", Text, nullable=False),
    Column("leaf", LargeBinary, nullable=False),
)
"""The log of record: one row per entry. `leaf` is its canonical bytes; the other columns repeat what the leaf says."""

movements = Table(
    "movements",
    METADATA,
    Column("entry", BigInteger, primary_key=True, autoincrement=False),
    Column("leg", BigInteger, primary_key=True, autoincrement=False),
    Column("asset", Text, nullable=False),
    Column("debit", Text, nullable=False),
    Column("credit", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
)
"""Double entry: `amount` leaves `debit` and arrives at `credit`. The view `postings` shows both sides as signed rows."""

balances = Table(
    "balances",
    METADATA,
    Column("account", Text, primary_key=True),
    Column("asset", Text, primary_key=True),
    Column("amount", BigInteger, nullable=False),
)
"""Kept by a trigger on `movements`; a constraint refuses an amount below zero but for the world outside (`source/..`)."""

tiles = Table(
    "tiles",
    METADATA,
    Column("level", BigInteger, primary_key=True, autoincrement=False),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("hashes", LargeBinary, nullable=False),
)
"""The log's Merkle tree in C2SP tiles, the last of each level in part."""

checkpoints = Table(
    "checkpoints",
    METADATA,
    Column("size", BigInteger, primary_key=True, autoincrement=False),
    Column("note", LargeBinary, nullable=False),
)
"""Signed tree heads."""

disclosures = Table(
    "disclosures",
    METADATA,
    Column("subject", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("salt", LargeBinary, nullable=False),
    Column("content", LargeBinary, nullable=False),
)
"""What pseudonyms and hashes of the log stand for, with their salts. The only table from which rows may be deleted."""

TABLE_NAMES: dict[type[Row], str] = {
    rows.Registry: "registry",
    rows.Asset: "assets",
    rows.Device: "devices",
    rows.DeviceQuarter: "device_quarters",
    rows.Issuance: "issuances",
    rows.Certificate: "certificates",
    rows.Charging: "chargings",
    rows.Discharging: "dischargings",
    rows.Lot: "lots",
    rows.Allocation: "allocations",
    rows.Efficiency: "efficiencies",
    rows.Consumption: "consumptions",
    rows.Factor: "factors",
    rows.Saving: "savings",
    rows.Verification: "verifications",
    rows.Judgement: "judgements",
    rows.Ending: "endings",
}


def _table(kind: type[Row]) -> Table:
    hints = get_type_hints(kind)
    columns: list[Column[Any]] = []
    for field in fields(kind):
        key = field.name in kind.KEY
        one = BigInteger if hints[field.name] is int else Text
        columns.append(Column(field.name, one, primary_key=key, nullable=False, autoincrement=False if key else "auto"))
    return Table(TABLE_NAMES[kind], METADATA, *columns)


_TABLES: dict[type[Row], Table] = {kind: _table(kind) for kind in ROWS}


def table_of(kind: type[R]) -> Table:
    """The table of a kind of row."""
    return _TABLES[cast("type[Row]", kind)]
