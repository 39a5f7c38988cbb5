"""Who is behind which pseudonym of the ledger, as far as that is still disclosed."""

from __future__ import annotations

from sqlalchemy import select

from gridnet.app.service.ledger_view import LedgerView
from gridnet.app.service.schema import principals
from gridnet.app.service.store import Store
from gridnet_contracts.ledger.canonical import read_canonical
from gridnet_contracts.ledger.privacy import PARTY
from gridnet_contracts.ledger.stored import stored_disclosures


class Parties:
    """The homes of one community, and the principals that own them."""

    def __init__(self, store: Store, community: str) -> None:
        self._store = store
        self._prefix = f"{community}/"

    def homes(self) -> dict[str, str]:
        """By party: its home's meter, `home-003`. A home whose pseudonym was forgotten is missing. Raises `NotFound` where no
        ledger is kept."""
        with LedgerView(self._store).read() as connection:
            names = {
                each.subject: str(read_canonical(each.content)["name"])
                for each in stored_disclosures(connection)
                if each.kind == PARTY
            }
        found = {party: name.removeprefix(self._prefix) for party, name in names.items() if name.startswith(self._prefix)}
        return dict(sorted(found.items(), key=lambda pair: pair[1]))

    def principals(self, party: str) -> list[str]:
        """Ids of those who are this party, revoked ones too: their devices are still theirs."""
        with self._store.read() as connection:
            query = select(principals.c.id).where(principals.c.party == party).order_by(principals.c.id)
            return list(connection.execute(query).scalars())
