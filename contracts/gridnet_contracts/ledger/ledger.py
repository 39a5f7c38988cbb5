"""The ledger of record: orders in, entries in a signed log out, all of a batch or nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

from sqlalchemy import Connection, select

from gridnet.errors import LedgerError
from gridnet_contracts.ledger.actions.base import Action
from gridnet_contracts.ledger.actions.certificates import CertificateAction
from gridnet_contracts.ledger.actions.registry import Found
from gridnet_contracts.ledger.actions.storage import Charge
from gridnet_contracts.ledger.database import Database
from gridnet_contracts.ledger.entry import Entry, Order, body_hash, check_key, make_entry, stamp
from gridnet_contracts.ledger.errors import DatabaseRefused, ForkRefused, KeyReused, MalformedAction
from gridnet_contracts.ledger.rows import Certificate, Issuance
from gridnet_contracts.ledger.rules.apply import apply, places_of
from gridnet_contracts.ledger.rules.context import Context
from gridnet_contracts.ledger.schema import entries
from gridnet_contracts.ledger.seal import Seal, signed_at, store_checkpoint, stored_checkpoint
from gridnet_contracts.ledger.state import State
from gridnet_contracts.ledger.store import (
    StoredRows,
    StoredTiles,
    log_size,
    open_places,
    refuse_known,
    stored_keys,
    write_entries,
    write_rows,
    write_tiles,
)
from gridnet_contracts.ledger.witnessing import WitnessService, witnessed
from gridnet_contracts.log import tiles
from gridnet_contracts.log.merkle import leaf_hash
from gridnet_contracts.log.proof import TlogProof


@dataclass(frozen=True, slots=True)
class Receipt:
    """Where an order stands in the log. `repeated`: it was there before."""

    key: str
    entry: int
    leaf_hash: bytes
    repeated: bool


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
        if first.origin != seal.origin:
            raise ForkRefused(f"the key signs for {seal.origin!r}, the ledger to be founded is {first.origin!r}")
        database = Database(url)
        database.migrate()
        ledger = cls(database, seal, witnesses)
        ledger.commit([Order("found", first)], time)
        return ledger

    @classmethod
    def open(cls, url: str, seal: Seal, witnesses: Sequence[WitnessService] = ()) -> Self:
        """A ledger that was founded. Raises `LedgerError`, `InputError`."""
        database = Database(url)
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
        if time is not None and time.tzinfo is None:
            raise MalformedAction(f"the time of an entry needs its zone, got {time}")
        at = stamp(datetime.now(UTC) if time is None else time.astimezone(UTC))
        with self.database.write() as connection:
            self.seal.check(connection, self.seal.last()[1])
            receipts = _Batch(connection, at).enter(orders)
        self.publish()
        return receipts

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
    leaf = connection.execute(select(entries.c.leaf).where(entries.c.seq == entry)).scalar()
    size = 0 if note is None else int(note.split(b"\n", 2)[1])
    if leaf is None or note is None or entry >= size:
        raise LedgerError(
            f"there is no entry {entry} under the newest checkpoint, which covers {size} entries", expected=size, got=entry
        )
    return TlogProof(entry, tuple(tiles.inclusion(StoredTiles(connection), entry, size)), note, leaf)


class _Batch:
    """Orders on their way into one database transaction."""

    def __init__(self, connection: Connection, time: str) -> None:
        self._connection = connection
        self._time = time
        self._size = log_size(connection)
        self._lookup = StoredRows(connection)
        self._state = State(self._lookup)
        self._made: list[Entry] = []

    def enter(self, orders: Sequence[Order]) -> list[Receipt]:
        for order in orders:
            check_key(order.key)
        known = stored_keys(self._connection, [order.key for order in orders])
        used = {key: (seq, body, leaf_hash(leaf)) for key, (seq, body, leaf) in known.items()}
        self._look_ahead([order.action for order in orders if order.key not in used])
        receipts = [self._enter(order, used) for order in orders]
        if self._made:
            self._check_time()
            self._write([receipt.leaf_hash for receipt in receipts if not receipt.repeated])
        return receipts

    def _check_time(self) -> None:
        last = self._connection.execute(select(entries.c.time).where(entries.c.seq == self._size - 1)).scalar()
        if last is not None and self._time < last:
            raise LedgerError(
                f"the last entry is of {last}; one of {self._time} can't follow it. Set the clock", expected=last, got=self._time
            )

    def _look_ahead(self, actions: Sequence[Action]) -> None:
        """Looks up in bulk what the actions will ask for one by one."""
        names = [action.certificate for action in actions if isinstance(action, CertificateAction)]
        names += [name for action in actions if isinstance(action, Charge) for name in action.certificates]
        if names:
            self._state.know(self._lookup.rows(Certificate, sorted(set(names))))
            self._state.know(self._lookup.rows(Issuance, sorted({name.rpartition("/")[0] for name in names})))
        self._state.balances.update(self._lookup.balances(sorted({place for action in actions for place in places_of(action)})))

    def _enter(self, order: Order, used: dict[str, tuple[int, str, bytes]]) -> Receipt:
        body = order.body()
        if order.key in used:
            seq, before, leaf = used[order.key]
            if before != body_hash(order.action.kind, body):
                raise KeyReused(f"key {order.key!r} stands for another order, entry {seq}: use a new key", step=seq)
            return Receipt(order.key, seq, leaf, repeated=True)
        context = Context(self._state, self._size + len(self._made), self._time)
        try:
            apply(context, order.action)
        except LedgerError as error:
            error.add_note(f"order {order.key!r}")
            raise
        entry = make_entry(context.entry, self._time, order, context.movements, body)
        self._made.append(entry)
        receipt = Receipt(order.key, entry.seq, leaf_hash(entry.leaf), repeated=False)
        used[order.key] = (entry.seq, entry.body_hash, receipt.leaf_hash)
        return receipt

    def _write(self, leaves: list[bytes]) -> None:
        changes = self._state.take_changes()
        refuse_known(self._lookup, changes)
        open_places(self._connection, self._state.balances)
        write_entries(self._connection, self._made)
        write_rows(self._connection, changes)
        write_tiles(self._connection, tiles.grow(StoredTiles(self._connection), self._size, leaves))
