"""A batch: orders on their way into one database transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection

from gridnet.errors import LedgerError
from gridnet_contracts.ledger.actions.base import Action
from gridnet_contracts.ledger.actions.certificates import CertificateAction
from gridnet_contracts.ledger.actions.storage import Charge
from gridnet_contracts.ledger.entry import Entry, Order, body_hash, check_key, make_entry, stamp
from gridnet_contracts.ledger.errors import KeyReused
from gridnet_contracts.ledger.rows import Certificate, Issuance
from gridnet_contracts.ledger.rules.apply import apply, places_of
from gridnet_contracts.ledger.rules.context import Context
from gridnet_contracts.ledger.state import Changes, State
from gridnet_contracts.ledger.store import (
    StoredRows,
    StoredTiles,
    last_time,
    log_size,
    open_places,
    refuse_known,
    stored_keys,
    write_entries,
    write_rows,
    write_tiles,
)
from gridnet_contracts.log import tiles
from gridnet_contracts.log.merkle import leaf_hash

SKEW = timedelta(minutes=1)
"""By how much the clocks of two writers may differ."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """Where an order stands in the log. `repeated`: it was there before."""

    key: str
    entry: int
    leaf_hash: bytes
    repeated: bool


class Batch:
    """Orders on their way into one database transaction."""

    def __init__(self, connection: Connection, time: datetime | None) -> None:
        """`connection` holds the write lock; `time` as in `Ledger.commit`."""
        self._connection = connection
        self._size = log_size(connection)
        self._last = last_time(connection)
        self._time = self._stamp(time)
        self._lookup = StoredRows(connection)
        self._state = State(self._lookup)
        self._made: list[Entry] = []
        self._used: dict[str, tuple[int, str, bytes]] = {}

    def _stamp(self, time: datetime | None) -> str:
        """When the entries are made. A clock that lags behind the last writer's by less than `SKEW` is taken to agree with it."""
        if time is not None:
            return stamp(time.astimezone(UTC))
        now = datetime.now(UTC)
        ahead = self._last is not None and stamp(now) < self._last <= stamp(now + SKEW)
        return str(self._last) if ahead else stamp(now)

    def enter(self, orders: Sequence[Order]) -> list[Receipt]:
        """Enters all orders. Raises the `LedgerError` that names the first that can't be done; the transaction must then end."""
        for order in orders:
            check_key(order.key)
        try:
            return self._enter_all(orders)
        except LedgerError:
            self._find_fault(orders)
            raise

    def _enter_all(self, orders: Sequence[Order]) -> list[Receipt]:
        self._look_up_keys(orders)
        self._look_ahead([order.action for order in orders if order.key not in self._used])
        receipts = [self._enter(order) for order in orders]
        if self._made:
            self._check_time()
            changes = self._state.take_changes()
            refuse_known(self._lookup, changes)
            self._write(changes, [receipt.leaf_hash for receipt in receipts if not receipt.repeated])
        return receipts

    def _find_fault(self, orders: Sequence[Order]) -> None:
        """Goes through a batch that failed once more, order by order: what many orders at once looked up, one did wrong."""
        self._state, self._made = State(self._lookup), []
        self._look_up_keys(orders)
        for order in orders:
            try:
                self._enter(order)
                refuse_known(self._lookup, self._state.take_changes())
            except LedgerError as error:
                error.add_note(f"order {order.key!r}")
                raise

    def _look_up_keys(self, orders: Sequence[Order]) -> None:
        known = stored_keys(self._connection, [order.key for order in orders])
        self._used = {key: (seq, body, leaf_hash(leaf)) for key, (seq, body, leaf) in known.items()}

    def _check_time(self) -> None:
        if self._last is not None and self._time < self._last:
            raise LedgerError(
                f"the last entry is of {self._last}; one of {self._time} can't follow it. Set the clock",
                expected=self._last,
                got=self._time,
            )

    def _look_ahead(self, actions: Sequence[Action]) -> None:
        """Looks up in bulk what the actions will ask for one by one."""
        names = [action.certificate for action in actions if isinstance(action, CertificateAction)]
        names += [name for action in actions if isinstance(action, Charge) for name in action.certificates]
        if names:
            self._state.know(self._lookup.rows(Certificate, sorted(set(names))))
            self._state.know(self._lookup.rows(Issuance, sorted({name.rpartition("/")[0] for name in names})))
        self._state.balances.update(self._lookup.balances(sorted({place for action in actions for place in places_of(action)})))

    def _enter(self, order: Order) -> Receipt:
        body = order.body()
        if order.key in self._used:
            seq, before, leaf = self._used[order.key]
            if before != body_hash(order.action.kind, body):
                raise KeyReused(f"key {order.key!r} stands for another order, entry {seq}: use a new key", step=seq)
            return Receipt(order.key, seq, leaf, repeated=True)
        context = Context(self._state, self._size + len(self._made), self._time)
        apply(context, order.action)
        entry = make_entry(context.entry, self._time, order, context.movements, body)
        self._made.append(entry)
        receipt = Receipt(order.key, entry.seq, leaf_hash(entry.leaf), repeated=False)
        self._used[order.key] = (entry.seq, entry.body_hash, receipt.leaf_hash)
        return receipt

    def _write(self, changes: Changes, leaves: list[bytes]) -> None:
        moved = (movement for entry in self._made for movement in entry.movements)
        open_places(self._connection, {(account, asset) for asset, *sides, _ in moved for account in sides})
        write_entries(self._connection, self._made)
        write_rows(self._connection, changes)
        write_tiles(self._connection, tiles.grow(StoredTiles(self._connection), self._size, leaves))
