"""Minutes within quarter-hours: what they keep of the means, and that they vary as stated."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gridnet.clock import STEPS_PER_DAY, STEPS_PER_WEEK, Clock
from gridnet.errors import InputError
from gridnet.series.compose import PvTable, Series
from gridnet.series.households import LoadTable
from gridnet.series.subinterval import (
    Behind,
    CloudModel,
    HomeModel,
    Truth,
    fluctuation,
    refine,
    what_stands_behind,
)

Floats = NDArray[np.float64]
WEEKS, WEEK, PEAK_KW = 6, 3, 10.0
QUIET = Truth(1, 0, HomeModel(spread=0.0), CloudModel(partly=(1.0, 1.0)))
MINUTE = Truth(1, seed=4)


def _series(load_p_kw: Floats, pv_p_kw: Floats) -> Series:
    steps = len(load_p_kw)
    return Series(
        clock=Clock(datetime(2018, 1, 1, tzinfo=UTC), steps),
        load_p_kw=load_p_kw,
        load_q_kvar=0.3 * load_p_kw,
        pv_p_kw=pv_p_kw,
        price_eur_per_mwh=np.arange(steps, dtype=np.float64),
        carbon_g_per_kwh=400.0 + np.arange(steps),
        provenance=(),
    )


def _days() -> Floats:
    """(steps,) clear-sky power of a plant of `PEAK_KW`, the same every day."""
    hour = np.arange(STEPS_PER_DAY) / 4.0
    return np.tile(PEAK_KW * np.maximum(0.0, np.sin(np.pi * (hour - 6.0) / 12.0)), 7 * WEEKS)


def _made(index: Floats, loads: int = 4, pvs: int = 3) -> tuple[Series, Behind]:
    """Homes of 0.4 kW, one each, and plants of 10 kW under a sky of `index`, (steps,); day 20, before the week, is clear."""
    index = index.copy()
    index[20 * STEPS_PER_DAY : 21 * STEPS_PER_DAY] = 1.0
    series = _series(np.full((len(index), loads), -0.4), np.repeat((index * _days())[:, None], pvs, axis=1))
    return series, Behind(np.ones(loads), np.full(pvs, PEAK_KW))


def _overcast(index: float) -> tuple[Series, Behind]:
    return _made(np.full(STEPS_PER_WEEK * WEEKS, index))


def _week(values: Floats) -> Floats:
    return values[WEEK * STEPS_PER_WEEK : (WEEK + 1) * STEPS_PER_WEEK]


def _means(values: Floats) -> Floats:
    means: Floats = values.reshape(STEPS_PER_WEEK, len(values) // STEPS_PER_WEEK, values.shape[1]).mean(axis=1)
    return means


@st.composite
def worlds(draw: st.DrawFn) -> tuple[Series, Behind, Truth]:
    """Any means: nights, idle loads, loads that inject, loads and plants beyond their limits, one home or many or a machine."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    loads, pvs = draw(st.integers(0, 3)), draw(st.integers(0, 3))
    steps = 2 * STEPS_PER_WEEK
    load_p_kw = -rng.lognormal(0.0, 2.0, (steps, loads)) * rng.choice([-0.1, 0.0, 1.0, 1.0], (steps, loads))
    pv_p_kw = draw(st.sampled_from([0.0, 1.0, 50.0])) * rng.beta(0.5, 0.5, (steps, pvs))
    behind = Behind(rng.choice([1.0, 30.0, np.inf], loads), rng.choice([0.0, 0.5, 40.0], pvs))
    return _series(load_p_kw, pv_p_kw), behind, Truth(draw(st.sampled_from([1, 3, 5, 15])), draw(st.integers(0, 9)))


@settings(max_examples=25)
@given(worlds())
def test_every_quarter_hour_keeps_its_means(world: tuple[Series, Behind, Truth]) -> None:
    series, behind, truth = world
    fine = refine(series, behind, 1, truth)
    for name in ("load_p_kw", "load_q_kvar", "pv_p_kw"):
        coarse = getattr(series, name)[STEPS_PER_WEEK:]
        np.testing.assert_allclose(_means(getattr(fine, name)), coarse, rtol=1e-12, atol=1e-12)


@settings(max_examples=25)
@given(worlds())
def test_no_load_turns_its_sign_and_nothing_passes_its_limit(world: tuple[Series, Behind, Truth]) -> None:
    series, behind, truth = world
    fine = refine(series, behind, 1, truth)
    per = 15 // truth.minutes
    load_kw = np.repeat(series.load_p_kw[STEPS_PER_WEEK:], per, axis=0)
    assert (fine.load_p_kw[load_kw <= 0] <= 0).all()
    np.testing.assert_allclose(fine.load_p_kw[load_kw > 0], load_kw[load_kw > 0], rtol=1e-12)
    assert (-fine.load_p_kw <= np.maximum(-load_kw, 14.5 * behind.homes) + 1e-9).all()
    pv_kw = np.repeat(series.pv_p_kw[STEPS_PER_WEEK:], per, axis=0)
    assert (fine.pv_p_kw >= 0).all()
    assert (fine.pv_p_kw <= np.maximum(pv_kw, behind.pv_limit_kw) + 1e-9).all()


@settings(max_examples=25)
@given(worlds())
def test_reactive_power_follows_by_each_loads_own_factor(world: tuple[Series, Behind, Truth]) -> None:
    fine = refine(*world[:2], 1, world[2])
    np.testing.assert_allclose(fine.load_q_kvar, 0.3 * fine.load_p_kw, rtol=1e-12, atol=1e-12)


def test_clock_prices_and_carbon_are_those_of_the_week() -> None:
    series, behind = _overcast(0.6)
    fine = refine(series, behind, WEEK, Truth(5))
    assert fine.clock == Clock(series.clock.time_of(WEEK * STEPS_PER_WEEK), 3 * STEPS_PER_WEEK, 5 / 60)
    assert fine.clock.weeks == 1
    np.testing.assert_array_equal(fine.price_eur_per_mwh, np.repeat(_week(series.price_eur_per_mwh[:, None]), 3))
    np.testing.assert_array_equal(fine.carbon_g_per_kwh, np.repeat(_week(series.carbon_g_per_kwh[:, None]), 3))


def test_the_same_seed_gives_the_same_minutes_and_another_seed_or_week_others() -> None:
    series, behind = _overcast(0.6)
    first, again = refine(series, behind, WEEK, MINUTE), refine(series, behind, WEEK, MINUTE)
    for name in ("load_p_kw", "pv_p_kw"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
        for other in (refine(series, behind, WEEK, Truth(1, seed=5)), refine(series, behind, WEEK + 1, MINUTE)):
            assert np.abs(getattr(first, name) - getattr(other, name)).max() > 0.1


def test_five_minutes_are_the_mean_of_five_and_a_quarter_hour_is_the_series_itself() -> None:
    series, behind = _overcast(0.6)
    minutes = refine(series, behind, WEEK, MINUTE)
    fives = refine(series, behind, WEEK, replace(MINUTE, minutes=5))
    np.testing.assert_allclose(fives.pv_p_kw, minutes.pv_p_kw.reshape(-1, 5, 3).mean(axis=1), atol=1e-12)
    np.testing.assert_allclose(fives.load_p_kw, minutes.load_p_kw.reshape(-1, 5, 4).mean(axis=1), atol=1e-12)
    quarters = refine(series, behind, WEEK, replace(MINUTE, minutes=15))
    np.testing.assert_allclose(quarters.pv_p_kw, _week(series.pv_p_kw), atol=1e-12)


def test_a_load_more_changes_no_other() -> None:
    series, behind = _made(np.full(STEPS_PER_WEEK * WEEKS, 0.6), loads=5, pvs=4)
    fewer, sizes = _overcast(0.6)
    more, less = refine(series, behind, WEEK, MINUTE), refine(fewer, sizes, WEEK, MINUTE)
    np.testing.assert_array_equal(more.load_p_kw[:, :4], less.load_p_kw)
    np.testing.assert_array_equal(more.pv_p_kw[:, :3], less.pv_p_kw)


def test_without_spread_and_clouds_every_step_is_the_mean() -> None:
    series, behind = _overcast(0.6)
    fine = refine(series, behind, WEEK, QUIET)
    np.testing.assert_allclose(fine.load_p_kw, np.repeat(_week(series.load_p_kw), 15, axis=0), rtol=1e-15)
    np.testing.assert_array_equal(fine.pv_p_kw, np.repeat(_week(series.pv_p_kw), 15, axis=0))


def test_a_home_varies_as_stated() -> None:
    fine = refine(*_made(np.ones(STEPS_PER_WEEK * WEEKS), loads=20), WEEK, MINUTE)
    found = fluctuation(fine.load_p_kw, 1)
    assert (found.varying == 1.0).all()
    assert np.median(found.relative_std) == pytest.approx(0.38, abs=0.02)
    assert np.median(found.autocorrelation) == pytest.approx(0.57, abs=0.04)
    # Of a home's mean of 0.4 kW, up or down within a minute.
    assert np.median(found.ramp_kw) == pytest.approx(0.5, abs=0.1)
    peaks = (-fine.load_p_kw).max(axis=0)
    assert ((peaks > 2 * 0.4) & (peaks < 10 * 0.4)).all(), "minutes are skewed: peaks lie far above the mean"


def test_homes_are_independent_and_many_are_smoother() -> None:
    series, _ = _made(np.ones(STEPS_PER_WEEK * WEEKS), loads=16)
    behind = Behind(np.array([1.0] * 15 + [15.0]), np.zeros(3))
    fine = refine(series, behind, WEEK, MINUTE)
    off = fine.load_p_kw - np.repeat(_week(series.load_p_kw), 15, axis=0)
    together = np.corrcoef(off[:, :15].T)
    assert np.abs(together - np.eye(15)).max() < 0.08
    # Fifteen homes drawn one by one, and one load that stands for fifteen.
    of_homes = fluctuation(fine.load_p_kw[:, :15].sum(axis=1, keepdims=True), 1).relative_std[0]
    assert fluctuation(fine.load_p_kw[:, 15:], 1).relative_std[0] == pytest.approx(of_homes, rel=0.1)
    assert of_homes == pytest.approx(fluctuation(fine.load_p_kw[:, :1], 1).relative_std[0] / np.sqrt(15), rel=0.15)


def test_a_partly_cloudy_sky_varies_as_stated() -> None:
    fine = refine(*_overcast(0.6), WEEK, MINUTE)
    found = fluctuation(fine.pv_p_kw, 1)
    assert found.varying == pytest.approx(0.5, abs=0.02), "half of the day is night"
    assert found.relative_std == pytest.approx(0.45, abs=0.05)
    assert found.autocorrelation == pytest.approx(0.81, abs=0.03)
    assert found.ramp_kw / PEAK_KW == pytest.approx(0.34, abs=0.03), "per minute"
    noon = fine.pv_p_kw[:, 0].reshape(7, 24, 60)[:, 12].ravel() / PEAK_KW
    assert ((noon < 0.4) | (noon > 0.85)).mean() > 0.45, "a minute is rather in the sun or behind a cloud than in between"


def test_the_clouds_are_common_to_the_feeder_with_small_differences() -> None:
    fine = refine(*_overcast(0.6), WEEK, MINUTE)
    off = fine.pv_p_kw - np.repeat(_means(fine.pv_p_kw), 15, axis=0)
    together = np.corrcoef(off.T)[np.triu_indices(3, 1)]
    assert ((together > 0.7) & (together < 0.95)).all()


@pytest.mark.parametrize("index", [0.05, 0.25, 0.295, 0.905, 0.97])
def test_a_sky_near_clear_or_overcast_is_even(index: float) -> None:
    series, behind = _overcast(index)
    fine = refine(series, behind, WEEK, MINUTE)
    np.testing.assert_array_equal(fine.pv_p_kw, np.repeat(_week(series.pv_p_kw), 15, axis=0))


def test_how_sunny_a_quarter_hour_is_follows_from_its_mean() -> None:
    for index, share in ((0.44, 3 / 15), (0.79, 10.5 / 15)):
        fine = refine(*_overcast(index), WEEK, MINUTE)
        noon = fine.pv_p_kw[:, 0].reshape(7, 24, 60)[:, 11:13].ravel() / PEAK_KW
        assert (noon > 0.65).mean() == pytest.approx(share, abs=0.1)


def test_clear_sky_is_that_of_the_season_not_of_the_year() -> None:
    index = np.full(STEPS_PER_WEEK * WEEKS, 0.5)
    series, behind = _made(index)
    far = series.pv_p_kw.copy()
    far[: 3 * STEPS_PER_DAY] *= 4.0
    spoilt = refine(replace(series, pv_p_kw=far), behind, WEEK, MINUTE)
    np.testing.assert_array_equal(spoilt.pv_p_kw, refine(series, behind, WEEK, MINUTE).pv_p_kw)


def test_machines_and_other_plants_keep_their_means() -> None:
    names = ("H0-A", "Air_Parallel_1", "HLS_A_11.0", None, "lv_rural1")
    series = _series(np.full((STEPS_PER_WEEK, 5), -4.0), np.ones((STEPS_PER_WEEK, 3)))
    loads = LoadTable(tuple("abcde"), names, np.ones(5), np.ones(5))
    behind = what_stands_behind(
        series, loads, PvTable(tuple("xyz"), ("PV3", "WP2", None), np.ones(3)), np.full(3, 1.1), HomeModel()
    )
    np.testing.assert_allclose(behind.homes, [10.0, np.inf, np.inf, 10.0, 10.0])
    np.testing.assert_array_equal(behind.pv_limit_kw, [1.1, 0.0, 1.1])
    fine = refine(series, behind, 0, MINUTE)
    assert (np.ptp(fine.load_p_kw, axis=0) > 0.1).tolist() == [True, False, False, True, True]
    small = what_stands_behind(
        replace(series, load_p_kw=series.load_p_kw / 40), loads, PvTable((), (), np.ones(0)), np.ones(0), HomeModel()
    )
    assert small.homes[0] == 1.0, "no load is less than a home"


def test_statistics_of_a_series_made_by_hand() -> None:
    # Quarter-hours of three fives: 1 2 3, then even. Means 2 and 2; deviations -1 0 1; neighbours' products 0.
    found = fluctuation(np.array([[-1.0], [-2.0], [-3.0], [-2.0], [-2.0], [-2.0]]), 5)
    assert found.varying[0] == 0.5
    assert found.relative_std[0] == pytest.approx(np.sqrt(2 / 3) / 2)
    assert found.autocorrelation[0] == 0.0
    assert found.ramp_kw[0] == pytest.approx(1.0)
    swinging = fluctuation(np.array([[0.0], [2.0], [0.0], [0.0], [2.0], [0.0]]), 5)
    # Mean 2/3, deviations -2/3 4/3 -2/3: products -8/9 each, squares 24/9 over three.
    assert swinging.autocorrelation[0] == pytest.approx(-1.0)


@pytest.mark.parametrize("faulty", [{"minutes": 0}, {"minutes": 2}, {"minutes": 30}, {"minutes": -5}])
def test_a_truth_that_divides_no_quarter_hour_is_refused(faulty: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"minutes: got .*, expected 15, 5, 3 or 1"):
        Truth(**faulty)


def test_a_week_that_is_not_there_is_refused() -> None:
    series, behind = _overcast(0.6)
    for week in (-1, WEEKS):
        with pytest.raises(InputError, match=f"week: got {week}, expected one of the {WEEKS} whole weeks"):
            refine(series, behind, week, MINUTE)
    hours = replace(series, clock=replace(series.clock, dt_h=1.0))
    with pytest.raises(InputError, match="of a series of quarter-hours"):
        refine(hours, behind, 0, MINUTE)
