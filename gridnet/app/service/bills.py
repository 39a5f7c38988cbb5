"""What a party pays as a member of the community, and what it would pay without.

With: what the ledger's settlement entries book for it, corrections included. Without: the same energies at the tariff, each
quarter-hour rounded up to a micro-euro as a settlement rounds what it promises. Both speak of the same quarter-hours: those that
are settled and whose prices are known.

The energies: what the ledger records as drawn, once a quarter-hour's window is over (a day and some hours); until then the home's
own signed reading. What was injected stands in the reading alone. A reading that was refused, or is not the one that was settled
on, counts as settlement counted it: nothing injected, and the draw that stood in for it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property

from sqlalchemy import Connection, or_, select

from gridnet.app.pipeline import RELEASE_AFTER
from gridnet.app.service.ledger_view import LedgerView
from gridnet.app.service.model import Worth
from gridnet.app.service.readings import of_meter
from gridnet.app.service.store import Store, seconds
from gridnet.app.service.telemetry import QUARTER_S
from gridnet.metering.cose import parse_sign1
from gridnet.metering.reading import Reading
from gridnet.verification.verdict import Level
from gridnet_contracts.ledger.actions.base import instant, moment
from gridnet_contracts.ledger.actions.money import Move
from gridnet_contracts.ledger.rows import Consumption, Judgement, Verification
from gridnet_contracts.ledger.schema import entries, movements, table_of
from gridnet_contracts.settlement.booking import ASSET
from gridnet_contracts.settlement.energies import DAYS, substitute
from gridnet_contracts.settlement.prices import Prices
from gridnet_contracts.settlement.settlement import NANO_PER_MICRO

_KEY = re.compile(r"settle:.+:(\d{4}-\d\d-\d\dT\d\d:\d\dZ)(?::fix-\d+)?(?::part-\d+)?", re.ASCII)


@dataclass(frozen=True)
class Household:
    """Whose bill it is: a party of a community, and its home's meter."""

    community: str
    party: str
    meter: str
    mean_drawn_wh: Callable[[], int]
    """What stands in for a reading where nothing else is known; asked for only then."""


@dataclass(frozen=True)
class Charged:
    """One settled quarter-hour; amounts above zero are paid, below zero received."""

    start: datetime
    drawn_wh: int
    injected_wh: int
    substituted: bool
    """Whether no reading of its own counted."""
    community_micro_eur: int
    alone_micro_eur: int


@dataclass(frozen=True)
class Sum:
    """Quarter-hours together."""

    quarters: tuple[Charged, ...]

    @cached_property
    def drawn_wh(self) -> int:
        """From the grid and the neighbours."""
        return sum(each.drawn_wh for each in self.quarters)

    @cached_property
    def injected_wh(self) -> int:
        """Into the grid, for the neighbours too."""
        return sum(each.injected_wh for each in self.quarters)

    @cached_property
    def substituted(self) -> int:
        """Quarter-hours without a reading that counted."""
        return sum(each.substituted for each in self.quarters)

    @cached_property
    def community_micro_eur(self) -> int:
        """With the community."""
        return sum(each.community_micro_eur for each in self.quarters)

    @cached_property
    def alone_micro_eur(self) -> int:
        """Without it."""
        return sum(each.alone_micro_eur for each in self.quarters)

    @property
    def saved_micro_eur(self) -> int:
        """What the community is worth to the party; below zero it costs."""
        return self.alone_micro_eur - self.community_micro_eur


@dataclass(frozen=True)
class Bill(Sum):
    """A period. `unpriced`: settled quarter-hours whose prices are not known any more, in neither sum."""

    unpriced: int = 0

    @cached_property
    def days(self) -> dict[date, Sum]:
        """By UTC day, in order."""
        found: defaultdict[date, list[Charged]] = defaultdict(list)
        for each in self.quarters:
            found[each.start.date()].append(each)
        return {day: Sum(tuple(own)) for day, own in sorted(found.items())}


def bill(store: Store, household: Household, since: datetime, until: datetime, worth: Callable[[datetime], Worth | None]) -> Bill:
    """The bill of `[since, until)`, whole quarter-hours in UTC; `worth` gives the tariff. Raises `NotFound` where no ledger is
    kept."""
    with LedgerView(store).read() as connection:
        facts = _Facts(connection, household, since, until)
    charged, unpriced = [], 0
    for start in facts.settled:
        known = worth(start)
        if known is None:
            unpriced += 1
            continue
        drawn_wh, injected_wh, substituted = facts.energy(start)
        prices = Prices.from_eur(known.import_eur_per_kwh, known.export_eur_per_kwh)
        alone = alone_micro_eur(prices, drawn_wh, injected_wh)
        charged.append(Charged(start, drawn_wh, injected_wh, substituted, facts.booked.get(start, 0), alone))
    return Bill(tuple(charged), unpriced)


def alone_micro_eur(prices: Prices, drawn_wh: int, injected_wh: int) -> int:
    """What a home pays the utility for a quarter-hour when it has no neighbours, rounded up; below zero it receives."""
    return -(-(prices.import_micro_eur * drawn_wh - prices.export_micro_eur * injected_wh) // NANO_PER_MICRO)


class _Facts:
    """What database and readings say of a household's period."""

    def __init__(self, connection: Connection, household: Household, since: datetime, until: datetime) -> None:
        self._household = household
        span = (instant(since), instant(until))
        self.settled = _settled(connection, household.community, span)
        self.booked = booked(connection, household, span)
        self._consumed = _consumed(connection, household.party, span)
        self._refused = _refused(connection, f"{household.community}:{household.meter}", span)
        self._readings = _readings(connection, household.meter, since - timedelta(days=DAYS), until)
        self._drawn = {start: reading.drawn_wh for start, reading in self._readings.items()}

    def energy(self, start: datetime) -> tuple[int, int, bool]:
        """(drawn Wh, injected Wh, whether no reading counted)."""
        reading, recorded = self._readings.get(start), self._consumed.get(start)
        counts = reading is not None and start not in self._refused and recorded in (None, reading.drawn_wh)
        if reading is not None and counts:
            return reading.drawn_wh, reading.injected_wh, False
        if recorded is not None:
            return recorded, 0, True
        known = {time: wh for time, wh in self._drawn.items() if time not in self._refused}
        nothing_before = not any(start - timedelta(days=day) in known for day in range(1, DAYS + 1))
        profile_wh = self._household.mean_drawn_wh() if nothing_before else 0
        return substitute(self._household.party, start, known, profile_wh).drawn_wh, 0, True


def booked(connection: Connection, household: Household, span: tuple[str, str]) -> Mapping[datetime, int]:
    """By settled quarter-hour: what the ledger's settlement entries say that the party pays, corrections included."""
    low, high = (f"settle:{household.community}:{each}" for each in span)
    owes, owed = f"source/{household.party}", f"owned/{household.party}"
    query = (
        select(entries.c.key, movements.c.debit, movements.c.amount)
        .join(movements, movements.c.entry == entries.c.seq)
        .where(entries.c.kind == Move.kind, entries.c.key >= low, entries.c.key < high, movements.c.asset == ASSET)
        .where(or_(movements.c.debit == owes, movements.c.credit == owed))
    )
    found: defaultdict[datetime, int] = defaultdict(int)
    for key, debit, amount in connection.execute(query):
        settled = _KEY.fullmatch(key)
        if settled is not None:
            found[moment(settled[1])] += amount if debit == owes else -amount
    return dict(found)


def _settled(connection: Connection, community: str, span: tuple[str, str]) -> list[datetime]:
    table = table_of(Verification)
    query = select(table.c.start).where(table.c.community == community, table.c.start >= span[0], table.c.start < span[1])
    return [moment(start) for start in connection.execute(query.distinct().order_by(table.c.start)).scalars()]


def _consumed(connection: Connection, party: str, span: tuple[str, str]) -> dict[datetime, int]:
    table = table_of(Consumption)
    query = select(table.c.start, table.c.wh).where(table.c.consumer == party, table.c.start >= span[0], table.c.start < span[1])
    return {moment(start): wh for start, wh in connection.execute(query)}


def _refused(connection: Connection, device: str, span: tuple[str, str]) -> set[datetime]:
    table = table_of(Judgement)
    query = select(table.c.start).where(table.c.device == device, table.c.level == int(Level.SIGNED))
    return {moment(start) for start in connection.execute(query.where(table.c.start >= span[0], table.c.start < span[1])).scalars()}


def _readings(connection: Connection, meter: str, since: datetime, until: datetime) -> dict[datetime, Reading]:
    """By the start of its interval the first reading that came of it, of those that came before it was released."""
    first, last = seconds(since) // QUARTER_S, seconds(until) // QUARTER_S + RELEASE_AFTER
    found: dict[datetime, Reading] = {}
    for raw in of_meter(connection, meter, first, last):
        reading = Reading.decode(parse_sign1(raw).payload)
        if since <= reading.start < until:
            found.setdefault(reading.start, reading)
    return found
