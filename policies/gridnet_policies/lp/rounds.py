"""Successive linearisation: linearise at a schedule, solve, check the new schedule by AC power flow, repeat."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gridnet.linear import Sensitivity, linearise
from gridnet_policies.lp.margins import Key, broken_limits, cuts_of, margins, predicted
from gridnet_policies.lp.model import ScheduleModel, Solution
from gridnet_policies.lp.plan import Checked, Plan, Status, check, violations
from gridnet_policies.lp.task import Task

Floats = NDArray[np.float64]

ROUNDS = 8
"""Operating points visited at most, idle being the first."""

PASSES = 4
"""Times per round that cuts are added and the programme solved again, at most: a schedule pushed away from a limit at
one step breaks it at another, and that shows without a new power flow."""

SETTLED = 1e-3
"""Share of the cost within which plan and programme agree, or two rounds do, in an optimal plan."""

STANDSTILL = 2e-4
"""Share of the cost below which what a round gains is not worth another round."""


def make_plan(task: Task) -> Plan:
    """The cheapest schedule found, checked by AC power flow.

    Raises `PowerFlowDiverged` where the power flow has no solution, at idle or at a schedule.
    """
    model, p_kw, last_eur = ScheduleModel(task), task.idle_p_kw, np.inf
    tried: list[Checked] = []
    for _ in range(ROUNDS):
        around = _linearise(task, p_kw)
        model.follow_losses(around, p_kw)
        solution = _solve_within(task, model, around, p_kw)
        now = check(task, solution)
        tried.append(now)
        gap, moved = abs(now.priced_eur - solution.objective_eur), abs(now.priced_eur - last_eur)
        scale = max(abs(now.priced_eur), _turnover_eur(task, around) / 10)
        agreed, settled = gap <= SETTLED * scale, min(gap, moved) <= SETTLED * scale
        # A limit still broken may yet be kept by the next round, unless the programme itself has given it up.
        if agreed or (moved <= STANDSTILL * scale and now.keeps_limits):
            break
        p_kw, last_eur = now.p_kw, now.priced_eur
    best = min(tried, key=lambda each: each.priced_eur)
    status: Status = "limits_exceeded" if not best.keeps_limits else "optimal" if settled else "unsettled"
    return Plan(
        status=status,
        start=task.start,
        p_kw=best.p_kw,
        soc=best.soc,
        cost_eur=best.cost_eur,
        objective_eur=solution.objective_eur,
        rounds=len(tried),
        violations=violations(task, best.margin),
    )


def _linearise(task: Task, p_kw: Floats) -> Sensitivity:
    p_bus, q_bus = task.injections(p_kw)
    case = task.case
    return linearise(case.power_flow, case.feeder.model, p_bus, q_bus, task.params.device_bus)


def _solve_within(task: Task, model: ScheduleModel, around: Sensitivity, p_kw: Floats) -> Solution:
    """Solves, adding the limits that the sensitivities see broken, until none is new."""
    limits = task.limits
    margin = margins(limits, around.vm_pu, around.loading_percent)
    # An upper voltage limit held in earlier rounds is held from here on as seen from here.
    new = {key for key in model.held if key.kind == "vm_max"} | set(broken_limits(limits, margin))
    fresh: set[Key] = set()
    for _ in range(PASSES):
        model.hold(each for key in sorted(new) for each in cuts_of(limits, around, p_kw, key))
        fresh |= new
        solution = model.solve()
        new = set(broken_limits(limits, predicted(limits, around, solution.p_kw - p_kw))) - fresh
        if not new:
            break
    return solution


def _turnover_eur(task: Task, around: Sensitivity) -> float:
    """Money moved at the slack: the scale of a cost that happens to be near zero."""
    price = np.maximum(np.abs(task.import_eur_per_kwh), np.abs(task.export_eur_per_kwh))
    return float(np.abs(around.slack_p_kw) @ price) * task.params.fleet.dt_h
