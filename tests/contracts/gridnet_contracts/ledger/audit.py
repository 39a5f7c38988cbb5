"""Looks a ledger's database through from outside: read as plain rows, hashed and added up by code of its own."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, text

from gridnet_contracts.ledger.ledger import Ledger
from gridnet_contracts.ledger.schema import METADATA
from gridnet_contracts.ledger.store import StoredTiles
from gridnet_contracts.log import tiles
from gridnet_contracts.log.checkpoint import Checkpoint, verify
from tests.contracts.gridnet_contracts.ledger.status_table import ACCOUNT


def plain_root(leaf_hashes: list[bytes]) -> bytes:
    """RFC 6962's tree hash, as its section 2.1 words it."""
    if len(leaf_hashes) <= 1:
        return leaf_hashes[0] if leaf_hashes else hashlib.sha256().digest()
    half = 1 << (len(leaf_hashes) - 1).bit_length() - 1
    return hashlib.sha256(b"\1" + plain_root(leaf_hashes[:half]) + plain_root(leaf_hashes[half:])).digest()


def dump(ledger: Ledger) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table."""
    with ledger.database.read() as connection:
        return {table.name: sorted(tuple(row) for row in connection.execute(table.select())) for table in METADATA.sorted_tables}


def audit(ledger: Ledger, acknowledged: Mapping[int, bytes] | None = None) -> int:
    """Asserts that the books are whole, and that each acknowledged entry (number to leaf hash) is in them, under a signed
    checkpoint. Gives the number of entries."""
    acknowledged = acknowledged or {}
    with ledger.database.read() as connection:
        leaves = _leaves(connection)
        for entry, leaf in acknowledged.items():
            assert entry < len(leaves), f"entry {entry} was acknowledged and is gone"
            assert leaves[entry] == leaf, f"entry {entry} was acknowledged as another"
        _movements_are_the_leaves(connection)
        _balances_are_the_sums(connection)
        _certificates_are_the_balances(connection)
        _ranges_partition(connection)
        assert tiles.root(StoredTiles(connection), len(leaves)) == plain_root(leaves)
        signed = [
            _signed(ledger, note, leaves) for (note,) in connection.execute(text("SELECT note FROM checkpoints ORDER BY size"))
        ]
    raw = ledger.seal.guard.read()
    last = None if raw is None else verify(raw, ledger.seal.origin, [ledger.seal.key.verifier])
    assert last is None or (last.size <= len(leaves) and last.root == plain_root(leaves[: last.size])), (
        "the guard holds another history"
    )
    assert not signed or (last is not None and signed[-1].size <= last.size), (
        "a checkpoint was published that the guard has not seen"
    )
    assert not acknowledged or (signed and signed[-1].size > max(acknowledged)), "an acknowledged entry is under no checkpoint"
    return len(leaves)


def _leaves(connection: Connection) -> list[bytes]:
    rows = connection.execute(text("SELECT seq, leaf FROM entries ORDER BY seq")).all()
    assert [row[0] for row in rows] == list(range(len(rows))), "the entries have a gap"
    return [hashlib.sha256(b"\0" + bytes(row[1])).digest() for row in rows]


def _signed(ledger: Ledger, note: bytes, leaves: list[bytes]) -> Checkpoint:
    checkpoint = verify(note, ledger.seal.origin, [ledger.seal.key.verifier])
    assert checkpoint.size <= len(leaves)
    assert checkpoint.root == plain_root(leaves[: checkpoint.size])
    return checkpoint


def _movements_are_the_leaves(connection: Connection) -> None:
    told = [
        (entry, leg, *movement)
        for entry, leaf in connection.execute(text("SELECT seq, leaf FROM entries ORDER BY seq"))
        for leg, movement in enumerate(json.loads(leaf)["movements"])
    ]
    rows = connection.execute(text("SELECT entry, leg, asset, debit, credit, amount FROM movements ORDER BY entry, leg"))
    assert [tuple(row) for row in rows] == told
    crooked = text("SELECT entry, asset FROM postings GROUP BY entry, asset HAVING sum(amount) <> 0")
    assert connection.execute(crooked).all() == []


def _balances_are_the_sums(connection: Connection) -> None:
    sums: Counter[tuple[str, str]] = Counter()
    for asset, debit, credit, amount in connection.execute(text("SELECT asset, debit, credit, amount FROM movements")):
        sums[debit, asset] -= amount
        sums[credit, asset] += amount
    assert balances(connection) == {place: amount for place, amount in sums.items() if amount}
    assert [place for place, amount in sums.items() if amount < 0 and not place[0].startswith("source/")] == []


def balances(connection: Connection) -> dict[tuple[str, str], int]:
    """(account, asset) to amount, where there is one."""
    rows = connection.execute(text("SELECT account, asset, amount FROM balances WHERE amount <> 0"))
    return {(account, asset): amount for account, asset, amount in rows}


def _certificates_are_the_balances(connection: Connection) -> None:
    """Wh of the certificates and lots of each account are its balance of `gc`."""
    held: Counter[str] = Counter()
    for status, party, beneficiary, wh in connection.execute(text("SELECT status, party, beneficiary, hi - lo FROM certificates")):
        if status in ACCOUNT:
            held[f"{ACCOUNT[status]}/{beneficiary if status == 'claimed' else party}"] += wh
        else:
            assert status in {"split", "cancelled_for_storage"}
    for device, wh in connection.execute(text("SELECT device, remaining_wh FROM lots WHERE asset = 'gc'")):
        held[f"lot/{device}"] += wh
    stored = {
        account: amount
        for (account, asset), amount in balances(connection).items()
        if asset == "gc" and account.partition("/")[0] not in {"source", "loss"}
    }
    assert stored == {account: wh for account, wh in held.items() if wh}


def _ranges_partition(connection: Connection) -> None:
    """Of each issuance, the certificates that are not split cover `[0, wh)`, each Wh once."""
    sizes = {row[0]: row[1] for row in connection.execute(text("SELECT issuance, wh FROM issuances"))}
    query = text("SELECT issuance, lo, hi FROM certificates WHERE status <> 'split' ORDER BY issuance, lo")
    ranges = {issuance: list(rows) for issuance, rows in groupby(connection.execute(query), key=lambda row: row[0])}
    assert ranges.keys() == sizes.keys()
    for issuance, rows in ranges.items():
        assert [row[1] for row in rows] == [0, *(row[2] for row in rows[:-1])], f"{issuance} has a gap or an overlap"
        assert rows[-1][2] == sizes[issuance]
