"""Variations to train on: other years of the same network, which leave held-out and validation days alone."""

from __future__ import annotations

import numpy as np
import pytest

from gridnet.case import Case, load_case
from gridnet.clock import STEPS_PER_DAY, STEPS_PER_WEEK, split_of
from gridnet_policies.rl.variety import varied


@pytest.fixture(scope="module")
def rural1() -> Case:
    return load_case("rural1")


@pytest.fixture(scope="module")
def other(rural1: Case) -> Case:
    return varied(rural1, np.random.default_rng(4))


def _trains(case: Case) -> np.ndarray:
    """Which days are training days, (days,)."""
    days = case.clock.steps // STEPS_PER_DAY
    return np.array([split_of(day * STEPS_PER_DAY // STEPS_PER_WEEK) == "training" for day in range(days)])


def _by_day(values: np.ndarray) -> np.ndarray:
    return values.reshape(-1, STEPS_PER_DAY, *values.shape[1:])


def test_load_and_sun_of_other_days_stay(rural1: Case, other: Case) -> None:
    trains = _trains(rural1)
    for name in ("load_p_kw", "load_q_kvar", "pv_p_kw"):
        before, after = _by_day(getattr(rural1.series, name)), _by_day(getattr(other.series, name))
        np.testing.assert_array_equal(after[~trains], before[~trains])
        assert (after[trains] != before[trains]).any()


def test_prices_of_other_days_stay(rural1: Case, other: Case) -> None:
    trains = _trains(rural1)
    before, after = _by_day(rural1.series.price_eur_per_mwh), _by_day(other.series.price_eur_per_mwh)
    np.testing.assert_array_equal(after[~trains], before[~trains])


def test_every_training_day_is_made_of_whole_training_days(rural1: Case, other: Case) -> None:
    trains = _trains(rural1)
    known = {day.tobytes() for day in _by_day(rural1.series.load_p_kw)[trains]}
    assert all(day.tobytes() in known for day in _by_day(other.series.load_p_kw)[trains])


def test_load_and_sun_come_from_the_same_day(rural1: Case, other: Case) -> None:
    def pairs(case: Case) -> list[bytes]:
        both = zip(_by_day(case.series.load_p_kw), _by_day(case.series.pv_p_kw), strict=True)
        return [load.tobytes() + sun.tobytes() for load, sun in both]

    assert set(pairs(other)) <= set(pairs(rural1))


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
