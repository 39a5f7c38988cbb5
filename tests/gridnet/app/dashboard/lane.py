"""A community of two homes, `lane`, made by hand: every reading, settlement and certificate is known, and stands in the ledger
that is looked at. Ann's home has a plant, `pv-00`, and a battery, `bat-00`; Ben's has nothing."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from gridnet.app.service.bills import Bill, Household, bill
from gridnet.app.service.ledger_view import LedgerView
from gridnet.app.service.model import Worth
from gridnet.app.service.names import MAIN
from gridnet.app.service.service import Service
from gridnet.app.service.store import seconds
from gridnet.app.service.telemetry import QUARTER_S
from gridnet.metering.reading import Reading
from gridnet_contracts.ledger.actions.base import instant
from gridnet_contracts.ledger.actions.records import Consume, Verdict, Verify
from gridnet_contracts.ledger.actions.registry import Found, RegisterDevice
from gridnet_contracts.ledger.entry import Order
from gridnet_contracts.ledger.ledger import Ledger
from gridnet_contracts.ledger.privacy import Privacy
from gridnet_contracts.ledger.seal import Seal
from gridnet_contracts.settlement import booking
from gridnet_contracts.settlement.booking import Booking, Quarter, booking_orders, correct
from gridnet_contracts.settlement.certificates import Production, Storage, Verified, issue_orders, release_orders
from gridnet_contracts.settlement.energies import HomeEnergy, substitute
from gridnet_contracts.settlement.prices import Prices
from gridnet_contracts.settlement.settlement import Settlement, settle
from tests.gridnet.app.service.parts import Clock, Meter, service_on

LANE = "lane"
START = datetime(2026, 3, 1, 10, 0, tzinfo=UTC)
LENGTH = timedelta(minutes=15)
NOTHING = sha256(b"").hexdigest()
HOMES = {"ann": "home-001", "ben": "home-002"}
SINCE, UNTIL = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC)
PROFILE_WH = 77


def worth(start: datetime) -> Worth:
    """A tariff that changes each quarter-hour, with more digits than a micro-euro has."""
    number = int((start - START) / LENGTH)
    return Worth(0.30000049 + 0.01 * number, 0.0812345678, 400.0)


BARE_FEEDER: Any = SimpleNamespace(case=SimpleNamespace(scenario=SimpleNamespace(name=LANE)), worth=worth)
"""What the pages of the ledger ask of a live feeder."""


def said(answer: Any, status: int = 200) -> str:
    """What a page says, without its marks, spaces as one."""
    assert answer.status_code == status, answer.text[:2000]
    body = re.sub(r"<(script|style)\b.*?</\1>", " ", answer.text, flags=re.S)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).replace("\N{NARROW NO-BREAK SPACE}", "").split())


@dataclass
class Lane:
    """The community, its service and its ledger in one database."""

    folder: Path
    clock: Clock = field(default_factory=Clock)
    bookings: dict[datetime, Booking] = field(default_factory=dict)
    energies: dict[datetime, list[HomeEnergy]] = field(default_factory=dict)
    issued: dict[datetime, dict[str, int]] = field(default_factory=dict)
    evidence: dict[datetime, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        url = f"sqlite:///{self.folder / 'lane.db'}"
        self.service: Service = service_on(url, self.clock, people=False)
        first = Found(
            origin="example.net/lane",
            issuer="Lane",
            country="DE",
            market_zone="DE-LU",
            legal_status="none",
            purpose="disclosure",
            quality_scheme="none",
            configuration="1",
        )
        self.ledger = Ledger.found(url, Seal.make(self.folder / "seal", first.origin), first, START)
        privacy = Privacy(self.ledger.database)
        self.party = {name: privacy.pseudonym(f"{LANE}/{home}") for name, home in HOMES.items()}
        self.meters = {name: Meter(name=name) for name in (*HOMES.values(), "pv-00", "bat-00")}
        self.commit([booking.open_asset(), self._device("pv-00", 0), self._device("bat-00", 10_000)])

    @property
    def view(self) -> LedgerView:
        return LedgerView(self.service.store)

    @property
    def key(self) -> str:
        return self.ledger.seal.key.verifier.encode()

    def close(self) -> None:
        self.ledger.close()
        self.service.store.database.close()

    def commit(self, orders: Sequence[Order]) -> list[int]:
        """Enters them; gives their numbers."""
        return [receipt.entry for receipt in self.ledger.commit(list(orders), START)]

    def quarter(self, number: int) -> Quarter:
        return Quarter(booking.Community(LANE), START + number * LENGTH)

    def reads(self, meter: str, number: int, injected_wh: int, drawn_wh: int, late: int = 0) -> Reading:
        """A signed reading of a quarter-hour that arrives in the next, or `late` quarter-hours after that."""
        start = START + number * LENGTH
        one = self.meters[meter]
        sequence, previous = one.sequence, one.previous
        raw = one.reads(start, injected_wh, drawn_wh, 500_000 if meter == "bat-00" else None)
        reading = Reading(
            device=meter,
            sequence=sequence,
            previous=previous,
            start=start,
            minutes=15,
            injected_wh=injected_wh,
            drawn_wh=drawn_wh,
            reactive_varh=0,
            voltage_mv=230_000,
            soc_ppm=500_000 if meter == "bat-00" else None,
        )
        with self.service.store.write() as connection:
            self.service.telemetry.keep(connection, MAIN, [(reading, raw)], seconds(start) // QUARTER_S + 1 + late)
        return reading

    def settles(self, number: int, ann: tuple[int, int] | None, ben: tuple[int, int] | None, pv_wh: int = 0) -> None:
        """Settles a quarter-hour on (injected, drawn) Wh of each home; None: no reading came. The plant's Wh are issued, held."""
        quarter, told = self.quarter(number), {"ann": ann, "ben": ben}
        for name, wh in told.items():
            if wh is not None:
                self.reads(HOMES[name], number, *wh)
        orders = [*self._verified(quarter), *self._booked(quarter, told)]
        if pv_wh:
            reading = self.reads("pv-00", number, pv_wh, 0)
            self.evidence[quarter.start] = sha256(reading.encode()).hexdigest()
            orders += issue_orders(quarter, [self._production(quarter, pv_wh)])
            self.issued[quarter.start] = {f"{LANE}:pv-00": pv_wh}
        self.commit(orders)

    def corrects(self, number: int, ann: tuple[int, int], ben: tuple[int, int]) -> None:
        """Settles it again, with readings that came late."""
        start, told = START + number * LENGTH, {"ann": ann, "ben": ben}
        for name, wh in told.items():
            if HomeEnergy(self.party[name], *wh) not in self.energies[start]:
                self.reads(HOMES[name], number, *wh, late=5)
        self.energies[start] = [HomeEnergy(self.party[name], *wh) for name, wh in told.items()]
        self.bookings[start], orders = correct(self.bookings[start], self._settlement(start))
        self.commit(orders)

    def releases(self, number: int, charged_wh: int = 0, consumes: bool = True) -> list[int]:
        """Ends a quarter-hour's window: consumption recorded, certificates released, sold, stored."""
        quarter = self.quarter(number)
        booked = self.bookings[quarter.start]
        wh = self.issued[quarter.start][f"{LANE}:pv-00"]
        storages = [Storage(f"{LANE}:bat-00", self.party["ann"], charged_wh, 0, NOTHING)] if charged_wh else []
        verified = Verified([self._production(quarter, wh)], storages, self.issued[quarter.start])
        orders = self.consumption(number) if consumes else []
        return self.commit([*orders, *release_orders(booked, verified).orders])

    def consumption(self, number: int) -> list[Order]:
        """What was drawn, as the pipeline records it."""
        quarter = self.quarter(number)
        lines = self.bookings[quarter.start].settlement.lines
        return [
            Order(
                f"consume:{line.party}:{quarter.begin}",
                Consume(start=quarter.begin, end=quarter.end, consumer=line.party, wh=line.drawn_wh, evidence=NOTHING),
            )
            for line in lines
        ]

    def judges(self, device: str, start: datetime, level: int, outcome: str, finding: str, minutes: int = 15) -> int:
        """Records a verdict; one of 60 minutes stands for its day."""
        end = instant(start + timedelta(minutes=minutes))
        digest = sha256(f"{device}{start}{level}{outcome}{finding}".encode()).hexdigest()
        said = Verdict(
            start=instant(start),
            end=end,
            device=f"{LANE}:{device}",
            level=level,
            outcome=outcome,  # type: ignore[arg-type]
            finding=finding,
            evidence=digest,
        )
        return self.commit([Order(f"verdict:{LANE}:{device}:{instant(start)}:{digest[:16]}", said)])[0]

    def bill(self, name: str, since: datetime = SINCE, until: datetime = UNTIL) -> Bill:
        """Somebody's, with the tariff `worth`."""
        return bill(self.service.store, Household(LANE, self.party[name], HOMES[name], lambda: PROFILE_WH), since, until, worth)

    def _verified(self, quarter: Quarter) -> list[Order]:
        counts = {"accepted": 2, "rejected": 0, "missing": 0}
        said = Verify(start=quarter.begin, end=quarter.end, community=LANE, messages=NOTHING, verdicts=NOTHING, **counts)
        return [Order(f"verify:{LANE}:{quarter.begin}", said)]

    def _booked(self, quarter: Quarter, told: dict[str, tuple[int, int] | None]) -> list[Order]:
        drawn = {
            name: {each.start: wh for each in map(self.quarter, range(100)) for wh in self._drawn(name, each.start)}
            for name in told
        }
        self.energies[quarter.start] = [
            HomeEnergy(self.party[name], *wh)
            if wh is not None
            else substitute(self.party[name], quarter.start, drawn[name], PROFILE_WH)
            for name, wh in told.items()
        ]
        self.bookings[quarter.start] = Booking(quarter, self._settlement(quarter.start))
        return booking_orders(self.bookings[quarter.start])

    def _drawn(self, name: str, start: datetime) -> list[int]:
        return [each.drawn_wh for each in self.energies.get(start, []) if each.party == self.party[name] and not each.substituted]

    def _settlement(self, start: datetime) -> Settlement:
        known = worth(start)
        return settle(self.energies[start], Prices.from_eur(known.import_eur_per_kwh, known.export_eur_per_kwh), "mid_market")

    def _production(self, quarter: Quarter, wh: int) -> Production:
        return Production(f"{LANE}:pv-00", self.party["ann"], wh, self.evidence[quarter.start])

    def _device(self, name: str, storage_wh: int) -> Order:
        said = RegisterDevice(
            device=f"{LANE}:{name}",
            owner=self.party["ann"],
            carrier="electricity",
            source="solar",
            technology="photovoltaic",
            capacity_w=8000,
            commissioned="2020-01-01T00:00Z",
            grid_operator="Lane Netz",
            grid_connection="low voltage",
            support="none",
            private=NOTHING,
            storage_wh=storage_wh,
            efficiency_ppm=900_000 if storage_wh else 0,
        )
        return Order(f"register:{name}", said)
