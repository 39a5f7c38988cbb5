"""What an auditor reads in a ledger's database, as it stands there: nothing is derived, nothing trusted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, select, text
from sqlalchemy.exc import DBAPIError

from gridnet.errors import VerificationError
from gridnet_contracts.ledger.database import Database
from gridnet_contracts.ledger.errors import DatabaseRefused
from gridnet_contracts.ledger.schema import balances, checkpoints, disclosures, entries, movements, tiles
from gridnet_contracts.ledger.state import Movement, Place
from gridnet_contracts.ledger.store import streamed


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """A row of `entries`."""

    seq: int
    key: str
    kind: str
    time: str
    body_hash: str
    leaf: bytes


@dataclass(frozen=True, slots=True)
class Disclosure:
    """What a pseudonym or a hash of the log stands for."""

    subject: str
    kind: str
    salt: bytes
    content: bytes


def stored_entries(connection: Connection) -> Iterator[StoredEntry]:
    """In order of their numbers."""
    for found in streamed(connection, select(entries).order_by(entries.c.seq)):
        yield StoredEntry(*list(found))


def stored_movements(connection: Connection) -> Iterator[tuple[int, list[Movement]]]:
    """(entry, its movements in order), for entries that have any."""
    entry, listed = -1, list[Movement]()
    for found in streamed(connection, select(movements).order_by(movements.c.entry, movements.c.leg)):
        if found.entry != entry:
            if listed:
                yield entry, listed
            entry, listed = found.entry, []
        # A leg out of its place can't be any entry's: it is shown with no amount, which no movement has.
        listed.append((found.asset, found.debit, found.credit, found.amount if found.leg == len(listed) else 0))
    if listed:
        yield entry, listed


def stored_balances(connection: Connection) -> Iterator[tuple[Place, int]]:
    """(account and asset, amount)."""
    for found in streamed(connection, select(balances)):
        yield (found.account, found.asset), found.amount


def stored_tiles(connection: Connection) -> Iterator[tuple[int, int, bytes]]:
    """(level, number, hashes)."""
    for found in streamed(connection, select(tiles)):
        yield found.level, found.number, found.hashes


def stored_checkpoints(connection: Connection) -> list[tuple[int, bytes]]:
    """(size, signed note), the smallest first."""
    return [(found.size, found.note) for found in connection.execute(select(checkpoints).order_by(checkpoints.c.size))]


def stored_disclosures(connection: Connection) -> Iterator[Disclosure]:
    """By subject."""
    for found in streamed(connection, select(disclosures).order_by(disclosures.c.subject)):
        yield Disclosure(*list(found))


@contextmanager
def as_evidence() -> Iterator[None]:
    """Turns what the database says where it can't be read into a `VerificationError`: an auditor has then nothing to go by."""
    try:
        yield
    except (DBAPIError, UnicodeDecodeError) as error:  # the latter: sqlite3 quotes damaged bytes in a message and can't decode it
        reason = str(error.orig if isinstance(error, DBAPIError) else error).splitlines()[0]
        raise VerificationError(f"the database can't be read: {reason}") from error


BESIDE = "service_"
"""How the names of tables begin that belong to the dispatch service."""
_PASSIVE = {"table", "index", "constraint"}


def damage(connection: Connection) -> str | None:
    """What the database itself finds wrong: broken pages, values of another type, references to nothing. None where nothing is."""
    if connection.dialect.name != "sqlite":
        return None  # PostgreSQL checks references as it writes, and its pages by its own tools
    for pragma in ("integrity_check", "foreign_key_check"):
        found = [" ".join(map(str, row)) for row in connection.execute(text(f"PRAGMA {pragma}"))]
        if found not in ([], ["ok"]):
            return f"{pragma}: {found[0]}"
    return None


def definitions(connection: Connection) -> frozenset[tuple[str, ...]]:
    """Tables, indexes, views, constraints and triggers that act, and the tables' version, each as the database states it.

    Tables of the dispatch service (`BESIDE`) may stand in the same database. They are not the ledger's, and without a trigger,
    which is listed wherever it stands, they can't touch it.
    """
    versions = {("version", str(version)) for version in MigrationContext.configure(connection).get_current_heads()}
    if connection.dialect.name == "sqlite":
        query = "SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_master WHERE name NOT LIKE 'sqlite_stat%'"
    else:
        query = """
            SELECT 'trigger', tgname, tgrelid::regclass::text, pg_get_triggerdef(oid) FROM pg_trigger
            WHERE NOT tgisinternal AND tgenabled = 'O'
            UNION ALL SELECT 'table', tablename, tablename, '' FROM pg_tables WHERE schemaname = current_schema()
            UNION ALL SELECT 'constraint', conname, conrelid::regclass::text, pg_get_constraintdef(oid) FROM pg_constraint
            WHERE conrelid <> 0 AND connamespace = current_schema()::regnamespace
            UNION ALL SELECT 'function', proname, '', prosrc FROM pg_proc WHERE pronamespace = current_schema()::regnamespace
            UNION ALL SELECT 'view', viewname, '', definition FROM pg_views WHERE schemaname = current_schema()"""
    stated = (tuple(map(str, row)) for row in connection.execute(text(query)))
    return frozenset(row for row in stated if not (row[0] in _PASSIVE and row[2].startswith(BESIDE))) | versions


def check_version(connection: Connection) -> None:
    """Raises `DatabaseRefused` unless the tables are of the version that this gridnet reads, with a ledger in them."""
    stated, expected = ({each for each in of if each[0] == "version"} for of in (definitions(connection), expected_definitions()))
    if not stated or connection.execute(select(entries.c.seq).limit(1)).first() is None:
        raise DatabaseRefused("there is no ledger in this database: found one first")
    if stated != expected:
        raise DatabaseRefused(
            f"the ledger's tables are of version {min(stated)[1]}, which this gridnet does not read: use a later one"
        )


@cache
def expected_definitions() -> frozenset[tuple[str, ...]]:
    """`definitions` of a new SQLite ledger of this version."""
    fresh = Database("sqlite:///:memory:")
    try:
        fresh.migrate()
        with fresh.read() as connection:
            return definitions(connection)
    finally:
        fresh.close()
