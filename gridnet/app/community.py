"""A scenario's homes as a community in the ledger: who is who, which device is whose, and how it all is registered."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from pathlib import Path

import numpy as np

from gridnet.case import Case
from gridnet.metering.points import MeterPoint, head_point, meter_points
from gridnet_contracts.ledger.actions.base import instant
from gridnet_contracts.ledger.actions.registry import Found, RegisterDevice
from gridnet_contracts.ledger.entry import Order
from gridnet_contracts.ledger.privacy import Privacy
from gridnet_contracts.ledger.seal import Seal
from gridnet_contracts.rewards import epoch
from gridnet_contracts.rewards.programme import Programme
from gridnet_contracts.settlement import booking

MILLION = 1_000_000


@dataclass(frozen=True)
class Community:
    """The homes of a case, each a party under a pseudonym."""

    case: Case
    name: str
    party_of_bus: dict[int, str]

    @cached_property
    def points(self) -> tuple[MeterPoint, ...]:
        """Every meter but the head."""
        return meter_points(self.case)

    @cached_property
    def head(self) -> MeterPoint:
        """The meter of the feeder as a whole."""
        return head_point(self.case)

    def of_kind(self, kind: str) -> list[MeterPoint]:
        """The meters of a kind: home, battery or pv."""
        return [point for point in self.points if point.kind == kind]

    def party(self, point: MeterPoint) -> str:
        """Whose meter it is."""
        return self.party_of_bus[point.bus]

    def device(self, point: MeterPoint) -> str:
        """The ledger's name of the device behind a sub-meter."""
        return f"{self.name}:{point.name}"

    @cached_property
    def mean_drawn_wh(self) -> dict[str, int]:
        """By party: what a home's loads draw in a mean quarter-hour, rounded up; stands in where nothing else is known."""
        params = self.case.params
        mean_kw = -params.load_p_kw.mean(axis=0)
        at_bus = np.zeros(params.buses)
        np.add.at(at_bus, params.load_bus, mean_kw)
        dt_h = params.fleet.dt_h
        return {party: int(np.ceil(max(at_bus[bus], 0.0) * dt_h * 1000.0)) for bus, party in self.party_of_bus.items()}


def seal_in(folder: Path, name: str) -> Seal:
    """The seal that a community's folder holds, made where there is none. Raises `InputError`, `LedgerError`."""
    return Seal.at(folder) if (folder / "log.key").exists() else Seal.make(folder, f"gridnet.example/{name}")


def founding(origin: str, name: str) -> Found:
    """The words that a simulated community's ledger is founded with."""
    return Found(
        origin=origin,
        issuer=f"simulated community {name}",
        country="DE",
        market_zone="DE-LU",
        legal_status="simulated, of no legal effect",
        purpose="research",
        quality_scheme="none",
        configuration="gridnet 1",
    )


def repeatable_salts(seed: int, name: str) -> Callable[[int], bytes]:
    """Salts that are the same in every run of a simulation. Who knows the seed can link its pseudonyms: not for real homes."""
    numbers = count()
    return lambda size: hashlib.sha256(f"{seed}:{name}:{next(numbers)}".encode()).digest()[:size]


def make_community(case: Case, privacy: Privacy) -> Community:
    """The community of a case, each home under the pseudonym that it has in the ledger's database."""
    name = case.scenario.name
    homes = [point for point in meter_points(case) if point.kind == "home"]
    return Community(case, name, {home.bus: privacy.pseudonym(f"{name}/{home.name}") for home in homes})


def registration(community: Community, privacy: Privacy, programme: Programme, commissioned: str | None = None) -> list[Order]:
    """Assets and devices, `commissioned` when the series begin where nothing else is said; the same orders whenever they are asked
    for."""
    fleet, start = community.case.fleet, commissioned or instant(community.case.clock.start)
    orders = [booking.open_asset(), epoch.open_asset(programme)]
    round_trip = int(fleet.efficiency[0] * fleet.efficiency[1] * MILLION)
    for point in (*community.of_kind("pv"), *community.of_kind("battery")):
        stores = point.kind == "battery"
        storage_wh = int(fleet.e_kwh[point.device] * 1000.0) if stores else 0
        device = community.device(point)
        action = RegisterDevice(
            device=device,
            owner=community.party(point),
            carrier="electricity",
            source="stored electricity" if stores else "solar",
            technology="lithium-ion battery" if stores else "photovoltaic",
            capacity_w=point.capacity_w,
            commissioned=start,
            grid_operator="simulated",
            grid_connection="low voltage",
            support="none",
            private=privacy.device(device, {"location": f"bus {point.bus}", "meter": point.name}),
            storage_wh=storage_wh,
            efficiency_ppm=round_trip if stores else 0,
        )
        orders.append(Order(f"register:{device}", action))
    return orders
