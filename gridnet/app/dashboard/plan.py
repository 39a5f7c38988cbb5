"""The feeder as it is drawn: what stands where. Made once for each feeder; colours come from frames."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from gridnet.app.layout import bus_positions
from gridnet.app.service.live import LiveFeeder
from gridnet.case import Case
from gridnet.metering.points import meter_points

Floats = NDArray[np.float64]

WIDTH, LOW, HIGH, MARGIN = 1000.0, 620.0, 1100.0, 40.0
_LARGEST, _SMALLEST = 12.0, 4.0
_ROOM = 0.3
"""A bus's radius as a share of the way to the nearest one."""


@dataclass(frozen=True)
class Bus:
    """`x`, `y`: in the picture's units, from its upper left."""

    number: int
    name: str
    x: float
    y: float
    slack: bool


@dataclass(frozen=True)
class Branch:
    """A line or a transformer. `open`: it carries nothing."""

    number: int
    name: str
    x1: float
    y1: float
    x2: float
    y2: float
    transformer: bool
    open: bool


@dataclass(frozen=True)
class Home:
    """What hangs at one connection: `devices` are the feeder's, by number."""

    number: int
    name: str
    bus: Bus
    batteries: tuple[int, ...]
    plants: tuple[int, ...]

    @property
    def devices(self) -> tuple[int, ...]:
        """Batteries, then plants."""
        return self.batteries + self.plants

    @property
    def words(self) -> str:
        """For those who can't see the marks."""
        has = " and ".join(("battery",) * bool(self.batteries) + ("PV",) * bool(self.plants))
        return f"{self.name} at {self.bus.name}" + (f", with {has}" if has else "")


@dataclass(frozen=True)
class Plan:
    """All that is drawn. `radius`: of a bus. `reach_kw`: a power that no home exceeds by much."""

    buses: tuple[Bus, ...]
    branches: tuple[Branch, ...]
    homes: tuple[Home, ...]
    devices: tuple[str, ...]
    """Names of the devices' meters, in the order of frames."""
    device_kinds: tuple[str, ...]
    radius: float
    reach_kw: float
    height: float
    width: float = WIDTH


class _Same:
    """A feeder that is only the same as itself: arrays have no hash."""

    def __init__(self, live: LiveFeeder) -> None:
        self.live = live

    def __hash__(self) -> int:
        return id(self.live.case.feeder)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.live.case.feeder is self.live.case.feeder


def plan_of(live: LiveFeeder) -> Plan:
    """The plan of a live feeder."""
    return _plan(_Same(live))


@lru_cache(maxsize=4)
def _plan(same: _Same) -> Plan:
    live = same.live
    feeder = live.case.feeder
    place = bus_positions(feeder) * (1.0, -1.0)  # pictures count from above
    place = (place - place.min(axis=0)) / np.maximum(np.ptp(place, axis=0), 1e-9)
    height = LOW if _nearest(place * (WIDTH, LOW)) * _ROOM >= _LARGEST else HIGH
    place = place * (WIDTH - 2 * MARGIN, height - 2 * MARGIN) + MARGIN
    buses = tuple(
        Bus(number, name, round(float(x), 1), round(float(y), 1), number == feeder.slack_bus)
        for number, (name, (x, y)) in enumerate(zip(feeder.bus_name, place, strict=True))
    )
    return Plan(
        buses=buses,
        branches=_branches(live.case, buses),
        homes=_homes(live, buses),
        devices=tuple(point.name for point in live.points),
        device_kinds=tuple(point.kind for point in live.points),
        radius=round(float(np.clip(_nearest(place) * _ROOM, _SMALLEST, _LARGEST)), 1),
        reach_kw=_reach_kw(live.case),
        height=height,
    )


def _nearest(place: Floats) -> float:
    """How far a bus is from its nearest one, where it is near: nine of ten have more room."""
    away = np.hypot(*(place[:, None] - place[None]).transpose(2, 0, 1))
    np.fill_diagonal(away, np.inf)
    return float(np.quantile(away.min(axis=1), 0.1)) if len(place) > 1 else np.inf


def _branches(case: Case, buses: tuple[Bus, ...]) -> tuple[Branch, ...]:
    feeder = case.feeder
    ends, lines = np.concatenate([feeder.line_bus, feeder.trafo_bus]), len(feeder.line_name)
    closed = np.asarray((feeder.model.branch_node >= 0).all(axis=1))
    found = []
    for number, (name, (one, other)) in enumerate(zip((*feeder.line_name, *feeder.trafo_name), ends, strict=True)):
        a, b = buses[one], buses[other]
        found.append(Branch(number, name, a.x, a.y, b.x, b.y, number >= lines, not closed[number]))
    return tuple(found)


def _homes(live: LiveFeeder, buses: tuple[Bus, ...]) -> tuple[Home, ...]:
    behind: dict[int, list[int]] = {}
    for point in live.points:
        if point.device is not None:
            behind.setdefault(point.bus, []).append(point.device)
    batteries = live.case.fleet.batteries
    found = []
    for number, point in enumerate(point for point in meter_points(live.case) if point.kind == "home"):
        devices = behind.get(point.bus, [])
        stores = tuple(each for each in devices if each < batteries)
        plants = tuple(each for each in devices if each >= batteries)
        found.append(Home(number, point.name, buses[point.bus], stores, plants))
    return tuple(found)


def _reach_kw(case: Case) -> float:
    """The largest of what homes' plants can give and what their loads draw at most, on a scale of 1, 2, 5."""
    rated = np.zeros(case.params.buses)
    np.add.at(rated, case.params.device_bus, case.fleet.s_kva)
    drawn = np.zeros(case.params.buses)
    np.add.at(drawn, case.params.load_bus, -case.params.load_p_kw.min(axis=0, initial=0.0))
    most = max(float(rated.max(initial=0.0)), float(drawn.max(initial=0.0)), 1e-3)
    decade = 10.0 ** np.floor(np.log10(most))
    return float(next(step * decade for step in (1.0, 2.0, 5.0, 10.0) if step * decade >= most * 0.999))
