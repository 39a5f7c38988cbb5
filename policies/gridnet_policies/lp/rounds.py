"""Successive linearisation: linearise at a schedule, solve, check the new schedule by AC power flow, repeat."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from gridnet.errors import PowerFlowDiverged
from gridnet.linear import Sensitivity, linearise, linearise_pq
from gridnet_policies.lp.deadline import Deadline
from gridnet_policies.lp.engine import Engine, Solution, Tangent
from gridnet_policies.lp.highs_engine import HighsEngine
from gridnet_policies.lp.margins import broken_limits, cut_at, cuts_of, margins, predicted, turned_rad
from gridnet_policies.lp.plan import Plan, Status, check, violations
from gridnet_policies.lp.reactive import least_losses_kvar
from gridnet_policies.lp.search import cheapest_between
from gridnet_policies.lp.task import Task

Floats = NDArray[np.float64]

ROUNDS = 8
"""Operating points visited at most, idle being the first."""

PASSES = 4
"""Times per round that cuts are added and the programme solved again, at most: a schedule pushed away from a limit at
one step breaks it at another, and that shows without a new power flow."""

SETTLED = 1e-3
"""Share of the cost within which plan and programme agree, or two rounds do, in an optimal plan: another round is not worth
its time."""


def make_plan(task: Task, engine: Callable[[Task], Engine] = HighsEngine, time_limit_s: float | None = None) -> Plan:
    """The cheapest schedule found, checked by AC power flow; `time_limit_s` bounds the solver's time, not the last check's.

    Raises `PowerFlowDiverged` where the power flow has no solution, at idle or at a schedule.
    """
    deadline = Deadline(time_limit_s)
    programme, schedule = engine(task), _at_rest(task)
    around = operating_point(task, schedule.controls)
    if task.reactive:
        schedule = schedule._replace(q_kvar=least_losses_kvar(task, around, schedule.q_kvar))
        programme.centre(schedule.q_kvar)
        around = operating_point(task, schedule.controls)
    rest, point = check(task, schedule), schedule
    best = rest
    status: Status = "unsettled"
    objective_eur, number, shadow = np.nan, 0, None
    for number in range(1, ROUNDS + 1):
        solution = _solve_within(task, programme, around, point.controls, deadline)
        if solution is None:
            status, objective_eur, shadow = "time_out", np.nan, None
            break
        last_eur, shadow = best.priced_eur, programme.shadow_prices()
        objective_eur = solution.objective_eur + task.prices.peak_eur_per_kw * task.reached_kw
        # From idle the first solution is reached at one go: on the way there nothing is known of limits yet.
        reached, now = cheapest_between(task, schedule, solution) if number > 1 else (solution, check(task, solution))
        point = solution
        if now.priced_eur < last_eur or number == 1:
            schedule, best, point = reached, now, reached
        gap, moved = abs(best.priced_eur - objective_eur), abs(last_eur - best.priced_eur)
        scale = max(abs(best.priced_eur), _turnover_eur(task, around) / 10)
        status = "optimal" if min(gap, moved) <= SETTLED * scale else "unsettled"
        # A limit still broken may yet be kept by the next round, unless the programme itself has given it up.
        if gap <= SETTLED * scale or (number > 1 and moved <= SETTLED * scale and best.keeps_limits):
            break
        around = operating_point(task, point.controls)
    if status == "time_out":
        best = min(best, rest, key=lambda each: each.priced_eur)
    if not best.keeps_limits and status != "time_out":
        status = "limits_exceeded"
    return Plan(
        status=status,
        start=task.start,
        p_kw=best.p_kw,
        q_kvar=best.q_kvar,
        soc=best.soc,
        cost_eur=best.cost_eur,
        objective_eur=objective_eur,
        rounds=number,
        shadow=shadow,
        violations=violations(task, best.margin),
    )


def operating_point(task: Task, controls: Floats) -> Sensitivity:
    """The AC power flow and its derivatives with devices at `controls` (steps, 2 * devices)."""
    devices, case = task.params.fleet.devices, task.case
    p_bus, q_bus = task.injections(controls[:, :devices], controls[:, devices:])
    solve = linearise_pq if task.reactive else linearise
    try:
        return solve(case.power_flow, case.feeder.model, p_bus, q_bus, task.params.device_bus)
    except PowerFlowDiverged as error:
        step = task.start + (error.step or 0)
        raise PowerFlowDiverged(f"step {step} has no power flow: the network can't carry its load", step=step) from error


def tangent_at(around: Sensitivity, controls: Floats) -> Tangent:
    """The tangent of the slack power at the operating point with `controls` (steps, 2 * devices)."""
    slope = around.d_slack_p
    level = around.slack_p_kw - np.einsum("tc,tc->t", slope, controls[:, : slope.shape[1]])
    return Tangent(level, slope)


def _at_rest(task: Task) -> Solution:
    """Batteries rest and PV gives all it can, with no reactive power."""
    fleet = task.params.fleet
    keep = fleet.keep ** np.arange(1, task.steps + 1)
    return Solution(task.idle_p_kw, np.zeros_like(task.idle_p_kw), keep[:, None] * task.soc * fleet.e_kwh, np.nan)


def _solve_within(task: Task, programme: Engine, around: Sensitivity, controls: Floats, deadline: Deadline) -> Solution | None:
    """Solves with the tangent at the operating point, adding the limits that the sensitivities see broken, until none is new."""
    limits, tangent, controls = task.limits, tangent_at(around, controls), controls[:, : around.d_slack_p.shape[1]]
    margin = margins(limits, around.vm_pu, around.loading_percent)
    # An upper voltage limit held in earlier rounds is held from here on as seen from here.
    new = {key for key in programme.held if key.kind == "vm_max"} | set(broken_limits(limits, margin))
    programme.hold(each for key in sorted(new) for each in cuts_of(limits, around, controls, key))
    programme.follow(tangent)
    seen = {key for key in new if key.kind != "loading"}
    solution = None
    for number in range(1, PASSES + 1):
        solution = programme.solve(deadline.left_s())
        if solution is None:
            return None
        moved = solution.controls[:, : controls.shape[1]] - controls
        new = set(broken_limits(limits, predicted(limits, around, moved))) - seen
        if not new or number == PASSES:
            break
        programme.hold([cut_at(limits, around, controls, key, turned_rad(around, moved, key)) for key in sorted(new)])
        seen |= {key for key in new if key.kind != "loading"}
    return solution


def _turnover_eur(task: Task, around: Sensitivity) -> float:
    """Money moved at the slack: the scale of a cost that happens to be near zero."""
    price = np.maximum(np.abs(task.import_eur_per_kwh), np.abs(task.export_eur_per_kwh))
    return float(np.abs(around.slack_p_kw) @ price) * task.params.fleet.dt_h
