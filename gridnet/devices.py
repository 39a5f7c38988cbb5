"""Devices behind the meters: batteries and PV plants with their inverters, as arrays and as pure numba functions.

Controllable devices stand in one order everywhere: the batteries, then the PV plants. Powers are at the AC terminals,
p > 0 injects. An electric car is a battery whose power limits are zero while it is away: `Fleet` needs no new kind for it,
only limits that vary with the step.

Battery model: a reservoir with separate charge and discharge efficiencies, proportional self-discharge, and a state-of-charge
window. Over one step of `dt_h` hours, with `e` the capacity:

    soc' = soc * keep - p / (eta_d * e) * dt_h    when p >= 0 (discharge)
    soc' = soc * keep - p * eta_c / e * dt_h      when p < 0 (charge)
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gridnet.kernels import kernel
from gridnet.scenario import Scenario

Floats = NDArray[np.float64]


class Fleet(NamedTuple):
    """Parameters of the controllable devices; they don't change during a run."""

    p_kw: Floats
    """(batteries,) power limit, both ways."""
    e_kwh: Floats
    """(batteries,)"""
    s_kva: Floats
    """(devices,) inverter rating, batteries then PV."""
    efficiency: Floats
    """(2,) charge, discharge."""
    keep: float
    """Share of the stored energy that self-discharge leaves after one step."""
    soc_window: Floats
    """(2,) lowest and highest state of charge."""
    dt_h: float

    @property
    def batteries(self) -> int:
        """How many of the devices are batteries."""
        return len(self.p_kw)

    def without_batteries(self) -> Fleet:
        """The same fleet with batteries that can do nothing, whatever they hold."""
        kva = self.s_kva.copy()
        kva[: self.batteries] = 0.0
        return self._replace(p_kw=np.zeros_like(self.p_kw), s_kva=kva)

    @property
    def devices(self) -> int:
        """How many controllable devices there are."""
        return len(self.s_kva)


def make_fleet(scenario: Scenario, battery_p_kw: Floats, battery_e_kwh: Floats, pv_p_kw: Floats, dt_h: float) -> Fleet:
    """The fleet of a feeder: the scenario's models with each device's own ratings."""
    battery = scenario.battery
    return Fleet(
        p_kw=battery_p_kw,
        e_kwh=battery_e_kwh,
        s_kva=np.concatenate([battery_p_kw, pv_p_kw]) * scenario.inverter.s_per_p,
        efficiency=np.array([battery.efficiency_charge, battery.efficiency_discharge]),
        keep=(1.0 - battery.self_discharge_per_day) ** (dt_h / 24.0),
        soc_window=np.array([battery.soc_min, battery.soc_max]),
        dt_h=dt_h,
    )


@kernel
def battery_range(fleet: Fleet, k: int, soc: float) -> tuple[float, float]:
    """Lowest (charging) and highest (discharging) power in kW that battery `k` can hold over the next step."""
    kept = soc * fleet.keep
    room_kwh = max(0.0, fleet.soc_window[1] - kept) * fleet.e_kwh[k]
    stock_kwh = max(0.0, kept - fleet.soc_window[0]) * fleet.e_kwh[k]
    lowest = -min(fleet.p_kw[k], room_kwh / (fleet.efficiency[0] * fleet.dt_h))
    highest = min(fleet.p_kw[k], stock_kwh * fleet.efficiency[1] / fleet.dt_h)
    return lowest, highest


@kernel
def battery_soc(fleet: Fleet, k: int, soc: float, p_kw: float) -> float:
    """State of charge of battery `k` after one step at `p_kw`, which must lie in `battery_range`."""
    kept = soc * fleet.keep
    if p_kw >= 0.0:
        return float(kept - p_kw * fleet.dt_h / (fleet.efficiency[1] * fleet.e_kwh[k]))
    return float(kept - p_kw * fleet.dt_h * fleet.efficiency[0] / fleet.e_kwh[k])


@kernel
def inverter_q(s_kva: float, p_kw: float, q_kvar: float) -> float:
    """`q_kvar` cut to what an inverter has left beside `p_kw`: active power first, inside the apparent-power circle."""
    room = math.sqrt(max(0.0, s_kva * s_kva - p_kw * p_kw))
    return min(max(q_kvar, -room), room)


@kernel
def clip(fleet: Fleet, soc: Floats, pv_available_kw: Floats, asked: Floats, done: Floats) -> None:
    """What the devices of one feeder do when asked for `asked` (2, devices: p kW, q kvar); fills `done` of that shape.

    Batteries are cut to power, energy and window; PV to what the sun gives (asked p is a ceiling); q to the circle.
    """
    batteries = fleet.p_kw.shape[0]
    for d in range(fleet.s_kva.shape[0]):
        if d < batteries:
            lowest, highest = battery_range(fleet, d, soc[d])
        else:
            lowest, highest = 0.0, min(pv_available_kw[d - batteries], fleet.s_kva[d])
        done[0, d] = min(max(asked[0, d], lowest), highest)
        done[1, d] = inverter_q(fleet.s_kva[d], done[0, d], asked[1, d])
