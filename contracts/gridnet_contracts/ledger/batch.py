"""A batch: orders on their way into one database transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self

from sqlalchemy import Connection

from gridnet.errors import LedgerError
from gridnet_contracts.ledger.actions.base import Action
from gridnet_contracts.ledger.actions.certificates import CertificateAction, Issue
from gridnet_contracts.ledger.actions.storage import Charge, Discharge
from gridnet_contracts.ledger.entry import Entry, Order, body_hash, check_key, make_entry, stamp
from gridnet_contracts.ledger.errors import KeyReused, MalformedAction
from gridnet_contracts.ledger.rows import Certificate, Device, Issuance
from gridnet_contracts.ledger.rules.apply import apply, places_of
from gridnet_contracts.ledger.rules.context import Context
from gridnet_contracts.ledger.state import Changes, State
from gridnet_contracts.ledger.store import (
    StoredRows,
    StoredTiles,
    log_end,
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


@dataclass(frozen=True, slots=True)
class Asked:
    """What one caller asks for, all or nothing of it; made before its turn comes, so that it takes nothing of it."""

    orders: tuple[Order, ...]
    bodies: tuple[bytes, ...]
    """Of the orders, canonical."""
    time: datetime | None

    @classmethod
    def of(cls, orders: Sequence[Order], time: datetime | None) -> Self:
        """Raises `MalformedAction` for a key or a time that can't be one."""
        if time is not None and time.tzinfo is None:
            raise MalformedAction(f"the time of an entry needs its zone, got {time}")
        for order in orders:
            check_key(order.key)
        return cls(tuple(orders), tuple([order.body() for order in orders]), time)


class Batch:
    """Orders on their way into one database transaction."""

    def __init__(self, connection: Connection, lag: timedelta = timedelta()) -> None:
        """`connection` holds the write lock. A time that a caller gave may lie before the last entry's by less than `lag`, and is
        then taken for it."""
        self._connection = connection
        self._lag = lag
        self._size, self._last = log_end(connection)
        self._time = ""
        self._lookup = StoredRows(connection)
        self._state = State(self._lookup)
        self._made: list[Entry] = []
        self._used: dict[str, tuple[int, str, bytes]] = {}

    def _stamp(self, time: datetime | None) -> str:
        """When the entries are made. A clock that lags behind the last writer's by less than `SKEW` is taken to agree with it."""
        now, lag = (datetime.now(UTC), SKEW) if time is None else (time.astimezone(UTC), self._lag)
        ahead = self._last is not None and stamp(now) < self._last <= stamp(now + lag)
        return str(self._last) if ahead else stamp(now)

    def enter(self, *asked: Asked) -> list[list[Receipt]]:
        """Enters all that is asked, one after the other, and gives the receipts of each. Raises the `LedgerError` of what can't be
        done, which names the order where one caller alone asks; nothing is written then, and nothing else may be entered."""
        try:
            return self._enter_all(asked)
        except LedgerError:
            if len(asked) == 1:
                self._find_fault(asked[0])
            raise

    def _enter_all(self, asked: Sequence[Asked]) -> list[list[Receipt]]:
        orders = [order for each in asked for order in each.orders]
        self._look_up_keys(orders)
        self._look_ahead([order.action for order in orders if order.key not in self._used])
        receipts = [self._enter_one(each) for each in asked]
        if self._made:
            changes = self._state.take_changes()
            refuse_known(self._lookup, changes)
            self._write(changes)
        return receipts

    def _enter_one(self, asked: Asked) -> list[Receipt]:
        self._time, before = self._stamp(asked.time), len(self._made)
        receipts = [self._enter(order, body) for order, body in zip(asked.orders, asked.bodies, strict=True)]
        if len(self._made) > before:
            self._check_time()
            self._last = self._time
        return receipts

    def _find_fault(self, asked: Asked) -> None:
        """Goes through a batch that failed once more, order by order: what many orders at once looked up, one did wrong."""
        self._state, self._made = State(self._lookup), []
        self._look_up_keys(asked.orders)
        for order, body in zip(asked.orders, asked.bodies, strict=True):
            try:
                self._enter(order, body)
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
        devices = [action.device for action in actions if isinstance(action, Issue | Charge | Discharge)]
        if devices:
            self._state.know(self._lookup.rows(Device, sorted(set(devices))))
            storing = [action.device for action in actions if isinstance(action, Charge | Discharge)]
            self._state.know_lots(self._lookup.open_lots_of(sorted(set(storing))))
        self._state.balances.update(self._lookup.balances(sorted({place for action in actions for place in places_of(action)})))

    def _enter(self, order: Order, body: bytes) -> Receipt:
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

    def _write(self, changes: Changes) -> None:
        leaves = [self._used[entry.key][2] for entry in self._made]
        # Before anything is written: tiles that don't fit the entries are refused, and a refusal leaves nothing behind.
        grown = tiles.grow(StoredTiles(self._connection), self._size, leaves)
        moved = (movement for entry in self._made for movement in entry.movements)
        places = {(account, asset) for asset, *sides, _ in moved for account in sides}
        open_places(self._connection, places - self._lookup.opened)
        write_entries(self._connection, self._made)
        write_rows(self._connection, changes)
        write_tiles(self._connection, grown)
