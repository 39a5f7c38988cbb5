"""Bands around forecasts that have none of their own."""

from __future__ import annotations

import numpy as np
import pytest

from gridnet.case import Case, load_case
from gridnet.clock import STEPS_PER_DAY
from gridnet.forecast.bands import DAYS, LEAST_DAYS, LEVELS, band
from gridnet.forecast.climatology import LOAD, PointTotal
from gridnet.forecast.forecaster import make_forecaster

YEAR = 365 * STEPS_PER_DAY


@pytest.fixture(scope="module")
def case() -> Case:
    return load_case("rural1")


def test_eight_of_ten_values_lie_in_the_band(case: Case) -> None:
    forecaster = make_forecaster(case)
    inside: dict[str, list[float]] = {"load": [], "pv": []}
    for step in range(60 * STEPS_PER_DAY + 7, 360 * STEPS_PER_DAY, 5 * STEPS_PER_DAY + 11):
        found = forecaster.bands(step, STEPS_PER_DAY)
        for name, rows, total in (("load", found.load_p_kw, forecaster.load), ("pv", found.pv_p_kw, forecaster.pv)):
            actual = total.actual[step : step + STEPS_PER_DAY]
            inside[name].append(float(((rows[0] <= actual) & (actual <= rows[2])).mean()))

    assert 0.72 < np.mean(inside["load"]) < 0.88
    # By night nothing is uncertain, and nothing is nothing.
    assert 0.78 < np.mean(inside["pv"]) < 0.95


def test_a_band_holds_its_median_keeps_its_sign_and_knows_nothing_of_the_future() -> None:
    rng = np.random.default_rng(3)
    actual = -rng.gamma(2.0, 3.0, 60 * STEPS_PER_DAY)
    step = 40 * STEPS_PER_DAY + 31
    other = actual.copy()
    other[step:] = -99.0
    found, again = (band(PointTotal(each, LOAD), step, 150) for each in (actual, other))

    assert found is not None
    assert again is not None
    assert found.shape == (len(LEVELS), 150)
    np.testing.assert_array_equal(found, again)
    assert (np.diff(found, axis=0) >= 0).all()
    assert (found[2][found[1] <= 0] <= 0).all()
    assert found[0].min() >= min(actual[:step].min(), found[1].min())
    np.testing.assert_array_equal(found[1], PointTotal(actual, LOAD).at(step, 150))


def test_a_method_that_was_always_right_has_a_band_of_no_width() -> None:
    daily = np.tile(np.sin(np.arange(STEPS_PER_DAY)), DAYS + 3)
    found = band(PointTotal(daily, LOAD), 30 * STEPS_PER_DAY, STEPS_PER_DAY)

    assert found is not None
    np.testing.assert_allclose(found[2] - found[0], 0.0, atol=1e-12)


@pytest.mark.parametrize(("days", "known"), [(LEAST_DAYS, False), (LEAST_DAYS + 1, True)])
def test_a_week_of_errors_is_the_least(days: int, known: bool) -> None:
    total = PointTotal(np.ones(YEAR), LOAD)

    assert (band(total, days * STEPS_PER_DAY, 4) is not None) is known
