"""The ring of slots that a rolling horizon turns in, after full laps, against programmes made anew for the same task."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gridnet import simulate
from gridnet.case import Case, load_case
from gridnet.clock import STEPS_PER_WEEK
from gridnet_policies.lp import Task
from gridnet_policies.lp.engine import Solution
from gridnet_policies.lp.plan import Checked, check
from gridnet_policies.lp.rounds import make_plan, operating_point
from gridnet_policies.mpc.controller import Controller
from gridnet_policies.mpc.window import Windows
from tests.policies.gridnet_policies.stretches import at_the_slack, changed
from tests.policies.gridnet_policies.test_lp import Street, case_of

Floats = NDArray[np.float64]

SUMMER, WINTER = 26 * STEPS_PER_WEEK, 2 * STEPS_PER_WEEK


def planned(controller: Controller, task: Task) -> Checked:
    """The controller's whole plan, in order of time, under the AC power flow."""
    fleet, controls = task.params.fleet, controller._controls[controller._engine.slots]
    p, q = controls[:, : fleet.devices], controls[:, fleet.devices :]
    stored, rows = task.soc * fleet.e_kwh, []
    for battery in p[:, : fleet.batteries]:
        gained = np.where(battery < 0, -battery * fleet.efficiency[0], -battery / fleet.efficiency[1])
        stored = fleet.keep * stored + fleet.dt_h * gained
        rows.append(stored)
    return check(task, Solution(p, q, np.array(rows).reshape(task.steps, fleet.batteries), np.nan))


def rolled(case: Case, start: int, laps: float, perfect: bool) -> Iterator[tuple[Task, Controller]]:
    """The tasks of a run in the simulator with a horizon of 12, each with the controller as it is there. The controller is one
    object all the way: look at it before going on."""
    horizon = 12
    windows, state, controller = Windows(case, horizon, perfect), case.start(start), None
    for step in range(start, start + round(laps * horizon)):
        task = windows.at(step, state.soc[0], 0.0)
        if controller is None:
            controller = Controller(task, None)
        else:
            controller.advance(task)
        yield task, controller
        state, _ = simulate.step(state, controller.setpoint[None], case.params)


@pytest.mark.parametrize(
    ("name", "start", "limits"),
    [
        ("rural1", WINTER + 30, {}),
        ("cigre_lv", SUMMER + 30, {}),
        ("semiurb4", SUMMER + 60, {}),
        ("rural1", SUMMER + 28, {}),
        ("rural1", SUMMER + 28, {"vm_max_pu": 1.02, "trafo_percent": 150.0}),
    ],
)
@pytest.mark.parametrize("perfect", [True, False])
def test_after_two_laps_a_rolled_programme_plans_as_cheaply_as_one_made_anew(
    name: str, start: int, limits: dict[str, float], perfect: bool
) -> None:
    case = changed(load_case(name), limits)
    for number, (task, controller) in enumerate(rolled(case, start, 2.6, perfect)):
        if number % 5 == 0 or number > 28:
            best = make_plan(task)
            scale = 0.008 * (abs(best.cost_eur) + 5.0)
            assert planned(controller, task).cost_eur == pytest.approx(best.cost_eur, abs=scale), number


@pytest.mark.parametrize("perfect", [True, False])
def test_the_step_to_be_done_keeps_its_limits_all_the_way_round(perfect: bool) -> None:
    case = load_case("rural1")
    for number, (task, controller) in enumerate(rolled(case, SUMMER + 28, 3, perfect)):
        beyond = planned(controller, task).margin[0].max()
        assert beyond <= 0.1, (number, beyond)


def test_the_steps_ahead_are_never_planned_far_beyond_their_limits() -> None:
    case = load_case("rural1")
    for number, (task, controller) in enumerate(rolled(case, SUMMER + 30, 1.5, True)):
        beyond = planned(controller, task).margin.max()
        assert beyond <= 5.0, (number, beyond)


# --- without losses the programme is exact: equal to the last digit ------------------------------------------------------


def lossless(rows: list[tuple[float, float, float]], tariff: dict[str, float]) -> Case:
    spot, load, sun = (list(column) for column in zip(*rows, strict=True))
    battery = {"soc_start": 0.4, "wear_eur_per_kwh": 0.01, "self_discharge_per_day": 0.05, "efficiency_discharge": 0.93}
    case = at_the_slack(case_of(Street(spot, load, sun, battery, tariff)))
    fleet = case.params.fleet
    two = fleet._replace(p_kw=np.array([10.0, 3.0]), e_kwh=np.array([20.0, 9.0]), s_kva=np.array([11.0, 3.3, 11.0]))
    return replace(case, params=case.params._replace(fleet=two, device_bus=np.full(3, case.params.device_bus[0])))


def assert_as_made_anew(case: Case, horizon: int, reached_kw: list[float], within_eur: float = 1e-5) -> None:
    windows, state, controller = Windows(case, horizon, True), case.start(0), None
    for step, reached in enumerate(reached_kw):
        task = windows.at(step, state.soc[0], reached)
        if controller is None:
            controller = Controller(task, None)
        else:
            controller.advance(task)
        best = make_plan(task)
        assert planned(controller, task).cost_eur == pytest.approx(best.cost_eur, abs=within_eur), step
        state, _ = simulate.step(state, controller.setpoint[None], case.params)


quarters = st.tuples(st.floats(0, 400), st.floats(0, 15), st.floats(0, 11))


@settings(max_examples=12)
@given(
    st.lists(quarters, min_size=14, max_size=20),
    st.integers(2, 5),
    st.sampled_from([{}, {"grid_fee_eur_per_mwh": 120.0}, {"co2_price_eur_per_t": 100.0}]),
)
def test_without_losses_every_turn_of_the_ring_has_the_optimum_of_a_programme_made_anew(
    rows: list[tuple[float, float, float]], horizon: int, tariff: dict[str, float]
) -> None:
    assert_as_made_anew(lossless(rows, tariff), horizon, [0.0] * len(rows))


@settings(max_examples=8)
@given(st.lists(quarters, min_size=10, max_size=12), st.lists(st.floats(0, 12), min_size=10, max_size=10))
def test_without_losses_a_peak_reached_counts_in_every_turn_of_the_ring(
    rows: list[tuple[float, float, float]], reached_kw: list[float]
) -> None:
    assert_as_made_anew(lossless(rows, {"peak_eur_per_kw": 0.4}), 4, reached_kw)


@pytest.mark.parametrize("seed", range(4))
def test_prices_that_turn_and_turn_back_leave_no_trace(seed: int) -> None:
    # Feed-in above the import price in some hours bars importing and exporting at once; in others it must not.
    draw = np.random.default_rng(seed)
    rows = [(float(draw.choice([20.0, 200.0])), float(draw.uniform(0, 15)), float(draw.uniform(0, 11))) for _ in range(24)]
    assert_as_made_anew(lossless(rows, {"feed_in_eur_per_mwh": 80.0}), 5, [0.0] * 24, 0.05)


@pytest.mark.parametrize("horizon", [2, 3])
def test_negative_prices_that_come_and_go_leave_no_trace(horizon: int) -> None:
    draw = np.random.default_rng(1)
    rows = [(float(draw.choice([-60.0, 90.0])), float(draw.uniform(0, 9)), 0.0) for _ in range(16)]
    assert_as_made_anew(lossless(rows, {}), horizon, [0.0] * 16)


def test_a_programme_does_not_grow_with_the_laps() -> None:
    case = load_case("rural1")
    rows = []
    for number, (_, controller) in enumerate(rolled(case, WINTER, 6, True)):
        if number % 12 == 0:
            rows.append(controller._engine.lp.rows)
    assert rows[-1] <= rows[1] + 60


def test_a_slot_is_linearised_with_the_loads_and_the_sun_of_its_own_step() -> None:
    case = load_case("rural1")
    task, controller = list(rolled(case, WINTER + 30, 1.5, True))[-1]
    slots, newest = controller._engine.slots, controller._engine.newest
    assert slots[0] != 0
    controls = controller._controls[slots].copy()
    controller._renew(task, slots)
    expected = operating_point(task, controls).d_slack_p
    assert controller._slopes[newest[slots], slots] == pytest.approx(expected, abs=1e-12)


def test_a_jump_of_load_and_sun_is_met_at_once() -> None:
    # Forecasts that come out quite wrong: the plan is levelled to what is measured before it is solved.
    case = load_case("rural1")
    windows, soc = Windows(case, 12, True), np.full(5, 0.5)
    controller = Controller(windows.at(WINTER + 30, soc, 0.0), None)
    wild = windows.at(WINTER + 31, soc, 0.0)
    params = wild.params
    wild = replace(wild, params=params._replace(load_p_kw=3.0 * params.load_p_kw, pv_p_kw=0.0 * params.pv_p_kw))
    controller.advance(wild)
    best = make_plan(wild)
    assert planned(controller, wild).cost_eur == pytest.approx(best.cost_eur, abs=0.005 * abs(best.cost_eur))
    assert (controller.setpoint[0, 5:] <= 1e-9).all()
