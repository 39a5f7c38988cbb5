"""One policy over one week, and its account held against sums written independently, step by step."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from gridnet.app.bench.evaluate import WeekAccount, WeekRun, account, run_week
from gridnet.case import Case, load_case
from gridnet.clock import STEPS_PER_WEEK
from gridnet.errors import PowerFlowDiverged
from gridnet.foresight import worth_after
from gridnet_policies.no_battery import NoBattery
from gridnet_policies.policy import Policy
from gridnet_policies.rule import Rule

Floats = NDArray[np.float64]
WEEK = 14
LEVIES_EUR_PER_MWH, WEAR_EUR_PER_KWH = 107.0, 0.01
"""Of `rural1`: its tariff file, and the scenario's default wear."""


class Insists:
    """Asks for what no battery can do."""

    name = "insists"

    def __init__(self, p_kw: float) -> None:
        self._p_kw = p_kw

    def prepare(self, case: Case, start: int, steps: int) -> None:
        self._asked = np.zeros((2, case.fleet.devices))
        self._asked[0, : case.fleet.batteries] = self._p_kw
        self._asked[0, case.fleet.batteries :] = np.inf

    def decide(self, step: int, soc: Floats) -> Floats:
        return self._asked


@pytest.fixture(scope="module")
def rural1() -> Case:
    return load_case("rural1")


@pytest.fixture(scope="module")
def tiny() -> Case:
    return load_case("tiny")


def _made(case: Case, slack_p_kw: list[float], soc: list[float], battery_kw: list[float]) -> WeekRun:
    """A run of a few steps of week 4 (midnight: import 0.15, export 0.05 EUR/kWh) of a case with one battery and one plant."""
    steps = len(slack_p_kw)
    done = np.zeros((steps, 2, 2))
    done[:, 0, 0] = battery_kw
    return WeekRun(
        policy="made",
        week=4,
        start=4 * STEPS_PER_WEEK,
        done=done,
        soc=np.array(soc)[:, None],
        vm_pu=np.ones((steps, 5)),
        loading_percent=np.zeros((steps, 4)),
        slack_p_kw=np.array(slack_p_kw),
        loss_kw=np.full(steps, 0.2),
        decision_ms=0.0,
    )


def _account_of(case: Case, soc: list[float], wear: float = 0.0) -> WeekAccount:
    battery = case.scenario.battery.model_copy(update={"wear_eur_per_kwh": wear})
    case = replace(case, scenario=case.scenario.model_copy(update={"battery": battery}))
    return account(case, _made(case, [4.0, -8.0], soc, [-2.0, 6.0]))


def _by_hand(case: Case, run: WeekRun) -> float:
    """Cost of a run of `rural1`, one step after the other, from the scenario's figures and the worth of the charge at its end."""
    spot = [float(price) / 1e3 for price in case.series.price_eur_per_mwh[run.start : run.start + STEPS_PER_WEEK]]
    costs = []
    for step, price in enumerate(spot):
        slack_kwh = 0.25 * float(run.slack_p_kw[step])
        costs.append(slack_kwh * (price + LEVIES_EUR_PER_MWH / 1e3 if slack_kwh > 0 else price))
        costs.extend(0.25 * abs(float(p)) * WEAR_EUR_PER_KWH for p in run.done[step, 0, : case.fleet.batteries])
    gained = math.fsum(float(e * (b - a)) for e, a, b in zip(case.fleet.e_kwh, run.soc[0], run.soc[-1], strict=True))
    after = worth_after(case, run.start + STEPS_PER_WEEK)
    return math.fsum(costs) - gained * (after.surplus_eur_per_kwh if gained > 0 else after.shortfall_eur_per_kwh)


@pytest.mark.parametrize("policy", [NoBattery(), Rule()], ids=["no_battery", "rule"])
def test_the_account_of_a_real_week_is_that_of_sums_written_independently(rural1: Case, policy: Policy) -> None:
    run = run_week(rural1, policy, WEEK)
    got = account(rural1, run)
    assert got.cost_eur == pytest.approx(_by_hand(rural1, run), abs=1e-6)
    carbon = rural1.series.carbon_g_per_kwh[run.start : run.start + STEPS_PER_WEEK]
    assert got.co2_kg == pytest.approx(sum(0.25 * run.slack_p_kw * carbon) / 1e3)
    assert got.loss_kwh == pytest.approx(sum(run.loss_kw) / 4)
    assert got.peak_kw == max(run.slack_p_kw.max(), -run.slack_p_kw.min())


def test_what_runs_through_the_slack_bus_is_all_there_is(rural1: Case) -> None:
    run = run_week(rural1, Rule(), WEEK)
    load = rural1.series.load_p_kw[run.start : run.start + STEPS_PER_WEEK].sum(axis=1)
    np.testing.assert_allclose(run.slack_p_kw + load + run.done[:, 0].sum(axis=1), run.loss_kw, atol=1e-6)
    assert run.loss_kw.min() > 0


def test_a_run_has_a_row_for_every_step_and_starts_at_the_scenarios_charge(rural1: Case) -> None:
    run = run_week(rural1, Rule(), WEEK)
    fleet, feeder = rural1.fleet, rural1.feeder
    assert (run.policy, run.week, run.start) == ("rule", WEEK, WEEK * STEPS_PER_WEEK)
    assert run.done.shape == (STEPS_PER_WEEK, 2, fleet.devices)
    assert run.soc.shape == (STEPS_PER_WEEK + 1, fleet.batteries)
    assert run.vm_pu.shape == (STEPS_PER_WEEK, len(feeder.bus_name))
    assert run.loading_percent.shape == (STEPS_PER_WEEK, len(feeder.line_name) + len(feeder.trafo_name))
    assert (run.soc[0] == rural1.scenario.battery.soc_start).all()
    assert run.decision_ms > 0


@pytest.mark.parametrize("p_kw", [1e6, -1e6])
def test_no_policy_drives_a_battery_beyond_its_rating_or_window(rural1: Case, p_kw: float) -> None:
    run = run_week(rural1, Insists(p_kw), WEEK)
    fleet = rural1.fleet
    assert (np.abs(run.done[:, 0, : fleet.batteries]) <= fleet.p_kw + 1e-9).all()
    assert run.soc.min() >= fleet.soc_window[0] - 1e-3
    assert run.soc.max() <= fleet.soc_window[1] + 1e-9
    assert (run.soc[-1] < 0.06).all() if p_kw > 0 else (run.soc[-1] > 0.94).all()


def test_the_shield_stands_between_a_reckless_policy_and_the_network(rural1: Case) -> None:
    idle = account(rural1, run_week(rural1, NoBattery(), WEEK))
    assert account(rural1, run_week(rural1, Insists(1e6), WEEK)).violation_steps <= idle.violation_steps


def test_a_step_without_an_ac_solution_is_an_error_that_names_it(tiny: Case) -> None:
    load_p_kw = tiny.series.load_p_kw.copy()
    load_p_kw[4 * STEPS_PER_WEEK + 7] = -1e6
    broken = replace(tiny, params=tiny.params._replace(load_p_kw=load_p_kw))
    with pytest.raises(PowerFlowDiverged, match=f"step {4 * STEPS_PER_WEEK + 7}") as caught:
        run_week(broken, NoBattery(), 4)
    assert caught.value.step == 4 * STEPS_PER_WEEK + 7
    assert run_week(broken, NoBattery(), 3).week == 3, "the weeks beside it are not touched"


def test_import_export_and_carbon_of_a_run_made_by_hand(tiny: Case) -> None:
    # A quarter-hour at 4 kW in: 1 kWh x 0.15; one at 8 kW out: 2 kWh x 0.05; both at 0.4 kg/kWh.
    got = _account_of(tiny, [0.5, 0.5, 0.5])
    assert got.cost_eur == pytest.approx(0.15 - 0.10)
    assert got.co2_kg == pytest.approx(0.4 * (1 - 2))
    assert (got.peak_kw, got.loss_kwh) == (8.0, pytest.approx(0.1))


def test_carbon_costs_on_import_only(tiny: Case) -> None:
    tariff = tiny.scenario.tariff.model_copy(update={"co2_price_eur_per_t": 100.0})
    priced = replace(tiny, scenario=tiny.scenario.model_copy(update={"tariff": tariff}))
    got = _account_of(priced, [0.5, 0.5, 0.5]).cost_eur - _account_of(tiny, [0.5, 0.5, 0.5]).cost_eur
    assert got == pytest.approx(1.0 * 0.4 * 0.1)


def test_a_fixed_feed_in_replaces_the_spot_price_for_export_only(tiny: Case) -> None:
    tariff = tiny.scenario.tariff.model_copy(update={"feed_in_eur_per_mwh": 80.0})
    fixed = replace(tiny, scenario=tiny.scenario.model_copy(update={"tariff": tariff}))
    assert _account_of(fixed, [0.5, 0.5, 0.5]).cost_eur == pytest.approx(0.15 - 2 * 0.08)


def test_wear_is_paid_on_every_kwh_moved_either_way(tiny: Case) -> None:
    # 0.5 kWh in and 1.5 kWh out at 0.03.
    got = _account_of(tiny, [0.5, 0.5, 0.5], wear=0.03).cost_eur - _account_of(tiny, [0.5, 0.5, 0.5]).cost_eur
    assert got == pytest.approx(2.0 * 0.03)


def test_energy_left_over_is_worth_what_it_will_cover(tiny: Case) -> None:
    # 10 kWh more at half past midnight: in the night that follows 38 kWh are bought at 0.15.
    assert _account_of(tiny, [0.0, 0.2, 0.5]).cost_eur == pytest.approx(0.05 - 10 * 0.15, abs=0.001)


def test_energy_missing_costs_no_less_than_energy_left_over_earns(tiny: Case) -> None:
    kept, emptied = _account_of(tiny, [0.5, 0.2, 0.5]).cost_eur, _account_of(tiny, [0.5, 0.2, 0.0]).cost_eur
    assert emptied - kept == pytest.approx(10 * 0.15)


def test_a_limit_counts_as_broken_only_beyond_its_tolerance(tiny: Case) -> None:
    steps = 7
    run = _made(tiny, [1.0] * steps, [0.0] * (steps + 1), [0.0] * steps)
    run.vm_pu[1, 2], run.vm_pu[2, 2] = 1.10005, 1.1002
    run.vm_pu[3, 4] = 0.8997
    run.loading_percent[4, 0], run.loading_percent[5, 0] = 100.05, 100.2
    run.vm_pu[6, 4], run.loading_percent[6, 0] = 0.85, 100.15
    got = account(tiny, run)
    assert got.violation_steps == 4, "a step counts once, however much is broken in it"
    assert got.worst_voltage_pu == 0.85
    assert got.worst_loading_percent == 100.2


def test_the_slack_bus_has_no_limit_and_is_no_worst_voltage(tiny: Case) -> None:
    run = _made(tiny, [1.0], [0.0, 0.0], [0.0])
    run.vm_pu[0] = [1.3, 1.01, 1.0, 1.0, 1.0]
    got = account(tiny, run)
    assert (got.violation_steps, got.worst_voltage_pu) == (0, 1.01)
