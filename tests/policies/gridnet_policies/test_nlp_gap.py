"""How far the optimiser's plans are from a nonlinear optimum of the same task, by an oracle written independently of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from gridnet.app.bench.solver_cases import CASES, SUNNY_DAY
from gridnet.case import load_case
from gridnet.clock import STEPS_PER_DAY, STEPS_PER_WEEK
from gridnet.simulate import State, step
from gridnet_policies.bound import lower_bound
from gridnet_policies.lp.rounds import make_plan
from gridnet_policies.lp.task import Task, make_task
from tests.policies.gridnet_policies.bound.networks import one_node_values
from tests.policies.gridnet_policies.nlp import Dispatch, solve_nlp

Floats = NDArray[np.float64]

GAP = 0.007
"""Of the scale of a task's cost, by which a plan may be dearer than the nonlinear optimum."""

SPARE = 0.001
"""By which it may be cheaper: a plan may use the limits' tolerance, the oracle keeps to the limits."""

WINTER, SUMMER = 2 * STEPS_PER_WEEK, 26 * STEPS_PER_WEEK

DAYS = [("tiny", 0, STEPS_PER_DAY), ("rural1", WINTER, 48), ("rural1", SUMMER + 24, 64)]


def simulated(task: Task, found: Dispatch) -> tuple[float, float, bool]:
    """What a dispatch costs in the simulator; the scale of that cost, which is the money that changes hands at the connection
    point where cost itself happens to be near zero; whether the network's limits are kept."""
    asked, state = np.stack([found.p_kw, found.q_kvar], axis=1), State(np.array([task.start]), task.soc[None].copy())
    slack, kept = [], True
    for setpoint in asked:
        state, moved = step(state, setpoint[None], task.params)
        kept &= not task.limits.broken(moved.vm_pu, moved.loading_percent).any()
        slack.append(moved.slack_p_kw[0])
    price = np.maximum(np.abs(task.import_eur_per_kwh), np.abs(task.export_eur_per_kwh))
    cost = task.cost_eur(np.array(slack), found.p_kw, state.soc[0])
    return cost, max(abs(cost), float(np.abs(slack) @ price) * task.params.fleet.dt_h), kept


@pytest.mark.parametrize(("name", "start", "steps"), DAYS)
@pytest.mark.parametrize("reactive", [False, True])
def test_a_plan_is_near_the_nonlinear_optimum(name: str, start: int, steps: int, reactive: bool) -> None:
    task = replace(make_task(load_case(name), start, steps), reactive=reactive)
    best = solve_nlp(task, reactive)
    cost, scale, kept = simulated(task, best)

    assert best.status == "Solve_Succeeded"
    assert kept
    assert best.objective_eur == pytest.approx(cost, abs=1e-4 * scale)
    assert -SPARE * scale <= make_plan(task).cost_eur - cost <= GAP * scale
    assert lower_bound(task, one_node_values(task)).cost_eur <= cost


def test_the_oracle_sees_what_reactive_power_is_worth() -> None:
    # On a summer day of rural1 the transformer binds: what inverters can do about it has a price above zero.
    task = make_task(load_case("rural1"), SUMMER + 40, 16)
    without, free = (solve_nlp(task, reactive) for reactive in (False, True))
    assert (without.q_kvar == 0).all()
    assert np.abs(free.q_kvar).max() > 0.1
    assert free.objective_eur < without.objective_eur - 1e-3


@pytest.mark.conformance
@pytest.mark.parametrize("reactive", [False, True])
def test_a_plan_is_near_the_nonlinear_optimum_where_many_limits_bind(reactive: bool) -> None:
    task = replace(make_task(load_case(CASES["M"]), SUNNY_DAY * STEPS_PER_DAY, STEPS_PER_DAY), reactive=reactive)
    plan = make_plan(task)
    best = solve_nlp(task, reactive, plan.p_kw, plan.q_kvar)
    cost, scale, kept = simulated(task, best)

    assert best.status == "Solve_Succeeded"
    assert kept
    assert -SPARE * scale <= plan.cost_eur - cost <= GAP * scale
