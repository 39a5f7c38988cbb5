"""Perfect foresight: cost to go and the worth of a charge at the end of a run, held against a hand calculation, the
optimiser and their own meaning."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gridnet.app.bench.evaluate import account, run_week
from gridnet.app.bench.run import Plan, run_benchmark
from gridnet.case import Case, load_case
from gridnet.clock import STEPS_PER_WEEK, split_of
from gridnet.foresight import GRID, Foresight, foresee, worth_after
from gridnet.losses import compile_losses
from gridnet.tariff import StoredValue, make_prices, mean_price_value
from gridnet_envs.actions import answer_value
from gridnet_envs.outlook import SEGMENTS, make_outlook

Floats = NDArray[np.float64]
GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "tiny"
WEEK = 4
AT = np.array([WEEK * STEPS_PER_WEEK])


class NamesTheValue:
    """Answers the marginal values that the teacher names."""

    name = "foresight"

    def __init__(self, teacher: Foresight) -> None:
        self._teacher = teacher

    def prepare(self, case: Case, start: int, steps: int) -> None:
        self._params, self._prices = case.params, make_prices(case.scenario, case.series)
        losses = compile_losses(case.power_flow, case.feeder, case.params.device_bus)
        self._battery = make_outlook(case, self._prices, losses).battery

    def decide(self, step: int, soc: Floats) -> Floats:
        named = self._teacher.values_after(np.array([step]), SEGMENTS)[0]
        asked = np.zeros((2, self._params.fleet.devices))
        buy, sell = self._prices.import_eur_per_kwh[step], self._prices.export_eur_per_kwh[step]
        answer_value(self._params, self._battery, buy, sell, step, soc, named, asked)
        return asked


@pytest.fixture(scope="module")
def tiny() -> Case:
    return load_case("tiny")


@pytest.fixture(scope="module")
def teacher(tiny: Case) -> Foresight:
    return foresee(tiny)


@pytest.fixture(scope="module")
def rural1_teacher() -> Foresight:
    return foresee(load_case("rural1"))


def _by_hand(policy: str) -> float:
    return float(json.loads((GOLDEN / "expected.json").read_text(encoding="utf-8"))[policy]["cost_eur"])


def test_the_last_week_of_tiny_costs_what_the_hand_calculation_says(teacher: Foresight) -> None:
    # The series ends with this week, so its cost to go from an empty battery is the week's best cost.
    assert teacher.cost_at(AT, np.array([0.0]))[0] == pytest.approx(_by_hand("lp"), rel=0.001)


def test_every_earlier_week_adds_the_same(teacher: Foresight) -> None:
    starts = np.arange(WEEK + 1) * STEPS_PER_WEEK
    costs = teacher.cost_at(starts, np.zeros(WEEK + 1))
    np.testing.assert_allclose(costs, _by_hand("lp") * np.arange(WEEK + 1, 0, -1), rtol=0.001)


def test_it_agrees_with_the_optimiser(tiny: Case, teacher: Foresight) -> None:
    optimum = run_benchmark(tiny, Plan(("lp",), (WEEK,), 1, 0), lambda line: None).scores["lp"].cost_eur
    assert teacher.cost_at(AT, np.array([0.0]))[0] == pytest.approx(optimum, rel=0.01)


def test_naming_its_value_reaches_the_optimum(tiny: Case, teacher: Foresight) -> None:
    cost = account(tiny, run_week(tiny, NamesTheValue(teacher), WEEK)).cost_eur
    saving, best = _by_hand("no_battery") - cost, _by_hand("no_battery") - _by_hand("lp")
    # The values are those of parts of 1 kWh, taken as linear between their middles: each evening a little is sold at 0.25
    # instead of kept to replace import at 0.35.
    blurred = 7 * 1.0 * (0.35 - 0.25)
    assert best - blurred <= saving <= 1.005 * best


def test_more_in_store_never_costs_more(teacher: Foresight) -> None:
    assert (np.diff(teacher.cost_eur, axis=1) <= 1e-9).all()


def test_more_in_store_never_costs_more_behind_a_transformer_that_binds(rural1_teacher: Foresight) -> None:
    assert (np.diff(rural1_teacher.cost_eur, axis=1) <= 1e-6).all()


def test_behind_a_transformer_that_binds_more_in_store_hardly_ever_costs_more(rural1_teacher: Foresight) -> None:
    rise = np.diff(rural1_teacher.cost_eur, axis=1)
    assert rise.max() < 0.05
    assert (rise > 1e-6).any(axis=1).mean() < 0.005


def test_the_value_of_a_kwh_is_what_it_will_replace(teacher: Foresight) -> None:
    def value(hour: float, soc: float) -> float:
        return float(teacher.values_after(AT + round(4 * hour), SEGMENTS)[0, int(soc * SEGMENTS)])

    # At 18:00 the first 16 kWh will replace import at 0.35, the rest will be sold at 0.25.
    assert value(17.75, 0.3) == pytest.approx(0.35, abs=0.005)
    assert value(17.75, 0.95) == pytest.approx(0.25, abs=0.005)
    # Before that, with time left to buy, a kWh more is 1 / 0.9 kWh less to buy at 0.15.
    assert value(16, 0.9) == pytest.approx(0.15 / 0.9, abs=0.005)
    # In the morning it covers load until the sun is up; then it only leaves 1 / 0.9 kWh of surplus to sell at 0.05.
    assert value(8, 0.02) == pytest.approx(0.15, abs=0.005)
    assert value(9.75, 0.5) == pytest.approx(0.05 / 0.9, abs=0.02)
    # After the evening it covers load at 0.15.
    assert value(22, 0.1) == pytest.approx(0.15, abs=0.005)


def test_values_lie_between_nothing_and_the_dearest_import(teacher: Foresight) -> None:
    steps = np.arange(WEEK * STEPS_PER_WEEK, dtype=np.int64)
    values = teacher.values_after(steps, SEGMENTS)
    assert values.shape == (len(steps), SEGMENTS)
    assert values.min() >= -1e-9
    assert values.max() <= 0.35 / 0.9 + 1e-9


def test_cost_between_grid_points_is_linear(teacher: Foresight) -> None:
    here, there = teacher.soc[7], teacher.soc[8]
    steps = np.full(3, AT[0] + 68)
    costs = teacher.cost_at(steps, np.array([here, (here + there) / 2, there]))
    assert costs[0] == pytest.approx(teacher.cost_eur[steps[0], 7])
    assert costs[1] == pytest.approx((costs[0] + costs[2]) / 2)
    assert costs[0] > costs[2]


def test_a_charge_beyond_the_window_costs_what_its_edge_does(teacher: Foresight) -> None:
    costs = teacher.cost_at(np.repeat(AT, 4), np.array([-0.1, 0.0, 1.0, 1.1]))
    assert costs[0] == costs[1]
    assert costs[2] == pytest.approx(costs[3])


def test_a_step_never_costs_less_than_its_best_move_lets_on(tiny: Case, teacher: Foresight) -> None:
    """Bellman's equation, at rest: the cost to go is at most that of resting now and going on from there."""
    prices = make_prices(tiny.scenario, tiny.series)
    surplus_kwh = 0.25 * (tiny.series.load_p_kw.sum(axis=1) + tiny.series.pv_p_kw.sum(axis=1))
    rest = np.maximum(-surplus_kwh, 0) * prices.import_eur_per_kwh - np.maximum(surplus_kwh, 0) * prices.export_eur_per_kwh
    assert (teacher.cost_eur[:-1] <= rest[:, None] + teacher.cost_eur[1:] + 1e-9).all()
    assert (teacher.cost_eur[:-1] < rest[:, None] + teacher.cost_eur[1:] - 1e-6).any(), "resting is not always best"


@pytest.mark.parametrize("parts", [1, 5, SEGMENTS, GRID - 1])
def test_values_over_the_parts_add_up_to_what_a_full_battery_saves(teacher: Foresight, parts: int) -> None:
    steps = AT + np.array([0, 37, 71, 95])
    values = teacher.values_after(steps, parts)
    saved = teacher.cost_at(steps + 1, np.zeros(4)) - teacher.cost_at(steps + 1, np.ones(4))
    np.testing.assert_allclose(values.sum(axis=1) * 20.0 / parts, saved, rtol=1e-6)


# --- the worth of the charge at the end of a run -------------------------------------------------------------------


def _followed_by(case: Case, start: int, **changed: Floats) -> StoredValue:
    """The worth at `start` with other series from there on."""
    series = {name: getattr(case.series, name).copy() for name in changed}
    for name, values in changed.items():
        series[name][start:] = values[start:]
    params = case.params._replace(**{name: values for name, values in series.items() if name in ("load_p_kw", "pv_p_kw")})
    return worth_after(replace(case, series=replace(case.series, **series), params=params), start)


def test_a_full_battery_at_midnight_covers_the_night(tiny: Case) -> None:
    """From midnight to noon 40 kWh are wanted at 0.15: all 20 kWh replace that."""
    worth = worth_after(tiny, STEPS_PER_WEEK)
    assert worth.surplus_eur_per_kwh == pytest.approx(0.15, rel=0.005)
    assert worth.shortfall_eur_per_kwh >= worth.surplus_eur_per_kwh


def test_a_missing_kwh_costs_what_it_would_have_covered(tiny: Case) -> None:
    """As above with a battery that starts full: then nothing can be gained, and each kWh missing is bought at 0.15."""
    started = tiny.scenario.battery.model_copy(update={"soc_start": 1.0})
    full = replace(tiny, scenario=tiny.scenario.model_copy(update={"battery": started}))
    assert worth_after(full, STEPS_PER_WEEK).shortfall_eur_per_kwh == pytest.approx(0.15, rel=0.005)
    # At 18:00 the whole charge, of which 16 kWh replace import at 0.35 and 4 are sold at 0.25.
    evening = worth_after(full, STEPS_PER_WEEK + 72)
    assert evening.shortfall_eur_per_kwh == pytest.approx((16 * 0.35 + 4 * 0.25) / 20, rel=0.005)


def test_at_the_end_of_the_series_a_kwh_is_worth_what_the_last_week_s_mean_prices_say(tiny: Case) -> None:
    """So ending empty pays there no more than elsewhere."""
    for soc_start in (0.0, 0.5, 1.0):
        battery = tiny.scenario.battery.model_copy(update={"soc_start": soc_start})
        case = replace(tiny, scenario=tiny.scenario.model_copy(update={"battery": battery}))
        steps = case.clock.steps
        by_mean = mean_price_value(make_prices(case.scenario, case.series), case.fleet, steps - STEPS_PER_WEEK, STEPS_PER_WEEK)
        worth = worth_after(case, steps)
        if soc_start < 1.0:
            assert worth.surplus_eur_per_kwh == pytest.approx(by_mean.surplus_eur_per_kwh, rel=0.02)
        if soc_start > 0.0:
            assert worth.shortfall_eur_per_kwh == pytest.approx(by_mean.shortfall_eur_per_kwh, rel=0.02)


def test_the_run_before_and_the_time_after_the_following_week_do_not_count() -> None:
    case, start = load_case("rural1"), 20 * STEPS_PER_WEEK
    worth, spot = worth_after(case, start), case.series.price_eur_per_mwh
    for outside in (slice(0, start), slice(start + STEPS_PER_WEEK, None)):
        other = spot.copy()
        other[outside] *= 3
        assert worth_after(replace(case, series=replace(case.series, price_eur_per_mwh=other)), start) == worth
    inside = spot.copy()
    inside[start + 40] += 900
    assert worth_after(replace(case, series=replace(case.series, price_eur_per_mwh=inside)), start) != worth


@given(step=st.integers(0, 366 * 96))
@settings(max_examples=25)
def test_ending_empty_and_ending_full_never_pay_together(step: int) -> None:
    worth = worth_after(load_case("rural1"), step)
    assert 0.0 <= worth.surplus_eur_per_kwh <= worth.shortfall_eur_per_kwh < 1.0


def test_dearer_weeks_make_the_charge_worth_more(tiny: Case) -> None:
    here = worth_after(tiny, STEPS_PER_WEEK)
    dearer = _followed_by(tiny, STEPS_PER_WEEK, price_eur_per_mwh=tiny.series.price_eur_per_mwh + 100.0)
    assert dearer.surplus_eur_per_kwh == pytest.approx(here.surplus_eur_per_kwh + 0.1, abs=0.005)


def test_without_batteries_a_charge_is_worth_nothing(tiny: Case) -> None:
    fleet = tiny.fleet._replace(e_kwh=np.zeros(1), p_kw=np.zeros(1))
    none = replace(tiny, params=tiny.params._replace(fleet=fleet))
    assert worth_after(none, STEPS_PER_WEEK) == StoredValue(0.0, 0.0)


def test_training_weeks_alone_tell_nothing_of_other_weeks() -> None:
    case = load_case("tiny")
    spot = case.series.price_eur_per_mwh.copy()
    others = [week for week in range(case.clock.weeks) if split_of(week) != "training"]
    for week in others:
        spot[week * STEPS_PER_WEEK : (week + 1) * STEPS_PER_WEEK] += 500.0
    changed = foresee(replace(case, series=replace(case.series, price_eur_per_mwh=spot)), training_only=True)
    assert others
    np.testing.assert_array_equal(changed.cost_eur, foresee(case, training_only=True).cost_eur)
