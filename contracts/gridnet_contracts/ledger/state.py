"""The ledger's state while actions are applied to it: rows and balances, and what changed since the last look.

The state may be whole (a replay, which starts from nothing) or partial (a commit, which looks up in the database what it meets).
The rules in `gridnet_contracts.ledger.rules` can't tell: one code says what an action does, when it is taken and when it is
audited.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Protocol, TypeVar, cast

from gridnet_contracts.ledger.canonical import MAX_AMOUNT
from gridnet_contracts.ledger.errors import AlreadyThere, AmountOverflow, InsufficientBalance
from gridnet_contracts.ledger.rows import ROWS, Lot, Row

R = TypeVar("R", bound=Row)

Movement = tuple[str, str, str, int]
"""(asset, from, to, amount): what leaves one account arrives at another, so an entry's postings sum to zero per asset."""
Place = tuple[str, str]
"""(account, asset)."""

_KEY_OF: dict[type[Row], Callable[[Row], Hashable]] = {kind: attrgetter(*kind.KEY) for kind in ROWS}


class Lookup(Protocol):
    """Where a partial state finds what it does not hold yet."""

    def row(self, kind: type[R], key: Hashable) -> R | None:
        """The row with this key, or None."""
        ...  # pragma: no cover

    def balance(self, place: Place) -> int:
        """What an account holds of an asset."""
        ...  # pragma: no cover

    def open_lots(self, device: str) -> list[Lot]:
        """A device's lots that hold something, in the order in which they are drawn."""
        ...  # pragma: no cover


class Nothing:
    """The lookup of a whole state: what it does not hold does not exist."""

    def row(self, kind: type[R], key: Hashable) -> R | None:
        """The row with this key, or None."""
        return None

    def balance(self, place: Place) -> int:
        """What an account holds of an asset."""
        return 0

    def open_lots(self, device: str) -> list[Lot]:
        """A device's lots that hold something, in the order in which they are drawn."""
        return []


@dataclass(slots=True)
class Changes:
    """What is to be written: new rows as they are now, and each version of the changed ones, in order (the database looks at each
    change of status)."""

    added: dict[type[Row], dict[Hashable, Row]] = field(default_factory=lambda: {kind: {} for kind in ROWS})
    changed: dict[type[Row], list[Row]] = field(default_factory=lambda: {kind: [] for kind in ROWS})


class State:
    """Rows by kind and key, balances by account and asset."""

    def __init__(self, lookup: Lookup | None = None) -> None:
        self._lookup: Lookup = Nothing() if lookup is None else lookup
        self.rows: dict[type[Row], dict[Hashable, Row | None]] = {kind: {} for kind in ROWS}
        self.balances: dict[Place, int] = {}
        self.changes = Changes()
        self._lots: dict[str, dict[str, Lot]] = {}

    @staticmethod
    def key_of(row: Row) -> Hashable:
        """A row's key: a value, or a tuple of values where it has several columns."""
        return _KEY_OF[type(row)](row)

    def find(self, kind: type[R], key: Hashable) -> R | None:
        """The row with this key, or None."""
        known = cast("dict[Hashable, R | None]", self.rows[cast("type[Row]", kind)])
        if key not in known:
            known[key] = self._lookup.row(kind, key)
        return known[key]

    def held(self, kind: type[R], key: Hashable) -> R:
        """The row with this key, which must exist because another one refers to it."""
        row = self.find(kind, key)
        if row is None:
            raise LookupError(f"{kind.__name__} {key} is referred to and missing")
        return row

    def all_rows(self, kind: type[R]) -> Iterator[R]:
        """Every row of a kind that the state holds."""
        return (row for row in cast("dict[Hashable, R | None]", self.rows[cast("type[Row]", kind)]).values() if row is not None)

    def know(self, rows: Iterable[Row]) -> None:
        """Takes in rows that were looked up in advance."""
        for row in rows:
            self.rows[type(row)].setdefault(_KEY_OF[type(row)](row), row)

    def know_lots(self, lots_of: Mapping[str, Iterable[Lot]]) -> None:
        """Takes in, by device, all open lots that were looked up in advance."""
        for device, lots in lots_of.items():
            self._lots.setdefault(device, {lot.lot: lot for lot in lots})
            self.know(self._lots[device].values())

    def add(self, row: Row) -> None:
        """A new row. Raises `AlreadyThere` for one that the state holds; for one that only the database holds, its writer does."""
        kind = type(row)
        key = _KEY_OF[kind](row)
        if self.rows[kind].get(key) is not None:
            raise already_there(kind, key)
        self.rows[kind][key] = self.changes.added[kind][key] = row
        if isinstance(row, Lot):
            self.lots(row.device)[row.lot] = row

    def change(self, row: Row) -> None:
        """Another version of a row that exists."""
        kind = type(row)
        key = _KEY_OF[kind](row)
        self.rows[kind][key] = row
        if key in self.changes.added[kind]:
            self.changes.added[kind][key] = row
        else:
            self.changes.changed[kind].append(row)
        if isinstance(row, Lot):
            lots = self.lots(row.device)
            lots[row.lot] = row
            if not row.remaining_wh:
                del lots[row.lot]

    def lots(self, device: str) -> dict[str, Lot]:
        """A storage device's lots that hold something, in the order in which they are drawn."""
        if device not in self._lots:
            self.know_lots({device: self._lookup.open_lots(device)})
        return self._lots[device]

    def balance(self, account: str, asset: str) -> int:
        """What an account holds of an asset."""
        place = (account, asset)
        if place not in self.balances:
            self.balances[place] = self._lookup.balance(place)
        return self.balances[place]

    def move(self, movement: Movement) -> None:
        """Moves an amount. Raises `InsufficientBalance` or `AmountOverflow`."""
        asset, debit, credit, amount = movement
        left, gained = self.balance(debit, asset) - amount, self.balance(credit, asset) + amount
        if left < 0 and not may_owe(debit):
            raise InsufficientBalance(
                f"{debit} holds {left + amount} of {asset} and can't give {amount}",
                device=debit,
                expected=amount,
                got=left + amount,
            )
        if gained > MAX_AMOUNT or left < -MAX_AMOUNT:
            raise AmountOverflow(f"{amount} of {asset} from {debit} to {credit}: a balance would pass {MAX_AMOUNT}")
        self.balances[debit, asset] = left
        self.balances[credit, asset] = self.balances[credit, asset] + amount

    def take_changes(self) -> Changes:
        """What changed since the last call, which starts anew."""
        taken, self.changes = self.changes, Changes()
        return taken


def already_there(kind: type[Row], key: Hashable) -> AlreadyThere:
    """Why a second row of one key is refused."""
    return AlreadyThere(f"there is a {kind.__name__} {key} already")


def may_owe(account: str) -> bool:
    """Whether an account stands for the world outside, and may go below zero."""
    return account.startswith("source/")
