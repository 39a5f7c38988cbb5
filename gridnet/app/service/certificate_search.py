"""Finding certificates by name, device, party or time."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import or_, select

from gridnet.app.service.ledger_view import LedgerView
from gridnet_contracts.ledger.rows import Certificate, Issuance
from gridnet_contracts.ledger.schema import table_of


@dataclass(frozen=True)
class Sought:
    """What is known of a certificate; empty where it does not matter. `since` and `until`: the ledger's instants, of production."""

    name: str = ""
    """Any part of it."""
    device: str = ""
    """The ledger's name of it, or its end."""
    party: str = ""
    """Holder or beneficiary."""
    status: str = ""
    since: str = ""
    until: str = ""


def sought(view: LedgerView, what: Sought, limit: int) -> list[Certificate]:
    """The newest that fit, `limit` at most. Raises `NotFound` where no ledger is kept."""
    one, made = table_of(Certificate), table_of(Issuance)
    query = select(one).join_from(one, made, one.c.issuance == made.c.issuance)
    if what.name:
        query = query.where(one.c.certificate.contains(what.name, autoescape=True))
    if what.device:
        query = query.where(or_(made.c.device == what.device, made.c.device.endswith(f":{what.device}", autoescape=True)))
    if what.party:
        query = query.where(or_(one.c.party == what.party, one.c.beneficiary == what.party))
    if what.status:
        query = query.where(one.c.status == what.status)
    if what.since:
        query = query.where(made.c.start >= what.since)
    if what.until:
        query = query.where(made.c.start < what.until)
    with view.read() as connection:
        newest = query.order_by(one.c.entry.desc(), one.c.certificate).limit(limit)
        return [Certificate(*row) for row in connection.execute(newest)]
