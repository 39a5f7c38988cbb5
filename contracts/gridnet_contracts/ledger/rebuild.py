"""Rebuild: a ledger's database made again from the leaves of its log alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from gridnet.errors import LedgerError
from gridnet_contracts.ledger.database import Connection, Database
from gridnet_contracts.ledger.entry import Entry
from gridnet_contracts.ledger.replay import Replay
from gridnet_contracts.ledger.seal import store_checkpoint
from gridnet_contracts.ledger.store import (
    StoredTiles,
    log_size,
    open_places,
    stored_leaves,
    write_entries,
    write_rows,
    write_tiles,
)
from gridnet_contracts.ledger.stored import stored_checkpoints
from gridnet_contracts.log import tiles
from gridnet_contracts.log.merkle import leaf_hash

BATCH = 5_000


def rebuild(source: Database, target: Database) -> int:
    """Writes every entry of `source` into the empty database `target`, deriving every other table by the rules; gives how many.
    Checkpoints are copied, disclosures are not. Raises `VerificationError` at the first entry that does not follow."""
    target.migrate()
    with source.read() as reading, target.write() as writing:
        if log_size(writing):
            raise LedgerError("the database to rebuild into has entries: name a new one")
        size = _write(writing, (leaf for _, leaf in stored_leaves(reading)))
        for at, note in stored_checkpoints(reading):
            store_checkpoint(writing, at, note)
    return size


def _write(connection: Connection, leaves: Iterable[bytes]) -> int:
    ledger = Replay()
    for entries in _batches(ledger, leaves):
        open_places(connection, ledger.state.balances)
        write_entries(connection, entries)
        write_rows(connection, ledger.state.take_changes())
        hashes = [leaf_hash(entry.leaf) for entry in entries]
        write_tiles(connection, tiles.grow(StoredTiles(connection), ledger.size - len(entries), hashes))
    return ledger.size


def _batches(ledger: Replay, leaves: Iterable[bytes]) -> Iterator[list[Entry]]:
    waiting = iter(leaves)
    while entries := [ledger.take(leaf) for leaf in islice(waiting, BATCH)]:
        yield entries
