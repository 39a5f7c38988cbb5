"""A live feeder's quarter-hours from arrival to ledger: readings verified, energy settled, certificates issued.

Quarter-hour `q` ends; then, in this order, each step once:

1. nothing more counts as arrived in `q`, and the simulated homes are taken through `q - 1` with what real devices said of it
   (one transaction);
2. what arrived is judged and `q - 1` settled: entries in the ledger, one transaction;
3. `q` is noted as settled.

A restart after 1 or 2 goes through `q` again: messages are in their places, entries that are there are given back by their keys.
What verification remembers (a week) is rebuilt by judging what arrived since once more, without entering anything. That takes a
while, and is not waited for with a decision. 1 and 3 look whether the feeder is still where it was left (`fencing`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from sqlalchemy import Connection

from gridnet.app.pipeline import RELEASE_AFTER, Pipeline
from gridnet.app.pricing import Pricing
from gridnet.app.probing import Prober
from gridnet.app.service import marks, plates
from gridnet.app.service.books import Books
from gridnet.app.service.fencing import check_beginning, check_standing, note, noted, series_of
from gridnet.app.service.live import LiveFeeder
from gridnet.app.service.names import MAIN, feeder_of, local
from gridnet.app.service.retention import trim
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
from gridnet_contracts.ledger.entry import Order

REMEMBERED = RELEASE_AFTER + (Settings().window_days + 1) * STEPS_PER_DAY
"""Quarter-hours that verification and settlement look back at most."""


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
    """Closes a feeder's quarter-hours. `settled` is the last one that was. What verification remembers is there when `recall` says
    so; where the homes stand (`state`) is known at once."""

    def __init__(self, service: Service, live: LiveFeeder, books: Callable[[LiveFeeder], Books], seed: int) -> None:
        """`books` opens the ledger, which may take a while: it is called by `recall`. Raises `Overtaken`, `Unavailable`."""
        self._service, self._live = service, live
        self._store = service.store
        self._books, self._seed = books, seed
        self.world = World(live, seed)
        with self._store.write(live.name) as connection:
            now_q = self._store.now_s() // QUARTER_S
            if live.name == MAIN:
                marks.mark(connection, marks.MOVED, "0003")
            plates.note(connection, live.name, live.points)
            self._anchor(connection, now_q)
            first, settled = (noted(connection, live, key) for key in (marks.FIRST, marks.SETTLED))
            self._registry(connection, moment(now_q * QUARTER_S))
        self.settled = now_q - 1 if settled is None else int(settled)
        start = self.settled + 1 if first is None else int(first)
        self._first, self._recalled = start, max(start, self.settled - REMEMBERED) - 1
        self._pipeline: _Recalled | None = None

    @property
    def pipeline(self) -> Pipeline:
        """What judges and settles."""
        assert self._pipeline is not None, "what verification remembers comes first"
        return self._pipeline

    def state(self) -> WorldState:
        """Where the simulated homes stand."""
        with self._store.read() as connection:
            return self._world(connection)

    def recall(self, goes_on: Callable[[], bool] = lambda: True) -> bool:
        """Brings back what verification remembers, as long as `goes_on` says so; a later call takes it up. Whether it is all there.
        Raises `LedgerError`, `Unavailable`."""
        if self._pipeline is None:
            # At once, though nothing is to be entered for half an hour: auditors may ask for the ledger.
            self._pipeline = self._made()
        while self._recalled < self.settled:
            if not goes_on():
                return False
            with self._store.read() as connection:
                arrived = self._service.telemetry.arrived(connection, self._recalled + 1, self._live.name)
            self._close(self._recalled + 1, arrived)
            self._recalled += 1
        return True

    def close(self, quarter: int) -> None:
        """Closes the quarter-hour after `settled`. Raises `Overtaken`, `LedgerError`, `Unavailable`, `PowerFlowDiverged`."""
        assert quarter == self.settled + 1, "quarter-hours are closed one after the other"
        assert self._recalled >= self.settled, "what verification remembers comes first"
        name = self._live.name
        with self._store.write(name) as connection:
            check_standing(connection, self._live, self.settled)
            if (noted(connection, self._live, CLOSED) or "-1") != str(quarter):
                self._live_through(connection, quarter)
                note(connection, self._live, CLOSED, quarter)
            arrived = self._service.telemetry.arrived(connection, quarter, name)
            registry = self._registry(connection, moment((quarter + 1) * QUARTER_S))
        self.pipeline.ladder.registry = registry
        self._close(quarter, arrived)
        with self._store.write(name) as connection:
            check_standing(connection, self._live, self.settled)
            note(connection, self._live, marks.SETTLED, quarter)
        self.settled = self._recalled = quarter
        if name == MAIN and not quarter % STEPS_PER_DAY:
            config = self._service.config
            trim(self._store, quarter, config.readings_days, REMEMBERED, [MAIN, *(each for each, _ in config.further)])

    def _live_through(self, connection: Connection, quarter: int) -> None:
        """Takes the homes through the quarter-hour before, and has their meters report in this one."""
        state, measured = self._world(connection), quarter - 1
        if state.step != self._live.step_of(measured):
            # The service was away: the homes' meters too, and they begin anew.
            state = self.world.start(self._live.step_of(measured))
        asked = self._live.asked(self._service.controls.setpoints_at(moment(measured * QUARTER_S), connection, self._live.meters))
        lived = self.world.advance(state, asked, self._reported(connection, measured), self._real(connection))
        readings = [(_reading(each.raw), each.raw) for each in lived.messages]
        self._service.telemetry.keep(connection, self._live.name, readings, quarter)
        if self._live.name == MAIN:
            self._service.frames.put(connection, lived.frame)
            if not quarter % STEPS_PER_DAY:
                self._service.frames.trim(connection, moment(quarter * QUARTER_S))
        note(connection, self._live, marks.WORLD, lived.state.encode())

    def _reported(self, connection: Connection, measured: int) -> dict[str, Reading]:
        """What real devices said of a quarter-hour; of one that said nothing it is taken that it did as it was asked."""
        said = {}
        for arrived in self._service.telemetry.arrived(connection, measured + 1, self._live.name):
            reading = _reading(arrived.raw)
            if reading.start == moment(measured * QUARTER_S):
                said[reading.device] = reading
        return said

    def _real(self, connection: Connection) -> set[str]:
        """Meters that a device's key speaks for, or did: whose device is gone is silent until another comes."""
        text = noted(connection, self._live, marks.KEYS)
        entries = KeyRegistry().entries if text is None else KeyRegistry.decode(text).entries
        opened = {entry.device: entry.key for entry in entries if entry.end is None}
        return {name for name, key in self.world.keys.items() if opened[name].kid != key.public_key.kid}

    def _made(self) -> _Recalled:
        books = self._books(self._live)
        with self._store.read() as connection:
            registry = KeyRegistry.decode(str(noted(connection, self._live, marks.KEYS)))
        ladder = Ladder(self._live.case, books.community.points, registry)
        pricing = Pricing(books.community, "mid_market", self._live.step_of(self._first))
        prober = Prober(books.community, ladder, self._seed)
        made = _Recalled(books.community, books.entering, ladder, pricing, prober)
        made.present = self._service.clock
        made.known = moment((self.settled + 1) * QUARTER_S)
        return made

    def _close(self, quarter: int, arrived: Sequence[Arrived]) -> None:
        step = self._live.step_of(quarter)
        self.pipeline.close(step, [Delivery(step, each.meter, step - 1, 0, each.raw) for each in arrived])

    def _world(self, connection: Connection) -> WorldState:
        text = noted(connection, self._live, marks.WORLD)
        return self.world.start(self._live.step_of(self.settled)) if text is None else WorldState.decode(text)

    def _anchor(self, connection: Connection, now_q: int) -> None:
        """Notes which series these are; where they are others than before, the feeder begins anew with this quarter-hour."""
        if noted(connection, self._live, marks.SCENARIO) == series_of(self._live):
            return
        check_beginning(connection, self._live, now_q - 1)
        begun = self.world.start(self._live.step_of(now_q - 1)).encode()
        anew = {marks.SCENARIO: series_of(self._live), marks.FIRST: now_q, marks.SETTLED: now_q - 1, marks.WORLD: begun}
        for key, value in anew.items():
            note(connection, self._live, key, value)

    def _registry(self, connection: Connection, at: datetime) -> KeyRegistry:
        """The meters' keys: simulated ones, and in their place those of devices that an operator bound to a meter."""
        text = noted(connection, self._live, marks.KEYS)
        registry = KeyRegistry() if text is None else KeyRegistry.decode(text)
        opened = {entry.device: entry.key for entry in registry.entries if entry.end is None}
        for name, key in self.world.keys.items():
            if name not in opened:
                registry = registry.enrol(name, key.public_key, moment(0))
        for device in self._service.devices.metered(connection):
            if device.meter is None or feeder_of(device.meter) != self._live.name:
                continue
            own = PublicKey.decode(device.meter_key) if device.meter_key is not None else None
            known = {entry.key.kid for entry in registry.entries}
            if own is not None and own.kid not in known:
                registry = registry.rotate(local(device.meter), own, at)
        if registry.encode() != text:
            note(connection, self._live, marks.KEYS, registry.encode())
        return registry


def _reading(raw: bytes) -> Reading:
    """The reading in a message whose signature was verified when it came."""
    return Reading.decode(parse_sign1(raw).payload)
