"""The ledger of record: orders in, entries in a signed log out, all of a batch or nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Self

from sqlalchemy import Connection, select

from gridnet.errors import GridnetError, LedgerError
from gridnet_contracts.ledger.actions.registry import Found
from gridnet_contracts.ledger.batch import Asked, Batch, Receipt
from gridnet_contracts.ledger.database import Database
from gridnet_contracts.ledger.entry import Order
from gridnet_contracts.ledger.errors import DatabaseRefused, ForkRefused
from gridnet_contracts.ledger.schema import entries
from gridnet_contracts.ledger.seal import Seal, signed_at, store_checkpoint, stored_checkpoint
from gridnet_contracts.ledger.store import StoredTiles
from gridnet_contracts.ledger.witnessing import WitnessService, witnessed
from gridnet_contracts.log import tiles
from gridnet_contracts.log.checkpoint import Checkpoint
from gridnet_contracts.log.note import Note
from gridnet_contracts.log.proof import TlogProof

__all__ = ["Ledger", "Receipt", "prove"]


class Ledger:
    """A ledger on a database. What `commit` gave a receipt for is on disk, in the log, under a signed checkpoint."""

    def __init__(self, database: Database, seal: Seal, witnesses: Sequence[WitnessService] = ()) -> None:
        self.database = database
        self.seal = seal
        self.witnesses = tuple(witnesses)

    @classmethod
    def found(
        cls, url: str, seal: Seal, first: Found, time: datetime | None = None, witnesses: Sequence[WitnessService] = ()
    ) -> Self:
        """A new ledger in an empty database, or the one that is there if it was founded with the same words. `time` as in `commit`.
        Raises `LedgerError`, `InputError`."""
        with _closed_if_refused(Database(url)) as database:
            ledger = cls(database, seal, witnesses)
            ledger.begin(first, time)
            return ledger

    def begin(self, first: Found, time: datetime | None = None) -> None:
        """Makes the tables where they are not there, and the first entry. Raises `LedgerError` where it began with other words."""
        if first.origin != self.seal.origin:
            raise ForkRefused(f"the key signs for {self.seal.origin!r}, the ledger to be founded is {first.origin!r}")
        self.database.migrate()
        self.commit([Order("found", first)], time)

    @classmethod
    def open(cls, url: str, seal: Seal, witnesses: Sequence[WitnessService] = ()) -> Self:
        """A ledger that was founded. Raises `LedgerError`, `InputError`."""
        with _closed_if_refused(Database(url)) as database:
            if database.version() is None:
                raise DatabaseRefused(f"there is no ledger at {url}: found one first")
            database.migrate()
            return cls(database, seal, witnesses)

    def close(self) -> None:
        """Lets go of the database."""
        self.database.close()

    def commit(self, orders: Sequence[Order], time: datetime | None = None) -> list[Receipt]:
        """Enters all orders, in order, as one database transaction, and signs the new head.

        `time` (UTC; now) is the entries' time, and not before the last entry's. An order whose key was used for the same body gives
        its first receipt again. Raises the `LedgerError` that names the first order that can't be done: then none was.
        """
        asked = Asked.of(orders, time)
        with self.writing() as connection:
            [receipts] = Batch(connection).enter(asked)
        self.publish()
        return receipts

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that no other writer overlaps, on a database that continues what was signed. Raises `LedgerError`."""
        with self.database.write() as connection:
            self.seal.check(connection, self.seal.last()[1])
            yield connection

    def publish(self) -> bytes:
        """Signs the head of the log if it is not signed yet, and has witnesses cosign it; gives the newest signed checkpoint.
        Raises `ForkRefused`."""
        size, note = self.seal.sign(self.database)
        with self.database.read() as connection:
            known = signed_at(connection, size)
            if known is not None:
                return known
            note = witnessed(note, StoredTiles(connection), self.witnesses)
        with self.database.write() as connection:
            store_checkpoint(connection, size, note)
        return note

    def prove(self, entry: int) -> TlogProof:
        """Proof that an entry is in the log under the newest checkpoint, the entry itself inside. Raises `LedgerError`."""
        with self.database.read() as connection:
            return prove(connection, entry)


def prove(connection: Connection, entry: int) -> TlogProof:
    """`Ledger.prove` for whoever may read and not sign."""
    note = stored_checkpoint(connection)
    size = 0 if note is None else Checkpoint.parse(Note.decode(note).text).size
    known = 0 <= entry < size
    leaf = connection.execute(select(entries.c.leaf).where(entries.c.seq == entry)).scalar() if known else None
    if leaf is None or note is None:
        raise LedgerError(
            f"there is no entry {entry} under the newest checkpoint, which covers {size} entries", expected=size, got=entry
        )
    return TlogProof(entry, tuple(tiles.inclusion(StoredTiles(connection), entry, size)), note, leaf)


@contextmanager
def _closed_if_refused(database: Database) -> Iterator[Database]:
    try:
        yield database
    except GridnetError:
        database.close()
        raise
