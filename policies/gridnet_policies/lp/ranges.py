"""What a programme must know of devices and prices before any operating point: plain arrays that both engines share."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gridnet_policies.lp.task import Task

Floats = NDArray[np.float64]

EXCESS_EUR_PER_PERCENT_H = 1000.0
"""Price of exceeding a limit, per hour and percent of nominal voltage or rated current, for the worst element of each
kind. Far above what energy is worth (a kW moves a loading by 0.01 to 1 percent), so that a limit is given up only where
no schedule keeps it."""

SHIFT_EUR_PER_KVARH = 0.002
"""Price of moving reactive power away from where it costs the least losses. It breaks ties; the losses that the move makes
are in the tangents."""


def burning_pays_below(task: Task) -> float:
    """The price, EUR/kWh, below which charging and discharging at once earns more than its wear.

    Drawing `c` and giving back `eta c` leaves the store as it was, takes `(1 - eta) c` from the grid and wears
    `(1 + eta) c`, with `eta` the efficiency of the round trip.
    """
    round_trip = float(np.prod(task.params.fleet.efficiency))
    if round_trip >= 1.0:
        return -np.inf
    return -task.prices.wear_eur_per_kwh * (1 + round_trip) / (1 - round_trip)


def largest_exchange_kw(task: Task) -> tuple[Floats, Floats]:
    """(steps,) more than the slack can import and export: loads and devices at once, half as much again for losses."""
    fleet, load = task.params.fleet, task.params.load_p_kw[task.run]
    iron = 0.1 * float(task.case.feeder.trafo_kva.sum()) + 1.0
    most_in = iron + 1.5 * (fleet.p_kw.sum() + np.maximum(-load, 0.0).sum(axis=1))
    most_out = iron + fleet.p_kw.sum() + np.maximum(load, 0.0).sum(axis=1) + task.pv_available_kw.sum(axis=1)
    return most_in, most_out


def lowest_reachable_kwh(task: Task) -> Floats:
    """(steps, batteries) lowest stored energy to be kept after each step: the window's, or, where self-discharge has
    led below it, what charging at full power brings back. So a schedule exists from any start."""
    fleet = task.params.fleet
    window, gain = fleet.soc_window[0] * fleet.e_kwh, fleet.p_kw * fleet.dt_h * fleet.efficiency[0]
    floor, stored = np.empty((task.steps, fleet.batteries)), task.soc * fleet.e_kwh
    for t in range(task.steps):
        stored = np.minimum(window, fleet.keep * stored + gain)
        floor[t] = stored
    return floor


def highest_reachable_kwh(task: Task) -> Floats:
    """(steps, batteries) highest stored energy to be kept after each step: the window's, or, from a start above it, what
    discharging at full power leaves."""
    fleet = task.params.fleet
    window, loss = fleet.soc_window[1] * fleet.e_kwh, fleet.p_kw * fleet.dt_h / fleet.efficiency[1]
    ceiling, stored = np.empty((task.steps, fleet.batteries)), task.soc * fleet.e_kwh
    for t in range(task.steps):
        stored = np.maximum(window, fleet.keep * stored - loss)
        ceiling[t] = stored
    return ceiling


def stored_range_kwh(task: Task) -> tuple[Floats, Floats]:
    """(steps, batteries) lowest and highest stored energy after each step."""
    return lowest_reachable_kwh(task), highest_reachable_kwh(task)


def stored_coefficients(task: Task) -> tuple[float, float]:
    """How many kWh a kW of charging puts into store over a step, and how many a kW of discharging takes."""
    fleet = task.params.fleet
    return fleet.dt_h * float(fleet.efficiency[0]), fleet.dt_h / float(fleet.efficiency[1])
