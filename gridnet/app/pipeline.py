"""The whole way of the data: dispatch, physics, meters, verification, settlement, certificates, ledger.

Everything is decided by the scenario, the policy and the seed, and every order has a key. A run that was killed is therefore
resumed by running it again: what the ledger holds it gives back, what is missing it enters. Nothing is counted twice.

Quarter-hour `m` is measured at its end and arrives in `m + 1`, later or never. It is settled when `m + 1` ends and corrected by
what comes later; its certificates, held until then, are released `RELEASE_AFTER` quarter-hours on, but for what is in doubt.
At `DAY_CLOSES` the day before is weighed, its probes are judged, and those of the new day are drawn.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from hashlib import sha256
from typing import Protocol

from gridnet.app.community import Community
from gridnet.app.drawn import Drawn
from gridnet.app.pricing import Pricing
from gridnet.app.probing import Prober
from gridnet.app.run import DAY_CLOSES, Run
from gridnet.clock import STEPS_PER_DAY
from gridnet.metering.link import LONGEST_OUTAGE, Delivery
from gridnet.metering.points import MeterPoint
from gridnet.metering.reading import Reading
from gridnet.verification.ladder import Judged, Ladder
from gridnet.verification.reputation import Reputation, after_day
from gridnet.verification.verdict import Level
from gridnet.verification.verdict import Verdict as JudgedVerdict
from gridnet_contracts.ledger.actions.base import HOUR, QUARTER, instant
from gridnet_contracts.ledger.actions.certificates import Claim
from gridnet_contracts.ledger.actions.records import Consume, GridFactor, Impact, Verdict, Verify
from gridnet_contracts.ledger.entry import Order
from gridnet_contracts.ledger.ledger import Receipt
from gridnet_contracts.settlement import booking as bookings
from gridnet_contracts.settlement.booking import Booking, Quarter
from gridnet_contracts.settlement.certificates import Production, Storage, Verified, issue_orders, release_orders
from gridnet_contracts.settlement.emissions import Exchange, impact_orders
from gridnet_contracts.settlement.energies import DAYS, HomeEnergy, substitute
from gridnet_contracts.settlement.settlement import Settlement, settle

RELEASE_AFTER = STEPS_PER_DAY + LONGEST_OUTAGE
"""Quarter-hours until a certificate is free: a day's balance is closed by then, and what an outage kept back has come."""
EVERYONE = "*"
WH_PER_KWH = 1000.0
MG_PER_G = 1000


@dataclass
class Tally:
    """What a simulation came to; energies in Wh."""

    readings: Counter[str] = field(default_factory=Counter)
    """Accepted, rejected, missing, late."""
    verdicts: Counter[str] = field(default_factory=Counter)
    """By level and outcome, those on record."""
    energy: Counter[str] = field(default_factory=Counter)
    saved_g: int = 0
    rewards: int = 0
    intervals: int = 0
    entries: int = 0
    repeated: int = 0


class Commits(Protocol):
    """What enters orders: a ledger, or what joins the orders of several communities on their way to it."""

    def commit(self, orders: Sequence[Order], time: datetime | None = None) -> list[Receipt]:
        """As `Ledger.commit`."""
        ...


class Pipeline:
    """A community's quarter-hours, one after the other, from the readings that arrive to the ledger."""

    whole = False
    """Whether readings are kept for good, for `record_savings` and rewards, and not until certificates are released."""

    def __init__(self, community: Community, ledger: Commits, ladder: Ladder, pricing: Pricing, prober: Prober) -> None:
        self.community = community
        self.ledger = ledger
        self.ladder = ladder
        self.pricing = pricing
        self.prober = prober
        self.tally = Tally()
        self._clock = community.case.clock
        self._books = bookings.Community(community.name)
        self._readings: dict[datetime, dict[str, bytes]] = defaultdict(dict)
        self._bookings: dict[datetime, Booking] = {}
        self._issued: dict[datetime, dict[str, int]] = {}
        self._drawn = Drawn([community.party(home) for home in community.of_kind("home")])
        self._doubts: set[tuple[str, datetime | date]] = set()
        self._beliefs = {home.name: Reputation() for home in community.of_kind("home")}

    def reputation_ppm(self) -> dict[str, int]:
        """By party: what its home has earned of trust. A doubt of level 3 alone takes nothing of it."""
        return {self.community.party(home): self._beliefs[home.name].score_ppm for home in self.community.of_kind("home")}

    def readings(self, since: datetime | None = None) -> dict[datetime, dict[str, Reading]]:
        """Accepted readings, from `since` on, by the start of their interval and the meter."""
        starts = [start for start in self._readings if since is None or start >= since]
        return {start: {name: Reading.decode(each) for name, each in self._readings[start].items()} for start in starts}

    def _reading(self, start: datetime, point: MeterPoint) -> Reading | None:
        encoded = self._readings[start].get(point.name) if start in self._readings else None
        return None if encoded is None else Reading.decode(encoded)

    def close(self, step: int, arrived: Sequence[Delivery]) -> None:
        """What is done when the quarter-hour `step` ends: one batch of orders, one database transaction."""
        measured, now = self._clock.time_of(step - 1), self._clock.time_of(step + 1)
        judged = self.ladder.judge(measured, [delivery.raw for delivery in arrived], now)
        for reading in judged.readings:
            self._readings[reading.start][reading.device] = reading.encode()
        for verdict in judged.verdicts:
            if verdict.outcome != "pass":
                self._doubts.add((self._who(verdict), verdict.start))
        orders = [self._verified(measured, arrived, judged), *self._judged(judged.verdicts, QUARTER)]
        orders += [*self._judged(self._closed_day(now), HOUR), *self._settled(measured)]
        orders += self._corrected({reading.start for reading in judged.readings} - {measured})
        orders += self._released(self._clock.time_of(step - RELEASE_AFTER))
        self.enter(orders, now)
        self.tally.intervals += 1
        self._forget(self._clock.time_of(step - RELEASE_AFTER))
        self.community.case.rest()

    def enter(self, orders: Sequence[Order], now: datetime) -> None:
        """Commits orders, and counts which were there before."""
        receipts = self.ledger.commit(orders, now)
        self.tally.repeated += sum(receipt.repeated for receipt in receipts)
        self.tally.entries += sum(not receipt.repeated for receipt in receipts)

    def _forget(self, released: datetime) -> None:
        """Drops what nothing looks back at once the quarter-hour `released` is."""
        if not self.whole:
            for start in [start for start in self._readings if start <= released]:
                del self._readings[start]
        self._doubts = {(who, when) for who, when in self._doubts if _day(when) >= released.date()}
        self._drawn.forget(released - timedelta(days=DAYS))

    def _closed_day(self, now: datetime) -> Sequence[JudgedVerdict]:
        """The balance and the probes of the day before, once what was late by an hour or two has come; then new probes."""
        if (now.hour, now.minute) != DAY_CLOSES:
            return ()
        day = now.date() - timedelta(days=1)
        verdicts = [*self.ladder.close_day(day), *self.prober.judge()]
        self._beliefs = after_day(self._beliefs, verdicts, self.community.head.name)
        located = any(verdict.level == Level.LOCATED for verdict in verdicts)
        for verdict in verdicts:
            # Where level 3 names homes, the feeder's imbalance is theirs; else nobody is above doubt that day.
            if verdict.outcome != "pass" and not (located and self._who(verdict) == EVERYONE):
                self._doubts.add((self._who(verdict), day))
        self.prober.choose(now, self._beliefs)
        return verdicts

    def _who(self, verdict: JudgedVerdict) -> str:
        return EVERYONE if verdict.device == self.community.head.name else verdict.device

    def _verified(self, measured: datetime, arrived: Sequence[Delivery], judged: Judged) -> Order:
        """What verification made of what arrived."""
        rejected = sum(verdict.outcome == "reject" for verdict in judged.verdicts)
        counts = {"accepted": len(judged.readings), "rejected": rejected, "missing": len(judged.missing)}
        self.tally.readings.update(counts)
        self.tally.readings["late"] += sum(reading.start != measured for reading in judged.readings)
        self.tally.readings["copies"] += len(arrived) - len(judged.readings) - rejected
        hashes = sorted(sha256(delivery.raw).digest() for delivery in arrived)
        quarter = Quarter(self._books, measured)
        action = Verify(
            start=quarter.begin,
            end=quarter.end,
            community=self.community.name,
            messages=sha256(b"".join(hashes)).hexdigest(),
            verdicts=sha256("".join(verdict.digest() for verdict in judged.verdicts).encode()).hexdigest(),
            **counts,
        )
        return Order(f"verify:{self.community.name}:{quarter.begin}", action)

    def _judged(self, verdicts: Iterable[JudgedVerdict], span: timedelta) -> Iterator[Order]:
        """Each verdict that did not pass, and each on a probe, as a record. A record can't be longer than an hour: one of a whole
        hour stands for its UTC day, one of a quarter-hour for itself."""
        for verdict in verdicts:
            if verdict.outcome == "pass" and verdict.level != Level.PROBED:
                continue
            self.tally.verdicts[f"L{int(verdict.level)} {verdict.outcome}"] += 1
            start = verdict.start if span == QUARTER else verdict.start.replace(minute=0)
            begin = instant(start)
            action = Verdict(
                start=begin,
                end=instant(start + span),
                device=f"{self.community.name}:{verdict.device}",
                level=int(verdict.level),
                outcome=verdict.outcome,
                finding=verdict.finding,
                evidence=verdict.digest(),
            )
            yield Order(f"verdict:{self.community.name}:{verdict.device}:{begin}:{verdict.digest()[:16]}", action)

    def _in_doubt(self, point: MeterPoint, measured: datetime) -> bool:
        """Whether a device's quarter-hour waits for a person: its meter, its home's or the whole feeder was doubted."""
        homes = {home.name for home in self.community.of_kind("home") if home.bus == point.bus}
        names = {EVERYONE, point.name, *homes}
        return any((name, when) in self._doubts for name in names for when in (measured, measured.date()))

    def _settled(self, measured: datetime) -> list[Order]:
        """The first settlement of a quarter-hour, and its production as held certificates."""
        quarter = Quarter(self._books, measured)
        booking = Booking(quarter, self._settlement(measured))
        self._bookings[measured] = booking
        productions = self._productions(measured)
        self._issued[measured] = {each.device: each.wh for each in productions if each.wh}
        return [*bookings.booking_orders(booking), *issue_orders(quarter, productions)]

    def _corrected(self, late: set[datetime]) -> Iterator[Order]:
        """The difference that late readings make to quarter-hours that were settled and not yet released."""
        for measured in sorted(late & self._bookings.keys()):
            self._bookings[measured], orders = bookings.correct(self._bookings[measured], self._settlement(measured))
            yield from orders

    def _settlement(self, measured: datetime) -> Settlement:
        energies = []
        for home in self.community.of_kind("home"):
            party, reading = self.community.party(home), self._reading(measured, home)
            if reading is None:
                energies.append(substitute(party, measured, self._drawn.of(party), self.community.mean_drawn_wh[party]))
            else:
                self._drawn.add(measured, party, reading.drawn_wh)
                energies.append(HomeEnergy(party, reading.injected_wh, reading.drawn_wh))
        return settle(energies, self.pricing.at(self._step(measured)), self.pricing.rule)

    def _step(self, start: datetime) -> int:
        return round((start - self._clock.start) / timedelta(hours=self._clock.dt_h))

    def _productions(self, measured: datetime) -> list[Production]:
        return [
            Production(
                self.community.device(pv),
                self.community.party(pv),
                wh=min(reading.injected_wh, _capacity_wh(pv)),
                evidence=_evidence(reading),
            )
            for pv in self.community.of_kind("pv")
            if (reading := self._reading(measured, pv)) is not None
        ]

    def _released(self, measured: datetime) -> list[Order]:
        """The end of a quarter-hour's window: certificates released, sold ones handed over and claimed, consumption recorded. What
        is in doubt stays held for a person to look at."""
        booking = self._bookings.pop(measured, None)
        if booking is None:
            return []
        orders = [*self._consumption(booking), self._grid_factor(booking.quarter)]
        clear = {point.name for point in self.community.points if not self._in_doubt(point, measured)}
        storages = [
            Storage(
                self.community.device(point),
                self.community.party(point),
                charged_wh=min(reading.drawn_wh, _capacity_wh(point)),
                discharged_wh=min(reading.injected_wh, _capacity_wh(point)),
                evidence=_evidence(reading),
            )
            for point in self.community.of_kind("battery")
            if point.name in clear and (reading := self._reading(measured, point)) is not None
        ]
        sure = {self.community.device(point) for point in self.community.of_kind("pv") if point.name in clear}
        issued, productions = self._issued.pop(measured, {}), self._productions(measured)
        self.tally.energy["kept held"] += sum(wh for device, wh in issued.items() if device not in sure)
        verified = Verified([each for each in productions if each.device in sure], storages, issued)
        delivery = release_orders(booking, verified)
        claims = [_claimed(booking.quarter, party, name) for party, names in delivery.bought.items() for name in names]
        self._count(booking.settlement, verified)
        return [*orders, *delivery.orders, *claims]

    def _count(self, settlement: Settlement, verified: Verified) -> None:
        energy = self.tally.energy
        energy["certified"] += sum(each.wh for each in verified.productions)
        energy["charged"] += sum(each.charged_wh for each in verified.storages)
        energy["discharged"] += sum(each.discharged_wh for each in verified.storages)
        for line in settlement.lines:
            energy["drawn"] += line.drawn_wh
            energy["injected"] += line.injected_wh
            energy["sold inside"] += line.sold_wh
            energy["substituted"] += line.drawn_wh if line.substituted else 0

    def _consumption(self, booking: Booking) -> Iterator[Order]:
        quarter = booking.quarter
        for line in booking.settlement.lines:
            action = Consume(
                start=quarter.begin, end=quarter.end, consumer=line.party, wh=line.drawn_wh, evidence=booking.settlement.digest()
            )
            yield Order(f"consume:{line.party}:{quarter.begin}", action)

    def _grid_factor(self, quarter: Quarter) -> Order:
        """The series has a mean intensity alone: it stands for the residual mix too, and no share is called carbon-free."""
        mg = round(float(self.community.case.series.carbon_g_per_kwh[self._step(quarter.start)]) * MG_PER_G)
        action = GridFactor(
            start=quarter.begin,
            end=quarter.end,
            zone=self.community.name,
            emissions_mg_per_kwh=mg,
            residual_mg_per_kwh=mg,
            carbon_free_ppm=0,
            origin="the scenario's carbon series; residual mix and carbon-free share unknown",
        )
        return Order(f"factor:{self.community.name}:{quarter.begin}", action)

    def record_savings(self, baseline: Run, now: datetime) -> None:
        """Emissions saved against the same homes without dispatch, for the quarter-hours whose head reading was accepted. One whose
        reading may still come is left to a longer run, and so is what follows it: each record carries its rest to the next."""
        dt_h, exchanges, ends = self._clock.dt_h, [], now
        for row, step in enumerate(baseline.truth.step):
            start = self._clock.time_of(int(step))
            head = self._reading(start, self.community.head)
            if head is None and row >= len(baseline.truth.step) - RELEASE_AFTER:
                ends = min(ends, start)
            if head is None:
                continue
            exchanges.append(
                Exchange(
                    quarter=Quarter(self._books, start),
                    dispatched_wh=-head.net_wh,
                    baseline_wh=round(float(baseline.truth.head_p_kw[row]) * dt_h * WH_PER_KWH),
                    average_mg_per_kwh=round(float(self.community.case.series.carbon_g_per_kwh[step]) * MG_PER_G),
                    evidence=_evidence(head),
                )
            )
        orders = impact_orders([each for each in exchanges if each.quarter.start < ends])
        self.enter(orders, now)
        self.tally.saved_g += sum(order.action.saved_g for order in orders if isinstance(order.action, Impact))


def _evidence(reading: Reading) -> str:
    return sha256(reading.encode()).hexdigest()


def _day(when: datetime | date) -> date:
    return when.date() if isinstance(when, datetime) else when


def _capacity_wh(point: MeterPoint) -> int:
    """What a device can give or take in a quarter-hour. A meter that says more is doubted; no more is certified in any case."""
    return point.capacity_w * 15 // 60


def _claimed(quarter: Quarter, party: str, certificate: str) -> Order:
    """What a home bought and did not store, it consumed."""
    claim = Claim(certificate=certificate, owner=party, beneficiary=party, purpose="own consumption of that hour")
    return Order(f"{quarter.key}:claim:{certificate}", claim)
