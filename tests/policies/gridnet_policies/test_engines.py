"""The readable engine and the fast one solve the same programme: held equal on every shipped scenario and where signs turn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridnet.case import load_case
from gridnet.scenario import shipped_scenarios
from gridnet_policies.lp import Task, make_task
from gridnet_policies.lp.highs_engine import HighsEngine
from gridnet_policies.lp.plan import Plan
from gridnet_policies.lp.pyomo_engine import PyomoEngine
from gridnet_policies.lp.rounds import make_plan, operating_point, tangent_at
from tests.policies.gridnet_policies.stretches import NOON, WINTER, by_mean_prices, changed, flow_of, repriced
from tests.policies.gridnet_policies.test_lp import Street, case_of

ATOL_EUR = 2e-3
"""Ties between equal schedules may be broken otherwise; the rounds that follow then end a little apart."""


def plans(task: Task) -> tuple[Plan, Plan]:
    return make_plan(task, HighsEngine), make_plan(task, PyomoEngine)


def assert_alike(fast: Plan, readable: Plan) -> None:
    assert fast.status == readable.status
    assert fast.objective_eur == pytest.approx(readable.objective_eur, abs=ATOL_EUR)
    assert fast.cost_eur == pytest.approx(readable.cost_eur, abs=ATOL_EUR)
    assert fast.shadow is not None
    assert readable.shadow is not None


def assert_alike_prices(fast: Plan, readable: Plan) -> None:
    assert fast.shadow is not None
    assert readable.shadow is not None
    for one, other in zip(fast.shadow[:3], readable.shadow[:3], strict=True):
        assert one == pytest.approx(other, abs=1e-4)
    here, there = fast.shadow.limits_eur_per_percent, readable.shadow.limits_eur_per_percent
    assert {key: here.get(key, 0.0) for key in here | there} == pytest.approx(
        {key: there.get(key, 0.0) for key in here | there}, abs=1e-4
    )


def stretch(name: str) -> Task:
    case = load_case(name)
    return make_task(case, 0, 48) if name == "tiny" else make_task(case, NOON, 32)


@pytest.mark.parametrize("reactive", [True, False])
@pytest.mark.parametrize("name", shipped_scenarios())
def test_both_engines_find_the_same_plan_and_prices_on_every_shipped_scenario(name: str, reactive: bool) -> None:
    fast, readable = plans(replace(stretch(name), reactive=reactive))
    assert fast.status == "optimal"
    assert_alike(fast, readable)
    assert_alike_prices(fast, readable)


@pytest.mark.parametrize("name", ["tiny", "rural1", "cigre_lv"])
def test_both_engines_agree_on_a_peak_charge_and_whose_steps_carry_it(name: str) -> None:
    case = changed(load_case(name), tariff={"peak_eur_per_kw": 1.5})
    task = make_task(case, 0 if name == "tiny" else WINTER, 24)
    fast, readable = plans(task)
    assert_alike(fast, readable)
    assert fast.shadow is not None
    assert readable.shadow is not None
    imports = flow_of(task, fast).slack_p_kw.max() > 0.1
    for shadow in (fast.shadow, readable.shadow):
        # Where nothing is imported at all, the charge has no step to fall on.
        assert shadow.peak_eur_per_kw.sum() == pytest.approx(1.5) if imports else shadow.peak_eur_per_kw.sum() < 1.5


@pytest.mark.parametrize("reactive", [True, False])
@pytest.mark.parametrize("spread", [-0.04, -0.5])
def test_both_engines_agree_where_feed_in_earns_more_than_import_costs(spread: float, reactive: bool) -> None:
    task = replace(make_task(load_case("rural1"), NOON, 24), reactive=reactive)
    spot = task.prices.export_eur_per_kwh[task.run]
    fast, readable = plans(repriced(task, spot, spot - spread))
    assert_alike(fast, readable)


@pytest.mark.parametrize("level", [-0.02, -0.3])
def test_both_engines_agree_at_negative_prices(level: float) -> None:
    task = make_task(load_case("rural1"), WINTER, 24)
    wave = level * (1 + np.sin(np.arange(24)))
    fast, readable = plans(repriced(task, wave + 0.05, wave))
    assert_alike(fast, readable)


@pytest.mark.parametrize(
    "limits", [{"trafo_percent": 60.0}, {"vm_max_pu": 1.02, "trafo_percent": 150.0}, {"line_percent": 20.0}, {"vm_max_pu": 1.0005}]
)
def test_both_engines_agree_where_limits_bind_and_where_they_cannot_be_kept(limits: dict[str, float]) -> None:
    fast, readable = plans(make_task(changed(load_case("rural1"), limits), NOON, 16))
    assert_alike(fast, readable)
    assert fast.shadow is not None
    assert fast.shadow.limits_eur_per_percent
    named = [{(each.limit, each.element, each.step) for each in plan.violations} for plan in (fast, readable)]
    assert named[0] == named[1]


def test_both_engines_report_a_time_out() -> None:
    for plan in plans_in_no_time(make_task(load_case("rural1"), NOON, 16)):
        assert (plan.status, plan.shadow) == ("time_out", None)


def plans_in_no_time(task: Task) -> tuple[Plan, Plan]:
    return make_plan(task, HighsEngine, 0.0), make_plan(task, PyomoEngine, 0.0)


@pytest.mark.parametrize("engine", [HighsEngine, PyomoEngine])
def test_time_enough_changes_nothing(engine: type) -> None:
    task = make_task(load_case("rural1"), NOON, 16)
    hurried, free = make_plan(task, engine, 60.0), make_plan(task, engine)
    assert hurried.status == "optimal"
    assert hurried.p_kw.tobytes() == free.p_kw.tobytes()


@pytest.mark.parametrize("engine", [HighsEngine, PyomoEngine])
def test_the_same_engine_gives_the_same_bytes_twice(engine: type) -> None:
    task = make_task(load_case("rural1"), NOON, 16)
    first, second = make_plan(task, engine), make_plan(task, engine)
    assert first.p_kw.tobytes() == second.p_kw.tobytes()
    assert first.q_kvar.tobytes() == second.q_kvar.tobytes()


def test_a_constraint_of_ones_own_holds_through_every_round() -> None:
    task = by_mean_prices(make_task(load_case("rural1"), WINTER, 24))
    free = make_plan(task, PyomoEngine)
    largest_kw = np.abs(free.p_kw[:, :5]).sum(axis=1).max()
    capped_kw = 0.5 * largest_kw

    def quiet(task: Task) -> PyomoEngine:
        engine = PyomoEngine(task)
        for t in engine.model.t:
            engine.add(sum(engine.model.charge[t, b] + engine.model.discharge[t, b] for b in engine.model.b) <= capped_kw)
        return engine

    plan = make_plan(task, quiet)
    assert plan.status == "optimal"
    assert np.abs(plan.p_kw[:, :5]).sum(axis=1).max() <= capped_kw + 1e-6
    assert np.abs(plan.p_kw[:, :5]).sum(axis=1).max() == pytest.approx(capped_kw, abs=1e-3)
    assert plan.cost_eur > free.cost_eur


def test_a_constraint_of_ones_own_on_the_slack_is_met_by_the_power_flow() -> None:
    case = case_of(Street([100, 500, 300, 100], [8.0] * 4, [0.0] * 4, {"soc_start": 0.5}))

    def held(task: Task) -> PyomoEngine:
        engine = PyomoEngine(task)
        engine.add(engine.model.imported[3] <= 4.0)
        return engine

    task = make_task(case, 0, 4)
    free, plan = make_plan(task, PyomoEngine), make_plan(task, held)
    assert flow_of(task, free).slack_p_kw[3] > 10.0
    assert flow_of(task, plan).slack_p_kw[3] <= 4.0 + 1e-3


# --- any street ----------------------------------------------------------------------------------------------------

quarters = st.tuples(st.floats(-200, 400), st.floats(0, 15), st.floats(0, 11))


@settings(max_examples=20)
@given(
    st.lists(quarters, min_size=1, max_size=8),
    st.floats(0.0, 1.0),
    st.sampled_from([None, 80.0]),
    st.sampled_from([0.0, 0.2]),
    st.sampled_from([0.0, 100.0]),
)
def test_both_engines_cost_the_same_on_any_street(
    rows: list[tuple[float, float, float]], soc: float, feed_in: float | None, peak: float, fee: float
) -> None:
    spot, load, sun = (list(column) for column in zip(*rows, strict=True))
    tariff = {"grid_fee_eur_per_mwh": fee, "peak_eur_per_kw": peak}
    tariff |= {} if feed_in is None else {"feed_in_eur_per_mwh": feed_in}
    case = case_of(Street(spot, load, sun, {"soc_start": soc, "wear_eur_per_kwh": 0.01}, tariff))
    fast, readable = plans(make_task(case, 0, len(rows)))
    assert fast.status == readable.status
    assert fast.cost_eur == pytest.approx(readable.cost_eur, abs=ATOL_EUR)
    assert fast.objective_eur == pytest.approx(readable.objective_eur, abs=ATOL_EUR)


@settings(max_examples=10)
@given(st.integers(0, 34_000), st.integers(0, 2**16))
def test_from_the_same_tangents_both_engines_have_the_same_objective(start: int, seed: int) -> None:
    # One solution each from one random operating point: no rounds that could lead ties apart.
    task = make_task(load_case("rural1"), start, 6)
    draw, fleet = np.random.default_rng(seed), task.params.fleet
    p = np.hstack([draw.uniform(-1, 1, (6, fleet.batteries)) * fleet.p_kw, task.pv_available_kw * draw.uniform(0, 1, (6, 1))])
    q = draw.uniform(-0.3, 0.3, p.shape) * fleet.s_kva
    point = np.hstack([p, q])
    tangent = tangent_at(operating_point(task, point), point)
    objective = []
    for make in (HighsEngine, PyomoEngine):
        engine = make(task)
        engine.centre(q)
        engine.follow(tangent)
        solution = engine.solve()
        assert solution is not None
        objective.append(solution.objective_eur)
    assert objective[0] == pytest.approx(objective[1], abs=1e-6)
