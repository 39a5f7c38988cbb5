"""What the boosted trees are told at issue time: lags, recent errors and the calendar, all relative to a known height.

The height of a step is a magnitude that the days before it give: the mean of the same time for load, the highest value at the
same time for PV, which is near a clear sky's. Relative to it a small winter day looks like a large summer day.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gridnet.clock import STEPS_PER_DAY, STEPS_PER_WEEK, Clock
from gridnet.forecast.climatology import STEPS_PER_HOUR, Climate, ForecastMethod
from gridnet.series.days import IntArray, day_types, local_dates
from gridnet.series.profiles import FloatArray

HOURS_AHEAD = 36
"""How far ahead the trees look; beyond that climatology stands."""

RECENT_STEPS = (1, 4, 16, 96, 672)
"""Spans before the issue time over which climatology's error is summed."""

FEATURES = (
    "hours ahead",
    "local time of day",
    "day type ahead",
    "day type now",
    "mean of the same time",
    "yesterday",
    "the day before",
    "a week before",
    "mean of four weeks before",
    *(f"error over {steps} steps" for steps in RECENT_STEPS),
    "height",
)
"""Columns of `Past.features`, in order."""


@dataclass(frozen=True)
class Height:
    """How the height of a step comes from the same time on the `days` days before: their mean magnitude or their highest."""

    days: int
    highest: bool


class Past:
    """The past of one total, `actual`, `(steps,)`, at every issue time.

    `height`, `(steps + a day,)`: what belongs to a step from `t` to `t` + a day depends on `actual[:t]` alone.
    """

    def __init__(self, actual: FloatArray, clock: Clock, method: ForecastMethod, height: Height) -> None:
        steps = len(actual)
        self.actual, self.climate = actual, Climate(actual, method)
        self.height = _height(actual, np.arange(steps + STEPS_PER_DAY), height)
        self._hour_actual, self._hour_height = _hour_means(actual), _hour_means(self.height)
        self._hour_mean = _hour_means(np.nan_to_num(self.climate.mean))
        self._error = _running(actual - np.nan_to_num(self.climate.mean[:steps]))
        self._running_height = _running(self.height[:steps])
        days_more = HOURS_AHEAD * STEPS_PER_HOUR // STEPS_PER_DAY + 1
        longer = Clock(clock.start, steps + days_more * STEPS_PER_DAY, clock.dt_h, clock.utc_offset_h)
        self._day_type = np.repeat(day_types(local_dates(longer)), STEPS_PER_DAY)

    def features(self, issued: IntArray, hour: IntArray) -> FloatArray:
        """What is known at the start of `issued` about the hour that starts `hour` hours later, `(rows, FEATURES)`.

        NaN where the series is too young, or the height 0.
        """
        ahead = issued + hour * STEPS_PER_HOUR
        # The latest day that is known in full, moved on to the day ahead.
        same_time = issued + hour * STEPS_PER_HOUR % STEPS_PER_DAY
        height = _unless_zero(self._hour_height[same_time])
        weeks_before = np.stack([self._known_hour(ahead - week * STEPS_PER_WEEK) for week in (1, 2, 3, 4)])
        weeks = np.isfinite(weeks_before).sum(axis=0)
        columns = [
            hour,
            ahead % STEPS_PER_DAY / STEPS_PER_HOUR,
            self._day_type[ahead],
            self._day_type[issued],
            self._hour_mean[same_time] / height,
            self._known_hour(same_time - STEPS_PER_DAY) / height,
            self._known_hour(same_time - 2 * STEPS_PER_DAY) / height,
            weeks_before[0] / height,
            np.nansum(weeks_before, axis=0) / _unless_zero(weeks) / height,
            *(self._recent_error(issued, steps) for steps in RECENT_STEPS),
            height,
        ]
        return np.stack([np.asarray(column, dtype=np.float64) for column in columns], axis=1)

    def _known_hour(self, first: IntArray) -> FloatArray:
        """Mean over the hour that starts at each step of `first`, NaN before the series."""
        return np.where(first >= 0, self._hour_actual[np.maximum(first, 0)], np.nan)

    def _recent_error(self, issued: IntArray, steps: int) -> FloatArray:
        """Climatology's error over the `steps` steps before `issued`, relative to their height."""
        since = np.maximum(issued - steps, 0)
        return (self._error[issued] - self._error[since]) / _unless_zero(self._running_height[issued] - self._running_height[since])


def _height(actual: FloatArray, at: IntArray, height: Height) -> FloatArray:
    gathered, days = np.zeros(len(at)), np.zeros(len(at))
    for day in range(1, height.days + 1):
        earlier = at - day * STEPS_PER_DAY
        exists = earlier >= 0
        magnitude = np.where(exists, np.abs(actual[np.maximum(earlier, 0)]), 0.0)
        gathered = np.maximum(gathered, magnitude) if height.highest else gathered + magnitude
        days += exists
    return gathered if height.highest else gathered / np.maximum(days, 1)


def _running(values: FloatArray) -> FloatArray:
    """Sum over all steps before each, `(steps + 1,)`."""
    return np.concatenate([[0.0], np.cumsum(values)])


def _hour_means(values: FloatArray) -> FloatArray:
    """Mean of each step and the three after it, `(steps - 3,)`."""
    hours: FloatArray = np.lib.stride_tricks.sliding_window_view(values, STEPS_PER_HOUR).mean(axis=1)
    return hours


def _unless_zero(values: FloatArray | IntArray) -> FloatArray:
    """NaN in place of what is next to 0, to divide by."""
    return np.where(np.abs(values) > 1e-9, values, np.nan)
