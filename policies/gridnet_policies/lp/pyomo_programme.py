"""The programme of `gridnet_policies.lp.engine` in Pyomo: everything that does not depend on an operating point."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyomo.environ as pyo
from pyomo.core.expr import LinearExpression

from gridnet_policies.lp.margins import KINDS
from gridnet_policies.lp.ranges import (
    EXCESS_EUR_PER_PERCENT_H,
    SHIFT_EUR_PER_KVARH,
    burning_pays_below,
    largest_exchange_kw,
    stored_coefficients,
    stored_range_kwh,
)
from gridnet_policies.lp.task import Task


def build_programme(task: Task) -> Any:
    """The Pyomo model, without slack power and network limits: `rows` takes those.

    | variable | index | meaning |
    |---|---|---|
    | `charge`, `discharge`, `stored` | step, battery | kW, kW, kWh after the step |
    | `pv` | step, plant, where the sun shines | kW |
    | `up`, `down` | step, device, in a reactive task | kvar above and below the centre; 0 while no limit is held |
    | `imported`, `exported` | step | kW |
    | `excess` | step, kind of limit | percent |
    | `peak`, `gained`, `missing` | | kW above what was reached; kWh |
    """
    fleet = task.params.fleet
    filled, taken = stored_coefficients(task)
    power, available = fleet.p_kw.tolist(), task.pv_available_kw
    start, (floor, ceiling) = task.soc * fleet.e_kwh, stored_range_kwh(task)
    m = pyo.ConcreteModel()
    m.t, m.b = pyo.RangeSet(0, task.steps - 1), pyo.RangeSet(0, fleet.batteries - 1)
    m.d = pyo.RangeSet(0, fleet.devices - 1) if task.reactive else pyo.Set(initialize=[])
    m.charge = pyo.Var(m.t, m.b, bounds=lambda _, t, b: (0.0, power[b]))
    m.discharge = pyo.Var(m.t, m.b, bounds=lambda _, t, b: (0.0, power[b]))
    m.stored = pyo.Var(m.t, m.b, bounds=lambda _, t, b: (floor[t, b], ceiling[t, b]))
    m.pv = pyo.Var(list(map(tuple, np.argwhere(available > 0).tolist())), bounds=lambda _, t, k: (0.0, available[t, k]))
    m.up = pyo.Var(m.t, m.d, bounds=(0.0, 0.0))
    m.down = pyo.Var(m.t, m.d, bounds=(0.0, 0.0))
    m.imported = pyo.Var(m.t, bounds=(0.0, None))
    m.exported = pyo.Var(m.t, bounds=(0.0, None))
    m.excess = pyo.Var(m.t, list(KINDS), bounds=(0.0, None))
    m.peak = pyo.Var(bounds=(0.0, None))
    m.gained = pyo.Var(bounds=(0.0, None))
    m.missing = pyo.Var(bounds=(0.0, None))

    @m.Constraint(m.t, m.b)  # type: ignore[untyped-decorator]
    def balance(m: Any, t: int, b: int) -> Any:
        kept = fleet.keep * (m.stored[t - 1, b] if t else start[b])
        return m.stored[t, b] == kept + filled * m.charge[t, b] - taken * m.discharge[t, b]

    last = [m.stored[task.steps - 1, b] for b in m.b]
    m.end = pyo.Constraint(expr=m.gained - m.missing == sum(last) - float(start.sum()))
    if task.prices.peak_eur_per_kw > 0:
        m.highest = pyo.Constraint(m.t, rule=lambda m, t: m.imported[t] - m.peak <= task.reached_kw)
    m.rows = pyo.ConstraintList()
    _price(m, task)
    return m


def _price(m: Any, task: Task) -> None:
    """The account of `gridnet.tariff`, and the price of exceeding limits."""
    dt = task.params.fleet.dt_h
    moved, shifted = [*m.charge.values(), *m.discharge.values()], [*m.up.values(), *m.down.values()]
    coefficients = [
        *(dt * task.import_eur_per_kwh).tolist(),
        *(-dt * task.export_eur_per_kwh).tolist(),
        *[dt * task.prices.wear_eur_per_kwh] * len(moved),
        *[dt * SHIFT_EUR_PER_KVARH] * len(shifted),
        *[dt * EXCESS_EUR_PER_PERCENT_H] * len(m.excess),
        task.prices.peak_eur_per_kw,
        task.stored.shortfall_eur_per_kwh,
        -task.stored.surplus_eur_per_kwh,
    ]
    sums = [*moved, *shifted, *m.excess.values(), m.peak, m.missing, m.gained]
    variables = [*m.imported.values(), *m.exported.values(), *sums]
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
