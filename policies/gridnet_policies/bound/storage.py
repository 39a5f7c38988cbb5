"""The batteries' part of the bound: what their stores are worth at best, in closed form."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gridnet_policies.lp.task import Task

Floats = NDArray[np.float64]


def reachable_kwh(task: Task) -> tuple[Floats, Floats]:
    """Lowest and highest stored energy after each step, (steps, batteries) each: nothing that a battery can do leads outside.

    Both ends follow `gridnet.devices`: self-discharge may lead below the window, where a battery is not forced to charge;
    a start above the window may stay above it.
    """
    fleet = task.params.fleet
    window = fleet.soc_window[:, None] * fleet.e_kwh
    gain = fleet.p_kw * fleet.dt_h * fleet.efficiency[0]
    loss = fleet.p_kw * fleet.dt_h / fleet.efficiency[1]
    low, high = np.empty((task.steps, fleet.batteries)), np.empty((task.steps, fleet.batteries))
    lowest = highest = task.soc * fleet.e_kwh
    for t in range(task.steps):
        lowest = np.minimum(fleet.keep * lowest, np.maximum(window[0], fleet.keep * lowest - loss))
        highest = np.maximum(fleet.keep * highest, np.minimum(window[1], fleet.keep * highest + gain))
        low[t], high[t] = lowest, highest
    return low, high


def storage_eur(task: Task, value_eur_per_kwh: Floats) -> tuple[Floats, float]:
    """The least that holding energy costs at the given values: of each step's store (steps,), and of the start.

    With the balance `e' = keep e + ...` priced at `value`, a kWh held after step t costs `value_t - keep value_{t+1}`; the
    last step's also holds the worth of energy gained or missing over the run.
    """
    fleet = task.params.fleet
    low, high = reachable_kwh(task)
    held = value_eur_per_kwh.copy()
    held[:-1] -= fleet.keep * value_eur_per_kwh[1:]
    parts = np.minimum(held * low, held * high).sum(axis=1)
    start_kwh = task.soc * fleet.e_kwh
    if len(parts):
        parts[-1] = _end_eur(task, held[-1], low[-1], high[-1])
    return parts, -float(fleet.keep * (value_eur_per_kwh[0] @ start_kwh))


def _end_eur(task: Task, held: Floats, low: Floats, high: Floats) -> float:
    """Least of `held @ e` plus the price of ending with `e` (batteries,) kWh, within the reachable.

    The price is the larger of two linear functions where a missing kWh costs at least what a surplus one earns; the larger
    is no less than any mixture of the two, and the best mixture is at an end or at one of `held`. Otherwise it is the
    smaller, and the least is that of one of the two.
    """
    start_kwh = float(task.soc @ task.params.fleet.e_kwh)
    surplus, shortfall = task.stored.surplus_eur_per_kwh, task.stored.shortfall_eur_per_kwh

    def least(worth: float) -> float:
        return float(np.minimum((held - worth) * low, (held - worth) * high).sum()) + worth * start_kwh

    if shortfall < surplus:
        return min(least(surplus), least(shortfall))
    return max(least(float(worth)) for worth in {surplus, shortfall, *np.clip(held, surplus, shortfall).tolist()})
