"""The programme of `gridnet_policies.lp.engine` in Pyomo: the readable engine, and the one to extend.

def with_a_quiet_noon(task: Task) -> PyomoEngine:
    engine = PyomoEngine(task)
    engine.add(engine.model.imported[48] <= 10.0)
    return engine

plan = make_plan(task, with_a_quiet_noon)
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyomo.contrib.solver.common.results import TerminationCondition
from pyomo.contrib.solver.solvers.highs import Highs
from pyomo.core.expr import LinearExpression

from gridnet.errors import Infeasible
from gridnet_policies.lp.deadline import Deadline
from gridnet_policies.lp.engine import (
    AGAIN,
    BOTH,
    NEGLIGIBLE,
    OUTSIDE,
    ShadowPrices,
    Solution,
    Tangent,
    netted,
    priced_limits,
)
from gridnet_policies.lp.margins import Cut, Key
from gridnet_policies.lp.pyomo_programme import build_programme, opposite_pairs
from gridnet_policies.lp.reactive import REACH, SIDES_RAD
from gridnet_policies.lp.task import Task

Floats = NDArray[np.float64]
Terms = list[tuple[float, Any]]

_Row = tuple[float | None, Any, float | None]
"""Lower bound, body, upper bound."""


class PyomoEngine:
    """An `Engine` whose `model` is a Pyomo model, see `gridnet_policies.lp.pyomo_programme` for its variables."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.model = build_programme(task)
        self._opposite = opposite_pairs(self.model, task)
        self._equal = np.minimum(task.import_eur_per_kwh, task.export_eur_per_kwh) < 0
        self._centre = np.zeros((task.steps, task.params.fleet.devices))
        self._newest: list[Any] = []
        self._tangents: list[tuple[int, Any]] = []
        self._held: dict[Key, list[Any]] = {}
        self._sides: set[tuple[int, int, int, int]] = set()
        self._shifts: set[int] = set()
        self._solver, self._spent_s = _solver(self.model), 0.0

    def add(self, expression: Any) -> None:
        """Adds a constraint of your own, a linear Pyomo relation over the variables of `model`."""
        self._solver.add_constraints([self.model.rows.add(expression)])

    def centre(self, q_kvar: Floats) -> None:
        """See `Engine.centre`; must come before the first tangent."""
        self._centre = q_kvar

    def follow(self, tangent: Tangent) -> None:
        """See `Engine.follow`."""
        rows: list[_Row] = []
        exact: list[_Row] = []
        for t in range(self.task.steps):
            terms, offset = self._controls(t, -tangent.slope[t])
            body = _sum([(1.0, self.model.imported[t]), (-1.0, self.model.exported[t]), *terms])
            level = float(tangent.level[t]) - offset
            if self._equal[t]:
                exact.append((level, body, level))
            else:
                rows.append((level, body, None))
        self._drop(self._newest)
        self._newest = self._add(exact)
        self._tangents += zip(np.flatnonzero(self._equal).tolist(), self._newest, strict=True)
        self._tangents += zip(np.flatnonzero(~self._equal).tolist(), self._add(rows), strict=True)

    def hold(self, cuts: Iterable[Cut]) -> None:
        """See `Engine.hold`."""
        new = list(cuts)
        self._drop([row for each in new if each.key.kind == "vm_max" for row in self._held.pop(each.key, [])])
        rows: list[_Row] = []
        for each in new:
            terms, offset = self._controls(each.key.step, each.slope)
            body = _sum([(-1.0, self.model.excess[each.key.step, each.key.kind]), *terms])
            rows.append((None, body, each.bound_percent - offset))
        for row, each in zip(self._add(rows), new, strict=True):
            self._held.setdefault(each.key, []).append(row)
        self._let_shift({each.key.step for each in new})

    @property
    def held(self) -> list[Key]:
        """The limits that have a cut."""
        return list(self._held)

    def solve(self, time_limit_s: float | None = None) -> Solution | None:
        """See `Engine.solve`."""
        barred: list[Any] = []
        deadline = Deadline(time_limit_s)
        objective_eur = self._run(deadline)
        for _ in range(AGAIN):
            if objective_eur is None:
                break
            both = [(one, other) for one, other in self._opposite if min(one.value, other.value) > BOTH]
            if not self._add_sides() and not both:
                break
            weaker = [other if one.value >= other.value else one for one, other in both]
            barred += weaker
            self._bar(weaker, True)
            objective_eur = self._run(deadline)
        solution = None if objective_eur is None else self._solution(objective_eur)
        self._duals = {} if objective_eur is None else self._loader.get_duals()
        self._bar(barred, False)
        return solution

    def shadow_prices(self) -> ShadowPrices:
        """See `Engine.shadow_prices`."""
        dual, dt, fleet = self._duals, self.task.params.fleet.dt_h, self.task.params.fleet
        slack = np.zeros(self.task.steps)
        for t, row in self._tangents:
            slack[t] += dual.get(row, 0.0) / dt
        stored = np.array([-dual[row] for row in self.model.balance.values()]).reshape(self.task.steps, fleet.batteries)
        peak = np.zeros(self.task.steps)
        if self.task.prices.peak_eur_per_kw > 0:
            peak = np.array([-dual[row] for row in self.model.highest.values()])
        held = ((key, [dual[row] for row in rows]) for key, rows in self._held.items())
        return ShadowPrices(slack, stored, peak, priced_limits(held))

    def _controls(self, t: int, slope: Floats) -> tuple[Terms, float]:
        """`slope @ controls` at step `t` as terms over the variables, and the part of it that the centre contributes."""
        m, fleet = self.model, self.task.params.fleet
        active, reactive = slope[: fleet.devices].tolist(), slope[fleet.devices :].tolist()
        terms: Terms = []
        for b in range(fleet.batteries):
            terms += [(active[b], m.discharge[t, b]), (-active[b], m.charge[t, b])]
        for k in np.flatnonzero(self.task.pv_available_kw[t] > 0).tolist():
            terms.append((active[fleet.batteries + k], m.pv[t, k]))
        for d, each in enumerate(reactive):
            terms += [(each, m.up[t, d]), (-each, m.down[t, d])]
        return terms, float(slope[fleet.devices :] @ self._centre[t, : len(reactive)])

    def _let_shift(self, steps: set[int]) -> None:
        """Frees the reactive power of `steps`. Where no limit is held the centre is best, and it stays there."""
        rating, freed = self.task.params.fleet.s_kva, []
        for t in sorted(steps - self._shifts - set(np.flatnonzero(self._equal).tolist())):
            for d in self.model.d:
                up, down = self.model.up[t, d], self.model.down[t, d]
                up.setub(float(rating[d] - self._centre[t, d]))
                down.setub(float(rating[d] + self._centre[t, d]))
                freed += [up, down]
        self._shifts |= steps
        if freed:
            self._solver.update_variables(freed)

    def _add_sides(self) -> bool:
        """Adds the sides of inverters' polygons that the solution lies outside of; False where there are none."""
        m, fleet = self.model, self.task.params.fleet
        rows: list[_Row] = []
        for (t, d), up in m.up.items():
            down, k = m.down[t, d], d - fleet.batteries
            q = self._centre[t, d] + up.value - down.value
            power = [m.charge[t, d], m.discharge[t, d]] if k < 0 else [m.pv[t, k]] if (t, k) in m.pv else []
            p = sum(each.value for each in power)
            for side, angle in enumerate(SIDES_RAD.tolist()):
                cosine, sine, name = np.cos(angle), np.sin(angle), (side, t, d, 1 if q > 0 else -1)
                if cosine * p + sine * abs(q) > fleet.s_kva[d] * (REACH + OUTSIDE) and name not in self._sides:
                    self._sides.add(name)
                    turn = sine * name[3]
                    body = _sum([*((cosine, each) for each in power), (turn, up), (-turn, down)])
                    rows.append((None, body, float(fleet.s_kva[d] * REACH - turn * self._centre[t, d])))
        self._add(rows)
        return bool(rows)

    def _run(self, deadline: Deadline) -> float | None:
        """Solves and loads the variables; None where the time did not suffice."""
        left_s, began = deadline.left_s(), time.monotonic()
        # HiGHS counts the time of all its runs.
        self._solver.config.time_limit = None if left_s is None else self._spent_s + left_s
        found = self._solver.solve(self.model)
        self._spent_s += time.monotonic() - began
        if found.termination_condition == TerminationCondition.maxTimeLimit:
            return None
        if found.incumbent_objective is None:
            raise Infeasible(
                f"HiGHS found no schedule ({found.termination_condition.name}); check prices and device ratings for extreme values"
            )
        self._loader = found.solution_loader
        self._loader.load_vars()
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
        m, fleet = self.model, self.task.params.fleet
        pv, q = np.zeros_like(self.task.pv_available_kw), self._centre.copy()
        for (t, k), variable in m.pv.items():
            pv[t, k] = variable.value
        for (t, d), up in m.up.items():
            q[t, d] += up.value - m.down[t, d].value
        pv = np.clip(pv, 0.0, self.task.pv_available_kw)
        net = netted(self._values(m.charge), self._values(m.discharge), fleet.efficiency)
        return Solution(np.hstack([net, pv]), q, self._values(m.stored), objective_eur)

    def _values(self, variable: Any) -> Floats:
        shape = (self.task.steps, self.task.params.fleet.batteries)
        return np.array([each.value for each in variable.values()], dtype=np.float64).reshape(shape)

    def _add(self, rows: list[_Row]) -> list[Any]:
        added = [self.model.rows.add(row) for row in rows]
        if added:
            self._solver.add_constraints(added)
        return added

    def _drop(self, rows: list[Any]) -> None:
        if rows:
            self._solver.remove_constraints(rows)
            for row in rows:
                row.deactivate()


def _sum(terms: Terms) -> Any:
    present = [(coefficient, variable) for coefficient, variable in terms if abs(coefficient) > NEGLIGIBLE]
    return LinearExpression(linear_coefs=[each[0] for each in present], linear_vars=[each[1] for each in present])


def _solver(model: Any) -> Highs:
    """HiGHS with the model loaded. One thread, fixed seed: the same answer every time."""
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
