"""The schedule as a linear programme in Pyomo: everything that does not depend on an operating point.

minimise   sum over steps of dt * (import price * imported - export price * exported + wear * (charge + discharge))
           + value of stored energy missing or gained at the end + price * limit excess
subject to stored' = keep * stored + dt * (eta_c * charge - discharge / eta_d), inside the window
           0 <= charge, discharge <= power limit;  0 <= pv <= what the sun gives;  reactive power 0
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyomo.environ as pyo
from numpy.typing import NDArray
from pyomo.core.expr import LinearExpression

from gridnet_policies.lp.margins import KINDS
from gridnet_policies.lp.task import Task

Floats = NDArray[np.float64]

EXCESS_EUR_PER_PERCENT_H = 1000.0
"""Price of exceeding a limit, per hour and percent of nominal voltage or rated current, for the worst element of each
kind. Far above what energy is worth (a kW moves a loading by 0.01 to 1 percent), so that a limit is given up only where
no schedule keeps it."""


def build_programme(task: Task) -> Any:
    """The Pyomo model, without slack power and network limits: `rows` takes those."""
    fleet, dt = task.params.fleet, task.params.fleet.dt_h
    eta_charge, eta_discharge = fleet.efficiency.tolist()
    power, available = fleet.p_kw.tolist(), task.pv_available_kw
    start, floor, ceiling = task.soc * fleet.e_kwh, lowest_reachable_kwh(task), fleet.soc_window[1] * fleet.e_kwh
    m = pyo.ConcreteModel()
    m.t, m.b = pyo.RangeSet(0, task.steps - 1), pyo.RangeSet(0, fleet.batteries - 1)
    m.charge = pyo.Var(m.t, m.b, bounds=lambda _, t, b: (0.0, power[b]))
    m.discharge = pyo.Var(m.t, m.b, bounds=lambda _, t, b: (0.0, power[b]))
    m.stored = pyo.Var(m.t, m.b, bounds=lambda _, t, b: (floor[t, b], max(ceiling[b], floor[t, b])))
    m.pv = pyo.Var(list(map(tuple, np.argwhere(available > 0).tolist())), bounds=lambda _, t, k: (0.0, available[t, k]))
    m.imported = pyo.Var(m.t, bounds=(0.0, None))
    m.exported = pyo.Var(m.t, bounds=(0.0, None))
    m.excess = pyo.Var(m.t, list(KINDS), bounds=(0.0, None))
    m.gained = pyo.Var(bounds=(0.0, None))
    m.missing = pyo.Var(bounds=(0.0, None))

    @m.Constraint(m.t, m.b)  # type: ignore[untyped-decorator]
    def balance(m: Any, t: int, b: int) -> Any:
        kept = fleet.keep * (m.stored[t - 1, b] if t else start[b])
        return m.stored[t, b] == kept + dt * eta_charge * m.charge[t, b] - dt / eta_discharge * m.discharge[t, b]

    last = [m.stored[task.steps - 1, b] for b in m.b]
    m.end = pyo.Constraint(expr=m.gained - m.missing == sum(last) - float(start.sum()))
    m.rows = pyo.ConstraintList()
    _price(m, task)
    return m


def _price(m: Any, task: Task) -> None:
    """The account of `gridnet.tariff`, and the price of exceeding limits."""
    dt, wear = task.params.fleet.dt_h, task.prices.wear_eur_per_kwh
    moved = [*m.charge.values(), *m.discharge.values()]
    coefficients = [
        *(dt * task.import_eur_per_kwh).tolist(),
        *(-dt * task.export_eur_per_kwh).tolist(),
        *[dt * wear] * len(moved),
        *[dt * EXCESS_EUR_PER_PERCENT_H] * len(m.excess),
        task.stored.shortfall_eur_per_kwh,
        -task.stored.surplus_eur_per_kwh,
    ]
    variables = [*m.imported.values(), *m.exported.values(), *moved, *m.excess.values(), m.missing, m.gained]
    m.cost = pyo.Objective(expr=LinearExpression(linear_coefs=coefficients, linear_vars=variables))


def opposite_pairs(m: Any, task: Task) -> list[tuple[Any, Any]]:
    """Pairs of variables that do opposite things. Where prices make both pay, their shares of their ranges add up to at
    most one: true of any schedule that does one thing at a time, and it keeps the programme from running both to their
    ends."""
    imports, exports = task.import_eur_per_kwh, task.export_eur_per_kwh
    most_in, most_out = largest_exchange_kw(task)
    pairs = []
    for t in np.flatnonzero(imports < exports).tolist():
        m.imported[t].setub(most_in[t])
        m.exported[t].setub(most_out[t])
        pairs.append((m.imported[t], m.exported[t]))
    cycling = [pair for pair in zip(m.charge.values(), m.discharge.values(), strict=True) if pair[0].ub > 0]
    burning_pays = bool((np.minimum(imports, exports) < burning_pays_below(task)).any())
    bounded = pairs + cycling if burning_pays else pairs
    m.one_way = pyo.Constraint(
        range(len(bounded)),
        rule=lambda _, k: bounded[k][0] / bounded[k][0].ub + bounded[k][1] / bounded[k][1].ub <= 1,
    )
    return pairs + cycling


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
