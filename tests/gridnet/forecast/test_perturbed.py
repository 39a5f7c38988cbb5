"""The truth with an error of a chosen size: as large as asked, growing with the hours ahead, revised from issue to issue."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridnet.case import Case
from gridnet.clock import STEPS_PER_DAY
from gridnet.errors import InputError
from gridnet.forecast.forecaster import hourly_totals, make_forecaster
from gridnet.forecast.perturbed import PerturbedTotal
from gridnet.scenario import Forecast
from gridnet.series.profiles import FloatArray

DAYS = 60
STEPS = DAYS * STEPS_PER_DAY


def a_load() -> FloatArray:
    rng = np.random.default_rng(1)
    daily = 2.0 + np.sin(np.linspace(0, 2 * np.pi, STEPS_PER_DAY))
    return -np.tile(daily, DAYS) * rng.uniform(0.7, 1.3, STEPS)


def a_sun() -> FloatArray:
    clouds = np.repeat(np.random.default_rng(2).uniform(0.1, 1.0, DAYS), STEPS_PER_DAY)
    return 50.0 * clouds * np.tile(np.maximum(0.0, np.sin(np.linspace(-1.6, 4.7, STEPS_PER_DAY))), DAYS)


def the_sun(error: float, seed: int = 3) -> PerturbedTotal:
    actual = a_sun()
    return PerturbedTotal(actual, error, (seed, 1), ceiling=actual.max())


def relative_error(total: PerturbedTotal) -> float:
    """By the definition, a forecast at a time, every hour."""
    issues = range(0, STEPS - STEPS_PER_DAY, 4)
    wrong = [np.abs(total.at(step, 96) - total.actual[step : step + 96]).sum() for step in issues]
    return float(sum(wrong) / sum(np.abs(total.actual[step : step + 96]).sum() for step in issues))


@pytest.mark.parametrize("error", [0.05, 0.1, 0.3, 0.6, 1.0])
@pytest.mark.parametrize("seed", [0, 7])
def test_the_error_is_as_large_as_asked(error: float, seed: int) -> None:
    assert relative_error(PerturbedTotal(a_load(), error, (seed, 0))) == pytest.approx(error, rel=0.1)
    assert relative_error(the_sun(error, seed)) == pytest.approx(error, rel=0.1)


def test_no_error_is_the_truth() -> None:
    total = PerturbedTotal(a_load(), 0.0, (1, 0))
    np.testing.assert_array_equal(total.at(500, 96), total.actual[500:596])


def news(total: PerturbedTotal, issued: int) -> FloatArray:
    """Relative error of the steps ahead, of a load that is never 0."""
    return total.at(issued, 96) / total.actual[issued : issued + 96] - 1.0


def test_errors_grow_from_next_to_nothing_to_their_full_size() -> None:
    total = PerturbedTotal(a_load(), 0.1, (1, 0))
    spread = np.std([news(total, issued) for issued in range(0, STEPS - 96, 5)], axis=0)
    told = {0: 0.03, 3: 0.14, 11: 0.46, 23: 0.77, 47: 0.96}
    for ahead, share in told.items():
        assert spread[ahead] == pytest.approx(share * total.scale, rel=0.15)
    assert spread[95] == pytest.approx(total.scale, rel=0.15)


def test_errors_of_neighbouring_steps_are_alike_and_those_of_far_ones_are_not() -> None:
    total = PerturbedTotal(a_load(), 0.1, (1, 0))
    errors = np.array([news(total, issued) for issued in range(0, STEPS - 96, 5)])
    assert np.corrcoef(errors[:, 40], errors[:, 44])[0, 1] > 0.9
    assert abs(np.corrcoef(errors[:, 10], errors[:, 90])[0, 1]) < 0.1


def test_a_forecast_is_revised_by_little_and_not_drawn_again() -> None:
    total = PerturbedTotal(a_load(), 0.1, (1, 0))
    before = np.array([news(total, issued)[48] for issued in range(0, STEPS - 200)])
    after = np.array([news(total, issued + 1)[47] for issued in range(0, STEPS - 200)])
    revision = after - before
    assert revision.std() < 0.2 * before.std()
    # Nobody can tell a revision beforehand: it is news.
    assert abs(np.corrcoef(revision[:-1], revision[1:])[0, 1]) < 0.05


@settings(max_examples=15)
@given(
    step=st.integers(0, STEPS - 1), horizon=st.sampled_from([1, 96, 144, 2000]), error=st.floats(0.0, 1.0), seed=st.integers(0, 50)
)
def test_sun_is_never_negative_nor_above_its_peak_and_nights_are_dark(step: int, horizon: int, error: float, seed: int) -> None:
    total = the_sun(error, seed)
    ahead = total.at(step, horizon)
    assert (ahead >= 0).all()
    assert (ahead <= total.actual.max()).all()
    dark = total.actual.reshape(-1, STEPS_PER_DAY).max(axis=0) == 0
    assert (ahead[dark[(step + np.arange(horizon)) % STEPS_PER_DAY]] == 0).all()
    np.testing.assert_array_equal(total.quantiles(step, horizon), [ahead])


def test_loads_stay_loads() -> None:
    total = PerturbedTotal(a_load(), 1.0, (1, 0))
    told = np.array([total.at(step, 96) for step in range(0, STEPS, 50)])
    assert told.max() == 0, "an error beyond -100 % is cut there, not turned round"
    assert 0.1 < (told == 0).mean() < 0.5


@pytest.mark.parametrize("step", [0, 1, 777, STEPS - 50, STEPS - 1])
def test_hourly_rows_are_the_means_of_single_forecasts(step: int) -> None:
    total = the_sun(0.3)
    np.testing.assert_allclose(total.hourly(24)[step], total.at(step, 96).reshape(24, 4).mean(axis=1), rtol=1e-5, atol=1e-5)


def test_a_year_takes_seconds() -> None:
    actual = np.resize(a_load(), 35136)
    began = time.process_time()
    assert PerturbedTotal(actual, 0.2, (1, 0)).hourly(24).shape == (35136, 24)
    assert time.process_time() - began < 5.0


def test_the_seed_alone_draws_the_error() -> None:
    one, same, other = (PerturbedTotal(a_load(), 0.2, (seed, 0)).at(500, 96) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


def test_a_larger_error_has_the_same_shape() -> None:
    small, large = (PerturbedTotal(a_load(), error, (1, 0)) for error in (0.05, 0.1))
    np.testing.assert_allclose(news(large, 500), news(small, 500) * large.scale / small.scale, atol=1e-12)


def test_an_error_that_a_ceiling_leaves_no_room_for_is_refused() -> None:
    with pytest.raises(InputError, match="ask for less"):
        PerturbedTotal(np.full(STEPS, 5.0), 0.9, (1, 0), ceiling=5.0)


def test_a_total_of_nothing_stays_nothing() -> None:
    assert (PerturbedTotal(np.zeros(STEPS), 0.5, (1, 0), ceiling=0.0).at(0, 96) == 0).all()


def perturbed(case: Case, error: float, seed: int = 1) -> Case:
    forecast = Forecast(method="perturbed", error=error, seed=seed)
    return replace(case, scenario=case.scenario.model_copy(update={"forecast": forecast}))


def test_planners_and_the_environment_are_told_the_same(moody: Case) -> None:
    case = perturbed(moody, 0.2)
    forecaster, totals = make_forecaster(case), hourly_totals(case)
    for step in (0, 300, 2000, case.clock.steps - 1):
        ahead = forecaster.ahead(step, 96)
        surplus = ahead.load_p_kw.sum(axis=1) + ahead.pv_p_kw.sum(axis=1)
        np.testing.assert_allclose(totals[step], surplus.reshape(24, 4).mean(axis=1), rtol=1e-4, atol=1e-4)
    assert (totals != hourly_totals(perturbed(moody, 0.2, seed=2))).any()


def test_load_and_sun_err_by_themselves(moody: Case) -> None:
    forecaster = make_forecaster(perturbed(moody, 0.2))
    noon = np.arange(48, moody.clock.steps - 96, STEPS_PER_DAY)
    load, sun = moody.series.load_p_kw.sum(axis=1), moody.series.pv_p_kw.sum(axis=1)
    of_load = [forecaster.load.at(step - 48, 96)[48] / load[step] for step in noon]
    of_sun = [forecaster.pv.at(step - 48, 96)[48] / sun[step] for step in noon]
    assert abs(np.corrcoef(of_load, of_sun)[0, 1]) < 0.6
