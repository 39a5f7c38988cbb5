"""Prices as they become public."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from gridnet.clock import STEPS_PER_DAY, Clock
from gridnet.forecast.published import known_prices

STEPS = 12 * STEPS_PER_DAY
CLOCK = Clock(start=datetime(2015, 12, 31, 23, tzinfo=UTC), steps=STEPS)


def test_prices_of_tomorrow_are_known_from_noon() -> None:
    known = known_prices(np.arange(STEPS, dtype=float), CLOCK)
    assert known.steps_known[[0, 47, 48, 95, STEPS - 1]].tolist() == [96, 49, 144, 97, 1]
    assert known.hourly[0, 23] == 93.5
    assert known.hourly[47, 13] == np.mean([3, 4, 5, 6])  # tomorrow 00:45, not published: today's 00:45 to 01:45
    assert known.hourly[48, 13] == np.mean([100, 101, 102, 103])


@settings(max_examples=60, deadline=None)
@given(step=st.integers(0, STEPS - 1), seed=st.integers(0, 99), late=st.integers(0, 95), hours=st.sampled_from([1, 24, 60]))
def test_no_unpublished_price_changes_what_is_known(step: int, seed: int, late: int, hours: int) -> None:
    clock = Clock(start=CLOCK.time_of(late), steps=STEPS)
    price = np.random.default_rng(seed).normal(40, 20, STEPS)
    known = known_prices(price, clock, hours)
    local_noon_passed = clock.local_step_of_day(step) >= 48
    days_published = 2 if local_noon_passed else 1
    published_until = step - clock.local_step_of_day(step) + 96 * days_published
    assert step + known.steps_known[step] == min(published_until, STEPS)
    otherwise = price.copy()
    otherwise[published_until:] = 1e6
    np.testing.assert_array_equal(known.hourly[step], known_prices(otherwise, clock, hours).hourly[step])
    assert np.isfinite(known.hourly).all()
