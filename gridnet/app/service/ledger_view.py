"""What the service shows of the ledger that stands in its database: read, never written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, case, func, select

from gridnet.app.service.errors import NotFound
from gridnet.app.service.store import Store
from gridnet.errors import LedgerError
from gridnet_contracts.ledger.export import export
from gridnet_contracts.ledger.ledger import prove
from gridnet_contracts.ledger.rows import Certificate
from gridnet_contracts.ledger.schema import balances, table_of
from gridnet_contracts.ledger.seal import stored_checkpoint
from gridnet_contracts.ledger.store import StoredTiles, log_size
from gridnet_contracts.log import tiles


@dataclass(frozen=True)
class Holding:
    """A party's certificates of one status."""

    status: str
    count: int
    wh: int


class LedgerView:
    """The ledger beside the service's tables. Every method raises `NotFound` where there is none."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def balances(self, party: str) -> list[tuple[str, str, int]]:
        """Account, asset and amount of what a party holds, whatever it is held for."""
        own = balances.c.account.like(f"%/{_literal(party)}", escape="\\")
        with self.read() as connection:
            found = connection.execute(select(balances).where(own, balances.c.amount != 0).order_by(*balances.primary_key))
            return [(row.account, row.asset, row.amount) for row in found]

    def certificates(self, party: str | None, after: str, limit: int) -> list[Certificate]:
        """By name, from the one after `after`; everybody's where `party` is None."""
        table = table_of(Certificate)
        query = select(table).where(table.c.certificate > after).order_by(table.c.certificate).limit(limit)
        if party is not None:
            query = query.where(table.c.party == party)
        with self.read() as connection:
            return [Certificate(*row) for row in connection.execute(query)]

    def newest_of(self, party: str, limit: int) -> list[Certificate]:
        """What a party holds or had claimed for it, what was entered last first; no split certificates."""
        table = table_of(Certificate)
        own = (table.c.party == party) | (table.c.beneficiary == party)
        query = select(table).where(own, table.c.status != "split").order_by(table.c.entry.desc(), table.c.lo).limit(limit)
        with self.read() as connection:
            return [Certificate(*row) for row in connection.execute(query)]

    def checkpoint(self) -> str:
        """The newest signed head."""
        with self.read() as connection:
            note = stored_checkpoint(connection)
        if note is None:
            raise NotFound("nothing is signed yet")
        return note.decode()

    def proof(self, entry: int) -> bytes:
        """Proof of an entry, the entry inside."""
        with self.read() as connection:
            try:
                return prove(connection, entry).encode()
            except LedgerError as error:
                raise NotFound(str(error)) from error

    def consistency(self, old_size: int, new_size: int) -> list[bytes]:
        """The hashes that show that the first `new_size` entries begin with the first `old_size`. Raises `NotFound` for sizes that
        the log does not have."""
        with self.read() as connection:
            if not 0 <= old_size <= new_size <= log_size(connection):
                raise NotFound(f"the log has {log_size(connection)} entries: nothing leads from {old_size} to {new_size}")
            return tiles.consistency(StoredTiles(connection), old_size, new_size)

    def holdings(self, party: str) -> list[Holding]:
        """What certificates a party has or had claimed for it, by status."""
        table = table_of(Certificate)
        sums = (func.count(), func.sum(table.c.hi - table.c.lo))
        # What was claimed is its beneficiary's; a split certificate's children stand for it.
        holder = case((table.c.status == "claimed", table.c.beneficiary), else_=table.c.party)
        query = select(table.c.status, *sums).where(holder == party, table.c.status != "split").group_by(table.c.status)
        with self.read() as connection:
            return [Holding(status, count, int(wh)) for status, count, wh in connection.execute(query.order_by(table.c.status))]

    def export(self, folder: Path) -> None:
        """Writes the folder for auditors. Raises `LedgerError`."""
        with self.read():
            pass
        export(self._store.database, folder)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction on a database that holds a ledger."""
        if self._store.database.version() is None:
            raise NotFound("no ledger is kept here")
        with self._store.read() as connection:
            yield connection


def _literal(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
