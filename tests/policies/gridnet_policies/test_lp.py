"""The optimiser on a feeder of one battery and one roof (the shipped `tiny`, its lines all but lossless), where the best
schedule is worked out by hand; and what it must do where there is nothing to decide, or nothing that keeps the limits."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gridnet.case import Case, load_case
from gridnet.devices import make_fleet
from gridnet.errors import InputError
from gridnet.foresight import worth_after
from gridnet.simulate import step
from gridnet.tariff import make_prices
from gridnet_policies.lp import PerfectForesightLp, make_task
from gridnet_policies.lp.rounds import make_plan
from gridnet_policies.no_battery import NoBattery
from gridnet_policies.policy import Policy
from gridnet_policies.rule import Rule

Floats = NDArray[np.float64]

BATTERY, ROOF = 0, 1
DT_H = 0.25


@dataclass(frozen=True)
class Street:
    """A battery of 10 kW and 20 kWh beside a roof, and a home; one value a step. No fee unless said."""

    spot_eur_per_mwh: list[float]
    load_kw: list[float]
    sun_kw: list[float]
    battery: dict[str, float] = field(default_factory=dict)
    tariff: dict[str, float] = field(default_factory=dict)
    limits: dict[str, float] = field(default_factory=dict)
    batteries: int = 1
    roofs: int = 1


def case_of(street: Street) -> Case:
    tiny = load_case("tiny")
    scenario = tiny.scenario.model_copy(
        update={
            "battery": tiny.scenario.battery.model_copy(update=street.battery),
            "tariff": tiny.scenario.tariff.model_copy(update={"grid_fee_eur_per_mwh": 0.0, **street.tariff}),
            "limits": tiny.scenario.limits.model_copy(update=street.limits),
        }
    )
    steps = len(street.spot_eur_per_mwh)
    home = np.array(street.load_kw, dtype=np.float64)
    series = replace(
        tiny.series,
        clock=replace(tiny.clock, steps=steps),
        load_p_kw=np.stack([-home, np.zeros(steps)], axis=1),
        load_q_kvar=np.zeros((steps, 2)),
        pv_p_kw=np.array(street.sun_kw, dtype=np.float64)[:, None][:, : street.roofs],
        price_eur_per_mwh=np.array(street.spot_eur_per_mwh, dtype=np.float64),
        carbon_g_per_kwh=np.full(steps, 400.0),
    )
    battery_kw, battery_kwh = tiny.fleet.p_kw[: street.batteries], tiny.fleet.e_kwh[: street.batteries]
    fleet = make_fleet(scenario, battery_kw, battery_kwh, np.full(street.roofs, 10.0), DT_H)
    params = tiny.params._replace(
        fleet=fleet,
        device_bus=np.full(street.batteries + street.roofs, 2, dtype=np.int64),
        load_p_kw=series.load_p_kw,
        load_q_kvar=series.load_q_kvar,
        pv_p_kw=series.pv_p_kw,
    )
    return replace(tiny, scenario=scenario, series=series, params=params)


@dataclass(frozen=True)
class Run:
    """What the simulator made of a policy."""

    done_kw: Floats
    soc: Floats
    cost_eur: float
    vm_pu: Floats
    loading_percent: Floats


def played(policy: Policy, case: Case, start: int, steps: int) -> Run:
    """Plays a policy step by step and adds up the account of `gridnet.tariff` by its own words."""
    policy.prepare(case, start, steps)
    prices, state = make_prices(case.scenario, case.series), case.start(start)
    cost, done, charge, vm, loading = 0.0, [], [state.soc[0]], [], []
    for t in range(start, start + steps):
        state, moved = step(state, policy.decide(t, state.soc[0])[None], case.params)
        assert moved.converged.all()
        slack_kwh = float(moved.slack_p_kw[0]) * DT_H
        buying = prices.import_eur_per_kwh[t] + prices.co2_eur_per_kg * prices.carbon_kg_per_kwh[t]
        cost += slack_kwh * (buying if slack_kwh > 0 else prices.export_eur_per_kwh[t])
        moved_kw = np.abs(moved.done[0, 0, : case.fleet.batteries]).sum()
        cost += float(moved_kw) * DT_H * prices.wear_eur_per_kwh
        done.append(moved.done[0, 0])
        charge.append(state.soc[0])
        vm.append(moved.vm_pu[0])
        loading.append(moved.loading_percent[0])
    gained_kwh = float((charge[-1] - charge[0]) @ case.fleet.e_kwh)
    cost += worth_after(case, start + steps).cost_eur(gained_kwh)
    return Run(np.array(done), np.array(charge), cost, np.array(vm), np.array(loading))


def planned(case: Case) -> PerfectForesightLp:
    policy = PerfectForesightLp()
    policy.prepare(case, 0, case.clock.steps)
    return policy


def plan_of(case: Case) -> Any:
    return make_plan(make_task(case, 0, case.clock.steps))


# --- worked out by hand --------------------------------------------------------------------------------------------


def test_cheap_energy_is_stored_and_sold_when_it_is_dear() -> None:
    # 10 kW for a quarter-hour takes in 2.5 kWh, stores 2.25, gives back 1.8: 7.2 kW. Worth it: (0.10 + 0.01) / 0.9 / 0.8 =
    # 0.153 is spent and 0.50 - 0.01 earned a kWh. Home: 10 * 0.25 * (0.10 + 0.50) = 1.50. Battery: 0.25 - 0.90 + 0.043.
    street = Street([100, 500], [10, 10], [0, 0], {"efficiency_discharge": 0.8, "wear_eur_per_kwh": 0.01})
    plan = plan_of(case_of(street))
    assert plan.status == "optimal"
    assert plan.p_kw[:, BATTERY] == pytest.approx([-10.0, 7.2], abs=1e-6)
    assert plan.soc[:, 0] == pytest.approx([0.0, 2.25 / 20, 0.0], abs=1e-7)
    assert plan.cost_eur == pytest.approx(1.5 + 0.25 - 0.9 + 0.043, abs=1e-3)


def test_wear_above_the_spread_lets_the_battery_rest() -> None:
    street = Street([100, 200], [10, 10], [0, 0], {"wear_eur_per_kwh": 0.06})
    assert plan_of(case_of(street)).p_kw[:, BATTERY] == pytest.approx([0.0, 0.0], abs=1e-6)


def test_carbon_has_its_price_on_imports_only() -> None:
    # 0.4 kg/kWh at 250 EUR/t puts 0.10 on each imported kWh: with it, storing the sun for the home beats selling it now.
    street = Street([100, 100], [0, 8], [10, 0])
    sold = plan_of(case_of(street))
    kept = plan_of(case_of(replace(street, tariff={"co2_price_eur_per_t": 250.0})))
    assert sold.p_kw[:, BATTERY] == pytest.approx([0.0, 0.0], abs=1e-6)
    assert kept.p_kw[:, BATTERY] == pytest.approx([-8 / 0.9, 8.0], abs=0.02)


def test_the_sun_is_curtailed_to_the_home_where_exports_cost() -> None:
    street = Street([-50, 50], [4, 4], [10, 10], tariff={"grid_fee_eur_per_mwh": 185.0}, batteries=0)
    policy = planned(case_of(street))
    assert policy.plan is not None
    assert policy.plan.p_kw[:, 0] == pytest.approx([4.0, 10.0], abs=5e-3)
    assert policy.decide(0, np.zeros(0))[0, 0] == policy.plan.p_kw[0, 0]
    assert policy.decide(1, np.zeros(0))[0, 0] == np.inf


def test_a_full_battery_gives_and_a_full_battery_without_reason_keeps() -> None:
    full = {"soc_start": 1.0}
    dear_now = plan_of(case_of(Street([500, 100, 100], [10] * 3, [0] * 3, full)))
    flat = plan_of(case_of(Street([100] * 3, [10] * 3, [0] * 3, full | {"wear_eur_per_kwh": 0.01})))
    assert dear_now.p_kw[0, BATTERY] == pytest.approx(10.0, abs=1e-6)
    assert (flat.soc <= 1.0).all()
    assert flat.cost_eur == pytest.approx(0.75, abs=1e-3)


# --- nothing to decide, nothing to rely on -------------------------------------------------------------------------


@pytest.mark.parametrize(("batteries", "roofs"), [(0, 0), (0, 1), (1, 0)])
@pytest.mark.parametrize("steps", [1, 3])
def test_a_feeder_without_devices_of_a_kind_has_a_plan(batteries: int, roofs: int, steps: int) -> None:
    street = Street([100.0] * steps, [10.0] * steps, [4.0] * steps, batteries=batteries, roofs=roofs)
    plan = plan_of(case_of(street))
    assert plan.status == "optimal"
    assert plan.p_kw.shape == (steps, batteries + roofs)
    assert plan.soc.shape == (steps + 1, batteries)
    assert plan.cost_eur == pytest.approx(0.25 * 0.1 * steps * (6.0 if roofs else 10.0), abs=1e-3)


@pytest.mark.parametrize("spot", [-300.0, -30.0])
@pytest.mark.parametrize("wear", [0.0, 0.01])
def test_negative_prices_never_charge_and_discharge_at_once(spot: float, wear: float) -> None:
    # Burning energy would pay the programme; a battery with one inverter can't. What the programme promises must be true.
    street = Street([spot, 50, spot, spot, 2 * spot], [3] * 5, [5] * 5, {"wear_eur_per_kwh": wear, "soc_start": 0.9})
    case = case_of(street)
    policy = PerfectForesightLp()
    run = played(policy, case, 0, 5)
    assert policy.plan is not None
    assert run.cost_eur == pytest.approx(policy.plan.cost_eur, abs=1e-6)
    assert policy.plan.objective_eur == pytest.approx(run.cost_eur, abs=0.01)
    assert run.soc == pytest.approx(policy.plan.soc, abs=1e-6)


def test_a_feed_in_above_the_import_price_is_no_money_pump() -> None:
    street = Street([40, 60, 40, 60], [3] * 4, [0, 9, 9, 0], tariff={"feed_in_eur_per_mwh": 80.0})
    case = case_of(street)
    policy = PerfectForesightLp()
    run = played(policy, case, 0, 4)
    assert policy.plan is not None
    assert policy.plan.objective_eur == pytest.approx(run.cost_eur, abs=0.01)
    assert run.cost_eur <= played(NoBattery(), case, 0, 4).cost_eur


def test_self_discharge_below_the_window_leaves_a_plan() -> None:
    battery = {"soc_min": 0.1, "soc_start": 0.1, "self_discharge_per_day": 0.5}
    plan = plan_of(case_of(Street([100] * 4, [1] * 4, [0] * 4, battery)))
    assert plan.status == "optimal"
    assert plan.soc[1:] == pytest.approx(np.full((4, 1), 0.1), abs=1e-6)


# --- limits --------------------------------------------------------------------------------------------------------


def test_a_limit_that_curtailment_keeps_is_kept_and_just_kept() -> None:
    # 10 kW load line 0 by 5.35 %; the roof must stop at 10 / 5.35 * 4 = 7.5 kW, and has no reason to stop below.
    street = Street([100] * 3, [0] * 3, [10] * 3, limits={"line_percent": 4.0}, batteries=0)
    case = case_of(street)
    policy = PerfectForesightLp()
    run = played(policy, case, 0, 3)
    assert policy.plan is not None
    assert policy.plan.status == "optimal"
    assert run.loading_percent.max(axis=1) == pytest.approx(np.full(3, 4.0), abs=0.02)
    assert run.done_kw[:, 0] == pytest.approx(np.full(3, 7.48), abs=0.05)


def test_a_limit_that_nothing_keeps_is_reported_and_kept_as_well_as_can_be() -> None:
    street = Street([100, 100], [0, 20], [0, 0], {"soc_start": 0.5}, limits={"line_percent": 4.0})
    case = case_of(street)
    plan = make_plan(replace(make_task(case, 0, 2), reactive=False))
    assert plan.status == "limits_exceeded"
    assert plan.p_kw[1, BATTERY] == pytest.approx(10.0, abs=1e-6)
    [feeding] = [each for each in plan.violations if each.element == "line 0"]
    assert (feeding.limit, feeding.step) == ("line_percent", 1)
    # 10 kW left of 20: 534.58 % per pu of 1 MVA makes 5.35 %, 1.35 beyond the limit.
    assert feeding.excess == pytest.approx(1.35, abs=0.01)


def test_a_voltage_limit_that_nothing_keeps_names_the_bus() -> None:
    plan = plan_of(case_of(Street([100], [400], [0], limits={"vm_min_pu": 0.999}, batteries=0, roofs=0)))
    assert {each.limit for each in plan.violations} == {"vm_min_pu", "line_percent"}
    worst = max((each for each in plan.violations if each.limit == "vm_min_pu"), key=lambda each: each.excess)
    assert worst.element in {"bus 3", "bus 4"}
    # 400 kW over two lines of 2 mOhm: 400e3 * 4e-3 / 400^2 = 0.01 pu, of which 0.001 is allowed.
    assert worst.excess == pytest.approx(0.009, abs=5e-4)


# --- the policy ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("start", "steps"), [(-1, 2), (2, 2), (0, 4), (0, 0)])
def test_a_run_that_leaves_the_series_is_refused(start: int, steps: int) -> None:
    with pytest.raises(InputError, match="leaves the series"):
        PerfectForesightLp().prepare(case_of(Street([100] * 3, [1] * 3, [0] * 3)), start, steps)


def test_a_step_outside_the_plan_is_refused() -> None:
    policy = PerfectForesightLp()
    with pytest.raises(InputError, match="outside the plan"):
        policy.decide(0, np.zeros(1))
    policy.prepare(case_of(Street([100] * 3, [1] * 3, [0] * 3)), 1, 2)
    assert policy.decide(1, np.zeros(1)).shape == (2, 2)
    with pytest.raises(InputError, match="outside the plan"):
        policy.decide(0, np.zeros(1))


def test_the_same_task_gives_the_same_bytes() -> None:
    case = case_of(Street([100, 300, 50, 400] * 3, [3, 5, 1, 7] * 3, [0, 9, 4, 0] * 3))
    assert plan_of(case).p_kw.tobytes() == plan_of(case).p_kw.tobytes()


quarter_hours = st.tuples(st.floats(-100, 400), st.floats(0, 15), st.floats(0, 11))


@settings(max_examples=25)
@given(
    st.lists(quarter_hours, min_size=1, max_size=10),
    st.floats(0.0, 1.0),
    st.sampled_from([0.0, 0.01]),
    st.sampled_from([0.0, 107.0]),
)
def test_a_plan_is_what_the_simulator_does_and_no_policy_beats_it(
    quarters: list[tuple[float, float, float]], soc_start: float, wear: float, fee: float
) -> None:
    spot, load, sun = (list(column) for column in zip(*quarters, strict=True))
    battery = {"soc_start": soc_start, "wear_eur_per_kwh": wear, "self_discharge_per_day": 0.01}
    case, steps = case_of(Street(spot, load, sun, battery, {"grid_fee_eur_per_mwh": fee})), len(spot)
    policy = PerfectForesightLp()

    run = played(policy, case, 0, steps)

    plan = policy.plan
    assert plan is not None
    assert run.soc == pytest.approx(plan.soc, abs=1e-6)
    assert run.done_kw == pytest.approx(plan.p_kw, abs=1e-5)
    assert run.cost_eur == pytest.approx(plan.cost_eur, abs=1e-5)
    assert plan.violations == ()
    for other in (NoBattery(), Rule()):
        assert run.cost_eur <= played(other, case, 0, steps).cost_eur + 2e-3
