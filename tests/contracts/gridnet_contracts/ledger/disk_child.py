"""Runs in a name space of its own, where it may mount: `python -m .. SCENARIO FOLDER`. Ends with 0 where all is as it should be."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from gridnet_contracts.ledger.entry import Order
from gridnet_contracts.ledger.errors import DatabaseRefused, LedgerError
from gridnet_contracts.ledger.ledger import Ledger
from gridnet_contracts.log.guard import GuardUnavailable
from tests.contracts.gridnet_contracts.ledger.audit import audit
from tests.contracts.gridnet_contracts.ledger.builders import found, furnish, orders, pay
from tests.contracts.gridnet_contracts.ledger.children import opened
from tests.contracts.gridnet_contracts.ledger.stores import Place


def _disk(folder: Path) -> Path:
    disk = folder / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)], check=True)
    return disk


def _made(database: Path, seal: Path) -> tuple[Ledger, Place]:
    place = Place(f"sqlite:///{database}/ledger.db", seal)
    ledger = found(place.url, seal)
    furnish(ledger)
    return ledger, place


def _fill(disk: Path, left: int) -> Path:
    """Leaves about so many bytes."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as stream:
        try:
            while stream.write(b"\0" * 4096):
                pass
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
        stream.truncate(max(0, stream.tell() - left))
    return ballast


def _until_refused(ledger: Ledger) -> tuple[dict[int, bytes], list[Order], LedgerError]:
    """What was acknowledged, what was refused, and why."""
    acknowledged: dict[int, bytes] = {}
    for _ in range(500):
        asked = orders(*[pay(1, "source/bank")] * 20)
        try:
            acknowledged |= {receipt.entry: receipt.leaf_hash for receipt in ledger.commit(asked)}
        except LedgerError as error:
            return acknowledged, asked, error
    raise AssertionError("the disk never filled up")


def _goes_on(ledger: Ledger, acknowledged: dict[int, bytes], asked: list[Order]) -> None:
    again = ledger.commit(asked)
    assert audit(ledger, acknowledged | {receipt.entry: receipt.leaf_hash for receipt in again}) == len(acknowledged) + 5 + len(
        asked
    )
    ledger.commit(orders(pay(1)))


def full_database(folder: Path) -> None:
    """The disk of the database fills up, with several sizes of what is left."""
    disk = _disk(folder)
    ledger, place = _made(disk, folder / "seal")
    acknowledged: dict[int, bytes] = {}
    entries = 5
    for left in (0, 8192, 65536, 200_000):
        ballast = _fill(disk, left)
        fresh, asked, error = _until_refused(ledger)
        assert type(error) is DatabaseRefused, repr(error)
        acknowledged |= fresh
        assert audit(ledger, acknowledged) in (5 + len(acknowledged), 5 + len(acknowledged) + len(asked))
        with pytest.raises(LedgerError):
            ledger.commit(orders(*[pay(1, "source/bank")] * 2000))
        ballast.unlink()
        again = ledger.commit(asked)
        acknowledged |= {receipt.entry: receipt.leaf_hash for receipt in again}
        entries = audit(ledger, acknowledged)
        assert entries == 5 + len(acknowledged)
    ledger.close()
    again_opened = opened(place)
    assert audit(again_opened, acknowledged) == entries
    again_opened.close()


def read_only_database(folder: Path) -> None:
    """The disk of the database is mounted for reading only."""
    disk = _disk(folder)
    ledger, place = _made(disk, folder / "seal")
    ledger.close()
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    ledger, asked = opened(place), orders(pay(1))
    with pytest.raises(DatabaseRefused):
        ledger.commit(asked)
    assert audit(ledger) == 5, "a ledger on a disk for reading can't be read"
    ledger.close()
    subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
    ledger = opened(place)
    _goes_on(ledger, {}, asked)
    ledger.close()


def full_guard(folder: Path) -> None:
    """The disk of the guard is full, the database's is not."""
    disk = _disk(folder)
    ledger, _ = _made(folder, disk / "seal")
    ballast = _fill(disk, 0)
    asked = orders(pay(1))
    with pytest.raises(GuardUnavailable):
        ledger.commit(asked)
    audit(ledger)
    ballast.unlink()
    _goes_on(ledger, {}, asked)
    ledger.close()


def read_only_guard(folder: Path) -> None:
    """The disk of the guard is mounted for reading only."""
    disk = _disk(folder)
    ledger, _ = _made(folder, disk / "seal")
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    asked = orders(pay(1))
    with pytest.raises(GuardUnavailable):
        ledger.commit(asked)
    audit(ledger)
    subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
    _goes_on(ledger, {}, asked)
    ledger.close()


SCENARIOS = {each.__name__: each for each in (full_database, read_only_database, full_guard, read_only_guard)}

if __name__ == "__main__":
    SCENARIOS[sys.argv[1]](Path(sys.argv[2]))
