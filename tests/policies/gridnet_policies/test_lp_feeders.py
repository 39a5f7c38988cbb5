"""The optimiser on a real feeder, rural1: days on which the transformer binds, against policies that look at no price."""

from __future__ import annotations

import numpy as np
import pytest

from gridnet.case import Case, load_case
from gridnet.clock import STEPS_PER_DAY, STEPS_PER_WEEK
from gridnet.limits import NetworkLimits, make_limits
from gridnet.linear import Sensitivity
from gridnet.simulate import step
from gridnet_policies.lp import PerfectForesightLp, make_task
from gridnet_policies.lp.margins import Key, broken_limits, cuts_of, margins, predicted
from gridnet_policies.no_battery import NoBattery
from gridnet_policies.policy import Policy
from gridnet_policies.rule import Rule

SUMMER, WINTER = 26 * STEPS_PER_WEEK, 2 * STEPS_PER_WEEK


@pytest.fixture(scope="module")
def rural1() -> Case:
    return load_case("rural1")


def played(policy: Policy, case: Case, start: int) -> tuple[float, bool, float]:
    """A day of a policy in the simulator: cost in EUR, whether a limit is broken, largest loading in percent."""
    task, limits = make_task(case, start, STEPS_PER_DAY), make_limits(case.scenario, case.feeder)
    policy.prepare(case, start, STEPS_PER_DAY)
    state, slack, done, worst, broken = case.start(start), [], [], 0.0, False
    for t in range(start, start + STEPS_PER_DAY):
        state, moved = step(state, policy.decide(t, state.soc[0])[None], case.params)
        slack.append(moved.slack_p_kw[0])
        done.append(moved.done[0, 0])
        worst = max(worst, float(moved.loading_percent.max()))
        broken |= bool(limits.broken(moved.vm_pu, moved.loading_percent).any())
    return task.cost_eur(np.array(slack), np.array(done), state.soc[0]), broken, worst


@pytest.mark.parametrize("start", [SUMMER, WINTER])
def test_a_day_keeps_its_limits_and_costs_least(rural1: Case, start: int) -> None:
    policy = PerfectForesightLp()
    cost, broken, worst = played(policy, rural1, start)

    plan = policy.plan
    assert plan is not None
    assert (plan.status, plan.violations, broken) == ("optimal", (), False)
    assert cost == pytest.approx(plan.cost_eur, abs=1e-4)
    # The loss tangents lie below the losses, so the best schedule costs no less than the programme says.
    assert plan.objective_eur - 1e-6 <= cost <= plan.objective_eur + 0.01 * abs(plan.objective_eur)
    for other in (NoBattery(), Rule()):
        assert cost < played(other, rural1, start)[0]
    if start == SUMMER:
        # Without the optimiser the transformer is overloaded at noon; with it, it is used to the limit.
        assert played(NoBattery(), rural1, start)[1]
        assert worst == pytest.approx(100.0, abs=0.15)


def test_the_plan_is_the_schedule_that_the_simulator_carries_out(rural1: Case) -> None:
    policy = PerfectForesightLp()
    policy.prepare(rural1, SUMMER, STEPS_PER_DAY)
    assert policy.plan is not None
    plan, state = policy.plan, rural1.start(SUMMER)
    for k in range(STEPS_PER_DAY):
        state, moved = step(state, policy.decide(SUMMER + k, state.soc[0])[None], rural1.params)
        assert moved.done[0, 0] == pytest.approx(plan.p_kw[k], abs=1e-4)
        assert state.soc[0] == pytest.approx(plan.soc[k + 1], abs=1e-6)


def test_only_the_worst_limits_of_a_step_get_a_cut(rural1: Case) -> None:
    limits = make_limits(rural1.scenario, rural1.feeder)
    buses, branches = len(limits.vm_min_pu), len(limits.percent)
    vm = np.full((2, buses), 1.0)
    vm[1] = limits.vm_max_pu[np.isfinite(limits.vm_max_pu)][0] + 0.001 * np.arange(1, buses + 1)
    margin = margins(limits, vm, np.zeros((2, branches)))
    worst = [bus for bus in reversed(range(buses)) if np.isfinite(limits.vm_max_pu[bus])][:3]
    assert list(broken_limits(limits, margin)) == [Key("vm_max", 1, bus) for bus in worst]


def test_power_turned_from_export_to_import_loads_a_line_again() -> None:
    # One bus and one line at 5 %, unloaded by 1 % a kW: 20 kW later it carries 15 % the other way, 5 beyond its limit.
    limits = NetworkLimits(np.array([0.9]), np.array([1.1]), np.array([10.0]))
    slope = np.array([[[-1.0]]])
    nothing = np.zeros((1, 1, 1))
    around = Sensitivity(np.ones((1, 1)), np.array([[5.0]]), np.zeros(1), nothing, slope, np.zeros((1, 1)), nothing)
    there = np.array([[20.0]])
    assert predicted(limits, around, there)[0, 2] == pytest.approx(5.0)
    excess = [each.slope @ there[0] - each.bound_percent for each in cuts_of(limits, around, 0 * there, Key("loading", 0, 0))]
    assert sorted(excess) == pytest.approx([-25.0, 5.0])
