"""What the service shows of the ledger that stands in its database: read, never written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, select

from gridnet.app.service.errors import NotFound
from gridnet.app.service.store import Store
from gridnet.errors import LedgerError
from gridnet_contracts.ledger.export import export
from gridnet_contracts.ledger.ledger import prove
from gridnet_contracts.ledger.rows import Certificate
from gridnet_contracts.ledger.schema import balances, table_of
from gridnet_contracts.ledger.seal import stored_checkpoint


class LedgerView:
    """The ledger beside the service's tables. Every method raises `NotFound` where there is none."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def balances(self, party: str) -> list[tuple[str, str, int]]:
        """Account, asset and amount of what a party holds, whatever it is held for."""
        own = balances.c.account.like(f"%/{_literal(party)}", escape="\\")
        with self._read() as connection:
            found = connection.execute(select(balances).where(own, balances.c.amount != 0).order_by(*balances.primary_key))
            return [(row.account, row.asset, row.amount) for row in found]

    def certificates(self, party: str | None, after: str, limit: int) -> list[Certificate]:
        """By name, from the one after `after`; everybody's where `party` is None."""
        table = table_of(Certificate)
        query = select(table).where(table.c.certificate > after).order_by(table.c.certificate).limit(limit)
        if party is not None:
            query = query.where(table.c.party == party)
        with self._read() as connection:
            return [Certificate(*row) for row in connection.execute(query)]

    def checkpoint(self) -> str:
        """The newest signed head."""
        with self._read() as connection:
            note = stored_checkpoint(connection)
        if note is None:
            raise NotFound("nothing is signed yet")
        return note.decode()

    def proof(self, entry: int) -> bytes:
        """Proof of an entry, the entry inside."""
        with self._read() as connection:
            try:
                return prove(connection, entry).encode()
            except LedgerError as error:
                raise NotFound(str(error)) from error

    def export(self, folder: Path) -> None:
        """Writes the folder for auditors. Raises `LedgerError`."""
        with self._read():
            pass
        export(self._store.database, folder)

    @contextmanager
    def _read(self) -> Iterator[Connection]:
        if self._store.database.version() is None:
            raise NotFound("no ledger is kept here")
        with self._store.read() as connection:
            yield connection


def _literal(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
