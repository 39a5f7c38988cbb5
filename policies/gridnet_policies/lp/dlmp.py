"""Distribution locational marginal prices: what one kWh more, drawn at a bus, costs the neighbourhood.

With `mu` the price of a kWh at the slack bus, `ds/dp` what the slack power answers to a kW injected at the bus, and for each
binding limit its price times what it answers to that kW,

    DLMP = energy + loss + congestion + voltage,    energy = mu,    loss = mu * (-ds/dp - 1),
    congestion, voltage = - sum over limits of currents, of voltages: price * answer / dt

all taken at the plan's own AC operating point. The price at the slack lies between the export and the import price where the
neighbourhood neither exports nor imports, and holds the part of a peak charge that falls on its step.

Source: Papavasiliou, "Analysis of distribution locational marginal prices", IEEE Trans. Smart Grid 9(5), 2018.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gridnet.errors import InputError
from gridnet.linear import Sensitivity, linearise
from gridnet_policies.lp.engine import ShadowPrices
from gridnet_policies.lp.margins import Key
from gridnet_policies.lp.plan import Plan
from gridnet_policies.lp.task import Task

Floats = NDArray[np.float64]

_CHUNK = 96
"""Steps linearised at a time: every bus is a control here."""


@dataclass(frozen=True)
class Dlmp:
    """Prices in EUR/MWh, (steps, buses) each; 0 at dead buses but for energy."""

    energy: Floats
    loss: Floats
    congestion: Floats
    voltage: Floats

    @property
    def total(self) -> Floats:
        """(steps, buses) EUR/MWh of energy drawn; what is injected earns the same."""
        return self.energy + self.loss + self.congestion + self.voltage


def prices_of(task: Task, plan: Plan) -> Dlmp:
    """The prices of every bus and step of `plan`, made from `task`.

    Raises `InputError` for a plan that timed out: it has no prices.
    """
    if plan.shadow is None:
        raise InputError("a plan that timed out has no prices; give the optimiser more time")
    case, buses = task.case, task.params.buses
    parts = Dlmp(*(np.zeros((task.steps, buses)) for _ in range(4)))
    p_bus, q_bus = task.injections(plan.p_kw, plan.q_kvar)
    for first in range(0, task.steps, _CHUNK):
        here = slice(first, min(first + _CHUNK, task.steps))
        around = linearise(case.power_flow, case.feeder.model, p_bus[here], q_bus[here], np.arange(buses))
        _fill(parts, plan.shadow, around, here, task.params.fleet.dt_h)
    return parts


def _fill(parts: Dlmp, shadow: ShadowPrices, around: Sensitivity, here: slice, dt_h: float) -> None:
    energy = 1e3 * shadow.slack_eur_per_kwh[here, None]
    parts.energy[here] = energy
    parts.loss[here] = np.where(np.isfinite(around.vm_pu), energy * (-around.d_slack_p - 1.0), 0.0)
    for key, price in shadow.limits_eur_per_percent.items():
        if here.start <= key.step < here.stop:
            part = parts.congestion if key.kind == "loading" else parts.voltage
            part[key.step] -= 1e3 / dt_h * price * _answer(around, key, key.step - here.start)


def _answer(around: Sensitivity, key: Key, row: int) -> Floats:
    """(buses,) percent that a limit's quantity moves by, per kW injected at each bus."""
    answer: Floats = around.d_loading[row, key.column] if key.kind == "loading" else 100.0 * around.d_vm[row, key.column]
    return answer
