"""The same orders make the same log, byte for byte, whatever is done to make it faster."""

from __future__ import annotations

from datetime import datetime, timedelta
from hashlib import sha256

from gridnet_contracts.ledger.actions.registry import OpenAsset
from gridnet_contracts.ledger.entry import Order
from gridnet_contracts.ledger.ledger import Ledger
from gridnet_contracts.ledger.store import StoredTiles, log_size, stored_leaves
from gridnet_contracts.ledger.stored import stored_checkpoints
from gridnet_contracts.log import tiles
from tests.contracts.gridnet_contracts.ledger.audit import dump
from tests.contracts.gridnet_contracts.ledger.builders import NOW, battery, pay, solar
from tests.contracts.gridnet_contracts.ledger.children import opened, story
from tests.contracts.gridnet_contracts.ledger.gathering import Gathered
from tests.contracts.gridnet_contracts.ledger.stores import Place

QUARTERS = 40
TOGETHER = 8
ENTRIES = 325
ROOT = "0abc5b38a4ed3db12a7634b014e38235d3ef2f2792e45c785da6779bbc738a86"
LEAVES = "e3d58e6dd2dc3271c4020c24ec14dfc43158cd7e9f81c2390520d0a90fffbf0b"
ROWS = "bece218e5f229fff7498373939884646898dad69a88a0891e704a251875fcbc4"


def _begun(place: Place) -> Ledger:
    ledger = opened(place)
    first = (OpenAsset(asset="eur", unit="micro-euro"), solar(), battery(), pay(1000, "source/bank", "owned/ann"))
    ledger.commit([Order(f"first-{k}", action) for k, action in enumerate(first)], NOW)
    return ledger


def _batch(number: int) -> tuple[list[Order], datetime]:
    asked = [Order(f"{number}-{k}", action) for k, action in enumerate(story(15 * number, 8))]
    return asked, NOW + timedelta(minutes=number)


def _is_what_it_was(ledger: Ledger) -> None:
    with ledger.database.read() as connection:
        assert log_size(connection) == ENTRIES
        leaves = sha256()
        for _, leaf in stored_leaves(connection):
            leaves.update(leaf + b"\n")
        assert tiles.root(StoredTiles(connection), ENTRIES).hex() == ROOT
        assert leaves.hexdigest() == LEAVES
    rows = {table: listed for table, listed in dump(ledger).items() if table not in ("checkpoints", "disclosures")}
    assert sha256(repr(sorted(rows.items())).encode()).hexdigest() == ROWS


def test_the_log_of_ten_hours_is_what_it_was(place: Place) -> None:
    ledger = _begun(place)
    for number in range(QUARTERS):
        ledger.commit(*_batch(number))
    _is_what_it_was(ledger)


def test_callers_who_were_joined_leave_the_same_log(place: Place) -> None:
    ledger = _begun(place)
    for first in range(0, QUARTERS, TOGETHER):
        Gathered(ledger, TOGETHER).commit([_batch(number) for number in range(first, first + TOGETHER)])
    with ledger.database.read() as connection:
        assert len(stored_checkpoints(connection)) == 2 + QUARTERS // TOGETHER
    _is_what_it_was(ledger)
