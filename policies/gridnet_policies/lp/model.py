"""The schedule as a linear programme in Pyomo, kept in HiGHS between rounds so that each round only adds its new rows.

    minimise   sum over steps of dt * (import price * imported - export price * exported + wear * (charge + discharge))
               + value of stored energy missing or gained at the end + price * limit excess
    subject to stored' = keep * stored + dt * (eta_c * charge - discharge / eta_d), inside the window
               0 <= charge, discharge <= power limit;  0 <= pv <= what the sun gives;  reactive power 0
               imported - exported >= tangent of the AC slack power at every operating point visited
               slope * device powers - excess <= bound, for the limits found broken

Slack power is convex in the device powers (losses are), so its tangents are added up, not replaced: the programme then
settles instead of swinging between vertices (Kelley, "The cutting-plane method for solving convex programs", 1960). Where a
kWh at the slack has a negative price the programme would rather invent losses than keep to `>=`; there the newest tangent
alone holds, as an equality.

Opposite things done at once can pay in a linear programme: charging and discharging, which burns energy (where a price is so
negative that it beats the wear, or a full store keeps a battery from negative prices to come); importing and exporting, where
energy is dearer to sell than to buy (a fixed feed-in above a negative spot price); ending with more and less, where a run of
negative prices makes it pay to end empty. Where a solution does so, the direction that outweighs is kept, the other barred,
and the programme solved again. That is a good schedule rather than a proven optimum; integer variables would prove it, at
minutes instead of seconds.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import pyomo.environ as pyo
from numpy.typing import NDArray
from pyomo.contrib.solver.solvers.highs import Highs
from pyomo.core.expr import LinearExpression

from gridnet.errors import Infeasible
from gridnet.linear import Sensitivity
from gridnet_policies.lp.margins import KINDS, Cut, Key
from gridnet_policies.lp.task import Task

Floats = NDArray[np.float64]

EXCESS_EUR_PER_PERCENT_H = 1000.0
"""Price of exceeding a limit, per hour and percent of nominal voltage or rated current, for the worst element of each kind.
Far above what energy is worth (a kW moves a loading by 0.01 to 1 percent), so that a limit is given up only where no
schedule keeps it."""


_Row = tuple[float | None, Any, float | None]
"""Lower bound, body, upper bound."""


TURNS = 4
"""Times that directions are barred and the programme solved again, at most; what is left of both is netted."""

_BOTH = 1e-6
"""Shares of both directions above this, kW or kWh, are both in use."""


class Solution(NamedTuple):
    """`p_kw` (steps, devices), `stored_kwh` (steps, batteries) after each step, `objective_eur` with the price of excess."""

    p_kw: Floats
    stored_kwh: Floats
    objective_eur: float


class ScheduleModel:
    """One task's programme. Add tangents and cuts, solve, repeat."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.model = _build(task)
        self._opposite = _opposite(self.model, task)
        self._equal = np.minimum(task.import_eur_per_kwh, task.export_eur_per_kwh) < 0
        self._newest: list[Any] = []
        self._held: dict[Key, Any] = {}
        self._device_vars, self._device_column, self._device_sign = self._layout()
        self._solver = _solver(self.model)

    def follow_losses(self, around: Sensitivity, p_kw: Floats) -> None:
        """Adds the tangent of the slack power at devices `p_kw` (steps, devices)."""
        bound = around.slack_p_kw - np.einsum("td,td->t", around.d_slack_p, p_kw)
        rows: list[_Row] = []
        exact: list[_Row] = []
        for t in range(self.task.steps):
            slope = around.d_slack_p[t][self._device_column[t]] * self._device_sign[t]
            body = LinearExpression(
                linear_coefs=[1.0, -1.0, *(-slope).tolist()],
                linear_vars=[self.model.imported[t], self.model.exported[t], *self._device_vars[t]],
            )
            level = float(bound[t])
            if self._equal[t]:
                exact.append((level, body, level))
            else:
                rows.append((level, body, None))
        self._drop(self._newest)
        self._newest = self._add(exact)
        self._add(rows)

    def hold(self, cuts: Iterable[Cut]) -> None:
        """Adds cuts. Those on an upper voltage take the place of their predecessor: voltage is concave in power, so an old
        tangent there forbids what is allowed, while old tangents of the others stay true."""
        rows: list[_Row] = []
        keys: list[Key] = []
        for each in cuts:
            kind, step, _ = each.key
            slope = each.slope[self._device_column[step]] * self._device_sign[step]
            body = LinearExpression(
                linear_coefs=[-1.0, *slope.tolist()],
                linear_vars=[self.model.excess[step, kind], *self._device_vars[step]],
            )
            rows.append((None, body, each.bound_percent))
            keys.append(each.key)
        self._drop([self._held.pop(key) for key in keys if key.kind == "vm_max" and key in self._held])
        self._held.update(zip(keys, self._add(rows), strict=True))

    @property
    def held(self) -> list[Key]:
        """The limits that have a cut."""
        return list(self._held)

    def solve(self) -> Solution:
        """The cheapest schedule. Raises `Infeasible` where HiGHS gives none, which the soft limits rule out."""
        objective_eur = self._run()
        if objective_eur is None:
            raise Infeasible(
                f"HiGHS found no schedule for steps [{self.task.start}, {self.task.start + self.task.steps}); "
                "check prices and device ratings for extreme values"
            )
        barred: list[Any] = []
        for _ in range(TURNS):
            both = [(one, other) for one, other in self._opposite if min(one.value, other.value) > _BOTH]
            if not both:
                break
            weaker = [other if one.value >= other.value else one for one, other in both]
            barred += weaker
            self._bar(weaker, True)
            directed_eur = self._run()
            if directed_eur is None:
                break
            objective_eur = directed_eur
        solution = self._solution(objective_eur)
        self._bar(barred, False)
        return solution

    def _run(self) -> float | None:
        found = self._solver.solve(self.model)
        if found.incumbent_objective is None:
            return None
        found.solution_loader.load_vars()
        return float(found.incumbent_objective)

    def _bar(self, variables: list[Any], barred: bool) -> None:
        """Holds variables at zero, or lets them go."""
        for variable in variables:
            if barred:
                variable.fix(0.0)
            else:
                variable.unfix()
        self._solver.update_variables(variables)

    def _solution(self, objective_eur: float) -> Solution:
        pv = np.zeros_like(self.task.pv_available_kw)
        for (t, k), variable in self.model.pv.items():
            pv[t, k] = variable.value
        pv = np.clip(pv, 0.0, self.task.pv_available_kw)
        charge, discharge = self._values(self.model.charge), self._values(self.model.discharge)
        net = _netted(charge, discharge, self.task.params.fleet.efficiency)
        return Solution(np.hstack([net, pv]), self._values(self.model.stored), objective_eur)

    def _values(self, variable: Any) -> Floats:
        shape = (self.task.steps, self.task.params.fleet.batteries)
        return np.array([each.value for each in variable.values()], dtype=np.float64).reshape(shape)

    def _layout(self) -> tuple[list[list[Any]], list[NDArray[np.int64]], list[Floats]]:
        """Per step: the variables that move power, the device each belongs to, and the sign it injects with."""
        model, batteries = self.model, self.task.params.fleet.batteries
        own = np.arange(batteries)
        variables, columns, signs = [], [], []
        for t in range(self.task.steps):
            sunny = np.flatnonzero(self.task.pv_available_kw[t] > 0)
            moved = [*(model.discharge[t, b] for b in own), *(model.charge[t, b] for b in own)]
            variables.append([*moved, *(model.pv[t, k] for k in sunny)])
            columns.append(np.concatenate([own, own, batteries + sunny]))
            signs.append(np.concatenate([np.ones(batteries), -np.ones(batteries), np.ones(len(sunny))]))
        return variables, columns, signs

    def _add(self, rows: list[_Row]) -> list[Any]:
        added = [self.model.rows.add(row) for row in rows]
        self._solver.add_constraints(added)
        return added

    def _drop(self, rows: list[Any]) -> None:
        if rows:
            self._solver.remove_constraints(rows)
            for row in rows:
                row.deactivate()


def _build(task: Task) -> Any:
    """Everything but tangents and cuts."""
    fleet, dt = task.params.fleet, task.params.fleet.dt_h
    eta_charge, eta_discharge = fleet.efficiency.tolist()
    power, available = fleet.p_kw.tolist(), task.pv_available_kw
    start, floor, ceiling = task.soc * fleet.e_kwh, lowest_reachable_kwh(task), fleet.soc_window[1] * fleet.e_kwh
    m = pyo.ConcreteModel()
    m.t, m.b = pyo.RangeSet(0, task.steps - 1), pyo.RangeSet(0, fleet.batteries - 1)
    m.charge = pyo.Var(m.t, m.b, bounds=lambda _, t, b: (0.0, power[b]))
    m.discharge = pyo.Var(m.t, m.b, bounds=lambda _, t, b: (0.0, power[b]))
    m.stored = pyo.Var(m.t, m.b, bounds=lambda _, t, b: (floor[t, b], max(ceiling[b], floor[t, b])))
    m.pv = pyo.Var([(int(t), int(k)) for t, k in np.argwhere(available > 0)], bounds=lambda _, t, k: (0.0, available[t, k]))
    most_in, most_out = largest_exchange_kw(task)
    m.imported = pyo.Var(m.t, bounds=lambda _, t: (0.0, most_in[t]))
    m.exported = pyo.Var(m.t, bounds=lambda _, t: (0.0, most_out[t]))
    m.excess = pyo.Var(m.t, list(KINDS), bounds=(0.0, None))
    m.gained = pyo.Var(bounds=(0.0, float(fleet.e_kwh.sum())))
    m.missing = pyo.Var(bounds=(0.0, float(fleet.e_kwh.sum())))

    @m.Constraint(m.t, m.b)  # type: ignore[untyped-decorator]
    def balance(m: Any, t: int, b: int) -> Any:
        before = m.stored[t - 1, b] if t else start[b]
        return m.stored[t, b] == fleet.keep * before + dt * eta_charge * m.charge[t, b] - dt / eta_discharge * m.discharge[t, b]

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


def _opposite(m: Any, task: Task) -> list[tuple[Any, Any]]:
    """Pairs of variables that do opposite things. Where prices make both pay, their shares of their ranges add up to at most
    one: true of any schedule that does one thing at a time, and it keeps the relaxation from running both to their ends."""
    imports, exports = task.import_eur_per_kwh, task.export_eur_per_kwh
    pairs = [(m.imported[t], m.exported[t]) for t in np.flatnonzero(imports < exports).tolist()]
    if len(m.b) and task.stored.shortfall_eur_per_kwh < task.stored.surplus_eur_per_kwh:
        pairs.append((m.gained, m.missing))
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
    """(steps,) more than the slack can ever import and export: loads and devices at once, and half as much again for losses."""
    fleet, load = task.params.fleet, task.params.load_p_kw[task.run]
    iron = 0.1 * float(task.case.feeder.trafo_kva.sum()) + 1.0
    most_in = iron + 1.5 * (fleet.p_kw.sum() + np.maximum(-load, 0.0).sum(axis=1))
    most_out = iron + fleet.p_kw.sum() + np.maximum(load, 0.0).sum(axis=1) + task.pv_available_kw.sum(axis=1)
    return most_in, most_out


def lowest_reachable_kwh(task: Task) -> Floats:
    """(steps, batteries) lowest stored energy to be kept after each step: the window's, or, where self-discharge has led
    below it, what charging at full power brings back. So a schedule exists from any start."""
    fleet = task.params.fleet
    window, gain = fleet.soc_window[0] * fleet.e_kwh, fleet.p_kw * fleet.dt_h * fleet.efficiency[0]
    floor, stored = np.empty((task.steps, fleet.batteries)), task.soc * fleet.e_kwh
    for t in range(task.steps):
        stored = np.minimum(window, fleet.keep * stored + gain)
        floor[t] = stored
    return floor


def _netted(charge: Floats, discharge: Floats, efficiency: Floats) -> Floats:
    """One power per battery that stores exactly what charge and discharge together store, so that the charge follows the plan.

    They are both above zero only where that was paid for: to burn energy against a limit that nothing else can keep.
    """
    gain = efficiency[0] * charge - discharge / efficiency[1]
    net: Floats = np.where(gain > 0, -gain / efficiency[0], -gain * efficiency[1])
    return net


def _solver(model: Any) -> Highs:
    """HiGHS with the model loaded. One thread, fixed seed and no time limit: the same answer every time."""
    solver = Highs()
    solver.config.load_solutions = False
    solver.config.raise_exception_on_nonoptimal_result = False
    solver.config.threads = 1
    solver.config.solver_options = {"random_seed": 0}
    for check in solver.config.auto_updates:
        # The model tells its solver about every change itself; looking for changes costs more than solving.
        solver.config.auto_updates[check] = False
    solver.set_instance(model)
    return solver
