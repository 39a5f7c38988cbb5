"""The forecasts that everybody gets: nothing of the future, one total for all, devices that add up to it."""

from __future__ import annotations

import typing
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridnet.case import Case, load_case
from gridnet.clock import STEPS_PER_DAY
from gridnet.errors import InputError
from gridnet.forecast.climatology import LOAD, PERSISTENCE, PV, Float32Array, ForecastMethod, forecast_at
from gridnet.forecast.forecaster import Forecaster, hourly_totals, make_forecaster
from gridnet.scenario import Forecast, ForecastMethodName
from gridnet.series.profiles import FloatArray

METHODS: tuple[ForecastMethodName, ...] = typing.get_args(ForecastMethodName)
POINT_METHODS: dict[ForecastMethodName, tuple[ForecastMethod, ForecastMethod]] = {
    "climatology": (LOAD, PV),
    "persistence": (PERSISTENCE, PERSISTENCE),
}
STEPS = 35 * STEPS_PER_DAY
FIRST_FIT = 28 * STEPS_PER_DAY

methods = pytest.mark.parametrize("method", METHODS)


def with_another_future(case: Case, step: int) -> Case:
    """The same case up to `step`, another from there on."""
    series, rng = case.series, np.random.default_rng(step)
    changed = {}
    for name in ("load_p_kw", "load_q_kvar", "pv_p_kw"):
        values = getattr(series, name).copy()
        values[step:] = values[step:] * 50 + rng.uniform(-9, 9, values[step:].shape)
        changed[name] = values
    return replace(case, series=replace(series, **changed))


def all_of(forecaster: Forecaster, step: int, horizon: int) -> list[FloatArray]:
    devices, totals = forecaster.ahead(step, horizon), forecaster.totals(step, horizon)
    return [devices.load_p_kw, devices.load_q_kvar, devices.pv_p_kw, totals.load_p_kw, totals.pv_p_kw]


def assert_same(one: list[FloatArray], other: list[FloatArray]) -> None:
    for these, those in zip(one, other, strict=True):
        np.testing.assert_array_equal(these, those)


@settings(max_examples=25)
@given(method=st.sampled_from(list(POINT_METHODS)), step=st.integers(0, STEPS - 1), horizon=st.sampled_from([1, 96, 144, 300]))
def test_nothing_from_now_on_changes_a_forecast(moody: Case, method: ForecastMethodName, step: int, horizon: int) -> None:
    otherwise = with_another_future(moody, step)
    assert_same(all_of(make_forecaster(moody, method), step, horizon), all_of(make_forecaster(otherwise, method), step, horizon))


@pytest.mark.parametrize("step", [FIRST_FIT, FIRST_FIT + 5])
def test_nothing_from_now_on_changes_a_boosted_forecast_of_devices(moody: Case, step: int) -> None:
    otherwise = with_another_future(moody, step)
    assert_same(all_of(make_forecaster(moody, "boosted"), step, 144), all_of(make_forecaster(otherwise, "boosted"), step, 144))


@methods
def test_the_step_just_past_does_change_a_forecast(moody: Case, method: ForecastMethodName) -> None:
    at = FIRST_FIT + 50
    before, after = make_forecaster(moody, method), make_forecaster(with_another_future(moody, at - 1), method)
    assert (before.ahead(at, 144).load_p_kw != after.ahead(at, 144).load_p_kw).any()


@methods
@pytest.mark.parametrize("step", [0, 1, 95, 96, 700, FIRST_FIT + 40, STEPS - 1])
def test_devices_add_up_to_the_total_past_the_end_too(moody: Case, method: ForecastMethodName, step: int) -> None:
    forecaster = make_forecaster(moody, method)
    devices, totals = forecaster.ahead(step, 300), forecaster.totals(step, 300)
    median = totals.levels.index(0.5)
    assert devices.load_p_kw.shape == devices.load_q_kvar.shape == (300, 2)
    assert devices.pv_p_kw.shape == (300, 1)
    assert totals.load_p_kw.shape == totals.pv_p_kw.shape == (len(totals.levels), 300)
    np.testing.assert_allclose(devices.load_p_kw.sum(axis=1), totals.load_p_kw[median], atol=1e-9)
    np.testing.assert_allclose(devices.pv_p_kw.sum(axis=1), totals.pv_p_kw[median], atol=1e-9)
    assert np.isfinite(devices.load_q_kvar).all()
    assert (devices.load_p_kw <= 0).all()
    assert (devices.pv_p_kw >= 0).all()


@methods
def test_there_is_no_sun_at_night(moody: Case, method: ForecastMethodName) -> None:
    night = moody.series.pv_p_kw.reshape(-1, STEPS_PER_DAY).max(axis=0) == 0
    assert night[0]
    assert not night[48]
    ahead = make_forecaster(moody, method).totals(FIRST_FIT, 144).pv_p_kw
    assert (ahead[:, np.resize(night, 144)] == 0).all()
    assert (ahead[:, np.resize(~night, 144)] > 0).any()


@methods
def test_each_load_keeps_its_own_power_factor(moody: Case, method: ForecastMethodName) -> None:
    ahead = make_forecaster(moody, method).ahead(FIRST_FIT + 30, 144)
    np.testing.assert_allclose(ahead.load_q_kvar, ahead.load_p_kw * [0.2, 0.4], rtol=1e-9)


def naive_hourly(actual: FloatArray, method: ForecastMethod) -> Float32Array:
    """The definition, a step at a time, summed in the order that the numbers of trained weights depend on."""
    rows = []
    for step in range(len(actual)):
        ahead = forecast_at(actual, step, 96, method).reshape(24, 4)
        if step < STEPS_PER_DAY:
            rows.append(ahead.mean(axis=1))
        else:
            rows.append((ahead[:, 0] + ahead[:, 1] + ahead[:, 2] + ahead[:, 3]) / 4)
    return np.array(rows, dtype=np.float32)


@pytest.mark.parametrize("method", list(POINT_METHODS))
def test_hourly_totals_are_those_of_a_naive_loop_to_the_bit(moody: Case, method: ForecastMethodName) -> None:
    case = replace(moody, scenario=moody.scenario.model_copy(update={"forecast": Forecast(method=method)}))
    of_load, of_pv = POINT_METHODS[method]
    load_kw, pv_kw = case.series.load_p_kw.sum(axis=1), case.series.pv_p_kw.sum(axis=1)
    totals = hourly_totals(case)
    assert totals.dtype == np.float32
    np.testing.assert_array_equal(totals, naive_hourly(load_kw, of_load) + naive_hourly(pv_kw, of_pv))


def test_boosted_hourly_totals_are_the_hourly_means_of_what_planners_get(moody: Case) -> None:
    case = replace(moody, scenario=moody.scenario.model_copy(update={"forecast": Forecast(method="boosted")}))
    totals, forecaster = hourly_totals(case), make_forecaster(case)
    assert forecaster.totals(0, 1).levels == (0.1, 0.5, 0.9)
    assert (totals[FIRST_FIT:] != hourly_totals(moody)[FIRST_FIT:]).any()
    for step in (0, 300, FIRST_FIT - 1, FIRST_FIT, STEPS - 1):
        ahead = forecaster.ahead(step, 96)
        surplus = ahead.load_p_kw.sum(axis=1) + ahead.pv_p_kw.sum(axis=1)
        np.testing.assert_allclose(totals[step], surplus.reshape(24, 4).mean(axis=1), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("step", "horizon"), [(-1, 4), (STEPS, 4), (0, 0)])
def test_a_forecast_of_nothing_is_refused(moody: Case, step: int, horizon: int) -> None:
    forecaster = make_forecaster(moody)
    with pytest.raises(InputError, match="give"):
        forecaster.ahead(step, horizon)
    with pytest.raises(InputError, match="give"):
        forecaster.totals(step, horizon)


def test_the_case_names_the_method(moody: Case) -> None:
    persistent = replace(moody, scenario=moody.scenario.model_copy(update={"forecast": Forecast(method="persistence")}))
    assert_same(all_of(make_forecaster(persistent), 500, 96), all_of(make_forecaster(moody, "persistence"), 500, 96))
    assert load_case("tiny").scenario.forecast.method == "climatology"
