"""Every page of the console, with who comes to it."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import quote

from gridnet.app.service.certificate_search import Sought, sought
from gridnet.app.service.ledger_view import LedgerView
from tests.gridnet.app.dashboard.browser.browsing import Site
from tests.gridnet.app.service.lived import END

DAY, MONTH = f"{END:%Y-%m-%d}", f"{END:%Y-%m}"


class Look(NamedTuple):
    """Somebody at a page. `path` may hold a claimed certificate's name, a party's and a device's of alice."""

    name: str
    who: str | None
    path: str
    heading: str


LOOKS = (
    Look("login", None, "/login", "Log in"),
    Look("operator-network", "boss", "/network", "Network"),
    Look("operator-dispatch", "boss", "/dispatch", "Dispatch"),
    Look("operator-home", "boss", "/home?party={party}", "A party's page"),
    Look("operator-audit", "boss", "/audit", "Audit"),
    Look("operator-reports", "boss", f"/audit/reports?month={MONTH}", "Reports"),
    Look("operator-certificate", "boss", "/audit/certificates/{certificate}", "Certificate"),
    Look("operator-fraud", "boss", "/fraud", "Fraud"),
    Look("prosumer-network", "alice", "/network", "Network"),
    Look("prosumer-dispatch", "alice", "/dispatch?device={device}", "Dispatch"),
    Look("prosumer-home", "alice", "/home", "Home"),
    Look("prosumer-refused", "alice", "/fraud", "Not for you"),
    Look("auditor-audit", "auditor", "/audit", "Audit"),
    Look("auditor-reports", "auditor", f"/audit/reports?month={MONTH}", "Reports"),
    Look("auditor-certificate", "auditor", "/audit/certificates/{certificate}", "Certificate"),
)


def filled(site: Site, path: str) -> str:
    """The path with names that are there."""
    names = {"party": party_of(site), "certificate": claimed(site), "device": quote(battery_of(site))} if "{" in path else {}
    return path.format(**names)


def party_of(site: Site, name: str = "alice") -> str:
    """A prosumer's pseudonym in the ledger."""
    party = site.lived.service.people.by_token(site.token(name)).party
    assert party is not None
    return party


def battery_of(site: Site) -> str:
    """Of alice's battery, the meter."""
    return next(point.name for point in site.lived.live.points if point.kind == "battery")


def claimed(site: Site) -> str:
    """A certificate that was claimed for alice."""
    return sought(LedgerView(site.lived.service.store), Sought(party=party_of(site), status="claimed"), 1)[0].certificate
