"""A live feeder that has lived for a while: a service on SQLite whose loop was ticked through days by a clock that is told.

Everybody's secret is `secret_of(name)`. Prosumers own the battery of a home, and its plant where it has one; their party is the
home's pseudonym in the ledger. `alice`'s battery is a real one: it does as it is told, and reports with a key of its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import event

from gridnet.app.community import seal_in
from gridnet.app.service.books import Books
from gridnet.app.service.config import Config
from gridnet.app.service.frames import Frame
from gridnet.app.service.keeper import Keeper, Makings
from gridnet.app.service.live import LiveFeeder
from gridnet.app.service.loop import Loop
from gridnet.app.service.model import Device, Principal
from gridnet.app.service.service import Service
from gridnet.app.service.settling import Settler
from gridnet.case import load_case
from gridnet.metering.cose import message_hash, sign
from gridnet.metering.points import MeterPoint
from gridnet.metering.reading import FIRST, Reading
from gridnet_contracts.ledger.database import Database
from gridnet_policies.rule import Rule
from tests.gridnet.app.api.openadr.servers import running
from tests.gridnet.app.service.parts import KEY, OPERATOR, Clock, secret_of

END = datetime(2090, 6, 14, 20, 0, tzinfo=UTC)
"""The quarter-hour that runs when it is looked at, a day nearly over. The ledger is founded at the real time, and takes nothing
that was before."""
LONG = 2.25
"""Days after which yesterday is whole, and certificates of the first afternoon are free, handed over and claimed."""
PROSUMERS = ("alice", "bob", "carol", "dora", "emil")
QUARTER = timedelta(minutes=15)
_SEED = 11
_NOTE = "lived.json"


class Lived(NamedTuple):
    """The service, its feeder and the clock that both go by, five minutes into a quarter-hour that is decided."""

    service: Service
    live: LiveFeeder
    clock: Clock


def lived(folder: Path, days: float = 1.5, scenario: str = "rural1") -> Lived:
    """A service in a folder that has lived for `days` until `END`."""
    (folder / _NOTE).write_text(json.dumps({"scenario": scenario, "now": (END - timedelta(days=days)).timestamp() + 300}))
    made = reopened(folder)
    _people(folder, made)
    loop, alice = make_loop(folder, made), _Alice(made)
    while True:
        loop.tick()
        alice.reports()
        if made.clock.now >= END:
            break
        made.clock.forward(minutes=15)
    (folder / _NOTE).write_text(json.dumps({"scenario": scenario, "now": made.clock.now.timestamp()}))
    return made


def reopened(folder: Path) -> Lived:
    """The service of a folder, or of a copy of it, in another process so to say."""
    note = json.loads((folder / _NOTE).read_text())
    clock = Clock(datetime.fromtimestamp(note["now"], UTC))
    live = LiveFeeder.at(load_case(note["scenario"]), clock.now)
    config = Config(scenario=note["scenario"], policy="rule", decision_limit_s=60.0, requests_per_minute=1_000_000)
    meters = frozenset(point.name for point in live.points)
    database = Database(f"sqlite:///{folder / 'service.db'}")
    # What a power cut would lose is nothing to a test, and waiting for the disk is half of its time.
    event.listen(database.engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous = OFF"))
    service = Service.on(database, config, meters, safe_pv_share=live.safe_pv_share, clock=clock)
    return Lived(replace(service, worth=live.worth), live, clock)


def make_loop(folder: Path, made: Lived) -> Loop:
    """What takes it on: `tick` after each `clock.forward(minutes=15)`."""

    def settler(live: LiveFeeder) -> Settler:
        return Settler(made.service, live, lambda _: _books(folder, made), _SEED)

    return Loop(made.service, [Keeper(made.service, Makings(lambda _: made.live, lambda: [Rule()], settler))])


@contextmanager
def served(service: Service, live: LiveFeeder, tls: Path | None = None) -> Iterator[str]:
    """Its address on loopback while it is served; https with the certificates of the folder `tls`, which are made there."""
    with running(service, tls, live) as address:
        yield address


def _books(folder: Path, made: Lived) -> Books:
    return Books.opened(made.service.store.database, seal_in(folder / "seal", made.live.case.scenario.name), made.live)


def _people(folder: Path, made: Lived) -> None:
    books = _books(folder, made)
    batteries = [point for point in made.live.points if point.kind == "battery"]
    homes = dict(zip(PROSUMERS, batteries, strict=False))
    known = [Principal(name, "prosumer", party=books.community.party(point)) for name, point in homes.items()]
    known += [OPERATOR, Principal("auditor", "auditor"), Principal("many", "aggregator"), Principal("inverter", "device")]
    with made.service.store.write() as connection:
        for principal in known:
            made.service.people.enter(connection, principal, secret_of(principal.id))
    for name, home in homes.items():
        for point in made.live.points:
            if point.bus == home.bus:
                made.service.devices.add(OPERATOR, _device(made.live, point, name))


def _device(live: LiveFeeder, point: MeterPoint, owner: str) -> Device:
    fleet, number = live.case.fleet, point.device or 0
    name, kva = f"{owner}-{point.name}", float(fleet.s_kva[number])
    if point.kind == "pv":
        return Device(name, owner, "pv", discharge_kw=kva, s_kva=kva, meter=point.name)
    key = KEY.public_key.encode() if owner == PROSUMERS[0] else None
    power = {"discharge_kw": kva, "charge_kw": kva, "s_kva": kva, "e_kwh": float(fleet.e_kwh[number])}
    low, high = (float(each) for each in fleet.soc_window)
    return Device(name, owner, "battery", **power, soc_min=low, soc_max=high, meter=point.name, meter_key=key)


class _Alice:
    """A battery that does as it is told, and its meter."""

    def __init__(self, made: Lived) -> None:
        self._made = made
        self._point = next(point for point in made.live.points if point.kind == "battery")
        self._sequence, self._previous = 0, FIRST

    def reports(self) -> None:
        """Of the quarter-hour before this one, if it was decided."""
        frame = self._made.service.frames.at(self._made.clock.now - QUARTER)
        if frame is None:
            return
        raw = sign(self._reading(frame), KEY)
        self._sequence, self._previous = self._sequence + 1, message_hash(raw)
        owner = Principal(PROSUMERS[0], "prosumer")
        received = self._made.service.telemetry.report(owner, f"{owner.id}-{self._point.name}", [raw])
        assert received[0].problem is None

    def _reading(self, frame: Frame) -> Reading:
        device, vm_pu = self._point.device or 0, frame.vm_pu[self._point.bus]
        net_wh = round(frame.given_kw[device] * 250.0)
        return Reading(
            device=self._point.name,
            sequence=self._sequence,
            previous=self._previous,
            start=frame.start,
            minutes=15,
            injected_wh=max(net_wh, 0),
            drawn_wh=max(-net_wh, 0),
            reactive_varh=round(frame.given_kvar[device] * 250.0),
            voltage_mv=round((vm_pu or 0.0) * 230_000.0),
            soc_ppm=round(frame.soc[device] * 1_000_000),
        )
