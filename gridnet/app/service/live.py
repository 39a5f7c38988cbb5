"""A scenario brought to the present: its year of series laid over the calendar, and what follows from that.

The year is moved by whole periods of 52 weeks, so that weekdays and seasons stay where they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from gridnet.app.service.model import Setpoint, Worth
from gridnet.app.service.names import MAIN, qualified
from gridnet.app.service.store import seconds
from gridnet.app.service.telemetry import QUARTER_S
from gridnet.case import Case
from gridnet.dispatch import idle
from gridnet.errors import InputError
from gridnet.forecast.published import KnownPrices, known_prices
from gridnet.limits import NetworkLimits, make_limits
from gridnet.metering.points import MeterPoint, meter_points
from gridnet.simulate import State
from gridnet.tariff import Prices
from gridnet_envs.shield import protect

Floats = NDArray[np.float64]
PERIOD = timedelta(weeks=52)
_HARDEST_STEPS = 48
AHEAD_STEPS = 96
"""The series must reach so far ahead of the present."""


@dataclass(frozen=True)
class LiveFeeder:
    """A case whose clock is the calendar's. `name`: the service's of the feeder."""

    case: Case
    name: str = MAIN

    @classmethod
    def at(cls, case: Case, now: datetime, name: str = MAIN) -> LiveFeeder:
        """The case with its series moved so that `now` lies in them. Raises `InputError` for series shorter than a year."""
        clock = case.clock
        if clock.time_of(clock.steps - AHEAD_STEPS) - clock.start < PERIOD:
            raise InputError(
                f"{case.scenario.name} has {clock.steps} steps of series; a live feeder needs 52 weeks and a day of them"
            )
        moved = replace(clock, start=clock.start + (now - clock.start) // PERIOD * PERIOD)
        return cls(replace(case, series=replace(case.series, clock=moved)), name)

    def meter(self, local: str) -> str:
        """The service's name of a meter that the feeder knows as `local`."""
        return qualified(self.name, local)

    @cached_property
    def limits(self) -> NetworkLimits:
        """What the network carries."""
        return make_limits(self.case.scenario, self.case.feeder)

    @cached_property
    def points(self) -> tuple[MeterPoint, ...]:
        """The sub-meters of the controllable devices, in the order of devices."""
        subs = [point for point in meter_points(self.case) if point.device is not None]
        return tuple(sorted(subs, key=lambda point: point.device or 0))

    @cached_property
    def meters(self) -> tuple[str, ...]:
        """The service's names of the sub-meters, in the order of devices."""
        return tuple(self.meter(point.name) for point in self.points)

    @property
    def anchor(self) -> int:
        """Number of the first step's quarter-hour since 1970."""
        return seconds(self.case.clock.start) // QUARTER_S

    def step_of(self, quarter: int) -> int:
        """The step of a quarter-hour since 1970."""
        return quarter - self.anchor

    def holds(self, quarter: int) -> bool:
        """Whether the series reach from this quarter-hour far enough ahead to decide in it."""
        return 0 <= self.step_of(quarter) < self.case.clock.steps - AHEAD_STEPS

    @cached_property
    def safe_pv_share(self) -> float:
        """The share of its rating that every PV plant can give at any time of the year with all batteries at rest."""
        params, fleet = self.case.params, self.case.fleet
        surplus = params.pv_p_kw.sum(axis=1) + params.load_p_kw.sum(axis=1)
        hardest = np.argsort(surplus)[-min(_HARDEST_STEPS, len(surplus)) :].astype(np.int64)
        soc = np.full((len(hardest), fleet.batteries), float(fleet.soc_window.mean()))
        asked = idle(len(hardest), fleet.batteries, fleet.devices)
        given = protect(State(hardest, soc), asked, params, self.limits)[:, 0, fleet.batteries :]
        sun = np.minimum(params.pv_p_kw[hardest], fleet.s_kva[fleet.batteries :])
        cut = given < sun - 1e-6
        rating = np.broadcast_to(fleet.s_kva[fleet.batteries :], given.shape)
        shares = np.where(cut & (rating > 0.0), given / np.maximum(rating, 1e-9), 1.0)
        return float(shares.min(initial=1.0))

    def worth(self, time: datetime) -> Worth | None:
        """What energy costs at a time, as published the day before; None where the series don't reach."""
        step = self.step_of(seconds(time) // QUARTER_S)
        if not 0 <= step < self.case.clock.steps:
            return None
        bought, sold = (float(each[step]) for each in (self.prices.import_eur_per_kwh, self.prices.export_eur_per_kwh))
        return Worth(bought, sold, float(self.case.series.carbon_g_per_kwh[step]))

    def known_steps(self, step: int) -> int:
        """For how many steps, `step` the first of them, energy's worth is public at the start of `step`."""
        return int(self._known.steps_known[step])

    @cached_property
    def _known(self) -> KnownPrices:
        return known_prices(self.case.series.price_eur_per_mwh, self.case.clock)

    @property
    def prices(self) -> Prices:
        """Of every step."""
        return self.case.prices

    def asked(self, decided: Mapping[str, Setpoint]) -> Floats:
        """(2, devices) the setpoints decided for each meter, by the service's names, the default where none was."""
        asked = self.default_kw()
        for point in self.points:
            setpoint = decided.get(self.meter(point.name))
            if setpoint is not None and point.device is not None:
                asked[:, point.device] = setpoint.p_kw, setpoint.q_kvar
        return asked

    def default_kw(self) -> Floats:
        """(2, devices): what devices do where nobody decides: batteries rest, PV keeps to the share that is always safe."""
        fleet = self.case.fleet
        asked: Floats = idle(1, fleet.batteries, fleet.devices)[0]
        asked[0, fleet.batteries :] = self.safe_pv_share * fleet.s_kva[fleet.batteries :]
        return asked
