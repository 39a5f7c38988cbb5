"""Between the projection's rows and the database: looking up, writing in bulk, reading in order."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from sqlalchemy import (
    BigInteger,
    BindParameter,
    Connection,
    LargeBinary,
    Select,
    Table,
    Text,
    TextClause,
    Update,
    bindparam,
    func,
    insert,
    select,
    text,
    tuple_,
    update,
)

from gridnet_contracts.ledger.entry import Entry
from gridnet_contracts.ledger.rows import ROWS, Lot, Row
from gridnet_contracts.ledger.schema import METADATA, balances, entries, movements, table_of, tiles
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


def _by_key(kind: type[Row]) -> Select[Any]:
    table = table_of(kind)
    columns = [table.c[name] for name in kind.KEY]
    return select(table).where((columns[0] if len(columns) == 1 else tuple_(*columns)).in_(_KEYS))


def _changing(kind: type[Row]) -> Update:
    table = table_of(kind)
    same = [table.c[name] == bindparam(f"key_{name}") for name in kind.KEY]
    return update(table).where(*same).values({name: bindparam(f"new_{name}") for name in kind.MUTABLE})


# Statements are built once: to build one costs more than to run it.
_KEYS: BindParameter[Any] = bindparam("keys", expanding=True)
_BY_KEY: dict[Any, Select[Any]] = {kind: _by_key(kind) for kind in ROWS}
_CHANGES: dict[Any, Update] = {kind: _changing(kind) for kind in ROWS if kind.MUTABLE}
_BALANCES = select(balances).where(tuple_(balances.c.account, balances.c.asset).in_(_KEYS))
_LOTS = table_of(Lot)
_OPEN_LOTS = select(_LOTS).where(_LOTS.c.device.in_(_KEYS), _LOTS.c.remaining_wh > 0).order_by(_LOTS.c.rank)
_USED = select(entries.c.key, entries.c.seq, entries.c.body_hash, entries.c.leaf).where(entries.c.key.in_(_KEYS))
_END = select(entries.c.seq, entries.c.time).order_by(entries.c.seq.desc()).limit(1)
_TILE = select(tiles.c.hashes).where(tiles.c.level == bindparam("level"), tiles.c.number == bindparam("number"))
_TILES = select(tiles.c.level, tiles.c.number).where(tuple_(tiles.c.level, tiles.c.number).in_(_KEYS))
_LONGER_TILE = (
    update(tiles)
    .where(tiles.c.level == bindparam("at_level"), tiles.c.number == bindparam("at_number"))
    .values(hashes=bindparam("now"))
)


def _unnested(table: Table) -> TextClause:
    """PostgreSQL's insert of whole columns: a statement with a row's values is sent and parsed a row at a time."""
    names = ", ".join(f'"{column.name}"' for column in table.c)
    columns = ", ".join(f"CAST(:{column.name} AS {_POSTGRESQL[type(column.type)]}[])" for column in table.c)
    return text(f"INSERT INTO {table.name} ({names}) SELECT * FROM unnest({columns})")


_POSTGRESQL: dict[type, str] = {BigInteger: "bigint", Text: "text", LargeBinary: "bytea"}
_UNNESTED = {table.name: _unnested(table) for table in METADATA.sorted_tables}


def _insert(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """New rows, one or more, in this order."""
    if connection.dialect.name == "postgresql":
        columns = {column.name: [row[column.name] for row in rows] for column in table.c}
        connection.execute(_UNNESTED[table.name], columns)
    else:
        connection.execute(insert(table), rows)


class StoredRows:
    """The lookup of a partial state: one query for what is not held yet."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.opened: set[Place] = set()
        """Places that were asked for and have a balance, be it 0."""

    def row(self, kind: type[R], key: Hashable) -> R | None:
        """The row with this key, or None."""
        return next(iter(self.rows(kind, [key])), None)

    def rows(self, kind: type[R], keys: Sequence[Hashable]) -> list[R]:
        """The rows with these keys, as far as there are such."""
        query = _BY_KEY[kind]
        return [kind(*found) for chunk in _chunks(keys) for found in self._connection.execute(query, {"keys": chunk})]

    def balance(self, place: Place) -> int:
        """The balance of a place, 0 where there is none yet."""
        return self.balances([place]).get(place, 0)

    def balances(self, places: Sequence[Place]) -> dict[Place, int]:
        """The balances of these places, 0 where there is none yet."""
        found = _stored_balances(self._connection, places)
        self.opened.update(found)
        return dict.fromkeys(places, 0) | found

    def open_lots(self, device: str) -> list[Lot]:
        """A device's lots that hold something, in the order in which they are drawn."""
        return self.open_lots_of([device])[device]

    def open_lots_of(self, devices: Sequence[str]) -> dict[str, list[Lot]]:
        """The same of several devices."""
        found: dict[str, list[Lot]] = {device: [] for device in devices}
        for chunk in _chunks(devices):
            for row in self._connection.execute(_OPEN_LOTS, {"keys": chunk}):
                lot = Lot(*row)
                found[lot.device].append(lot)
        return found


def _stored_balances(connection: Connection, places: Sequence[Place]) -> dict[Place, int]:
    found = (row for chunk in _chunks(places) for row in connection.execute(_BALANCES, {"keys": chunk}))
    return {(account, asset): amount for account, asset, amount in found}


class StoredTiles:
    """The log's tiles in the database."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def read(self, level: int, index: int) -> bytes:
        """The hashes that a tile holds so far."""
        return self._connection.execute(_TILE, {"level": level, "number": index}).scalar() or b""


class RememberedTiles(StoredTiles):
    """The same, each read once: for a few questions in a row, while nobody writes."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._read: dict[tuple[int, int], bytes] = {}

    def read(self, level: int, index: int) -> bytes:
        """The hashes that a tile holds so far."""
        if (level, index) not in self._read:
            self._read[level, index] = super().read(level, index)
        return self._read[level, index]


def log_size(connection: Connection) -> int:
    """How many entries there are."""
    last = connection.execute(select(func.max(entries.c.seq))).scalar()
    return 0 if last is None else last + 1


def log_end(connection: Connection) -> tuple[int, str | None]:
    """How many entries there are, and when the last was made, as entries write it; None before the first."""
    last = connection.execute(_END).first()
    return (0, None) if last is None else (last.seq + 1, last.time)


def last_time(connection: Connection) -> str | None:
    """When the last entry was made, as entries write it; None before the first."""
    return log_end(connection)[1]


def stored_keys(connection: Connection, keys: Sequence[str]) -> dict[str, tuple[int, str, bytes]]:
    """Of these idempotency keys, those used before: their entry, the hash of its body, its leaf."""
    found = (row for chunk in _chunks(keys) for row in connection.execute(_USED, {"keys": chunk}))
    return {key: (seq, body, leaf) for key, seq, body, leaf in found}


def write_entries(connection: Connection, made: Sequence[Entry]) -> None:
    """New entries and their movements; a trigger moves the balances. The entries' places must be there (`open_places`)."""
    _insert(
        connection,
        entries,
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
        _insert(connection, movements, moved)


def refuse_known(lookup: StoredRows, changes: Changes) -> None:
    """Raises `AlreadyThere` where a new row's key is in the database; its constraints would refuse it with less to say."""
    for kind, rows in changes.added.items():
        if "entry" in kind.KEY:  # a new entry's row: no other can have its key
            continue
        for known in lookup.rows(kind, list(rows)):
            raise already_there(kind, State.key_of(known))


def open_places(connection: Connection, places: Collection[Place]) -> None:
    """Balances of 0 for the accounts that have none yet."""
    wanted = sorted(places)
    known = _stored_balances(connection, wanted)
    missing = [{"account": place[0], "asset": place[1], "amount": 0} for place in wanted if place not in known]
    if missing:
        _insert(connection, balances, missing)


def write_rows(connection: Connection, changes: Changes) -> None:
    """New rows and changed rows, what is referred to first."""
    for kind in ROWS:
        if changes.added[kind]:
            _insert(connection, table_of(kind), [_columns(row) for row in changes.added[kind].values()])
    for kind in ROWS:
        if changes.changed[kind]:
            connection.execute(_CHANGES[kind], [_change(row) for row in changes.changed[kind]])


def _columns(row: Row) -> dict[str, Any]:
    return {name: getattr(row, name) for name in row.__slots__}


def _change(row: Row) -> dict[str, Any]:
    return {f"key_{n}": getattr(row, n) for n in row.KEY} | {f"new_{n}": getattr(row, n) for n in row.MUTABLE}


def write_tiles(connection: Connection, grown: dict[tuple[int, int], bytes]) -> None:
    """Tiles as the tree's growth left them."""
    keys = list(grown)
    known = {tuple(key) for key in connection.execute(_TILES, {"keys": keys})}
    fresh = [{"level": level, "number": n, "hashes": grown[level, n]} for level, n in keys if (level, n) not in known]
    longer = [{"at_level": level, "at_number": n, "now": grown[level, n]} for level, n in known]
    if fresh:
        _insert(connection, tiles, fresh)
    if longer:
        connection.execute(_LONGER_TILE, longer)


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
