"""Boosted trees: walk-forward without a look ahead, ordered quantiles, better where there is something to learn."""

from __future__ import annotations

import errno
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridnet import cache
from gridnet.clock import STEPS_PER_DAY, STEPS_PER_WEEK, Clock
from gridnet.forecast import boosted
from gridnet.forecast.boosted import LOAD_TREES, PV_TREES, QUANTILES, REFIT_STEPS, BoostedTotal
from gridnet.forecast.climatology import PointTotal
from gridnet.series.profiles import FloatArray

STEPS = 60 * STEPS_PER_DAY
CLOCK = Clock(start=datetime(2015, 12, 31, 23, tzinfo=UTC), steps=STEPS)
SMALL = {"trees": 4, "pairs": 1500, "least_in_leaf": 30}
SUN, HOMES = replace(PV_TREES, **SMALL), replace(LOAD_TREES, **SMALL)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRIDNET_CACHE", str(tmp_path_factory.mktemp("cache")))


def sun(seed: int) -> FloatArray:
    rng = np.random.default_rng(seed)
    day = np.maximum(0.0, np.sin(np.linspace(-1, 4, STEPS_PER_DAY)))
    return (rng.uniform(0.1, 1, (STEPS // STEPS_PER_DAY, 1)) * day).ravel() * rng.uniform(0.8, 1, STEPS)


def homes(seed: int, weekend: float = 1.0) -> FloatArray:
    rng = np.random.default_rng(seed)
    day = -1.5 - np.sin(np.linspace(0, 6, STEPS_PER_DAY))
    saturday = (np.arange(STEPS) // STEPS_PER_DAY + 4) % 7 >= 5  # the clock starts on a Friday
    return np.tile(day, STEPS // STEPS_PER_DAY) * rng.uniform(0.8, 1.2, STEPS) * np.where(saturday, weekend, 1.0)


NEAR_A_FIT = st.builds(lambda fit, after: fit * REFIT_STEPS + after, st.sampled_from([1, 2]), st.integers(0, 160))


@settings(max_examples=12)
@given(step=NEAR_A_FIT | st.integers(0, STEPS - 1), seed=st.integers(0, 9), pv=st.booleans(), later=st.sampled_from([0.0, 1e3]))
def test_nothing_from_now_on_changes_a_forecast(step: int, seed: int, pv: bool, later: float) -> None:
    actual, trees = (sun(seed), SUN) if pv else (homes(seed), HOMES)
    otherwise = actual.copy()
    otherwise[step:] = later * np.random.default_rng(seed).random(STEPS - step)
    before, after = BoostedTotal(actual, CLOCK, trees), BoostedTotal(otherwise, CLOCK, trees)
    np.testing.assert_array_equal(before.at(step, 150), after.at(step, 150))
    np.testing.assert_array_equal(before.relative(0.9)[: step + 1], after.relative(0.9)[: step + 1])
    np.testing.assert_array_equal(before.hourly(24)[: step + 1], after.hourly(24)[: step + 1])


def test_before_the_first_fit_climatology_stands() -> None:
    one, plain = BoostedTotal(sun(1), CLOCK, SUN), PointTotal(sun(1), PV_TREES.method)
    np.testing.assert_array_equal(one.at(REFIT_STEPS - 1, 144), plain.at(REFIT_STEPS - 1, 144))
    assert (one.at(REFIT_STEPS, 144) != plain.at(REFIT_STEPS, 144)).any()


def test_beyond_the_trees_climatology_stands() -> None:
    one, plain = BoostedTotal(homes(1), CLOCK, HOMES), PointTotal(homes(1), LOAD_TREES.method)
    np.testing.assert_array_equal(one.at(3000, 300)[144:], plain.at(3000, 300)[144:])
    assert (one.at(3000, 300)[:144] != plain.at(3000, 300)[:144]).all()


@pytest.mark.parametrize(("actual", "trees"), [(sun(2), SUN), (homes(2), HOMES)], ids=["pv", "load"])
def test_quantiles_do_not_cross_and_mean_what_they_say(actual: FloatArray, trees: boosted.Trees) -> None:
    one = BoostedTotal(actual, CLOCK, trees)
    # Models that disagree must not cross either: the lowest one is pushed above the others.
    one.relative(0.1)[4000] += 5.0
    for step in (0, 700, 3000, 4000, STEPS - 1):
        assert (np.diff(one.quantiles(step, 144), axis=0) >= 0).all()
        np.testing.assert_array_equal(one.quantiles(step, 144)[QUANTILES.index(0.5)], one.at(step, 144))
    steps = range(REFIT_STEPS, 3990, 16)
    truth = np.array([actual[step : step + 96] for step in steps])
    low, _, high = np.array([one.quantiles(step, 96) for step in steps]).swapaxes(0, 1)
    moving = truth != 0
    inside = ((low <= truth) & (truth <= high))[moving].mean()
    assert 0.65 < inside < 0.95


@pytest.mark.parametrize(("actual", "trees", "sign"), [(sun(2), SUN, 1), (homes(2), HOMES, -1)], ids=["pv", "load"])
def test_no_correction_turns_a_load_into_a_plant_or_a_plant_into_a_load(
    actual: FloatArray, trees: boosted.Trees, sign: int
) -> None:
    one = BoostedTotal(actual, CLOCK, trees)
    one.relative(0.5)[3500] = -9.0 * sign
    assert (one.at(3500, 144) == 0).all()
    one.relative(0.5)[3500] = 9.0 * sign
    assert (sign * one.at(3500, 144) >= 0).all()
    assert (sign * one.at(3500, 144) > 0).any()


def test_trees_learn_the_weekend_that_climatology_misses() -> None:
    actual = homes(3, weekend=2.0)
    one, plain = BoostedTotal(actual, CLOCK, replace(LOAD_TREES, trees=25, pairs=6000)), PointTotal(actual, LOAD_TREES.method)
    errors = {}
    for name, total in (("boosted", one), ("climatology", plain)):
        steps = range(REFIT_STEPS, REFIT_STEPS + 4 * STEPS_PER_WEEK, 32)
        errors[name] = np.mean([np.abs(total.at(step, 96) - actual[step : step + 96]).mean() for step in steps])
    assert errors["boosted"] < 0.6 * errors["climatology"]


@pytest.mark.parametrize("value", [0.0, -3.0])
def test_a_series_that_never_changes_is_forecast_as_it_is(value: float) -> None:
    one = BoostedTotal(np.full(STEPS, value), CLOCK, HOMES)
    assert (one.quantiles(4000, 144) == value).all()


def test_a_series_too_short_to_fit_is_left_to_climatology() -> None:
    short = sun(1)[: 5 * STEPS_PER_DAY]
    one = BoostedTotal(short, Clock(CLOCK.start, len(short)), SUN)
    np.testing.assert_array_equal(one.at(400, 144), PointTotal(short, PV_TREES.method).at(400, 144))
    np.testing.assert_array_equal(one.hourly(24), PointTotal(short, PV_TREES.method).hourly(24))


def test_what_was_fitted_is_kept_on_disk_and_serves_the_same_series_only(monkeypatch: pytest.MonkeyPatch) -> None:
    first = BoostedTotal(sun(1), CLOCK, SUN).at(3000, 96)

    def refused(*anything: object) -> FloatArray:
        raise AssertionError("fitted again")

    monkeypatch.setattr(boosted, "_fit_and_predict", refused)
    np.testing.assert_array_equal(BoostedTotal(sun(1), CLOCK, SUN).at(3000, 96), first)
    others = [
        (sun(2), CLOCK, SUN),
        (sun(1), CLOCK, replace(SUN, leaves=7)),
        (sun(1), replace(CLOCK, start=datetime(2017, 12, 31, 23, tzinfo=UTC)), SUN),
    ]
    for actual, clock, trees in others:
        with pytest.raises(AssertionError, match="fitted again"):
            BoostedTotal(actual, clock, trees).at(3000, 96)


def test_a_cache_that_cannot_be_written_costs_nothing_but_time(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    kept = BoostedTotal(sun(1), CLOCK, SUN).at(3000, 96)

    def full(key: str, record: object) -> None:
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setenv("GRIDNET_CACHE", str(tmp_path))
    monkeypatch.setattr(cache, "store", full)
    np.testing.assert_array_equal(BoostedTotal(sun(1), CLOCK, SUN).at(3000, 96), kept)
