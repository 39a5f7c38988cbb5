"""The live feeders of a service: the main one of the setting `scenario`, and further ones under names of their own.

What is known of each here is small: its meters' names and what its plants may always give. A process makes the rest of it where it
keeps the feeder going.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from gridnet.app.service.config import Config
from gridnet.app.service.live import LiveFeeder
from gridnet.app.service.names import MAIN
from gridnet.case import Case, load_case
from gridnet.errors import Fault, InputError


@dataclass(frozen=True)
class Site:
    """One live feeder: its name (`MAIN` of the main one), its scenario, and the service's names of its sub-meters."""

    name: str
    scenario: str
    meters: frozenset[str]
    safe_pv_share: float
    """The share of its rating that every PV plant on it can always give."""

    def live(self, now: datetime) -> LiveFeeder:
        """The feeder with its series, so that `now` lies in them."""
        return LiveFeeder.at(case_of(self.name, self.scenario), now, self.name)


def case_of(name: str, scenario: str) -> Case:
    """A feeder's case. A further feeder's scenario bears the feeder's name: it is that of its community, and parts the keys of its
    simulated meters from those of another feeder of the same scenario. Raises `InputError`."""
    case = load_case(scenario)
    return case if name == MAIN else replace(case, scenario=case.scenario.model_copy(update={"name": name}))


def make_sites(config: Config, now: datetime) -> tuple[Site, ...]:
    """Every feeder of the settings, the main one first. Raises `InputError` naming each scenario that can't be kept live."""
    shares: dict[str, float] = {}
    found: list[Site] = []
    faults: list[Fault] = []
    communities: list[str] = []
    for name, scenario in ((MAIN, config.scenario), *config.further):
        try:
            live = LiveFeeder.at(case_of(name, scenario), now, name)
        except InputError as error:
            faults += error.faults or [Fault("feeders" if name else "scenario", scenario, str(error))]
            continue
        if live.case.scenario.name in communities:
            faults.append(Fault("feeders", repr(name), "another name: the main feeder's community has this one"))
        communities.append(live.case.scenario.name)
        if scenario not in shares:  # it follows from the scenario, and is some work
            shares[scenario] = live.safe_pv_share
            live.case.rest()
        meters = frozenset(live.meters)
        found.append(Site(name, scenario, meters, shares[scenario]))
    if faults:
        raise InputError("these feeders can't be kept live:", faults)
    return tuple(found)
