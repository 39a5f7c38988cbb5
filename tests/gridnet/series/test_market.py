from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridnet.clock import STEPS_PER_DAY, Clock
from gridnet.errors import InputError
from gridnet.series.days import day_types, days_apart, days_of_leap_year, local_dates
from gridnet.series.market import MARKET_CLOCK, Market, embedded_market, held_out_days, join_by_analog_day
from gridnet.series.profiles import SIMBENCH_CLOCK, Profiles


@pytest.fixture(scope="module")
def joined(profiles: Profiles) -> Market:
    return join_by_analog_day(embedded_market(), SIMBENCH_CLOCK, profiles.pv_mean(), profiles.wind_mean())


def test_the_embedded_table_is_the_german_year_2018() -> None:
    table = embedded_market()
    assert table.price_eur_per_mwh.mean() == pytest.approx(44.47, abs=0.01)
    assert table.price_eur_per_mwh.min() == -76.01
    assert (table.price_eur_per_mwh < 0).sum() == 134
    assert table.carbon_g_per_kwh.mean() == pytest.approx(443.6, abs=0.1)
    assert np.isfinite(np.stack([table.pv_mw, table.wind_mw, table.generation_mw])).all()
    sunny_hour = table.pv_mw.reshape(-1, 24).mean(axis=0).argmax()
    assert sunny_hour in (12, 13)  # CET: the stamps are where they should be


def test_carbon_falls_when_wind_blows() -> None:
    table = embedded_market()
    assert np.corrcoef(table.wind_mw, table.carbon_g_per_kwh)[0, 1] < -0.6


def test_no_test_day_shares_a_price_day_with_training(joined: Market) -> None:
    held_out = held_out_days(366)
    assert not set(joined.analog_day[held_out]) & set(joined.analog_day[~held_out])
    np.testing.assert_array_equal(held_out_days(365)[joined.analog_day], held_out)


def test_joined_days_are_alike_in_type_and_season(joined: Market) -> None:
    dates, market_dates = local_dates(SIMBENCH_CLOCK), local_dates(MARKET_CLOCK)
    np.testing.assert_array_equal(day_types(dates), day_types(market_dates)[joined.analog_day])
    apart = days_apart(days_of_leap_year(dates), days_of_leap_year(market_dates))[np.arange(366), joined.analog_day]
    held_out = held_out_days(366)
    assert apart[~held_out].max() <= 28
    assert apart[held_out].max() <= 56


def test_price_and_carbon_keep_their_statistics_and_follow_the_wind(joined: Market, profiles: Profiles) -> None:
    price = joined.price_eur_per_mwh
    assert price.mean() == pytest.approx(44.5, abs=1.5)
    assert price.std() == pytest.approx(17.8, abs=1.5)
    assert (price[::4] < 0).sum() > 80
    windy = profiles.wind_mean().reshape(-1, STEPS_PER_DAY).mean(axis=1)
    daily = price.reshape(-1, STEPS_PER_DAY).mean(axis=1)
    held_out = held_out_days(366)
    assert np.corrcoef(windy[held_out], daily[held_out])[0, 1] < -0.25
    assert np.corrcoef(windy[~held_out], daily[~held_out])[0, 1] < -0.35
    assert np.corrcoef(profiles.wind_mean(), joined.carbon_g_per_kwh)[0, 1] < -0.5


def test_price_and_carbon_come_from_the_same_hour(joined: Market) -> None:
    table = embedded_market()
    hour = (joined.analog_day[200] * 24) + 17
    step = 200 * STEPS_PER_DAY + 17 * 4
    assert (joined.price_eur_per_mwh[step : step + 4] == table.price_eur_per_mwh[hour]).all()
    assert (joined.carbon_g_per_kwh[step : step + 4] == table.carbon_g_per_kwh[hour]).all()


@settings(max_examples=15, deadline=None)
@given(
    evening=st.integers(0, 6_500),
    days=st.integers(1, 420),
    seed=st.integers(0, 99),
)  # fmt: skip
def test_any_clock_gets_split_price_days_of_its_own_types(evening: int, days: int, seed: int) -> None:
    midnight = datetime(2012, 1, 1, 23, tzinfo=UTC) + timedelta(days=evening)
    clock = Clock(start=midnight, steps=days * STEPS_PER_DAY)
    weather = np.random.default_rng(seed).random((2, clock.steps))
    joined = join_by_analog_day(embedded_market(), clock, weather[0], weather[1])
    np.testing.assert_array_equal(held_out_days(365)[joined.analog_day], held_out_days(days))
    types = day_types(local_dates(MARKET_CLOCK))[joined.analog_day]
    np.testing.assert_array_equal(types, day_types(local_dates(clock)))


def test_a_step_that_does_not_divide_an_hour_is_refused() -> None:
    odd = Clock(start=SIMBENCH_CLOCK.start, steps=18, dt_h=4 / 3)
    with pytest.raises(InputError, match="divides an hour"):
        join_by_analog_day(embedded_market(), odd, np.ones(18), np.ones(18))
