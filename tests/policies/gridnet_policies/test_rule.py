"""Greedy self-consumption: what it may and may not ask for, at any step and any charge."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gridnet import simulate
from gridnet.case import Case, load_case
from gridnet_policies.rule import Rule

CLOSE = 1e-9

charges = st.lists(st.floats(0.05, 0.95), min_size=8, max_size=8)
steps = st.integers(0, 366 * 96 - 1)


@lru_cache(maxsize=1)
def _case() -> Case:
    return load_case("rural1")


def _asked(step: int, charge: list[float]) -> tuple[Case, np.ndarray, np.ndarray, float]:
    """The case, the setpoint (2, devices), the state of charge, and the feeder's surplus in kW."""
    case = _case()
    soc = np.array(charge[: case.fleet.batteries])
    rule = Rule()
    rule.prepare(case, step, 1)
    surplus_kw = float(case.series.load_p_kw[step].sum() + case.series.pv_p_kw[step].sum())
    return case, rule.decide(step, soc), soc, surplus_kw


def _reach_kw(case: Case, soc: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The lowest and highest power of each battery over a quarter-hour, by the model in `gridnet.devices`."""
    model, fleet = case.scenario.battery, case.fleet
    kept = soc * (1 - model.self_discharge_per_day) ** (0.25 / 24)
    room_kwh = np.maximum(model.soc_max - kept, 0) * fleet.e_kwh
    stock_kwh = np.maximum(kept - model.soc_min, 0) * fleet.e_kwh
    lowest = -np.minimum(fleet.p_kw, room_kwh / model.efficiency_charge / 0.25)
    return lowest, np.minimum(fleet.p_kw, stock_kwh * model.efficiency_discharge / 0.25)


@given(steps, charges)
def test_it_never_charges_from_the_grid_nor_sells_what_it_stored(step: int, charge: list[float]) -> None:
    case, asked, _, surplus_kw = _asked(step, charge)
    fleet_kw = asked[0, : case.fleet.batteries].sum()
    if surplus_kw > 0:
        assert -surplus_kw - CLOSE <= fleet_kw <= 0
    else:
        assert 0 <= fleet_kw <= -surplus_kw + CLOSE


@given(steps, charges)
def test_no_battery_works_against_another(step: int, charge: list[float]) -> None:
    case, asked, _, _ = _asked(step, charge)
    batteries = asked[0, : case.fleet.batteries]
    assert (batteries >= 0).all() or (batteries <= 0).all()


@given(steps, charges)
def test_it_asks_no_battery_for_more_than_it_can_do(step: int, charge: list[float]) -> None:
    case, asked, soc, _ = _asked(step, charge)
    lowest, highest = _reach_kw(case, soc)
    batteries = asked[0, : case.fleet.batteries]
    assert (batteries >= lowest - CLOSE).all()
    assert (batteries <= highest + CLOSE).all()


@given(steps, charges)
def test_it_is_greedy(step: int, charge: list[float]) -> None:
    case, asked, soc, surplus_kw = _asked(step, charge)
    lowest, highest = _reach_kw(case, soc)
    best = np.clip(-surplus_kw, lowest.sum(), highest.sum())
    assert abs(asked[0, : case.fleet.batteries].sum() - best) < 1e-6


@given(steps, charges)
def test_it_leaves_the_sun_alone(step: int, charge: list[float]) -> None:
    case, asked, _, _ = _asked(step, charge)
    assert np.isposinf(asked[0, case.fleet.batteries :]).all()


@given(steps, charges)
def test_its_reactive_power_is_there_to_give_and_loses_less(step: int, charge: list[float]) -> None:
    case, asked, soc, _ = _asked(step, charge)
    without = asked.copy()
    without[1] = 0.0
    state = simulate.State(np.full(2, step), np.tile(soc, (2, 1)))
    _, moved = simulate.step(state, np.stack([asked, without]), case.params)
    np.testing.assert_allclose(moved.done[0, 1], asked[1], atol=CLOSE)
    assert np.abs(asked[1]).max() > 0
    assert moved.loss_kw[0] <= moved.loss_kw[1] + CLOSE


@given(steps, steps, charges)
def test_within_a_step_it_answers_the_finer_step_it_is_shown(step: int, fine_step: int, charge: list[float]) -> None:
    case, expected, soc, _ = _asked(fine_step, charge)
    rule = Rule()
    rule.prepare(case, step, 1)
    np.testing.assert_array_equal(rule.decide_within(step, soc, case.params, fine_step), expected)


@given(steps, charges)
def test_what_it_asks_is_what_is_done(step: int, charge: list[float]) -> None:
    case, asked, soc, _ = _asked(step, charge)
    state = simulate.State(np.array([step]), soc[None])
    _, moved = simulate.step(state, asked[None], case.params)
    np.testing.assert_allclose(moved.done[0, 0, : case.fleet.batteries], asked[0, : case.fleet.batteries], atol=CLOSE)


def test_the_steps_hold_surplus_and_deficit() -> None:
    case = _case()
    surplus_kw = case.series.load_p_kw.sum(axis=1) + case.series.pv_p_kw.sum(axis=1)
    assert 0.2 < (surplus_kw > 0).mean() < 0.8
    assert case.fleet.batteries <= 8


def test_it_looks_at_no_price_and_no_future() -> None:
    case = load_case("tiny")
    rule = Rule()
    rule.prepare(case, 0, case.clock.steps)
    # 12:00 stores 6 kW of surplus, 15:00 and 19:00 cover 4 kW, whatever the price; a full or empty battery rests.
    asked = [float(rule.decide(hour * 4, np.array([soc]))[0, 0]) for hour, soc in ((12, 0.5), (15, 0.5), (19, 0.5))]
    assert asked == [-6.0, 4.0, 4.0]
    assert [float(rule.decide(hour * 4, np.array([soc]))[0, 0]) for hour, soc in ((12, 1.0), (19, 0.0))] == [0.0, 0.0]
