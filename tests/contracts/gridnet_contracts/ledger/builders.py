"""What the ledger's tests are made of: a founded ledger, devices, an issue, a charge, each field open to change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

from gridnet_contracts.ledger.actions.base import Action
from gridnet_contracts.ledger.actions.certificates import Issue
from gridnet_contracts.ledger.actions.money import Move
from gridnet_contracts.ledger.actions.registry import Found, OpenAsset, RegisterDevice
from gridnet_contracts.ledger.actions.storage import Charge, Discharge, WriteOff
from gridnet_contracts.ledger.database import Database
from gridnet_contracts.ledger.entry import Order
from gridnet_contracts.ledger.ledger import Ledger, Receipt
from gridnet_contracts.ledger.seal import Seal

ORIGIN = "example.net/gridnet"
HASH = "0" * 64
START = datetime(2018, 6, 1, 10, tzinfo=UTC)
"""The clock hour in which the examples produce; entries are made from the day after on."""
NOW = START + timedelta(days=1)
LATER = "2100-01-01T00:00Z"
"""When the examples' certificates expire."""
FOUND = Found(
    origin=ORIGIN,
    issuer="Grid",
    country="DE",
    market_zone="DE-LU",
    legal_status="none",
    purpose="disclosure",
    quality_scheme="none",
    configuration="1",
)
_KEYS = count()


def at(minutes: int) -> str:
    """An instant so many minutes after `START`, as actions write it."""
    return (START + timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%MZ")


def solar(device: str = "pv", owner: str = "ann", **changes: Any) -> RegisterDevice:
    """A rooftop."""
    fields: dict[str, Any] = {
        "device": device,
        "owner": owner,
        "carrier": "electricity",
        "source": "solar",
        "technology": "rooftop",
        "capacity_w": 1_000_000,
        "commissioned": "2017-01-01T00:00Z",
        "grid_operator": "net",
        "grid_connection": "low voltage",
        "support": "none",
        "private": HASH,
    }
    return RegisterDevice(**(fields | changes))


def battery(device: str = "bat", owner: str = "ann", efficiency_ppm: int = 900_000, **changes: Any) -> RegisterDevice:
    """A storage device."""
    fields = {"source": "storage", "storage_wh": 1_000_000, "efficiency_ppm": efficiency_ppm}
    return solar(device, owner, **(fields | changes))


def issue(start: int = 0, wh: int = 1000, **changes: Any) -> Issue:
    """What `pv` produced in the quarter-hour that begins `start` minutes after `START`."""
    fields: dict[str, Any] = {
        "start": at(start),
        "end": at(start + 15),
        "device": "pv",
        "owner": "ann",
        "wh": wh,
        "held": False,
        "expires": LATER,
        "evidence": HASH,
    }
    return Issue(**(fields | changes))


def certificate(start: int = 0, lo: int = 0, hi: int = 1000, device: str = "pv") -> str:
    """The name of a certificate."""
    return f"{device}@{at(start)}/{lo}-{hi}"


def charge(start: int = 0, wh: int = 1000, certificates: tuple[str, ...] = (), **changes: Any) -> Charge:
    """What `bat` took in the quarter-hour that begins `start` minutes after `START`."""
    fields: dict[str, Any] = {"start": at(start), "end": at(start + 15), "device": "bat", "owner": "ann", "evidence": HASH}
    return Charge(**(fields | {"wh": wh, "certificates": certificates} | changes))


def discharge(start: int = 0, wh: int = 500, **changes: Any) -> Discharge:
    """What `bat` gave in the quarter-hour that begins `start` minutes after `START`."""
    fields: dict[str, Any] = {"start": at(start), "end": at(start + 15), "device": "bat", "owner": "ann", "evidence": HASH}
    return Discharge(**(fields | {"wh": wh, "held": False, "expires": LATER} | changes))


def write_off(wh: int, device: str = "bat") -> WriteOff:
    """Charge that turns out not to be there."""
    return WriteOff(device=device, wh=wh, reason="counted", evidence=HASH)


def pay(amount: int, debit: str = "owned/ann", credit: str = "owned/bob", asset: str = "eur") -> Move:
    """One leg of money."""
    return Move(legs=((asset, debit, credit, amount),), memo="pay")


def orders(*actions: Action) -> list[Order]:
    """Each action under a key of its own."""
    return [Order(f"k{next(_KEYS)}", action) for action in actions]


def do(ledger: Ledger, *actions: Action, time: datetime = NOW) -> list[Receipt]:
    """Commits the actions as one batch."""
    return ledger.commit(orders(*actions), time)


def found(url: str, folder: Path) -> Ledger:
    """A founded ledger with a new seal in `folder`, its first entry of `START`."""
    seal = Seal.make(folder, ORIGIN)
    database = Database(url)
    database.migrate()
    ledger = Ledger(database, seal)
    ledger.commit([Order("found", FOUND)], START)
    return ledger


def furnish(ledger: Ledger) -> None:
    """Money, a rooftop and a battery of ann's; 1,000 micro-euro with ann."""
    do(ledger, OpenAsset(asset="eur", unit="micro-euro"), solar(), battery(), pay(1000, "source/bank", "owned/ann"))
