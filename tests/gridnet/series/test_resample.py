from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridnet.clock import Clock
from gridnet.series.resample import INTERVALS_MINUTES, minute_of, on_clock, whole_days

MIDNIGHT = datetime(2023, 3, 1, tzinfo=UTC)


def test_hours_are_held_and_minutes_averaged() -> None:
    clock = Clock(start=MIDNIGHT, steps=8)
    first = minute_of(MIDNIGHT)
    assert on_clock(np.array([4.0, 8.0]), first, 60, clock).tolist() == [4.0] * 4 + [8.0] * 4
    assert on_clock(np.arange(24.0), first, 5, clock).tolist() == [1, 4, 7, 10, 13, 16, 19, 22]


@settings(max_examples=80, deadline=None)
@given(
    interval=st.sampled_from(INTERVALS_MINUTES),
    days=st.integers(1, 3),
    hours_before=st.integers(0, 5),
    seed=st.integers(0, 99),
)  # fmt: skip
def test_energy_over_the_clock_is_kept(interval: int, days: int, hours_before: int, seed: int) -> None:
    clock = Clock(start=MIDNIGHT, steps=96 * days)
    per_hour = 60 // interval
    power = np.random.default_rng(seed).normal(size=(24 * days + hours_before + 2) * per_hour)
    steps = on_clock(power, minute_of(MIDNIGHT - timedelta(hours=hours_before)), interval, clock)
    within = power[hours_before * per_hour :][: 24 * days * per_hour]
    assert steps.shape == (clock.steps,)
    assert steps.sum() / 4 == pytest.approx(within.sum() / per_hour)


def test_whole_days_are_local_and_cut_at_both_ends() -> None:
    first = minute_of(datetime(2023, 3, 1, 5, tzinfo=UTC))
    clock = whole_days(first, first + 60 * 24 * 3, utc_offset_h=-5.0)
    assert clock is not None
    assert (clock.start, clock.steps, clock.utc_offset_h) == (datetime(2023, 3, 1, 5, tzinfo=UTC), 3 * 96, -5.0)
    later = whole_days(first + 1, first + 60 * 24 * 3, utc_offset_h=-5.0)
    assert later is not None
    assert (later.start, later.steps) == (datetime(2023, 3, 2, 5, tzinfo=UTC), 2 * 96)


def test_less_than_a_day_is_no_clock() -> None:
    assert whole_days(60, 60 + 24 * 60, utc_offset_h=0.0) is None
