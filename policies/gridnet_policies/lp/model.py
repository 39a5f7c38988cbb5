"""The programme of one task, kept in HiGHS between rounds so that each round only adds its new rows.

To what `gridnet_policies.lp.programme` holds come, at every operating point visited,

    imported - exported >= tangent of the AC slack power
    slope * device powers - excess <= bound, for the limits found broken

Slack power is convex in the device powers (losses are), so its tangents are added up, not replaced: the programme then
settles instead of swinging between vertices (Kelley, "The cutting-plane method for solving convex programs", 1960). Where
a kWh at the slack has a negative price the programme would rather invent losses than keep to `>=`; there the newest
tangent alone holds, as an equality.

Opposite things done at once can pay in a linear programme: charging and discharging, which burns energy (where a price is
so negative that it beats the wear, where a full store stands in the way of negative prices to come, or where a limit can't
be kept otherwise); importing and exporting, where energy is dearer to sell than to buy (a fixed feed-in above a negative
spot price). Where a solution does so, the direction that outweighs is kept, the other barred, and the programme solved
again. That is a good schedule rather than a proven optimum; integer variables would prove it, at minutes instead of
seconds.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pyomo.contrib.solver.solvers.highs import Highs
from pyomo.core.expr import LinearExpression

from gridnet.errors import Infeasible
from gridnet.linear import Sensitivity
from gridnet_policies.lp.margins import Cut, Key
from gridnet_policies.lp.programme import build_programme, opposite_pairs
from gridnet_policies.lp.task import Task

Floats = NDArray[np.float64]

TURNS = 4
"""Times that directions are barred and the programme solved again, at most; what is left of both is netted."""

_BOTH = 1e-6
"""Above this, kW or kWh, a direction is in use."""

_Row = tuple[float | None, Any, float | None]
"""Lower bound, body, upper bound."""


class Solution(NamedTuple):
    """`p_kw` (steps, devices); `stored_kwh` (steps, batteries) after each step; `objective_eur` prices excess."""

    p_kw: Floats
    stored_kwh: Floats
    objective_eur: float


class ScheduleModel:
    """One task's programme. Add tangents and cuts, solve, repeat."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.model = build_programme(task)
        self._opposite = opposite_pairs(self.model, task)
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
        """Adds cuts. Those on an upper voltage take the place of their predecessor: voltage is concave in power, so an
        old tangent there forbids what is allowed, while old tangents of the others stay true."""
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


def _netted(charge: Floats, discharge: Floats, efficiency: Floats) -> Floats:
    """One power per battery that stores exactly what charge and discharge together store: the charge follows the plan.

    Both are above zero only where burning energy paid and `TURNS` did not suffice to choose a direction.
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
