"""A hand in the tables: triggers dropped, rows changed, triggers put back. Each is found, at the check that is there for it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import fields
from pathlib import Path

import pytest
from sqlalchemy import text

from gridnet.errors import VerificationError
from gridnet_contracts.audit.database import audit_database
from gridnet_contracts.audit.projection import repeated
from gridnet_contracts.audit.steps import Outcome
from gridnet_contracts.ledger.database import Database, sqlite_engine
from gridnet_contracts.ledger.replay import replay
from gridnet_contracts.ledger.rows import ROWS
from gridnet_contracts.ledger.schema import METADATA, TABLE_NAMES
from gridnet_contracts.ledger.store import stored_leaves
from gridnet_contracts.log.checkpoint import Checkpoint, sign
from gridnet_contracts.log.keys import SignerKey
from gridnet_contracts.log.note import Note
from gridnet_contracts.log.tiles import MemoryTiles, root
from tests.contracts.gridnet_contracts.audit.story import ENTRIES, KEY, ORIGIN, PAYMENT, POLICY, Home, failed

Tamper = Callable[[sqlite3.Connection], object]
PROJECTION = [
    table.name for table in METADATA.sorted_tables if table.name not in {"entries", "tiles", "checkpoints", "disclosures"}
]


@contextmanager
def hand_in(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that no trigger and no constraint between tables stops; the triggers are back when it closes."""
    with closing(sqlite3.connect(path)) as connection:
        triggers = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
        connection.execute("PRAGMA synchronous = OFF")
        connection.executescript("".join(f"DROP TRIGGER {name};" for name, _ in triggers))
        yield connection
        connection.commit()
        connection.executescript(";".join(sql for _, sql in triggers))
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def audited(home: Home, seen: bytes | None = None) -> list[Outcome]:
    database = Database.reading(home.url)
    try:
        return list(audit_database(database, POLICY, seen))
    finally:
        database.close()


def test_the_story_as_it_was_told_passes_every_check(home: Home) -> None:
    with hand_in(home.file):
        pass  # dropping the triggers and putting them back leaves no trace by itself
    outcomes = audited(home)
    assert failed(outcomes) == 0
    assert len(outcomes) == 8
    assert str(outcomes[0]).startswith("1. ok   the database is whole: ")


CHANGES = {
    "a balance": "UPDATE balances SET amount = amount + 1 WHERE account LIKE 'owned/%'",
    "a balance of nothing that is added": "INSERT INTO balances VALUES ('held/p:0', 'gc', 0)",
    "a movement's amount": "UPDATE movements SET amount = amount + 1",
    "a movement's creditor": "UPDATE movements SET credit = 'lot/bat' WHERE entry = 4",
    "a movement's place in its entry": "UPDATE movements SET leg = 7 WHERE entry = 4",
    "a certificate's status": "UPDATE certificates SET status = 'active' WHERE status = 'claimed'",
    "a certificate's owner": "UPDATE certificates SET party = 'mallory' WHERE status = 'active'",
    "a certificate's beneficiary": "UPDATE certificates SET beneficiary = 'mallory' WHERE status = 'claimed'",
    "a certificate's range": "UPDATE certificates SET hi = hi + 1 WHERE status = 'active'",
    "a certificate's chain": f"UPDATE certificates SET chain = '{'0' * 64}' WHERE status = 'active'",
    "a device's capacity": "UPDATE devices SET capacity_w = 2 * capacity_w",
    "an issuance's quantity": "UPDATE issuances SET wh = wh + 1",
    "an issuance's expiry": "UPDATE issuances SET expires = '2099-01-01T00:00Z'",
    "what a lot holds": "UPDATE lots SET remaining_wh = remaining_wh + 1 WHERE remaining_wh < charged_wh",
    "what a battery gave": "UPDATE dischargings SET wh = wh + 1, grey_wh = grey_wh + 1",
    "what a battery took": "UPDATE chargings SET wh = wh + 1",
    "what was saved": "UPDATE savings SET saved_g = -saved_g",
    "what was consumed": "UPDATE consumptions SET wh = wh - 1",
    "the words of a withdrawal": "UPDATE endings SET words = 'no reason'",
    "the issuer": "UPDATE registry SET issuer = 'Mallory'",
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_row_is_found_where_the_tables_are_compared(home: Home, change: str) -> None:
    with hand_in(home.file) as connection:
        assert connection.execute(CHANGES[change]).rowcount
    assert failed(audited(home)) == 3


@pytest.mark.parametrize("table", PROJECTION)
def test_a_missing_row_is_found(home: Home, table: str) -> None:
    with hand_in(home.file) as connection:
        # The last: rows that others refer to come first.
        assert connection.execute(f"DELETE FROM {table} WHERE rowid = (SELECT max(rowid) FROM {table})").rowcount == 1
    assert failed(audited(home)) == (1 if _referred_to(home.file) else 3)


def _referred_to(path: Path) -> bool:
    with closing(sqlite3.connect(path)) as connection:
        return bool(connection.execute("PRAGMA foreign_key_check").fetchall())


@pytest.mark.parametrize("table", PROJECTION)
def test_an_extra_row_is_found(home: Home, table: str) -> None:
    """A copy of a row, its first text one letter longer."""
    with hand_in(home.file) as connection:
        columns = connection.execute(f"SELECT name, type FROM pragma_table_info('{table}')").fetchall()
        first = next(name for name, kind in columns if kind == "TEXT")
        names = ", ".join(f'"{name}"' for name, _ in columns)
        other = {first: f"{first} || 'x'", "rank": "rank + 1000", "leg": "leg + 100"}
        if table == "movements":
            del other[first]
        if table == "issuances":
            other["start"] = "start || 'x'"
        values = ", ".join(other.get(name, f'"{name}"') for name, _ in columns)
        made = connection.execute(f"INSERT INTO {table} ({names}) SELECT {values} FROM {table} ORDER BY rowid DESC LIMIT 1")
        assert made.rowcount == 1
    assert failed(audited(home)) == (1 if _referred_to(home.file) else 3)


def test_every_column_of_every_derived_row_is_compared(home: Home) -> None:
    """Whatever one value in one row is changed to, the comparison sees it."""

    def unchecked() -> sqlite3.Connection:
        connection = sqlite3.connect(home.file)
        connection.execute("PRAGMA ignore_check_constraints = ON")
        return connection

    database = Database(home.url, sqlite_engine(unchecked))
    with hand_in(home.file):
        with database.read() as connection:
            state = replay(leaf for _, leaf in stored_leaves(connection))
            assert repeated(connection, state)
            for kind in ROWS:
                for column in fields(kind):
                    other = " + 1" if column.type == "int" else " || 'x'"
                    place = f"{TABLE_NAMES[kind]} WHERE rowid = (SELECT max(rowid) FROM {TABLE_NAMES[kind]})"
                    change = place.replace(" WHERE", f' SET "{column.name}" = "{column.name}"{other} WHERE', 1)
                    nested = connection.begin_nested()
                    assert connection.execute(text(f"UPDATE {change}")).rowcount == 1
                    with pytest.raises(VerificationError, match=kind.__name__):
                        repeated(connection, state)
                    nested.rollback()
            assert repeated(connection, state)
        database.close()


LEAVES: dict[str, tuple[int, Tamper]] = {
    "two leaves in each other's place": (
        2,
        lambda c: c.execute(
            "UPDATE entries SET leaf = (SELECT leaf FROM entries o WHERE o.seq = 9 - entries.seq) WHERE seq IN (4, 5)"
        ),
    ),
    "a leaf with another amount": (2, lambda c: c.execute("UPDATE entries SET leaf = replace(leaf, '1000', '1001') WHERE seq = 4")),
    "a row that says another kind than its leaf": (2, lambda c: c.execute("UPDATE entries SET kind = 'claim' WHERE seq = 4")),
    "a row that says another time than its leaf": (2, lambda c: c.execute("UPDATE entries SET time = '2026' WHERE seq = 4")),
    "a row that says another key than its leaf": (2, lambda c: c.execute("UPDATE entries SET key = 'k' WHERE seq = 4")),
    "a row with another hash of its body": (2, lambda c: c.execute("UPDATE entries SET body_hash = '' WHERE seq = 4")),
    "an entry that is gone": (
        2,
        lambda c: [
            c.execute(f"DELETE FROM {table} WHERE {column} = {PAYMENT}")
            for table, column in (("movements", "entry"), ("entries", "seq"))
        ],
    ),
    "a movement of no entry": (1, lambda c: c.execute(f"UPDATE movements SET entry = 99 WHERE entry = {ENTRIES - 1}")),
}


@pytest.mark.parametrize("how", LEAVES)
def test_a_changed_entry_is_found(home: Home, how: str) -> None:
    number, tamper = LEAVES[how]
    with hand_in(home.file) as connection:
        if number == 2:
            connection.create_function("replace", 3, lambda leaf, old, new: leaf.replace(old.encode(), new.encode(), 1))
        tamper(connection)
    assert failed(audited(home)) == number


TREE: dict[str, Tamper] = {
    "a hash that is another": lambda c: c.execute("UPDATE tiles SET hashes = zeroblob(length(hashes))"),
    "a hash that is missing": lambda c: c.execute("UPDATE tiles SET hashes = substr(hashes, 1, length(hashes) - 32)"),
    "a hash too many": lambda c: c.execute("UPDATE tiles SET hashes = CAST(hashes || zeroblob(32) AS BLOB)"),
    "a tile that is missing": lambda c: c.execute("DELETE FROM tiles"),
    "a tile too many": lambda c: c.execute("INSERT INTO tiles SELECT level + 1, number, hashes FROM tiles"),
    "an empty tile too many": lambda c: c.execute("INSERT INTO tiles SELECT level + 1, number, zeroblob(0) FROM tiles"),
}


@pytest.mark.parametrize("how", TREE)
def test_a_changed_tile_is_found(home: Home, how: str) -> None:
    with hand_in(home.file) as connection:
        TREE[how](connection)
    assert failed(audited(home)) == 5


def _signed_by(key: SignerKey, other: bytes | None = None, size: int | None = None) -> Tamper:
    def tamper(connection: sqlite3.Connection) -> None:
        newest, note = connection.execute("SELECT size, note FROM checkpoints ORDER BY size DESC").fetchone()
        honest = Checkpoint.parse(Note.decode(note).text)
        again = sign(Checkpoint(key.name, honest.size if size is None else size, other or honest.root), key)
        connection.execute("UPDATE checkpoints SET note = ? WHERE size = ?", (again, newest))

    return tamper


CHECKPOINTS: dict[str, Tamper] = {
    "signed by another key of that name": _signed_by(SignerKey(ORIGIN, b"\x02" * 32)),
    "signed by another log": _signed_by(SignerKey("example.net/other", b"\x01" * 32)),
    "over another root": _signed_by(KEY, b"\x05" * 32),
    "over another size": _signed_by(KEY, size=ENTRIES - 1),
    "over a tail that was cut off": _signed_by(KEY, size=ENTRIES + 1),
    "the newest is gone, so that the tail is not signed": lambda c: c.execute(f"DELETE FROM checkpoints WHERE size = {ENTRIES}"),
    "all are gone": lambda c: c.execute("DELETE FROM checkpoints"),
    "an older one over another root": lambda c: c.execute(
        "UPDATE checkpoints SET note = ? WHERE size = 1", (sign(Checkpoint(ORIGIN, 1, b"\x05" * 32), KEY),)
    ),
    "an older one in a newer one's place": lambda c: c.execute(
        "UPDATE checkpoints SET note = (SELECT note FROM checkpoints WHERE size = 1) WHERE size = 4"
    ),
    "no checkpoint at all": lambda c: c.execute("UPDATE checkpoints SET note = x'00ff' WHERE size = 1"),
}


@pytest.mark.parametrize("how", CHECKPOINTS)
def test_a_changed_checkpoint_is_found(home: Home, how: str) -> None:
    with hand_in(home.file) as connection:
        CHECKPOINTS[how](connection)
    assert failed(audited(home)) == 6


def _cut_off(connection: sqlite3.Connection) -> None:
    """The last entry and all that came of it, the tree too; the checkpoints over it stay or go."""
    (leaf,) = connection.execute(f"SELECT leaf FROM entries WHERE seq = {ENTRIES - 1}").fetchone()
    [[asset, debit, credit, amount]] = json.loads(leaf)["movements"]
    name = json.loads(leaf)["body"]["certificate"]
    connection.execute("UPDATE certificates SET status = 'active' WHERE certificate = ?", (name,))
    connection.execute("UPDATE balances SET amount = amount + ? WHERE account = ? AND asset = ?", (amount, debit, asset))
    connection.execute("DELETE FROM balances WHERE account = ? AND asset = ?", (credit, asset))
    connection.execute(f"DELETE FROM movements WHERE entry = {ENTRIES - 1}")
    connection.execute(f"DELETE FROM entries WHERE seq = {ENTRIES - 1}")
    connection.execute("UPDATE tiles SET hashes = substr(hashes, 1, length(hashes) - 32)")


def test_a_tail_that_was_cut_off_is_found_by_the_checkpoint_over_it(home: Home) -> None:
    with hand_in(home.file) as connection:
        _cut_off(connection)
    last = audited(home)[-1]
    assert (last.number, last.passed) == (6, False)
    assert "cut off" in last.finding


def test_a_tail_that_was_cut_off_with_its_checkpoint_is_found_by_what_was_seen_before(home: Home) -> None:
    with hand_in(home.file) as connection:
        (seen,) = connection.execute(f"SELECT note FROM checkpoints WHERE size = {ENTRIES}").fetchone()
        _cut_off(connection)
        connection.execute(f"DELETE FROM checkpoints WHERE size > {ENTRIES - 2}")
        (older,) = connection.execute(f"SELECT note FROM checkpoints WHERE size = {PAYMENT}").fetchone()
    assert failed(audited(home)) == 6
    with hand_in(home.file) as connection:
        again = sign(Checkpoint(ORIGIN, ENTRIES - 1, _root(connection)), KEY)
        connection.execute(f"INSERT INTO checkpoints VALUES ({ENTRIES - 1}, ?)", (again,))
    assert failed(audited(home)) == 0, "an operator with the key may forget what nobody saw"
    assert failed(audited(home, seen)) == 7
    assert failed(audited(home, older)) == 0


def _root(connection: sqlite3.Connection) -> bytes:
    (hashes,) = connection.execute("SELECT hashes FROM tiles WHERE level = 0").fetchone()
    return root(MemoryTiles({(0, 0): hashes}), len(hashes) // 32)


DEFINITIONS = {
    "a trigger is gone": "DROP TRIGGER balances_stay",
    "a trigger does nothing": "DROP TRIGGER lots_stay; CREATE TRIGGER lots_stay BEFORE DELETE ON lots BEGIN SELECT 1; END",
    "a trigger is added": "CREATE TRIGGER more AFTER INSERT ON movements BEGIN SELECT 1; END",
    "an index is gone": "DROP INDEX certificates_by_party",
    "a view is another": "DROP VIEW postings; CREATE VIEW postings AS SELECT 1",
    "a table is added": "CREATE TABLE more (a)",
    "a constraint is gone": """CREATE TABLE other AS SELECT * FROM assets; DROP TRIGGER assets_stay; DROP TABLE assets;
        ALTER TABLE other RENAME TO assets""",
    "a column is added": "ALTER TABLE assets ADD COLUMN more TEXT",
    "it says to be of another version": "UPDATE alembic_version SET version_num = '9999'",
    "it says no version": "DELETE FROM alembic_version",
    "statistics are kept, which is no harm": "ANALYZE",
}


@pytest.mark.parametrize("how", DEFINITIONS)
def test_changed_definitions_are_found(home: Home, how: str) -> None:
    with closing(sqlite3.connect(home.file)) as connection:
        connection.executescript(DEFINITIONS[how])
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert failed(audited(home)) == (0 if "no harm" in how else 1)


def test_disclosures_that_do_not_fit_are_found(home: Home) -> None:
    original = home.file.read_bytes()
    for change in (
        "UPDATE disclosures SET content = CAST(content || ' ' AS BLOB)",
        "UPDATE disclosures SET content = CAST('{\"name\":\"Mallory\"}' AS BLOB) WHERE kind = 'party'",
        "UPDATE disclosures SET content = CAST('{\"device\":\"bat\"}' AS BLOB) WHERE kind = 'device'",
        "UPDATE disclosures SET salt = zeroblob(32)",
        "UPDATE disclosures SET kind = 'company'",
        "UPDATE disclosures SET kind = 'device' WHERE kind = 'party'",
        "UPDATE disclosures SET subject = 'cat' WHERE kind = 'device'",
        "UPDATE disclosures SET subject = 'p:' || subject WHERE kind = 'party'",
    ):
        with hand_in(home.file) as connection:
            assert connection.execute(change).rowcount
        assert failed(audited(home)) == 8, change
        home.file.write_bytes(original)
