"""Model-predictive control in closed loop: what it may know, what it keeps to, and what it costs beside the optimum and the
rule; the ring of its horizon against programmes made anew is in `test_mpc_ring.py`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gridnet.case import Case, load_case
from gridnet.clock import STEPS_PER_DAY, STEPS_PER_WEEK
from gridnet.errors import PowerFlowDiverged
from gridnet.limits import make_limits
from gridnet.series.compose import Series
from gridnet.tariff import StoredValue, make_prices, running_cost_eur
from gridnet_policies.lp import PerfectForesightLp, make_task
from gridnet_policies.lp.rounds import make_plan
from gridnet_policies.lp.task import Task
from gridnet_policies.mpc import Mpc
from gridnet_policies.mpc.controller import Controller
from gridnet_policies.mpc.window import Windows
from gridnet_policies.policy import Policy
from gridnet_policies.rule import Rule
from tests.policies.gridnet_policies.stretches import NOON, account_of, changed, run_of
from tests.policies.gridnet_policies.test_lp import Street, case_of

Floats = NDArray[np.float64]

SUMMER = 26 * STEPS_PER_WEEK
HORIZON = 24
AT_LAST = StoredValue(0.05, 0.05)
"""A kWh in store at the end, more or less: one price, so that runs add up."""


def decided(case: Case, policy: Mpc, start: int, steps: int) -> Floats:
    """(steps, 2, devices) what the policy asks for, step by step, in the simulator."""
    asked: list[Floats] = []

    class Watched:
        name = "watched"

        def prepare(self, case: Case, start: int, steps: int) -> None:
            policy.prepare(case, start, steps)

        def decide(self, step: int, soc: Floats) -> Floats:
            asked.append(policy.decide(step, soc))
            return asked[-1]

    run_of(case, Watched(), start, steps)
    return np.array(asked)


# --- what it costs -------------------------------------------------------------------------------------------------


def cost_with_tomorrow(case: Case, policy: Policy, start: int, steps: int) -> float:
    """What a run through the shield costs, and the day after it when that is planned perfectly from the charge that is left: so
    nobody gains or loses by what the account of a short run thinks of its last hour."""
    prices, fleet, run = make_prices(case.scenario, case.series), case.fleet, run_of(case, policy, start, steps)
    tomorrow = replace(make_task(case, start + steps, STEPS_PER_DAY), soc=run.soc[-1], stored=AT_LAST)
    assert not make_limits(case.scenario, case.feeder).broken(run.vm_pu, run.loading_percent).any()
    running = running_cost_eur(prices, fleet.dt_h, start, run.slack_p_kw, run.done[:, 0, : fleet.batteries])
    gained_kwh = float((run.soc[-1] - run.soc[0]) @ fleet.e_kwh)
    return running + make_plan(tomorrow).cost_eur + AT_LAST.cost_eur(gained_kwh)


@pytest.mark.parametrize("name", ["rural1", "cigre_lv"])
def test_knowing_what_will_be_it_costs_no_less_than_the_optimum_and_no_more_than_the_rule(name: str) -> None:
    case = load_case(name)
    optimum = make_plan(replace(make_task(case, SUMMER, 2 * STEPS_PER_DAY), stored=AT_LAST)).cost_eur
    controlled, ruled = (cost_with_tomorrow(case, each, SUMMER, STEPS_PER_DAY) for each in (Mpc(48, perfect=True), Rule()))
    assert optimum <= controlled + 2e-3 * abs(optimum)
    assert controlled <= ruled


def test_with_forecasts_it_still_beats_the_rule_on_a_summer_day() -> None:
    case = load_case("rural1")
    controlled, ruled = (cost_with_tomorrow(case, each, SUMMER, STEPS_PER_DAY) for each in (Mpc(48), Rule()))
    assert controlled < ruled


@pytest.mark.parametrize("steps", [96, 192])
def test_on_tiny_it_meets_the_optimum_where_the_horizon_holds_all(steps: int) -> None:
    case = load_case("tiny")
    optimum = account_of(case, PerfectForesightLp(), 0, steps)
    run = account_of(case, Mpc(48, perfect=True), 0, steps)
    assert optimum.cost_eur <= run.cost_eur + 1e-3 * abs(optimum.cost_eur)
    assert run.cost_eur <= account_of(case, Rule(), 0, steps).cost_eur + 1e-3


# --- limits --------------------------------------------------------------------------------------------------------


def test_knowing_what_will_be_it_needs_no_shield_on_a_summer_day() -> None:
    case = load_case("rural1")
    run = run_of(case, Mpc(48, perfect=True), SUMMER + 24, 48, shield=False)
    limits = make_limits(case.scenario, case.feeder)
    assert not limits.broken(run.vm_pu, run.loading_percent).any()
    assert run.loading_percent.max() > 99.0


def test_knowing_what_will_be_it_keeps_a_voltage_without_the_shield() -> None:
    case = changed(load_case("rural1"), {"vm_max_pu": 1.02, "trafo_percent": 150.0})
    run = run_of(case, Mpc(HORIZON, perfect=True), NOON, 24, shield=False)
    assert not make_limits(case.scenario, case.feeder).broken(run.vm_pu, run.loading_percent).any()
    assert run.vm_pu.max() > 1.019


@pytest.mark.parametrize("step", [SUMMER + offset for offset in range(38, 50, 2)] + [SUMMER + 43])
@pytest.mark.parametrize("horizon", [12, HORIZON])
def test_the_first_decision_of_a_run_keeps_the_limits_wherever_it_starts(step: int, horizon: int) -> None:
    case = load_case("rural1")
    limits, soc = make_limits(case.scenario, case.feeder), np.array([0.38, 0.05, 0.69, 0.80, 0.05])
    policy = Mpc(horizon, perfect=True)
    policy.prepare(case, step, 1)
    setpoint = policy.decide(step, soc)
    p, q = case.params.load_p_kw[step], case.params.load_q_kvar[step]
    p_bus, q_bus = np.zeros(case.params.buses), np.zeros(case.params.buses)
    done = setpoint.copy()
    done[0, 5:] = np.minimum(setpoint[0, 5:], case.params.pv_p_kw[step])
    np.add.at(p_bus, case.params.load_bus, p)
    np.add.at(q_bus, case.params.load_bus, q)
    np.add.at(p_bus, case.params.device_bus, done[0])
    np.add.at(q_bus, case.params.device_bus, done[1])
    flow = case.power_flow.solve(p_bus, q_bus)
    assert float((flow.branch_percent - limits.percent).max()) <= 0.1


@pytest.mark.parametrize("make", [lambda: Mpc(HORIZON), lambda: Mpc(HORIZON, perfect=True), lambda: Mpc(HORIZON, time_limit_s=0.0)])
@pytest.mark.parametrize("name", ["rural1", "cigre_lv"])
def test_what_it_asks_for_is_what_devices_can_do(name: str, make: Callable[[], Mpc]) -> None:
    case = load_case(name)
    fleet, start, steps = case.fleet, SUMMER + 34, 20
    run = run_of(case, make(), start, steps, shield=False)
    asked = decided(case, make(), start, steps)
    sun = np.minimum(case.params.pv_p_kw[start : start + steps], fleet.s_kva[fleet.batteries :])
    p = asked[:, 0].copy()
    p[:, fleet.batteries :] = np.minimum(p[:, fleet.batteries :], sun)
    assert (np.abs(p[:, : fleet.batteries]) <= fleet.p_kw + 1e-6).all()
    assert (p[:, fleet.batteries :] >= -1e-9).all()
    assert (np.hypot(p, asked[:, 1]) <= fleet.s_kva + 1e-3).all()
    assert not np.isnan(asked).any()
    assert (run.soc >= fleet.soc_window[0] - 1e-3).all()
    assert (run.soc <= fleet.soc_window[1] + 1e-9).all()


# --- what it may know ----------------------------------------------------------------------------------------------


def doctored(case: Case, series: Series) -> Case:
    params = case.params._replace(load_p_kw=series.load_p_kw, load_q_kvar=series.load_q_kvar, pv_p_kw=series.pv_p_kw)
    return replace(case, series=series, params=params)


def with_another_future(case: Case, step: int, published: int) -> Case:
    """Other load, sun and carbon after `step`, other prices from `published` on."""
    draw, series = np.random.default_rng(5), case.series
    load_p, load_q, pv = series.load_p_kw.copy(), series.load_q_kvar.copy(), series.pv_p_kw.copy()
    carbon, price = series.carbon_g_per_kwh.copy(), series.price_eur_per_mwh.copy()
    load_p[step + 1 :] *= draw.uniform(0.2, 3.0, load_p[step + 1 :].shape)
    load_q[step + 1 :] *= draw.uniform(0.2, 3.0, load_q[step + 1 :].shape)
    pv[step + 1 :] = draw.uniform(0.0, 1.0, pv[step + 1 :].shape) * pv.max(axis=0)
    carbon[step + 1 :] = draw.uniform(0.0, 900.0, carbon[step + 1 :].shape)
    price[published:] = draw.uniform(-100.0, 500.0, price[published:].shape)
    another = replace(series, load_p_kw=load_p, load_q_kvar=load_q, pv_p_kw=pv, carbon_g_per_kwh=carbon, price_eur_per_mwh=price)
    return doctored(case, another)


@pytest.mark.parametrize("hour", [0, 9, 11.5, 11.75, 12, 12.25, 18])
def test_a_decision_knows_nothing_of_what_comes_but_published_prices(hour: float) -> None:
    case = changed(load_case("rural1"), tariff={"co2_price_eur_per_t": 60.0})
    # The clock starts at local midnight of day 0: prices of the next day are out at noon.
    day_start = SUMMER
    assert case.clock.local_step_of_day(day_start) == 0
    step = day_start + round(4 * hour)
    published = day_start + (2 if hour >= 12 else 1) * STEPS_PER_DAY
    asked = [decided(each, Mpc(144), step - 2, 3) for each in (case, with_another_future(case, step, published))]
    assert asked[0].tobytes() == asked[1].tobytes()


def test_a_published_price_is_used_from_noon_on_and_not_before() -> None:
    case = load_case("rural1")
    series, tomorrow = case.series, SUMMER + STEPS_PER_DAY
    price = series.price_eur_per_mwh.copy()
    price[tomorrow : tomorrow + STEPS_PER_DAY] = 900.0 * (np.arange(STEPS_PER_DAY) % 2)
    other = doctored(case, replace(series, price_eur_per_mwh=price))
    for step, knows in ((SUMMER + 47, False), (SUMMER + 48, True)):
        soc = np.full(5, 0.5)
        here, there = (Windows(each, 144, False).at(step, soc, 0.0).export_eur_per_kwh for each in (case, other))
        assert bool((here != there).any()) == knows
        assert here[: tomorrow - step] == pytest.approx(there[: tomorrow - step])


def test_the_step_itself_is_measured() -> None:
    case = changed(load_case("rural1"), tariff={"co2_price_eur_per_t": 60.0})
    task = Windows(case, 12, False).at(NOON, np.full(5, 0.5), 0.0)
    assert task.params.load_p_kw[0] == pytest.approx(case.params.load_p_kw[NOON])
    assert task.params.load_q_kvar[0] == pytest.approx(case.params.load_q_kvar[NOON])
    assert task.params.pv_p_kw[0] == pytest.approx(case.params.pv_p_kw[NOON])
    assert task.prices.carbon_kg_per_kwh[0] == pytest.approx(case.series.carbon_g_per_kwh[NOON] / 1e3)
    assert task.prices.carbon_kg_per_kwh[1] == pytest.approx(case.series.carbon_g_per_kwh[NOON - 95] / 1e3)


def test_a_perfect_window_knows_what_will_be_prices_and_carbon_included() -> None:
    case = changed(load_case("rural1"), tariff={"co2_price_eur_per_t": 60.0})
    step = SUMMER + 40
    known, true = Windows(case, 144, True).at(step, np.full(5, 0.5), 0.0), make_task(case, step, 144)
    assert known.params.load_p_kw == pytest.approx(case.params.load_p_kw[step : step + 144])
    assert known.params.pv_p_kw == pytest.approx(case.params.pv_p_kw[step : step + 144])
    assert known.export_eur_per_kwh == pytest.approx(true.export_eur_per_kwh)
    assert known.import_eur_per_kwh == pytest.approx(true.import_eur_per_kwh)


# --- in use --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("perfect", [True, False])
def test_two_runs_give_the_same_bytes(perfect: bool) -> None:
    case = load_case("rural1")
    first = decided(case, Mpc(HORIZON, perfect), NOON, 12)
    again = Mpc(HORIZON, perfect)
    decided(case, again, SUMMER, 4)
    assert first.tobytes() == decided(case, again, NOON, 12).tobytes()


def test_a_decision_out_of_order_is_that_of_a_run_begun_there() -> None:
    case, soc = load_case("rural1"), np.full(5, 0.4)
    policy, fresh = Mpc(HORIZON), Mpc(HORIZON)
    policy.prepare(case, NOON, 50)
    for step in range(NOON, NOON + 3):
        policy.decide(step, soc)
    for step in (NOON + 20, NOON + 1, NOON + 1):
        fresh.prepare(case, step, 1)
        assert policy.decide(step, soc).tobytes() == fresh.decide(step, soc).tobytes()


@pytest.mark.parametrize("name", ["rural1", "tiny"])
def test_without_time_it_follows_its_last_plan(name: str) -> None:
    case = load_case(name)
    start = NOON if name == "rural1" else 40
    asked = decided(case, Mpc(HORIZON, time_limit_s=0.0), start, 6)
    # There never was a plan: batteries rest, the sun gives what it can.
    assert (asked[:, 0, : case.fleet.batteries] == 0.0).all()
    assert np.isinf(asked[:, 0, case.fleet.batteries :]).all()


def test_a_plan_once_made_is_followed_when_time_runs_out() -> None:
    case = case_of(Street([500, 100, 400, 100, 300, 100], [10] * 6, [0] * 6, {"soc_start": 0.5}))
    policy = Mpc(4, perfect=True)
    policy.prepare(case, 0, 6)
    first = policy.decide(0, np.array([0.5]))
    planned = policy._controller._controls[policy._controller._engine.slots][1:3, 0].copy()  # type: ignore[union-attr]
    policy._controller.time_limit_s = 0.0  # type: ignore[union-attr]
    assert first[0, 0] > 9.9
    followed = [policy.decide(step, np.array([0.375]))[0, 0] for step in (1, 2)]
    assert followed == pytest.approx(planned.tolist())


def test_the_last_steps_of_the_series_are_decided_with_a_horizon_that_leaves_it() -> None:
    case = load_case("tiny")
    for perfect in (True, False):
        run = run_of(case, Mpc(48, perfect), case.clock.steps - 6, 6)
        assert np.isfinite(run.slack_p_kw).all()


def test_the_first_steps_of_the_series_are_decided() -> None:
    for perfect in (True, False):
        assert np.isfinite(run_of(load_case("rural1"), Mpc(HORIZON, perfect), 0, 4).slack_p_kw).all()


@pytest.mark.parametrize(("batteries", "roofs"), [(0, 0), (0, 1), (1, 0)])
@pytest.mark.parametrize("horizon", [1, 2, 8])
def test_a_feeder_without_devices_of_a_kind_is_run(batteries: int, roofs: int, horizon: int) -> None:
    street = Street([100, 400] * 5, [5] * 10, [9] * 10, {"soc_start": 0.3}, batteries=batteries, roofs=roofs)
    run = run_of(case_of(street), Mpc(horizon, perfect=True), 0, 10)
    assert run.done.shape == (10, 2, batteries + roofs)
    assert np.isfinite(run.slack_p_kw).all()


@pytest.mark.parametrize("wear", [0.0, 0.01])
def test_negative_prices_are_taken_and_nothing_is_burnt(wear: float) -> None:
    spot = [-300.0, -300.0, 50.0, -300.0, 100.0, 60.0, -20.0, 300.0]
    case = case_of(Street(spot, [3] * 8, [5] * 8, {"soc_start": 0.0, "wear_eur_per_kwh": wear}))
    run = run_of(case, Mpc(8, perfect=True), 0, 8)
    assert run.done[0, 0] == pytest.approx([-10.0, 0.0], abs=0.02)
    assert run.done[7, 0, 0] > 5.0


def test_load_that_grows_beyond_the_first_horizon_is_served_where_feed_in_earns_more_than_import_costs() -> None:
    case = case_of(Street([40] * 16, [0] * 8 + [80] * 8, [0] * 16, tariff={"feed_in_eur_per_mwh": 80.0}))
    run = run_of(case, Mpc(4, perfect=True), 0, 16)
    assert run.slack_p_kw[8:] == pytest.approx(np.full(8, 80.0), abs=15.0)


def test_sun_that_rises_after_the_first_horizon_is_exported_where_feed_in_earns_more_than_import_costs() -> None:
    street = Street([40] * 16, [0] * 16, [0] * 8 + [9] * 8, tariff={"feed_in_eur_per_mwh": 80.0}, batteries=0)
    run = run_of(case_of(street), Mpc(4, perfect=True), 0, 16)
    assert run.done[8:, 0, 0] == pytest.approx(np.full(8, 9.0))


def test_a_peak_once_reached_is_not_paid_for_again() -> None:
    # The battery can't help at the start, when it is empty; afterwards no peak below 12 kW is worth a cent.
    street = Street([100] * 8, [12, 2, 2, 9, 9, 9, 2, 2], [0] * 8, {"wear_eur_per_kwh": 0.05}, {"peak_eur_per_kw": 1.0})
    run = run_of(case_of(street), Mpc(6, perfect=True), 0, 8)
    assert run.done[:, 0, 0] == pytest.approx(np.zeros(8), abs=0.05)


def test_a_peak_ahead_is_shaved() -> None:
    street = Street([100] * 8, [2, 2, 2, 9, 9, 2, 2, 2], [0] * 8, {"wear_eur_per_kwh": 0.05}, {"peak_eur_per_kw": 1.0})
    run = run_of(case_of(street), Mpc(8, perfect=True), 0, 8)
    assert run.slack_p_kw.max() < 6.5


@settings(max_examples=15)
@given(
    st.lists(st.tuples(st.floats(-200, 400), st.floats(0, 15), st.floats(0, 11)), min_size=1, max_size=12),
    st.integers(2, 6),
    st.sampled_from([None, 80.0]),
    st.floats(0.0, 1.0),
)
def test_any_street_is_run_without_an_error(
    rows: list[tuple[float, float, float]], horizon: int, feed_in: float | None, soc: float
) -> None:
    spot, load, sun = (list(column) for column in zip(*rows, strict=True))
    tariff = {} if feed_in is None else {"feed_in_eur_per_mwh": feed_in}
    case = case_of(Street(spot, load, sun, {"soc_start": soc, "wear_eur_per_kwh": 0.01}, tariff))
    run = run_of(case, Mpc(horizon, perfect=True), 0, len(rows))
    assert np.isfinite(run.slack_p_kw).all()


def test_a_decision_that_failed_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    case, soc = load_case("rural1"), np.full(5, 0.5)
    policy, anew = Mpc(HORIZON), Mpc(HORIZON)
    policy.prepare(case, NOON, 4)
    anew.prepare(case, NOON, 4)
    policy.decide(NOON, soc)
    advance = Controller.advance

    def lost(self: Controller, task: Task) -> None:
        advance(self, task)
        raise PowerFlowDiverged("lost", step=3)

    with monkeypatch.context() as patched:
        patched.setattr(Controller, "advance", lost)
        with pytest.raises(PowerFlowDiverged, match=f"from step {NOON + 1}"):
            policy.decide(NOON + 1, soc)
    assert policy.decide(NOON + 1, soc) == pytest.approx(anew.decide(NOON + 1, soc))
