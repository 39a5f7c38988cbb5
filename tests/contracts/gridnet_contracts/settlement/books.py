"""A real ledger for settlements to be booked in, and what can be read from it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import text

from gridnet_contracts.audit.database import audit_database
from gridnet_contracts.ledger.entry import Order
from gridnet_contracts.ledger.ledger import Ledger, Receipt
from gridnet_contracts.ledger.seal import Seal
from gridnet_contracts.log.cosignature import Policy
from gridnet_contracts.settlement.booking import open_asset
from tests.contracts.gridnet_contracts.ledger.builders import FOUND, ORIGIN, battery, solar
from tests.contracts.gridnet_contracts.settlement.builders import PARTIES, START

NOW = START + timedelta(days=1)


@contextmanager
def books(folder: Path) -> Iterator[Ledger]:
    """A ledger in which each party has a roof, `pv-PARTY`, and a battery, `bat-PARTY`, and `eur-due` is open; then closed."""
    ledger = Ledger.found(f"sqlite:///{folder}/books.db", Seal.make(folder / "seal", ORIGIN), FOUND, START)
    devices = [Order(f"pv-{party}", solar(f"pv-{party}", party)) for party in PARTIES]
    devices += [Order(f"bat-{party}", battery(f"bat-{party}", party)) for party in PARTIES]
    ledger.commit([open_asset(), *devices], START)
    try:
        yield ledger
    finally:
        ledger.close()


def enter(ledger: Ledger, orders: Sequence[Order], time: datetime = NOW) -> list[Receipt]:
    """One transaction."""
    return ledger.commit(orders, time)


def balances(ledger: Ledger, asset: str) -> dict[str, int]:
    """By account, those that are not zero."""
    query = text("SELECT account, amount FROM balances WHERE asset = :asset AND amount <> 0")
    with ledger.database.read() as connection:
        return {row.account: row.amount for row in connection.execute(query, {"asset": asset})}


def owed(ledger: Ledger) -> dict[str, int]:
    """What each party owes, all in all, in micro-euro; below zero it is owed. Those that are quits are left out."""
    found: dict[str, int] = {}
    for account, amount in balances(ledger, "eur-due").items():
        party = account.partition("/")[2]
        found[party] = found.get(party, 0) - amount
    return {party: amount for party, amount in found.items() if amount}


def certificates(ledger: Ledger, status: str = "active") -> dict[str, str]:
    """Owner of each certificate of a status, by name."""
    query = text("SELECT certificate, party FROM certificates WHERE status = :status")
    with ledger.database.read() as connection:
        return {row.certificate: row.party for row in connection.execute(query, {"status": status})}


def faults(ledger: Ledger) -> list[str]:
    """What an auditor finds."""
    policy = Policy(ORIGIN, ledger.seal.key.verifier)
    return [f"{outcome}" for outcome in audit_database(ledger.database, policy) if not outcome.passed]
