"""Regular intervals put onto a clock's steps: longer ones held, shorter ones averaged, so that energy is kept."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np

from gridnet.clock import Clock
from gridnet.series.profiles import FloatArray

STEP_MINUTES = 15
INTERVALS_MINUTES = (60, 30, 15, 5, 3, 1)
"""Intervals that a file may have: each divides a quarter-hour, or a quarter-hour divides it."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def on_clock(values: FloatArray, first_minute: int, interval_minutes: int, clock: Clock) -> FloatArray:
    """Means of `values` over the clock's steps, `(steps,)`.

    `values`, `(intervals,)`, are means over back-to-back intervals of `interval_minutes`, the first of which starts
    `first_minute` minutes after 1970-01-01T00:00Z; they must cover the clock. Power keeps its energy, a price its mean.
    """
    ahead = minute_of(clock.start) - first_minute
    if interval_minutes >= STEP_MINUTES:
        held = np.repeat(values, interval_minutes // STEP_MINUTES)
        return held[ahead // STEP_MINUTES :][: clock.steps]
    per_step = STEP_MINUTES // interval_minutes
    covered = values[ahead // interval_minutes :][: clock.steps * per_step]
    mean: FloatArray = covered.reshape(clock.steps, per_step).mean(axis=1)
    return mean


def whole_days(first_minute: int, end_minute: int, utc_offset_h: float) -> Clock | None:
    """The quarter-hour clock over all whole local days within `[first_minute, end_minute)`; `None` if there is none."""
    day, offset = 24 * 60, round(utc_offset_h * 60)
    start = -(-(first_minute + offset) // day) * day
    end = (end_minute + offset) // day * day
    if end <= start:
        return None
    return Clock(
        start=_EPOCH + timedelta(minutes=start - offset),
        steps=(end - start) // STEP_MINUTES,
        utc_offset_h=utc_offset_h,
    )


def minute_of(moment: datetime) -> int:
    """Whole minutes since 1970-01-01T00:00Z."""
    return (moment - _EPOCH) // timedelta(minutes=1)
