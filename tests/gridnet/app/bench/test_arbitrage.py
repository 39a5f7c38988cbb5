"""Price arbitrage by day: schedules worked out by hand, the days that count, scores, and refusals."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridnet.app.bench.arbitrage import IDLE, PERFECT, PROFILE, arbitrage, day_schedule, evaluation_days
from gridnet.app.cli import main
from gridnet.case import Case, load_case
from gridnet.clock import Clock
from gridnet.devices import Fleet
from gridnet.errors import InputError, PowerFlowDiverged

DAY = [24, 25]


def fleet_of(charging: float = 1.0, discharging: float = 1.0, keep: float = 1.0) -> Fleet:
    ones = np.ones(1)
    return Fleet(ones, ones, ones, np.array([charging, discharging]), keep, np.array([0.2, 0.8]), 0.25)


def stored(schedule: np.ndarray, fleet: Fleet, start: float) -> np.ndarray:
    """State of charge after each step of a schedule in kW for each kWh."""
    soc = [start]
    for p_kw in schedule:
        moved = p_kw / fleet.efficiency[1] if p_kw > 0 else p_kw * fleet.efficiency[0]
        soc.append(soc[-1] * fleet.keep - fleet.dt_h * moved)
    return np.array(soc[1:])


def test_a_day_is_planned_as_by_hand() -> None:
    schedule = day_schedule(np.array([10.0, 12.0, 50.0, 40.0]), fleet_of(), 1.2, 0.4)
    # 0.3 kWh a step at most: room for 0.4 is filled cheapest first; 0.6 are sold in the two dear steps.
    np.testing.assert_allclose(schedule, [-1.2, -0.4, 1.2, 1.2], atol=1e-9)


def test_what_is_left_at_the_end_of_the_day_is_worth_nothing() -> None:
    schedule = day_schedule(np.array([30.0, 30.0]), fleet_of(), 4.0, 0.5)
    assert schedule.sum() * 0.25 == pytest.approx(0.3)


@pytest.mark.parametrize(("dear", "traded"), [(11.0, 0.0), (12.0, 0.6)])
def test_a_round_trip_must_pay_for_its_losses(dear: float, traded: float) -> None:
    schedule = day_schedule(np.array([10.0, dear]), fleet_of(charging=0.9), 4.0, 0.2)
    assert -schedule[0] * 0.25 * 0.9 == pytest.approx(traded, abs=1e-9)


def test_a_store_that_leaks_is_filled_late() -> None:
    schedule = day_schedule(np.array([10.0, 10.0, 50.0]), fleet_of(keep=0.9), 4.0, 0.25)
    assert schedule[0] >= -1e-9
    assert schedule[1] < -1.0


def test_what_leaks_in_a_step_is_not_sold_in_it() -> None:
    schedule = day_schedule(np.array([50.0]), fleet_of(keep=0.9), 10.0, 0.8)
    assert schedule == pytest.approx([(0.8 * 0.9 - 0.2) / 0.25])


def test_a_battery_that_can_do_nothing_may_leak_below_its_window() -> None:
    schedule = day_schedule(np.array([10.0, -10.0, 50.0]), fleet_of(keep=0.9), 0.0, 0.2)
    assert not schedule.any()


prices = st.lists(st.floats(-50, 150), min_size=8, max_size=8).map(np.array)


@given(price=prices, other=prices, share=st.floats(0.1, 4), start=st.floats(0.2, 0.8))
def test_a_schedule_keeps_the_battery_and_earns_no_less_than_another(
    price: np.ndarray, other: np.ndarray, share: float, start: float
) -> None:
    fleet = fleet_of()
    best, elsewhere = (day_schedule(each, fleet, share, start) for each in (price, other))
    for schedule in (best, elsewhere):
        assert np.abs(schedule).max() <= share + 1e-9
        soc = stored(schedule, fleet, start)
        assert soc.min() >= 0.2 - 1e-7
        assert soc.max() <= 0.8 + 1e-7
    assert price @ best >= price @ elsewhere - 1e-6


def clock_of(days: int) -> Clock:
    return Clock(datetime(2020, 7, 17, tzinfo=UTC), 96 * days, utc_offset_h=0.0)


def test_the_last_quarter_of_each_month_is_for_tests() -> None:
    clock = clock_of(169)
    days = [clock.time_of(96 * day).date().isoformat() for day in evaluation_days(clock)]
    assert len(days) == 45
    assert days[:5] == ["2020-07-28", "2020-07-29", "2020-07-30", "2020-07-31", "2020-08-24"]
    assert days[-2:] == ["2020-12-31", "2021-01-01"]


def test_a_test_day_has_seven_days_before_it() -> None:
    assert evaluation_days(clock_of(8)) == [7]
    assert evaluation_days(clock_of(9)) == [7, 8]
    with pytest.raises(InputError, match="7 days before"):
        evaluation_days(clock_of(7))


@pytest.fixture(scope="module")
def tiny() -> Case:
    return load_case("tiny")


def test_a_day_of_tiny_earns_what_it_must(tiny: Case) -> None:
    scores = arbitrage(tiny, DAY)
    # 20 kWh in store cost 20 / 0.9 kWh at 50 EUR/MWh and are sold at 250; losses in the lines are small.
    assert scores[PERFECT].saved_eur == pytest.approx([20 * 0.25 - 20 / 0.9 * 0.05] * 2, rel=0.01)
    # The price runs from 0 to 1 once scaled, and 20 kWh are 0.08 MW of quarter-hours.
    assert scores[PERFECT].reward == pytest.approx([0.08] * 2, rel=0.01)
    assert scores[PROFILE].saved_eur == pytest.approx(scores[PERFECT].saved_eur)
    for column in vars(scores[IDLE]).values():
        assert not column.any()


def test_the_mean_of_the_days_before_knows_nothing_of_the_day(tiny: Case) -> None:
    price = tiny.series.price_eur_per_mwh.reshape(-1, 96).copy()
    price[24] = price[24, ::-1]
    turned = replace(tiny, series=replace(tiny.series, price_eur_per_mwh=price.ravel()))
    scores = arbitrage(turned, [24])
    # It sells from 18:00 to 22:00, when the price is 50 now, what it bought at 50 or 250.
    assert scores[PROFILE].saved_eur[0] < 0.0
    assert scores[PERFECT].saved_eur[0] > 3.0
    assert scores[PROFILE].saved_eur[0] == pytest.approx(_sold_as_planned(price[23], price[24], turned), rel=0.02)


def _sold_as_planned(expected: np.ndarray, came: np.ndarray, case: Case) -> float:
    plan = 20.0 * day_schedule(expected, case.fleet, 0.5, 0.0)
    return float(plan @ came) * 0.25 / 1e3


def _drawing(case: Case, kw: float) -> Case:
    return replace(case, params=case.params._replace(load_p_kw=np.full_like(case.series.load_p_kw, -kw)))


def test_voltages_beyond_five_percent_cost_a_hundred_for_each_pu(tiny: Case) -> None:
    within = arbitrage(_drawing(tiny, 300.0), [24])[IDLE]
    beyond = arbitrage(_drawing(tiny, 2200.0), [24])[IDLE]
    p_kw, q_kvar = np.zeros((2, 96, len(tiny.feeder.bus_name)))
    p_kw[:, tiny.feeder.load_bus] = -2200.0
    q_kvar[:, tiny.feeder.load_bus] = tiny.series.load_q_kvar[24 * 96 : 25 * 96]
    p_kw[:, tiny.feeder.pv_bus] += tiny.series.pv_p_kw[24 * 96 : 25 * 96]
    vm_pu = tiny.power_flow.solve(p_kw, q_kvar).vm_pu[:, tiny.feeder.battery_bus]
    expected = 100.0 * (0.95 - vm_pu).sum()
    assert within.penalty[0] == 0.0
    assert vm_pu.max() < 0.95
    assert beyond.penalty[0] == pytest.approx(expected)
    assert beyond.reward[0] == pytest.approx(-expected)
    assert beyond.violation_steps[0] == 96


def test_a_network_that_collapses_says_on_which_day(tiny: Case) -> None:
    load_p_kw = tiny.series.load_p_kw.copy()
    load_p_kw[25 * 96 + 3] = -1e5
    broken = replace(tiny, params=tiny.params._replace(load_p_kw=load_p_kw))
    with pytest.raises(PowerFlowDiverged, match="day 25, step 3") as caught:
        arbitrage(broken, DAY)
    assert caught.value.step == 25 * 96 + 3


def test_a_scenario_without_batteries_is_refused(tiny: Case) -> None:
    fleet = tiny.fleet._replace(p_kw=np.zeros(0), e_kwh=np.zeros(0))
    with pytest.raises(InputError, match="no battery"):
        arbitrage(replace(tiny, params=tiny.params._replace(fleet=fleet)), DAY)


def test_the_command_prints_a_table_or_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--arbitrage", "tiny"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("9 test days, each from 0% charge")
    assert lines[-1].split()[:4] == ["perfect", "prices", lines[-1].split()[2], "100.00"]
    assert main(["bench", "--arbitrage", "tiny", "--json", "-"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["days"] == [*range(23, 31), 34]
    assert set(content["arbitrage"]) == {IDLE, PROFILE, PERFECT}
    assert len(content["arbitrage"][PERFECT]["saved_eur"]) == 9


def test_a_file_that_cannot_be_written_is_refused_first(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--arbitrage", "tiny", "--json", "no/such/folder/x.json"]) == 2
    assert "--json" in capsys.readouterr().err


def test_local_days_count() -> None:
    clock = Clock(datetime(2020, 7, 16, 23, tzinfo=UTC), 96 * 20, utc_offset_h=1.0)
    assert (clock.time_of(96 * evaluation_days(clock)[0]) + timedelta(hours=1)).date().isoformat() == "2020-07-28"
