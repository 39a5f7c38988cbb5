"""Variations to train on: other years of the same network, in other sizes, whose weeks never come from another split."""

from __future__ import annotations

import numpy as np
import pytest

from gridnet.case import Case, load_case
from gridnet.clock import STEPS_PER_WEEK, split_of
from gridnet_policies.rl.variety import HOURS, LOAD, POWER, SOLAR, SPREAD, WINDOW_WEEKS, varied


@pytest.fixture(scope="module")
def rural1() -> Case:
    return load_case("rural1")


@pytest.fixture(scope="module")
def other(rural1: Case) -> Case:
    return varied(rural1, np.random.default_rng(4))


SIZED = ("load_p_kw", "load_q_kvar", "pv_p_kw")


def _trains(case: Case) -> np.ndarray:
    """Which whole weeks train, (weeks,)."""
    return np.array([split_of(week) == "training" for week in range(case.clock.weeks)])


def _by_week(values: np.ndarray) -> np.ndarray:
    weeks = len(values) // STEPS_PER_WEEK
    return values[: weeks * STEPS_PER_WEEK].reshape(weeks, STEPS_PER_WEEK, *values.shape[1:])


def _factor(before: np.ndarray, after: np.ndarray, trains: np.ndarray) -> float:
    """By what `after` is larger, told by weeks that no other week replaces."""
    return float(_by_week(after)[~trains].sum() / _by_week(before)[~trains].sum())


def _source(before: np.ndarray, after: np.ndarray, week: int) -> int:
    """The week of `before` that `after` shows in `week`."""
    away = np.abs(_by_week(before) - _by_week(after)[week]).reshape(len(_by_week(before)), -1).max(axis=1)
    assert away.min() < 1e-9
    return int(away.argmin())


def test_load_and_sun_of_other_weeks_keep_their_shape(rural1: Case, other: Case) -> None:
    trains = _trains(rural1)
    for name in SIZED:
        before, after = getattr(rural1.series, name), getattr(other.series, name)
        factor = _factor(before, after, trains)
        np.testing.assert_allclose(_by_week(after)[~trains], factor * _by_week(before)[~trains], rtol=1e-12)
        assert not np.allclose(_by_week(after)[trains], factor * _by_week(before)[trains])


def test_prices_and_carbon_of_other_weeks_stay(rural1: Case, other: Case) -> None:
    trains = _trains(rural1)
    for name in ("price_eur_per_mwh", "carbon_g_per_kwh"):
        before, after = _by_week(getattr(rural1.series, name)), _by_week(getattr(other.series, name))
        np.testing.assert_array_equal(after[~trains], before[~trains])
        assert (after[trains] != before[trains]).any()


def test_every_training_week_is_a_whole_training_week_of_its_season_with_load_and_sun_of_the_same(
    rural1: Case, other: Case
) -> None:
    trains = _trains(rural1)
    factors = [_factor(getattr(rural1.series, name), getattr(other.series, name), trains) for name in SIZED]
    moved = 0
    for week in np.flatnonzero(trains):
        sources = {
            _source(getattr(rural1.series, name), getattr(other.series, name) / factor, int(week))
            for name, factor in zip(SIZED, factors, strict=True)
        }
        (source,) = sources
        assert trains[source]
        assert abs(source - week) <= WINDOW_WEEKS
        moved += source != week
    assert moved > trains.sum() / 3


def test_a_week_s_weather_and_its_market_come_from_weeks_drawn_apart(rural1: Case, other: Case) -> None:
    trains = _trains(rural1)
    factor = _factor(rural1.series.load_p_kw, other.series.load_p_kw, trains)
    weeks = [int(week) for week in np.flatnonzero(trains)]
    weather = [_source(rural1.series.load_p_kw, other.series.load_p_kw / factor, week) for week in weeks]
    market = [_source(rural1.series.carbon_g_per_kwh, other.series.carbon_g_per_kwh, week) for week in weeks]
    assert all(trains[source] and abs(source - week) <= WINDOW_WEEKS for source, week in zip(market, weeks, strict=True))
    assert weather != market


def test_prices_of_training_weeks_are_spread_about_their_mean(rural1: Case, other: Case) -> None:
    trains = _trains(rural1)
    spot, carbon = rural1.series.price_eur_per_mwh, rural1.series.carbon_g_per_kwh
    after = _by_week(other.series.price_eur_per_mwh)
    drawn = [_source(carbon, other.series.carbon_g_per_kwh, int(week)) for week in np.flatnonzero(trains)]
    before = _by_week(spot)[drawn]
    spread = after[trains].std() / before.std()
    assert SPREAD[0] <= spread <= SPREAD[1]
    np.testing.assert_allclose(after[trains], before.mean() + spread * (before - before.mean()), atol=1e-9)


@pytest.mark.parametrize("seed", range(6))
def test_loads_sun_and_batteries_are_of_another_size(rural1: Case, seed: int) -> None:
    made, trains = varied(rural1, np.random.default_rng(seed)), _trains(rural1)
    load, reactive, solar = (_factor(getattr(rural1.series, name), getattr(made.series, name), trains) for name in SIZED)
    assert reactive == pytest.approx(load)
    batteries = rural1.fleet.batteries
    power, hours = made.fleet.p_kw / rural1.fleet.p_kw, made.fleet.e_kwh / rural1.fleet.e_kwh
    for factor, reach in ((load, LOAD), (solar, SOLAR), (power[0], POWER), (hours[0] / power[0], HOURS)):
        assert reach[0] <= factor <= reach[1]
    np.testing.assert_allclose(power, power[0])
    np.testing.assert_allclose(hours, hours[0])
    np.testing.assert_allclose(made.fleet.s_kva[:batteries], power[0] * rural1.fleet.s_kva[:batteries])
    np.testing.assert_allclose(made.fleet.s_kva[batteries:], solar * rural1.fleet.s_kva[batteries:])
    assert len({round(float(factor), 3) for factor in (load, solar, power[0], hours[0] / power[0])}) == 4


def test_the_simulation_sees_the_series_of_the_variation(other: Case) -> None:
    np.testing.assert_array_equal(other.params.load_p_kw, other.series.load_p_kw)
    np.testing.assert_array_equal(other.params.pv_p_kw, other.series.pv_p_kw)
    assert other.params.fleet is other.fleet


def test_the_case_it_was_made_from_is_not_touched(rural1: Case) -> None:
    price, e_kwh = rural1.series.price_eur_per_mwh.copy(), rural1.fleet.e_kwh.copy()
    made = varied(rural1, np.random.default_rng(9))
    np.testing.assert_array_equal(rural1.series.price_eur_per_mwh, price)
    np.testing.assert_array_equal(rural1.fleet.e_kwh, e_kwh)
    assert made.scenario.tariff.grid_fee_eur_per_mwh != rural1.scenario.tariff.grid_fee_eur_per_mwh


def test_the_same_seed_gives_the_same_variation(rural1: Case, other: Case) -> None:
    again = varied(rural1, np.random.default_rng(4))
    np.testing.assert_array_equal(again.series.price_eur_per_mwh, other.series.price_eur_per_mwh)
    np.testing.assert_array_equal(again.series.load_p_kw, other.series.load_p_kw)
    assert again.scenario == other.scenario
