from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridnet.clock import STEPS_PER_DAY
from gridnet.forecast.climatology import (
    LOAD,
    PERSISTENCE,
    PV,
    ForecastMethod,
    forecast_at,
    hourly_forecasts,
)
from gridnet.series.profiles import FloatArray, Profiles

STEPS = 12 * STEPS_PER_DAY
METHODS = st.sampled_from([LOAD, PV, ForecastMethod(3, None), ForecastMethod(2, 5.0, multiplies=True)])


def a_series(seed: int) -> FloatArray:
    rng = np.random.default_rng(seed)
    daily = np.maximum(0, np.sin(np.linspace(-1, 6, STEPS_PER_DAY)))
    return np.tile(daily, STEPS // STEPS_PER_DAY) * rng.random(STEPS) + 0.1 * rng.random(STEPS)


@settings(max_examples=60, deadline=None)
@given(method=METHODS, step=st.integers(0, STEPS - 1), seed=st.integers(0, 99), hours=st.sampled_from([1, 24, 50]))
def test_nothing_from_now_on_changes_a_forecast(method: ForecastMethod, step: int, seed: int, hours: int) -> None:
    actual = a_series(seed)
    otherwise = actual.copy()
    otherwise[step:] = 1e6
    np.testing.assert_array_equal(forecast_at(actual, step, 96, method), forecast_at(otherwise, step, 96, method))
    before, after = hourly_forecasts(actual, hours, method), hourly_forecasts(otherwise, hours, method)
    np.testing.assert_array_equal(before[: step + 1], after[: step + 1])


@pytest.mark.parametrize("method", [LOAD, PV], ids=["load", "pv"])
def test_the_past_does_change_a_forecast(method: ForecastMethod) -> None:
    actual = a_series(1)
    otherwise = actual.copy()
    otherwise[STEPS // 2 - 1] *= 2
    before, after = hourly_forecasts(actual, 24, method), hourly_forecasts(otherwise, 24, method)
    assert (before[STEPS // 2] != after[STEPS // 2]).any()


@settings(max_examples=40, deadline=None)
@given(method=METHODS, step=st.integers(0, STEPS - 1), seed=st.integers(0, 99), hours=st.sampled_from([1, 24, 50]))
def test_all_at_once_equals_one_by_one(method: ForecastMethod, step: int, seed: int, hours: int) -> None:
    actual = a_series(seed)
    one = forecast_at(actual, step, hours * 4, method).reshape(hours, 4).mean(axis=1)
    np.testing.assert_allclose(hourly_forecasts(actual, hours, method)[step], one, rtol=1e-5, atol=1e-6)


def test_a_perfectly_regular_series_is_forecast_perfectly() -> None:
    actual = np.tile(np.arange(96.0), 12)
    np.testing.assert_allclose(forecast_at(actual, 500, 192), actual[500:692])


def test_an_error_fades_by_half_each_half_life() -> None:
    actual = np.zeros(STEPS)
    actual[999] = 8.0
    np.testing.assert_allclose(forecast_at(actual, 1000, 16, ForecastMethod(7, 4.0))[[3, 7, 11]], [4.0, 2.0, 1.0])


def test_clouds_take_a_share_of_the_sun() -> None:
    actual = np.tile(np.r_[np.zeros(30), np.full(36, 10.0), np.zeros(30)], 12)
    actual[960 + 30 : 960 + 48] = 5.0
    ahead = forecast_at(actual, 960 + 48, 24, ForecastMethod(7, 8.0, multiplies=True))
    assert ahead[7] == pytest.approx(10 * (1 - 0.5 * 0.5))
    assert (ahead[18:] == 0).all()


def test_the_first_day_forecasts_the_last_known_value() -> None:
    assert (forecast_at(a_series(1), 0, 96) == 0).all()
    assert (forecast_at(a_series(1), 10, 20) == a_series(1)[9]).all()
    assert hourly_forecasts(a_series(1)[:20]).shape == (20, 24)


def test_persistence_is_yesterday() -> None:
    actual = a_series(3)
    np.testing.assert_allclose(
        hourly_forecasts(actual, 24, PERSISTENCE)[300, 5], actual[300 + 20 - 96 : 300 + 24 - 96].mean(), rtol=1e-6
    )


def test_the_forecast_beats_persistence_on_simbench(profiles: Profiles) -> None:
    load = sum(profiles.load_p[name] for name in ("H0-A", "H0-B", "H0-C", "G3-A", "L2-A"))
    for actual, method in ((load, LOAD), (profiles.pv_mean(), PV)):
        at = np.arange(28 * 96, 300 * 96, 7)
        ahead = np.stack([actual[at + 4 * hour + quarter] for hour in range(24) for quarter in range(4)])
        truth = ahead.reshape(24, 4, -1).mean(axis=1).T
        error = np.abs(hourly_forecasts(actual, 24, method)[at] - truth).mean()
        assert error < 0.9 * np.abs(hourly_forecasts(actual, 24, PERSISTENCE)[at] - truth).mean()
