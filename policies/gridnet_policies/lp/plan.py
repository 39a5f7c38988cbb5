"""A finished schedule, and the AC truth about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gridnet.errors import PowerFlowDiverged
from gridnet.simulate import State, step
from gridnet_policies.lp.engine import ShadowPrices, Solution
from gridnet_policies.lp.margins import margins, tolerances, worst_by_kind
from gridnet_policies.lp.ranges import EXCESS_EUR_PER_PERCENT_H
from gridnet_policies.lp.task import Task

Floats = NDArray[np.float64]

Limit = Literal["vm_min_pu", "vm_max_pu", "line_percent", "trafo_percent"]
Status = Literal["optimal", "limits_exceeded", "unsettled", "time_out"]


@dataclass(frozen=True)
class Violation:
    """A limit that the plan exceeds, as the AC power flow sees it."""

    limit: Limit
    element: str
    """Name of the bus, line or transformer."""
    step: int
    """Step of the series."""
    excess: float
    """How far beyond the limit, in the limit's own unit."""


@dataclass(frozen=True)
class Plan:
    """A schedule over `[start, start + steps)`.

    `status` is `optimal`: all limits kept and the cost settled; `limits_exceeded`: some limit can't be kept, or was not within the
    rounds, see `violations`; `unsettled`: all limits kept, yet the cost still moved in the last round; `time_out`: the time given
    did not suffice, and this is the best schedule found by then, at worst the one in which batteries rest.
    """

    status: Status
    start: int
    p_kw: Floats
    """(steps, devices) batteries then PV."""
    q_kvar: Floats
    """(steps, devices)"""
    soc: Floats
    """(steps + 1, batteries) state of charge 0-1 before each step, and at the end."""
    cost_eur: float
    """By the AC power flow and the account of `gridnet.tariff`."""
    objective_eur: float
    """Of the last programme, excess priced; NaN where the time did not suffice for one."""
    rounds: int
    shadow: ShadowPrices | None
    """Of the last programme; None where the time did not suffice for one."""
    violations: tuple[Violation, ...]


class Checked(NamedTuple):
    """One schedule under the AC power flow."""

    p_kw: Floats
    q_kvar: Floats
    soc: Floats
    cost_eur: float
    margin: Floats
    """(steps, limits) percent beyond each limit, see `gridnet_policies.lp.margins`."""
    priced_eur: float
    """The cost with the programme's price on what exceeds a limit beyond tolerance."""
    keeps_limits: bool


def check(task: Task, solution: Solution) -> Checked:
    """Puts the whole schedule through the simulator in one batch.

    Raises `PowerFlowDiverged` where a step has no solution.
    """
    fleet = task.params.fleet
    soc = np.vstack([task.soc, solution.stored_kwh / fleet.e_kwh])
    asked = np.zeros((task.steps, 2, fleet.devices))
    asked[:, 0], asked[:, 1] = solution.p_kw, solution.q_kvar
    state = State(np.arange(task.start, task.start + task.steps), np.ascontiguousarray(soc[:-1]))
    after, moved = step(state, asked, task.params)
    if not moved.converged.all():
        lost = task.start + int(np.argmin(moved.converged))
        raise PowerFlowDiverged(f"the schedule of step {lost} has no power flow: the network can't carry it", step=lost)
    margin = margins(task.limits, moved.vm_pu, moved.loading_percent)
    excess = float(worst_by_kind(task.limits, margin).sum()) * fleet.dt_h
    cost = task.cost_eur(moved.slack_p_kw, moved.done[:, 0], after.soc[-1])
    priced = cost + excess * EXCESS_EUR_PER_PERCENT_H
    return Checked(solution.p_kw, solution.q_kvar, soc, cost, margin, priced, excess == 0.0)


def violations(task: Task, margin: Floats) -> tuple[Violation, ...]:
    """Every limit exceeded beyond tolerance, in order of steps."""
    feeder = task.case.feeder
    columns: list[tuple[Limit, str, float]] = [
        *(("vm_min_pu", name, 0.01) for name in feeder.bus_name),
        *(("vm_max_pu", name, 0.01) for name in feeder.bus_name),
        *(("line_percent", name, 1.0) for name in feeder.line_name),
        *(("trafo_percent", name, 1.0) for name in feeder.trafo_name),
    ]
    found = []
    for t, column in np.argwhere(margin > tolerances(task.limits)).tolist():
        limit, element, unit = columns[column]
        found.append(Violation(limit, element, task.start + t, unit * float(margin[t, column])))
    return tuple(found)
