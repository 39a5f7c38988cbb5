"""The live feeder's quarter-hours from arrival to ledger: readings verified, energy settled, certificates issued.

Quarter-hour `q` ends; then, in this order, each step once:

1. nothing more counts as arrived in `q`, and the simulated homes are taken through `q - 1` with what real devices said of it
   (one transaction);
2. what arrived is judged and `q - 1` settled: entries in the ledger, one transaction;
3. `q` is noted as settled.

A restart after 1 or 2 goes through `q` again: messages are in their places, entries that are there are given back by their keys.
What verification remembers (a week) is rebuilt by judging what arrived since once more, without entering anything.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from sqlalchemy import Connection

from gridnet.app.community import Community, founding, make_community, registration
from gridnet.app.pipeline import RELEASE_AFTER, Pipeline
from gridnet.app.pricing import Pricing
from gridnet.app.probing import Prober
from gridnet.app.service import marks
from gridnet.app.service.live import LiveFeeder
from gridnet.app.service.service import Service
from gridnet.app.service.store import moment
from gridnet.app.service.telemetry import CLOSED, QUARTER_S, Arrived
from gridnet.app.service.world import World, WorldState
from gridnet.clock import STEPS_PER_DAY
from gridnet.metering.cose import parse_sign1
from gridnet.metering.keys import PublicKey
from gridnet.metering.link import Delivery
from gridnet.metering.reading import Reading
from gridnet.metering.registry import KeyRegistry
from gridnet.verification.ladder import Ladder
from gridnet.verification.settings import Settings
from gridnet_contracts.ledger.database import Database
from gridnet_contracts.ledger.entry import Order
from gridnet_contracts.ledger.ledger import Ledger
from gridnet_contracts.ledger.privacy import Privacy
from gridnet_contracts.ledger.seal import Seal
from gridnet_contracts.rewards.programme import load_programme

REMEMBERED = RELEASE_AFTER + (Settings().window_days + 1) * STEPS_PER_DAY
"""Quarter-hours that verification and settlement look back at most."""


@dataclass(frozen=True)
class Books:
    """A ledger and the community in it."""

    ledger: Ledger
    community: Community

    @classmethod
    def opened(cls, database: Database, seal: Seal, live: LiveFeeder) -> Self:
        """The ledger in the database, founded where there is none, with the community's devices in it. Raises `LedgerError`."""
        name = live.case.scenario.name
        ledger = Ledger(database, seal)
        ledger.begin(founding(seal.origin, name))
        privacy = Privacy(ledger.database)
        community = make_community(live.case, privacy)
        ledger.commit(registration(community, privacy, load_programme("community")))
        return cls(ledger, community)


class _Recalled(Pipeline):
    """A pipeline that goes through the past again: up to `known` nothing is entered, since it was."""

    known: datetime
    present: Callable[[], datetime]

    def enter(self, orders: Sequence[Order], now: datetime) -> None:
        """Commits what is not known to be there, at the time that it is: others enter things too, and the log's time never goes
        back."""
        if now > self.known:
            super().enter(orders, max(now, self.present()))


class Settler:
    """Closes quarter-hours. `settled` is the last one that was."""

    def __init__(self, service: Service, live: LiveFeeder, books: Books, seed: int) -> None:
        self._service, self._live = service, live
        self._store = service.store
        self.world = World(live, seed)
        with self._store.write() as connection:
            now_q = self._store.now_s() // QUARTER_S
            self._anchor(connection, now_q)
            first, settled = (marks.marked(connection, key) for key in (marks.FIRST, marks.SETTLED))
            registry = self._registry(connection, moment(now_q * QUARTER_S))
        self.settled = now_q - 1 if settled is None else int(settled)
        start = self.settled + 1 if first is None else int(first)
        ladder = Ladder(live.case, books.community.points, registry)
        pricing = Pricing(books.community, "mid_market", live.step_of(start))
        self._pipeline = _Recalled(books.community, books.ledger, ladder, pricing, Prober(books.community, ladder, seed))
        self._recall(max(start, self.settled - REMEMBERED))

    @property
    def pipeline(self) -> Pipeline:
        """What judges and settles."""
        return self._pipeline

    def state(self) -> WorldState:
        """Where the simulated homes stand."""
        with self._store.read() as connection:
            return self._world(connection)

    def close(self, quarter: int) -> None:
        """Closes the quarter-hour after `settled`. Raises `LedgerError`, `Unavailable`, `PowerFlowDiverged`."""
        assert quarter == self.settled + 1, "quarter-hours are closed one after the other"
        with self._store.write() as connection:
            if (marks.marked(connection, CLOSED) or "-1") != str(quarter):
                self._live_through(connection, quarter)
                marks.mark(connection, CLOSED, quarter)
            arrived = self._service.telemetry.arrived(connection, quarter)
            registry = self._registry(connection, moment((quarter + 1) * QUARTER_S))
        self._pipeline.ladder.registry = registry
        self._close(quarter, arrived)
        with self._store.write() as connection:
            marks.mark(connection, marks.SETTLED, quarter)
        self.settled = quarter

    def _live_through(self, connection: Connection, quarter: int) -> None:
        """Takes the homes through the quarter-hour before, and has their meters report in this one."""
        state, measured = self._world(connection), quarter - 1
        if state.step != self._live.step_of(measured):
            # The service was away: the homes' meters too, and they begin anew.
            state = self.world.start(self._live.step_of(measured))
        asked = self._live.asked(self._service.controls.setpoints_at(moment(measured * QUARTER_S), connection))
        lived = self.world.advance(state, asked, self._reported(connection, measured), self._real(connection))
        self._service.telemetry.keep(connection, [(_reading(each.raw), each.raw) for each in lived.messages], quarter)
        self._service.frames.put(connection, lived.frame)
        if not quarter % STEPS_PER_DAY:
            self._service.frames.trim(connection, moment(quarter * QUARTER_S))
        marks.mark(connection, marks.WORLD, lived.state.encode())

    def _reported(self, connection: Connection, measured: int) -> dict[str, Reading]:
        """What real devices said of a quarter-hour; of one that said nothing it is taken that it did as it was asked."""
        said = {}
        for arrived in self._service.telemetry.arrived(connection, measured + 1):
            reading = _reading(arrived.raw)
            if reading.start == moment(measured * QUARTER_S):
                said[reading.device] = reading
        return said

    def _real(self, connection: Connection) -> set[str]:
        """Meters that a device's key speaks for, or did: whose device is gone is silent until another comes."""
        text = marks.marked(connection, marks.KEYS)
        entries = KeyRegistry().entries if text is None else KeyRegistry.decode(text).entries
        opened = {entry.device: entry.key for entry in entries if entry.end is None}
        return {name for name, key in self.world.keys.items() if opened[name].kid != key.public_key.kid}

    def _close(self, quarter: int, arrived: Sequence[Arrived]) -> None:
        step = self._live.step_of(quarter)
        self._pipeline.close(step, [Delivery(step, each.meter, step - 1, 0, each.raw) for each in arrived])

    def _recall(self, first: int) -> None:
        self._pipeline.present = self._service.clock
        self._pipeline.known = moment((self.settled + 1) * QUARTER_S)
        for quarter in range(first, self.settled + 1):
            with self._store.read() as connection:
                arrived = self._service.telemetry.arrived(connection, quarter)
            self._close(quarter, arrived)

    def _world(self, connection: Connection) -> WorldState:
        text = marks.marked(connection, marks.WORLD)
        return self.world.start(self._live.step_of(self.settled)) if text is None else WorldState.decode(text)

    def _anchor(self, connection: Connection, now_q: int) -> None:
        """Notes which series these are; where they are others than before, the feeder begins anew with this quarter-hour."""
        name = f"{self._live.case.scenario.name} {self._live.anchor}"
        if marks.marked(connection, marks.SCENARIO) != name:
            marks.mark(connection, marks.SCENARIO, name)
            marks.mark(connection, marks.FIRST, now_q)
            marks.mark(connection, marks.SETTLED, now_q - 1)
            marks.mark(connection, marks.WORLD, self.world.start(self._live.step_of(now_q - 1)).encode())

    def _registry(self, connection: Connection, at: datetime) -> KeyRegistry:
        """The meters' keys: simulated ones, and in their place those of devices that an operator bound to a meter."""
        text = marks.marked(connection, marks.KEYS)
        registry = KeyRegistry() if text is None else KeyRegistry.decode(text)
        opened = {entry.device: entry.key for entry in registry.entries if entry.end is None}
        for name, key in self.world.keys.items():
            if name not in opened:
                registry = registry.enrol(name, key.public_key, moment(0))
        for device in self._service.devices.metered(connection):
            own = PublicKey.decode(device.meter_key) if device.meter_key is not None else None
            known = {entry.key.kid for entry in registry.entries}
            if own is not None and device.meter is not None and own.kid not in known:
                registry = registry.rotate(device.meter, own, at)
        if registry.encode() != text:
            marks.mark(connection, marks.KEYS, registry.encode())
        return registry


def _reading(raw: bytes) -> Reading:
    """The reading in a message whose signature was verified when it came."""
    return Reading.decode(parse_sign1(raw).payload)
