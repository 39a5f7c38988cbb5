"""Climatology: the mean of the same time on the last days, corrected by the last error, which fades.

It sees nothing but the past and has nothing to fit. Parameters were
chosen on the training weeks of two feeders, as mean absolute error over the mean, 24 hours ahead by the hour:

| | `1-LV-rural3--1-sw` load | PV | `1-LV-rural1--2-sw` load | PV |
|---|---|---|---|---|
| same time yesterday | 0.184 | 0.467 | 0.179 | 0.516 |
| mean of 7 days | 0.158 | 0.418 | 0.140 | 0.430 |
| mean of 10 days | 0.161 | 0.422 | 0.140 | 0.432 |
| corrected: `LOAD`, `PV` | 0.155 | 0.390 | 0.137 | 0.401 |
| corrected, the first hour alone | 0.116 | 0.116 | 0.101 | 0.123 |
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gridnet.clock import STEPS_PER_DAY
from gridnet.series.days import IntArray
from gridnet.series.profiles import FloatArray

Float32Array = npt.NDArray[np.float32]

STEPS_PER_HOUR = 4
MEDIAN = (0.5,)
_DAWN = 0.05
_RATIO_MAX = 2.0


@dataclass(frozen=True)
class ForecastMethod:
    """Mean of the same time on the last `days` days, corrected by the last known error.

    The correction halves every `half_life_steps` steps; `None` makes none. It is added, or, where `multiplies`,
    the forecast is multiplied: clouds take a share of the sun, whatever its height.
    """

    days: int
    half_life_steps: float | None
    multiplies: bool = False

    def fading(self, horizon: int) -> FloatArray:
        """What is left of the correction at each step ahead, `(horizon,)`."""
        if self.half_life_steps is None:
            return np.zeros(horizon)
        left: FloatArray = 0.5 ** ((np.arange(horizon) + 1) / self.half_life_steps)
        return left


LOAD = ForecastMethod(days=7, half_life_steps=8)
PV = ForecastMethod(days=10, half_life_steps=16, multiplies=True)
PERSISTENCE = ForecastMethod(days=1, half_life_steps=None)
"""The naive forecast to beat: as yesterday at the same time."""


def forecast_at(actual: FloatArray, step: int, horizon: int, method: ForecastMethod = LOAD) -> FloatArray:
    """Forecast of steps `step` to `step + horizon`, `(horizon,)`, issued at the start of `step`.

    `actual`, `(steps,)`, is in quarter-hours of any unit; only `actual[:step]` is looked at. While fewer than
    `method.days` days are known, the mean is over those that are; where the time of day is not known at all, on the
    first day, the forecast is the last known value, and 0 before there is any. Beyond a day ahead the mean of the first
    day repeats.
    """
    known = actual[:step]
    of_day = np.arange(horizon) % STEPS_PER_DAY
    mean = same_time_mean(known, step + of_day, method.days)
    last = known[-1] if step else 0.0
    before = same_time_mean(known, np.array([step - 1]), method.days)[0]
    fading = method.fading(horizon)
    if method.multiplies:
        ratio = _ratio(last, before, np.abs(known).max(initial=0.0))
        corrected = mean * (1 + (ratio - 1) * fading)
    else:
        corrected = mean + np.nan_to_num(last - before) * fading
    return np.where(np.isnan(mean), last, corrected)


def hourly_forecasts(actual: FloatArray, hours: int = 24, method: ForecastMethod = LOAD) -> Float32Array:
    """`forecast_at` every step, averaged over each of the next `hours` hours: `(steps, hours)`, all at once.

    Row `t`, column `j` is the mean over steps `t + 4 j` to `t + 4 j + 4`, as issued at the start of step `t`.
    """
    steps = len(actual)
    forecasts = np.empty((steps, hours), dtype=np.float32)
    for step in range(min(steps, STEPS_PER_DAY)):
        ahead = forecast_at(actual, step, hours * STEPS_PER_HOUR, method)
        forecasts[step] = ahead.reshape(hours, STEPS_PER_HOUR).mean(axis=1)
    if steps <= STEPS_PER_DAY:
        return forecasts
    climate = Climate(actual, method)
    issued = np.arange(STEPS_PER_DAY, steps)
    for hour in range(hours):
        total = np.zeros(len(issued))
        for steps_ahead in range(hour * STEPS_PER_HOUR, (hour + 1) * STEPS_PER_HOUR):
            total += climate.at(issued, steps_ahead)
        forecasts[STEPS_PER_DAY:, hour] = total / STEPS_PER_HOUR
    return forecasts


def same_time_mean(actual: FloatArray, at: IntArray, days: int) -> FloatArray:
    """Mean of `actual`, `(steps, ...)`, at the same time on the `days` days before each step of `at`, `(at, ...)`.

    The mean is over those days that there are, NaN where there is none. Steps in `at` may lie up to a day beyond `actual`.
    """
    total, count = np.zeros((len(at), *actual.shape[1:])), np.zeros(len(at))
    for day in range(1, days + 1):
        earlier = at - day * STEPS_PER_DAY
        exists = earlier >= 0
        if exists.all():  # the usual case, without the copies that picking rows makes
            total += actual[earlier]
        else:
            total[exists] += actual[earlier[exists]]
        count += exists
    count = count.reshape(-1, *[1] * (actual.ndim - 1))
    mean: FloatArray = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
    return mean


class Climate:
    """`forecast_at` for many issue times at once, from the second day on, of one series `actual`, `(steps,)`.

    `mean`, `(steps + a day,)`: the mean of the same time before each step. What belongs to a step from `t` to `t` + a day
    depends on `actual[:t]` alone.
    """

    def __init__(self, actual: FloatArray, method: ForecastMethod) -> None:
        self.method = method
        self.mean = same_time_mean(actual, np.arange(len(actual) + STEPS_PER_DAY), method.days)
        self._corrections = _corrections(actual, self.mean[: len(actual)], method)

    def at(self, issued: IntArray, ahead: IntArray | int) -> FloatArray:
        """Forecast of step `issued + ahead` as issued at the start of `issued`, a day or later, elementwise."""
        base = self.mean[issued + ahead % STEPS_PER_DAY]
        fading = self.method.fading(int(np.max(ahead, initial=0)) + 1)
        faded = self._corrections[issued - 1] * fading[ahead]
        forecast: FloatArray = base * (1 + faded) if self.method.multiplies else base + faded
        return forecast


class PointTotal:
    """Forecasts of one total, `actual`, `(steps,)`, by `method`: a single figure for each step, taken as the median."""

    levels: tuple[float, ...] = MEDIAN
    """Quantile levels that `quantiles` gives."""

    def __init__(self, actual: FloatArray, method: ForecastMethod) -> None:
        self.actual, self.method = actual, method

    def at(self, step: int, horizon: int) -> FloatArray:
        """The forecast issued at the start of `step`, `(horizon,)`."""
        return forecast_at(self.actual, step, horizon, self.method)

    def quantiles(self, step: int, horizon: int) -> FloatArray:
        """`at` as a table of quantiles, `(levels, horizon)`: one row, for this method knows no spread."""
        return self.at(step, horizon)[None]

    def hourly(self, hours: int) -> Float32Array:
        """Hourly means of the forecasts issued at every step, `(steps, hours)`."""
        return hourly_forecasts(self.actual, hours, self.method)


def _corrections(actual: FloatArray, mean: FloatArray, method: ForecastMethod) -> FloatArray:
    """What each step's error says about the next ones: the error itself, or by how much the ratio differs from 1."""
    if method.multiplies:
        return _ratio(actual, mean, np.maximum.accumulate(np.abs(actual))) - 1
    return np.nan_to_num(actual - mean)


def _ratio(actual: FloatArray | float, mean: FloatArray, peak: FloatArray) -> FloatArray:
    """Actual over mean, 0 to 2; 1 where the mean is next to nothing, as by night, or unknown."""
    day = np.nan_to_num(mean) > _DAWN * peak
    return np.where(day, np.clip(actual / np.where(day, mean, 1.0), 0.0, _RATIO_MAX), 1.0)
