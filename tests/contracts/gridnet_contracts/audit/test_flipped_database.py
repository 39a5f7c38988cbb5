"""A flipped byte in a SQLite ledger's file is found by the audit, or changes nothing that the file says.

Harmless is meant strictly: every table, row by row, and every definition are what they were (`iterdump`).
"""

from __future__ import annotations

import os
import random
import sqlite3
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import pytest

from gridnet.errors import GridnetError
from gridnet_contracts.audit.database import audit_database
from gridnet_contracts.ledger.database import Database
from tests.contracts.gridnet_contracts.audit.story import POLICY, Home, failed

SAMPLE = 600
"""Flips of the quick run, of some 90,000 bytes."""


def _dump(path: Path) -> list[str]:
    """The whole content as SQL; definitions as they are stored."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)) as connection:
        master = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master").fetchall()
        return [*map(repr, master), *connection.iterdump()]


def _found(url: str) -> int | None:
    """The number of the check that fails, -1 where the database can't be read at all, None where all is well."""
    database = Database.reading(url)
    try:
        return failed(audit_database(database, POLICY)) or None
    except GridnetError:
        return -1
    finally:
        database.close()


def _flip(home: Home, flips: Iterable[tuple[int, int]]) -> tuple[Counter[int], list[int]]:
    """Flips (position, bits) in turn; gives how many were found at each check, and the positions of those that were not."""
    before, found, missed = _dump(home.file), Counter[int](), []
    handle = os.open(home.file, os.O_RDWR)
    try:
        for position, bits in flips:
            old = os.pread(handle, 1, position)
            os.pwrite(handle, bytes([old[0] ^ bits]), position)
            number = _found(home.url)
            if number is not None:
                found[number] += 1
            else:
                missed.append(position)
                assert _dump(home.file) == before, f"byte {position}, {old.hex()} with {bits:02x} flipped, was not found"
            os.pwrite(handle, old, position)
    finally:
        os.close(handle)
    return found, missed


def test_a_sample_of_flipped_bytes_is_found_or_harmless(home: Home) -> None:
    chance, size = random.Random(1), home.file.stat().st_size
    flips = [(chance.randrange(size), chance.choice((0xFF, 1 << chance.randrange(8)))) for _ in range(SAMPLE)]
    found, missed = _flip(home, flips)
    assert found.total() > SAMPLE / 2
    assert len(missed) == SAMPLE - found.total()


def test_each_byte_of_the_tables_version_is_found(home: Home) -> None:
    raw = home.file.read_bytes()
    with closing(sqlite3.connect(home.file)) as connection:
        (version,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    places = [at for at in range(len(raw)) if raw.startswith(version.encode(), at)]
    found, _ = _flip(home, [(at + k, 1) for at in places for k in range(len(version))])
    assert found.total() >= len(version)


@pytest.mark.conformance
@pytest.mark.parametrize("part", range(8))
def test_every_flipped_byte_is_found_or_harmless(home: Home, part: int) -> None:
    size = home.file.stat().st_size
    chance = random.Random(part)
    span = range(size * part // 8, size * (part + 1) // 8)
    found, missed = _flip(home, [(at, chance.choice((0xFF, 1 << chance.randrange(8)))) for at in span])
    assert found.total() + len(missed) == len(span)
    assert found.total() > len(span) / 3
