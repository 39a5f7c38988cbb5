"""A settlement as entries of the ledger: claims in micro-euro, and corrections that book the difference.

Asset `eur-due` is a claim on whoever issued it: a debtor's `source/PARTY` falls below zero by what it owes, a creditor's
`owned/PARTY` rises by what it is owed, so no home needs money in advance. All amounts pass through `owned/clearing:COMMUNITY`,
which is empty again at the end of every booking: the ledger itself then shows that nothing was left over, since that account can't
fall below zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from gridnet.errors import Fault, InputError
from gridnet_contracts.ledger.actions.base import QUARTER, instant
from gridnet_contracts.ledger.actions.money import Move
from gridnet_contracts.ledger.actions.registry import OpenAsset
from gridnet_contracts.ledger.entry import Order
from gridnet_contracts.settlement.settlement import Settlement

ASSET = "eur-due"
LEGS = 200
"""Of one entry: its leaf, which names each leg twice, then stays well below what the log can hold."""

Legs = list[tuple[str, str, str, int]]


@dataclass(frozen=True, slots=True)
class Community:
    """Who settles together. Names are the ledger's: lower case, no slash."""

    name: str
    utility: str = "utility"
    """Party that takes and gives the remainder."""
    grid: str = "grid"
    """Party that gets the rent of the rule `dlmp`."""
    certificate_days: int = 730
    """How long a certificate is good for."""


@dataclass(frozen=True, slots=True)
class Quarter:
    """One quarter-hour of a community. Raises `InputError` for a start that is not one, or has no time zone."""

    community: Community
    start: datetime

    def __post_init__(self) -> None:
        whole = self.start.replace(minute=self.start.minute // 15 * 15, second=0, microsecond=0)
        if self.start.utcoffset() != timedelta(0) or self.start != whole:
            raise InputError(f"a quarter-hour starts at a whole one, in UTC; got {self.start}")

    @property
    def key(self) -> str:
        """Idempotency key of its settlement; what belongs to it has keys that begin so."""
        return f"settle:{self.community.name}:{self.begin}"

    @property
    def begin(self) -> str:
        """Its start as the ledger writes it."""
        return instant(self.start)

    @property
    def end(self) -> str:
        """Its end as the ledger writes it."""
        return instant(self.start + QUARTER)

    @property
    def expires(self) -> str:
        """When certificates of it expire."""
        return instant(self.start + timedelta(days=self.community.certificate_days))


@dataclass(frozen=True, slots=True)
class Booking:
    """What is booked for a quarter-hour so far. `revision` counts its corrections."""

    quarter: Quarter
    settlement: Settlement
    revision: int = 0

    @property
    def key(self) -> str:
        """Of its last entry."""
        return f"{self.quarter.key}:fix-{self.revision}" if self.revision else self.quarter.key


def open_asset() -> Order:
    """Opens the asset that settlements are booked in; once per ledger."""
    return Order(f"open:{ASSET}", OpenAsset(asset=ASSET, unit="micro-euro owed"))


def booking_orders(booking: Booking) -> list[Order]:
    """The entries of a quarter-hour's first settlement, mostly one; none where nobody owes anything.
    Raises `InputError` where a home has the name of the utility or the grid."""
    return _orders(booking, _balances(booking), None)


def correct(before: Booking, settlement: Settlement) -> tuple[Booking, list[Order]]:
    """The booking after readings came late or were corrected: `settlement` is the whole community's, made again from what is known
    now.

    The orders book the difference to what was booked before, so that any number of corrections ends where the last settlement would
    have ended alone. Each names the entry that it corrects, and its key has the revision in it: the same correction twice is one.
    There are none where nobody's amount changes; the revision then stays.
    Raises `InputError` as `booking_orders`.
    """
    now, then = _balances(replace(before, settlement=settlement)), _balances(before)
    change = {party: now.get(party, 0) - then.get(party, 0) for party in sorted(now.keys() | then.keys())}
    if not any(change.values()):
        return replace(before, settlement=settlement), []
    after = Booking(before.quarter, settlement, before.revision + 1)
    return after, _orders(after, change, before.key)


def _balances(booking: Booking) -> dict[str, int]:
    """What each party pays (above zero) or receives; sums to zero."""
    community, settlement = booking.quarter.community, booking.settlement
    pays = {line.party: line.pays_micro_eur for line in settlement.lines}
    clashes = [
        Fault(f"party {name}", "a home", "a name of its own") for name in (community.utility, community.grid) if name in pays
    ]
    if clashes or community.utility == community.grid:
        raise InputError(f"community {community.name}: the utility, the grid and every home need names of their own", clashes)
    return pays | {community.utility: -settlement.utility_micro_eur, community.grid: -settlement.grid_micro_eur}


def _orders(booking: Booking, balances: Mapping[str, int], corrects: str | None) -> list[Order]:
    legs = _legs(f"clearing:{booking.quarter.community.name}", balances)
    settlement = booking.settlement
    memo = f"{settlement.rule} settlement, {settlement.substituted} substituted, sha256 {settlement.digest()}"
    moves = [Move(legs=tuple(legs[k : k + LEGS]), memo=memo, corrects=corrects) for k in range(0, len(legs), LEGS)]
    return [Order(booking.key if not k else f"{booking.key}:part-{k + 1}", move) for k, move in enumerate(moves)]


def _legs(clearing: str, balances: Mapping[str, int]) -> Legs:
    """First all who pay, then all who receive, so that the clearing account never lacks anything."""
    paid: Legs = [(ASSET, f"source/{party}", f"owned/{clearing}", amount) for party, amount in balances.items() if amount > 0]
    received: Legs = [(ASSET, f"owned/{clearing}", f"owned/{party}", -amount) for party, amount in balances.items() if amount < 0]
    return paid + received
