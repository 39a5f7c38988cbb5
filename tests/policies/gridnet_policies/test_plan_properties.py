"""What every plan keeps, whatever the prices: charge, power, the inverter's circle, the sun; a linear programme written
independently on a network without losses; and plans that nobody gave enough time, stock or sun."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import linprog

from gridnet.case import Case, load_case
from gridnet.limits import make_limits
from gridnet.tariff import running_cost_eur
from gridnet_policies.lp import Task, make_task
from gridnet_policies.lp.engine import Solution
from gridnet_policies.lp.highs_engine import HighsEngine
from gridnet_policies.lp.plan import Plan, check
from gridnet_policies.lp.pyomo_engine import PyomoEngine
from gridnet_policies.lp.rounds import make_plan, operating_point, tangent_at
from gridnet_policies.lp.search import blended
from tests.policies.gridnet_policies.stretches import NOON, WINTER, at_the_slack, by_mean_prices, changed, flow_of, repriced
from tests.policies.gridnet_policies.test_lp import Street, case_of

Floats = NDArray[np.float64]


def assert_possible(task: Task, plan: Plan) -> None:
    """By the words of `gridnet.devices`, written again."""
    fleet, case = task.params.fleet, task.case
    battery, pv = plan.p_kw[:, : fleet.batteries], plan.p_kw[:, fleet.batteries :]
    assert plan.p_kw.shape == plan.q_kvar.shape == (task.steps, fleet.devices)
    assert plan.soc.shape == (task.steps + 1, fleet.batteries)
    assert np.isfinite(plan.p_kw).all()
    assert (np.abs(battery) <= fleet.p_kw + 1e-6).all()
    assert (pv >= -1e-9).all()
    assert (pv <= np.minimum(task.params.pv_p_kw[task.run], fleet.s_kva[fleet.batteries :]) + 1e-6).all()
    assert (np.hypot(plan.p_kw, plan.q_kvar) <= fleet.s_kva + 1e-3).all()
    charge, discharge = fleet.efficiency
    stored_kwh = np.where(battery < 0, -battery * charge, -battery / discharge) * fleet.dt_h
    kept = plan.soc[:-1] * (1 - case.scenario.battery.self_discharge_per_day) ** (fleet.dt_h / 24)
    assert plan.soc[1:] == pytest.approx(kept + stored_kwh / fleet.e_kwh, abs=1e-6)
    assert plan.soc[0] == pytest.approx(task.soc)
    lowest = np.minimum(fleet.soc_window[0], np.minimum.accumulate(kept, axis=0))
    assert (plan.soc[1:] >= lowest - 1e-6).all()
    assert (plan.soc[1:] <= np.maximum(fleet.soc_window[1], task.soc) + 1e-6).all()


def assert_told_truly(task: Task, plan: Plan) -> None:
    """Cost and violations are those of the simulator and of `gridnet.limits`."""
    flow, limits = flow_of(task, plan), make_limits(task.case.scenario, task.case.feeder)
    broken = np.flatnonzero(limits.broken(flow.vm_pu, flow.loading_percent)) + task.start
    assert sorted({each.step for each in plan.violations}) == broken.tolist()
    assert plan.cost_eur == pytest.approx(task.cost_eur(flow.slack_p_kw, flow.done[:, 0], plan.soc[-1]), abs=1e-6)
    for each in plan.violations:
        feeder, t = task.case.feeder, each.step - task.start
        if each.limit.startswith("vm"):
            vm = flow.vm_pu[t, list(feeder.bus_name).index(each.element)]
            bound = getattr(task.case.scenario.limits, each.limit)
            excess = bound - vm if each.limit == "vm_min_pu" else vm - bound
            assert excess > 1e-4
        else:
            percent = dict(zip([*feeder.line_name, *feeder.trafo_name], flow.loading_percent[t], strict=True))
            excess = percent[each.element] - getattr(task.case.scenario.limits, each.limit)
            assert excess > 0.1
        assert each.excess == pytest.approx(excess)


# --- on shipped feeders --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "limits", [{}, {"trafo_percent": 60.0}, {"vm_max_pu": 1.02}, {"vm_max_pu": 1.0005}, {"line_percent": 8.0}], ids=str
)
@pytest.mark.parametrize("peak", [0.0, 2.0])
def test_a_plan_on_a_shipped_feeder_is_possible_and_told_truly(limits: dict[str, float], peak: float) -> None:
    task = make_task(changed(load_case("rural1"), limits, {"peak_eur_per_kw": peak}), NOON, 16)
    plan = make_plan(task)
    assert_possible(task, plan)
    assert_told_truly(task, plan)
    assert (plan.status == "limits_exceeded") == bool(plan.violations)


@pytest.mark.parametrize("charge", [0.05, 0.95])
@pytest.mark.parametrize("level", [-0.3, -0.02, 0.05])
def test_empty_and_full_batteries_have_possible_plans_at_any_price(charge: float, level: float) -> None:
    task = make_task(load_case("rural1"), NOON, 16)
    wave = level * (1 + np.sin(np.arange(16.0)))
    task = replace(repriced(task, wave + 0.1, wave), soc=np.full(5, charge))
    plan = make_plan(task)
    assert_possible(task, plan)
    assert_told_truly(task, plan)


@pytest.mark.parametrize("charge", [0.05, 0.5, 0.95])
@pytest.mark.parametrize("level", [-0.05, -0.1, -0.2, -0.3])
def test_what_active_power_alone_keeps_at_negative_prices_is_kept_with_reactive_power_too(charge: float, level: float) -> None:
    # Losses earn money here. More to choose from must not end in a broken limit.
    task = make_task(load_case("rural1"), NOON, 16)
    wave = level * (1 + np.sin(np.arange(16.0)))
    task = replace(repriced(task, wave + 0.1, wave), soc=np.full(5, charge))
    assert make_plan(replace(task, reactive=False)).violations == ()
    assert make_plan(task).violations == ()


def test_reactive_power_never_costs_and_a_task_without_it_has_none() -> None:
    task = make_task(load_case("cigre_lv"), NOON, 16)
    with_it, without = make_plan(task), make_plan(replace(task, reactive=False))
    assert (without.q_kvar == 0.0).all()
    assert np.abs(with_it.q_kvar).max() > 1.0
    assert with_it.cost_eur <= without.cost_eur + 1e-6


def test_reactive_power_keeps_a_voltage_that_active_power_alone_pays_for() -> None:
    task = make_task(changed(load_case("rural1"), {"vm_max_pu": 1.015, "trafo_percent": 150.0}), NOON, 12)
    with_it, without = make_plan(task), make_plan(replace(task, reactive=False))
    assert with_it.violations == without.violations == ()
    assert with_it.cost_eur < without.cost_eur - 0.01


def test_a_blend_of_two_plans_is_possible_at_every_share() -> None:
    task = make_task(load_case("rural1"), NOON, 24)
    other = repriced(task, task.import_eur_per_kwh[::-1] + 0.1, task.export_eur_per_kwh[::-1] - 0.1)
    ends = []
    for plan in (make_plan(task), make_plan(other)):
        ends.append(Solution(plan.p_kw, plan.q_kvar, plan.soc[1:] * task.params.fleet.e_kwh, np.nan))
    assert np.abs(ends[0].p_kw - ends[1].p_kw).max() > 1.0
    for share in np.linspace(0.0, 1.0, 11):
        blend = blended(task, ends[0], ends[1], share)
        seen = check(task, blend)
        plan = replace(make_plan(task, time_limit_s=0.0), p_kw=seen.p_kw, q_kvar=seen.q_kvar, soc=seen.soc)
        assert_possible(task, plan)
        assert flow_of(task, plan).done[:, 0] == pytest.approx(seen.p_kw, abs=1e-5)


# --- a charge on the peak ------------------------------------------------------------------------------------------


def test_a_peak_charge_flattens_the_peak_and_is_charged_as_the_tariff_says() -> None:
    # 10 kWh in store cover all above 3 kW, with what is charged in the low steps; for the energy alone nothing would move.
    street = Street(
        [110, 110, 100, 100, 100, 100, 110, 110],
        [4, 4, 12, 12, 12, 12, 4, 4],
        [0] * 8,
        {"soc_start": 0.5, "wear_eur_per_kwh": 0.02},
    )
    free = make_plan(make_task(case_of(street), 0, 8))
    task = make_task(case_of(replace(street, tariff={"peak_eur_per_kw": 1.0})), 0, 8)
    plan = make_plan(task)
    highest = flow_of(task, plan).slack_p_kw
    assert_told_truly(task, plan)
    assert flow_of(task, free).slack_p_kw.max() == pytest.approx(12.0, abs=0.01)
    assert highest.max() < 3.5
    assert np.ptp(highest) < 0.05
    running = running_cost_eur(task.prices, 0.25, 0, highest, plan.p_kw[:, :1])
    without = running_cost_eur(task.prices._replace(peak_eur_per_kw=0.0), 0.25, 0, highest, plan.p_kw[:, :1])
    assert running - without == pytest.approx(highest.max())
    assert plan.objective_eur == pytest.approx(plan.cost_eur, abs=0.01)


def test_a_peak_already_reached_is_not_paid_for_again() -> None:
    street = Street([100, 90], [4, 12], [0, 0], {"soc_start": 0.5, "wear_eur_per_kwh": 0.04}, {"peak_eur_per_kw": 1.0})
    case = case_of(street)
    anew = make_plan(make_task(case, 0, 2))
    reached = make_plan(replace(make_task(case, 0, 2), reached_kw=12.0))
    half = make_plan(replace(make_task(case, 0, 2), reached_kw=7.0))
    assert anew.p_kw[1, 0] > 7.9
    assert half.p_kw[1, 0] == pytest.approx(5.0, abs=0.01)
    assert flow_of(make_task(case, 0, 2), reached).slack_p_kw.max() <= 12.0 + 0.01
    assert half.objective_eur == pytest.approx(half.cost_eur, abs=0.01)
    beyond = make_plan(replace(make_task(case, 0, 2), reached_kw=20.0))
    assert beyond.cost_eur == pytest.approx(reached.cost_eur + 8.0, abs=0.02)


def test_a_charge_outside_the_window_is_brought_back_as_fast_as_can_be() -> None:
    slow = load_case("rural1")
    fleet = slow.params.fleet._replace(p_kw=0.1 * slow.params.fleet.p_kw)
    slow = replace(slow, params=slow.params._replace(fleet=fleet))
    for charge in (0.0, 1.0):
        plan = make_plan(replace(make_task(slow, NOON, 3), soc=np.full(fleet.batteries, charge)))
        assert plan.status == "optimal"
        assert (np.diff(plan.soc, axis=0) * (0.5 - charge) > 0).all()


# --- an independent programme --------------------------------------------------------------------------------------


def least_cost(task: Task) -> float:
    """The optimum on a network without losses and limits, with `linprog`, row by row from the words of the tariff."""
    fleet, steps, dt = task.params.fleet, task.steps, task.params.fleet.dt_h
    names = ["charge", "discharge", "stored"]
    at = {(name, t, b): len(names) * (t * fleet.batteries + b) + k
          for k, name in enumerate(names) for t in range(steps) for b in range(fleet.batteries)}  # fmt: skip
    for kind in ("pv", "imported", "exported"):
        at |= {(kind, t, 0): len(at) + t for t in range(steps)}
    at |= {(kind, 0, 0): len(at) + k for k, kind in enumerate(("peak", "gained", "missing"))}
    cost, bounds = np.zeros(len(at)), [(0.0, None)] * len(at)
    equal, level, below, most = [], [], [], []
    load = -task.params.load_p_kw[task.run].sum(axis=1)
    for t in range(steps):
        cost[at["imported", t, 0]], cost[at["exported", t, 0]] = dt * task.import_eur_per_kwh[t], -dt * task.export_eur_per_kwh[t]
        bounds[at["pv", t, 0]] = (0.0, float(task.pv_available_kw[t].sum()))
        row = np.zeros(len(at))
        row[at["imported", t, 0]], row[at["exported", t, 0]], row[at["pv", t, 0]] = 1.0, -1.0, 1.0
        for b in range(fleet.batteries):
            row[at["discharge", t, b]], row[at["charge", t, b]] = 1.0, -1.0
        equal.append(row)
        level.append(load[t])
        over = np.zeros(len(at))
        over[at["imported", t, 0]], over[at["peak", 0, 0]] = 1.0, -1.0
        below.append(over)
        most.append(task.reached_kw)
        for b in range(fleet.batteries):
            kept = np.zeros(len(at))
            kept[at["stored", t, b]], kept[at["charge", t, b]] = 1.0, -dt * fleet.efficiency[0]
            kept[at["discharge", t, b]] = dt / fleet.efficiency[1]
            if t:
                kept[at["stored", t - 1, b]] = -fleet.keep
            equal.append(kept)
            level.append(0.0 if t else fleet.keep * task.soc[b] * fleet.e_kwh[b])
            window = fleet.soc_window * fleet.e_kwh[b]
            bounds[at["stored", t, b]] = (window[0], window[1])
            for name in ("charge", "discharge"):
                cost[at[name, t, b]], bounds[at[name, t, b]] = dt * task.prices.wear_eur_per_kwh, (0.0, fleet.p_kw[b])
    end = np.zeros(len(at))
    end[at["gained", 0, 0]], end[at["missing", 0, 0]] = -1.0, 1.0
    for b in range(fleet.batteries):
        end[at["stored", steps - 1, b]] = 1.0
    equal.append(end)
    level.append(float(task.soc @ fleet.e_kwh))
    cost[at["peak", 0, 0]] = task.prices.peak_eur_per_kw
    cost[at["missing", 0, 0]], cost[at["gained", 0, 0]] = task.stored.shortfall_eur_per_kwh, -task.stored.surplus_eur_per_kwh
    found = linprog(cost, np.array(below), most, np.array(equal), level, bounds)
    assert found.status == 0
    return float(found.fun)


def lossless(rows: list[tuple[float, float, float]], soc: float, peak: float, spread: float) -> Task:
    """One street of two unequal batteries, all at the slack bus; prices as given, import above export by `spread`."""
    spot, load, sun = (list(column) for column in zip(*rows, strict=True))
    battery = {"soc_start": soc, "wear_eur_per_kwh": 0.01, "efficiency_discharge": 0.93, "self_discharge_per_day": 0.05}
    tariff = {"peak_eur_per_kw": peak, "grid_fee_eur_per_mwh": spread}
    case = at_the_slack(case_of(Street(spot, load, sun, battery, tariff)))
    fleet = case.params.fleet
    two = fleet._replace(p_kw=np.array([10.0, 3.0]), e_kwh=np.array([20.0, 9.0]), s_kva=np.array([11.0, 3.3, 11.0]))
    bus = np.full(3, case.params.device_bus[0])
    case = replace(case, params=case.params._replace(fleet=two, device_bus=bus))
    return make_task(case, 0, len(rows))


quarters = st.tuples(st.floats(0, 400), st.floats(0, 15), st.floats(0, 11))


@settings(max_examples=30)
@given(
    st.lists(quarters, min_size=1, max_size=16),
    st.floats(0.1, 1.0),
    st.sampled_from([0.0, 0.3]),
    st.sampled_from([0.0, 120.0]),
    st.sampled_from([HighsEngine, PyomoEngine]),
)
def test_without_losses_the_plan_is_the_optimum_of_a_plain_linear_programme(
    rows: list[tuple[float, float, float]], soc: float, peak: float, spread: float, engine: type
) -> None:
    task = lossless(rows, soc, peak, spread)
    plan = make_plan(task, engine)
    expected = least_cost(task)
    assert plan.status == "optimal"
    assert plan.objective_eur == pytest.approx(expected, abs=1e-5)
    assert plan.cost_eur == pytest.approx(expected, abs=1e-5)


def test_a_programme_never_lies_above_what_the_best_schedule_costs() -> None:
    # Tangents lie below the true slack power: from the optimum's own tangents the objective can't exceed its cost.
    task = make_task(load_case("cigre_lv"), WINTER, 24)
    plan = make_plan(task)
    assert plan.objective_eur <= plan.cost_eur + 1e-3
    controls = np.hstack([plan.p_kw, plan.q_kvar])
    engine = HighsEngine(task)
    engine.centre(plan.q_kvar)
    engine.follow(tangent_at(operating_point(task, controls), controls))
    solution = engine.solve()
    assert solution is not None
    assert solution.objective_eur <= plan.cost_eur + 1e-6


# --- little to decide, little time ---------------------------------------------------------------------------------


@settings(max_examples=25)
@given(
    st.lists(st.tuples(st.floats(-300, 300), st.floats(0, 15), st.floats(0, 11)), min_size=1, max_size=8),
    st.sampled_from([0.0, 0.5, 1.0]),
    st.sampled_from([(0, 0), (0, 1), (1, 0), (1, 1)]),
    st.sampled_from([None, 90.0]),
)
def test_any_street_has_a_possible_plan(
    rows: list[tuple[float, float, float]], soc: float, devices: tuple[int, int], feed_in: float | None
) -> None:
    spot, load, sun = (list(column) for column in zip(*rows, strict=True))
    tariff = {} if feed_in is None else {"feed_in_eur_per_mwh": feed_in}
    street = Street(spot, load, sun, {"soc_start": soc}, tariff, batteries=devices[0], roofs=devices[1])
    task = make_task(case_of(street), 0, len(rows))
    plan = make_plan(task)
    assert_possible(task, plan)
    assert_told_truly(task, plan)
    assert plan.status in {"optimal", "unsettled"}


@pytest.mark.parametrize("spot", [-400.0, -20.0])
def test_a_full_battery_at_negative_prices_burns_no_energy(spot: float) -> None:
    case = case_of(Street([spot] * 6, [3] * 6, [0] * 6, {"soc_start": 1.0, "wear_eur_per_kwh": 0.001}))
    for engine in (HighsEngine, PyomoEngine):
        plan = make_plan(make_task(case, 0, 6), engine)
        assert plan.objective_eur == pytest.approx(plan.cost_eur, abs=0.01)


def named(case: Case) -> set[tuple[str, str, int]]:
    task = make_task(case, 0, case.clock.steps)
    plan = make_plan(task)
    assert plan.status == "limits_exceeded"
    assert_told_truly(task, plan)
    return {(each.limit, each.element, each.step) for each in plan.violations}


def test_a_limit_that_no_schedule_keeps_is_named_with_its_step_only() -> None:
    street = Street([100] * 3, [2, 300, 2], [0] * 3, limits={"line_percent": 50.0})
    assert {(limit, step) for limit, _, step in named(case_of(street))} == {("line_percent", 1)}


def test_a_limit_just_beyond_its_tolerance_is_named_and_one_just_within_is_not() -> None:
    # 10 kW load line 0 by 5.347 %: 0.147 beyond a limit of 5.2, 0.047 beyond one of 5.3.
    street = Street([100], [10], [0], limits={"line_percent": 5.2}, batteries=0, roofs=0)
    assert {(limit, step) for limit, _, step in named(case_of(street))} == {("line_percent", 0)}
    within = make_plan(make_task(case_of(replace(street, limits={"line_percent": 5.3})), 0, 1))
    assert (within.status, within.violations) == ("optimal", ())


@pytest.mark.parametrize("engine", [HighsEngine, PyomoEngine])
@pytest.mark.parametrize("limit_s", [0.0, 1e-9, 1e-3, 0.02])
def test_a_plan_out_of_time_is_possible_and_says_so(engine: type, limit_s: float) -> None:
    task = make_task(load_case("rural1"), NOON, 48)
    plan = make_plan(task, engine, limit_s)
    assert plan.status in {"time_out", "optimal", "unsettled", "limits_exceeded"}
    assert_possible(task, plan)
    assert_told_truly(task, plan)
    if limit_s <= 1e-9:
        assert plan.status == "time_out"
    if plan.status == "time_out":
        assert plan.shadow is None
        assert np.isnan(plan.objective_eur)


def test_a_time_out_keeps_the_best_schedule_of_the_rounds_before() -> None:
    class Tires(HighsEngine):
        """Solves once, then has no time."""

        rounds = 0

        def solve(self, time_limit_s: float | None = None) -> Solution | None:
            self.rounds += 1
            return super().solve(time_limit_s) if self.rounds == 1 else super().solve(0.0)

    task = by_mean_prices(make_task(load_case("cigre_lv"), NOON, 24))
    idle, full, plan = make_plan(task, time_limit_s=0.0), make_plan(task), make_plan(task, Tires)
    assert full.rounds > 1
    assert (plan.status, plan.shadow) == ("time_out", None)
    assert full.cost_eur <= plan.cost_eur < idle.cost_eur
    assert_possible(task, plan)
