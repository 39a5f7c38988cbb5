"""Whether a database's tables are what the entries of its log make of them."""

from __future__ import annotations

from gridnet.errors import VerificationError
from gridnet_contracts.ledger.database import Connection
from gridnet_contracts.ledger.replay import Replay
from gridnet_contracts.ledger.rows import ROWS
from gridnet_contracts.ledger.state import State
from gridnet_contracts.ledger.store import stored_leaves, stored_rows
from gridnet_contracts.ledger.stored import stored_balances, stored_entries, stored_movements


def compare(connection: Connection) -> str:
    """Replays the log and compares every table; gives a line of what was compared. Raises `VerificationError`."""
    ledger = Replay()
    count = sum(1 for _ in ledger.entries(leaf for _, leaf in stored_leaves(connection)))
    return f"{count} entries replayed: {repeated(connection, ledger.state)} are as they say"


def repeated(connection: Connection, state: State) -> str:
    """Compares movements, balances and all other tables with a state that was replayed. Raises `VerificationError`."""
    _movements_repeated(connection)
    counted = 0
    for kind in ROWS:
        known, there, wrong = state.rows[kind], 0, None
        for row in stored_rows(connection, kind):
            there += 1
            if wrong is None and known.get(state.key_of(row)) != row:
                wrong = row
        if wrong is not None:
            raise VerificationError(f"a row of {kind.__name__} is not what the entries make of it: {wrong}")
        if there != len(known):
            raise VerificationError(f"{len(known) - there} rows of {kind.__name__} are missing")
        counted += there
    balances = dict(stored_balances(connection))
    if balances != state.balances:
        place = next(iter(dict(balances.items() ^ state.balances.items())))
        raise VerificationError(f"the balance of {place} is not the sum of its movements")
    return f"{counted} rows and {len(balances)} balances"


def _movements_repeated(connection: Connection) -> None:
    stored = stored_movements(connection)
    at, listed = next(stored, (-1, []))
    for entry in stored_entries(connection):
        there = listed if at == entry.seq else []
        if Replay.movements_of(entry.leaf) != there:
            raise VerificationError(f"entry {entry.seq}: its movements' rows say something else than its leaf", step=entry.seq)
        if at == entry.seq:
            at, listed = next(stored, (-1, []))
    if at != -1:
        raise VerificationError(f"movements of entry {at}, which is not there")
