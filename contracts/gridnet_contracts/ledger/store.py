"""Between the projection's rows and the database: looking up, writing in bulk, reading in order."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from sqlalchemy import Connection, Select, bindparam, func, insert, select, tuple_, update

from gridnet_contracts.ledger.entry import Entry
from gridnet_contracts.ledger.rows import ROWS, Lot, Row
from gridnet_contracts.ledger.schema import balances, entries, movements, table_of, tiles
from gridnet_contracts.ledger.state import Changes, Place, R, State, already_there

CHUNK = 2_000
"""Keys of one query: below every database's limit on parameters."""


T = TypeVar("T")


def _chunks(keys: Sequence[T]) -> Iterator[Sequence[T]]:
    return (keys[k : k + CHUNK] for k in range(0, len(keys), CHUNK))


def streamed(connection: Connection, query: Select[Any]) -> Iterator[Any]:
    """What a query finds, a chunk in memory at a time; closed where its reader stops half way."""
    with connection.execution_options(yield_per=CHUNK).execute(query) as found:
        yield from found


class StoredRows:
    """The lookup of a partial state: one query for what is not held yet."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def row(self, kind: type[R], key: Hashable) -> R | None:
        """The row with this key, or None."""
        return next(iter(self.rows(kind, [key])), None)

    def rows(self, kind: type[R], keys: Sequence[Hashable]) -> list[R]:
        """The rows with these keys, as far as there are such."""
        table = table_of(kind)
        columns = [table.c[name] for name in kind.KEY]
        key = columns[0] if len(columns) == 1 else tuple_(*columns)
        return [kind(*found) for chunk in _chunks(keys) for found in self._connection.execute(select(table).where(key.in_(chunk)))]

    def balance(self, place: Place) -> int:
        """The balance of a place, 0 where there is none yet."""
        return self.balances([place]).get(place, 0)

    def balances(self, places: Sequence[Place]) -> dict[Place, int]:
        """The balances of these places, 0 where there is none yet."""
        columns = tuple_(balances.c.account, balances.c.asset)
        found = {
            (account, asset): amount
            for chunk in _chunks(places)
            for account, asset, amount in self._connection.execute(select(balances).where(columns.in_(chunk)))
        }
        return dict.fromkeys(places, 0) | found

    def open_lots(self, device: str) -> list[Lot]:
        """A device's lots that hold something, in the order in which they are drawn."""
        table = table_of(Lot)
        query = select(table).where(table.c.device == device, table.c.remaining_wh > 0).order_by(table.c.rank)
        return [Lot(*found) for found in self._connection.execute(query)]


class StoredTiles:
    """The log's tiles in the database."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def read(self, level: int, index: int) -> bytes:
        """The hashes that a tile holds so far."""
        query = select(tiles.c.hashes).where(tiles.c.level == level, tiles.c.number == index)
        return self._connection.execute(query).scalar() or b""


def log_size(connection: Connection) -> int:
    """How many entries there are."""
    last = connection.execute(select(func.max(entries.c.seq))).scalar()
    return 0 if last is None else last + 1


def last_time(connection: Connection) -> str | None:
    """When the last entry was made, as entries write it; None before the first."""
    return connection.execute(select(entries.c.time).order_by(entries.c.seq.desc()).limit(1)).scalar()


def stored_keys(connection: Connection, keys: Sequence[str]) -> dict[str, tuple[int, str, bytes]]:
    """Of these idempotency keys, those used before: their entry, the hash of its body, its leaf."""
    query = select(entries.c.key, entries.c.seq, entries.c.body_hash, entries.c.leaf)
    return {
        key: (seq, body, leaf)
        for chunk in _chunks(keys)
        for key, seq, body, leaf in connection.execute(query.where(entries.c.key.in_(chunk)))
    }


def write_entries(connection: Connection, made: Sequence[Entry]) -> None:
    """New entries and their movements; a trigger moves the balances. The entries' places must be there (`open_places`)."""
    connection.execute(
        insert(entries),
        [
            {"seq": e.seq, "key": e.key, "kind": e.action.kind, "time": e.time, "body_hash": e.body_hash, "leaf": e.leaf}
            for e in made
        ],
    )
    moved = [
        {"entry": e.seq, "leg": leg, "asset": asset, "debit": debit, "credit": credit, "amount": amount}
        for e in made
        for leg, (asset, debit, credit, amount) in enumerate(e.movements)
    ]
    if moved:
        connection.execute(insert(movements), moved)


def refuse_known(lookup: StoredRows, changes: Changes) -> None:
    """Raises `AlreadyThere` where a new row's key is in the database; its constraints would refuse it with less to say."""
    for kind, rows in changes.added.items():
        for known in lookup.rows(kind, list(rows)):
            raise already_there(kind, State.key_of(known))


def open_places(connection: Connection, places: Iterable[Place]) -> None:
    """Balances of 0 for the accounts that have none yet."""
    wanted = sorted(places)
    columns = tuple_(balances.c.account, balances.c.asset)
    query = select(balances.c.account, balances.c.asset)
    known = {
        (account, asset) for chunk in _chunks(wanted) for account, asset in connection.execute(query.where(columns.in_(chunk)))
    }
    missing = [{"account": place[0], "asset": place[1], "amount": 0} for place in wanted if place not in known]
    if missing:
        connection.execute(insert(balances), missing)


def write_rows(connection: Connection, changes: Changes) -> None:
    """New rows and changed rows, what is referred to first."""
    for kind in ROWS:
        if changes.added[kind]:
            connection.execute(insert(table_of(kind)), [_columns(row) for row in changes.added[kind].values()])
    for kind in ROWS:
        if changes.changed[kind]:
            table = table_of(kind)
            same = [table.c[name] == bindparam(f"key_{name}") for name in kind.KEY]
            statement = update(table).where(*same).values({name: bindparam(f"new_{name}") for name in kind.MUTABLE})
            connection.execute(statement, [_change(row) for row in changes.changed[kind]])


def _columns(row: Row) -> dict[str, Any]:
    return {name: getattr(row, name) for name in row.__slots__}


def _change(row: Row) -> dict[str, Any]:
    return {f"key_{n}": getattr(row, n) for n in row.KEY} | {f"new_{n}": getattr(row, n) for n in row.MUTABLE}


def write_tiles(connection: Connection, grown: dict[tuple[int, int], bytes]) -> None:
    """Tiles as the tree's growth left them."""
    keys = list(grown)
    known = {
        tuple(key)
        for key in connection.execute(select(tiles.c.level, tiles.c.number).where(tuple_(tiles.c.level, tiles.c.number).in_(keys)))
    }
    fresh = [{"level": level, "number": n, "hashes": grown[level, n]} for level, n in keys if (level, n) not in known]
    longer = [{"at_level": level, "at_number": n, "now": grown[level, n]} for level, n in known]
    if fresh:
        connection.execute(insert(tiles), fresh)
    if longer:
        statement = update(tiles).where(tiles.c.level == bindparam("at_level"), tiles.c.number == bindparam("at_number"))
        connection.execute(statement.values(hashes=bindparam("now")), longer)


def stored_leaves(connection: Connection, start: int = 0) -> Iterator[tuple[int, bytes]]:
    """(seq, leaf) of every entry from `start` on, in order, a chunk in memory at a time."""
    query = select(entries.c.seq, entries.c.leaf).where(entries.c.seq >= start).order_by(entries.c.seq)
    for found in streamed(connection, query):
        yield found.seq, found.leaf


def stored_rows(connection: Connection, kind: type[R]) -> Iterator[R]:
    """Every row of a kind, in the order of its key."""
    table = table_of(kind)
    query = select(table).order_by(*(table.c[name] for name in kind.KEY))
    for found in streamed(connection, query):
        yield kind(*found)
