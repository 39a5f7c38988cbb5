"""Half-open steps in UTC, and the local day that tariffs and profiles follow."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridnet.clock import STEPS_PER_DAY, STEPS_PER_WEEK, Clock, is_held_out
from gridnet.errors import InputError

MONDAY = datetime(2018, 1, 1, tzinfo=UTC)


def test_a_step_is_labelled_by_its_start() -> None:
    clock = Clock(MONDAY, steps=4)
    assert clock.time_of(0) == MONDAY
    assert clock.time_of(1) == MONDAY + timedelta(minutes=15)
    assert clock.time_of(4) == MONDAY + timedelta(hours=1)


def test_a_start_in_another_zone_becomes_the_same_instant_in_utc() -> None:
    clock = Clock(datetime(2018, 1, 1, 2, tzinfo=timezone(timedelta(hours=2))), steps=1)
    assert clock.start == MONDAY
    assert clock.start.tzinfo is UTC


def test_a_start_without_a_zone_is_refused() -> None:
    with pytest.raises(InputError, match="no time zone"):
        Clock(datetime(2018, 1, 1), steps=1)  # noqa: DTZ001 - the naive time is what is tested


@pytest.mark.parametrize("dt_h", [0.0, -0.25, float("nan")])
def test_a_step_without_length_is_refused(dt_h: float) -> None:
    with pytest.raises(InputError, match="give a length above 0"):
        Clock(MONDAY, steps=1, dt_h=dt_h)


def test_a_negative_number_of_steps_is_refused_and_none_is_not() -> None:
    assert Clock(MONDAY, steps=0).weeks == 0
    with pytest.raises(InputError, match="give 0 or more"):
        Clock(MONDAY, steps=-1)


def test_the_local_day_begins_an_hour_before_the_utc_day() -> None:
    clock = Clock(MONDAY - timedelta(hours=1), steps=STEPS_PER_DAY)
    assert [clock.local_step_of_day(step) for step in (0, 1, 95, 96)] == [0, 1, 95, 0]
    assert [clock.weekday(step) for step in (-1, 0, 95, 96)] == [6, 0, 0, 1]


def test_the_local_day_follows_the_offset() -> None:
    assert Clock(MONDAY, steps=1, utc_offset_h=0.0).local_step_of_day(0) == 0
    assert Clock(MONDAY, steps=1, utc_offset_h=5.5).local_step_of_day(0) == 22


def test_there_is_no_daylight_saving() -> None:
    midnight = datetime(2018, 3, 24, 23, tzinfo=UTC)
    clock = Clock(midnight, steps=4 * STEPS_PER_DAY)  # the last Sunday of March is among them
    assert [clock.local_step_of_day(day * STEPS_PER_DAY) for day in range(4)] == [0, 0, 0, 0]


@given(
    minutes=st.integers(0, 7 * 24 * 60),
    dt_minutes=st.sampled_from([1, 5, 10, 15, 20, 30, 60]),
    step=st.integers(0, 100_000),
)
def test_the_step_of_the_day_is_always_within_the_day(minutes: int, dt_minutes: int, step: int) -> None:
    clock = Clock(MONDAY + timedelta(minutes=minutes), steps=100_001, dt_h=dt_minutes / 60)
    per_day = 24 * 60 // dt_minutes
    within = clock.local_step_of_day(step)

    assert 0 <= within < per_day
    assert clock.local_step_of_day(step + 1) == (within + 1) % per_day
    assert clock.local_step_of_day(step + per_day) == within


def test_only_whole_weeks_count() -> None:
    weeks = [Clock(MONDAY, steps=STEPS_PER_WEEK + extra).weeks for extra in (-1, 0, STEPS_PER_WEEK - 1, STEPS_PER_WEEK)]
    assert weeks == [0, 1, 1, 2]


@given(weeks=st.integers(0, 600), dt_minutes=st.sampled_from([1, 5, 10, 15, 20, 30, 60]))
def test_a_week_is_whole_at_every_step_length(weeks: int, dt_minutes: int) -> None:
    steps = weeks * 7 * 24 * 60 // dt_minutes
    assert Clock(MONDAY, steps=steps, dt_h=dt_minutes / 60).weeks == weeks


def test_every_fifth_week_is_held_out() -> None:
    assert [week for week in range(20) if is_held_out(week)] == [4, 9, 14, 19]


def test_a_clock_does_not_change() -> None:
    with pytest.raises(AttributeError):
        Clock(MONDAY, steps=1).steps = 2  # type: ignore[misc]
