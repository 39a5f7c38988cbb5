"""Forecasts of a feeder's load and PV that see nothing but the past, and day-ahead prices as far as they are published.

The method is the mean of the same time on the last days, corrected by the last error, which fades. Parameters were
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

from gridnet.clock import STEPS_PER_DAY, Clock
from gridnet.series.days import IntArray, steps_per_day
from gridnet.series.profiles import FloatArray

Float32Array = npt.NDArray[np.float32]

STEPS_PER_HOUR = 4
PUBLISHED_AT_HOUR = 12
"""Local hour at which the next day's prices are published: the day-ahead auction closes at noon."""

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
    mean = same_time_mean(actual, np.arange(steps + STEPS_PER_DAY), method.days)
    issued = np.arange(STEPS_PER_DAY, steps)
    correction = _corrections(actual, mean[:steps], method)[issued - 1]
    fading = method.fading(hours * STEPS_PER_HOUR)
    for hour in range(hours):
        total = np.zeros(len(issued))
        for ahead_steps in range(hour * STEPS_PER_HOUR, (hour + 1) * STEPS_PER_HOUR):
            base = mean[issued + ahead_steps % STEPS_PER_DAY]
            faded = correction * fading[ahead_steps]
            total += base * (1 + faded) if method.multiplies else base + faded
        forecasts[STEPS_PER_DAY:, hour] = total / STEPS_PER_HOUR
    return forecasts


def persistence(actual: FloatArray, hours: int = 24) -> Float32Array:
    """The naive forecast to beat, `(steps, hours)`: as yesterday at the same time."""
    return hourly_forecasts(actual, hours, PERSISTENCE)


def same_time_mean(actual: FloatArray, at: IntArray, days: int) -> FloatArray:
    """Mean of `actual` at the same time on the `days` days before each step of `at`, over those days that there are.

    NaN where there is none. Steps in `at` may lie up to a day beyond `actual`.
    """
    total, count = np.zeros(len(at)), np.zeros(len(at))
    for day in range(1, days + 1):
        earlier = at - day * STEPS_PER_DAY
        exists = earlier >= 0
        total[exists] += actual[earlier[exists]]
        count += exists
    mean: FloatArray = np.divide(total, count, out=np.full(len(at), np.nan), where=count > 0)
    return mean


@dataclass(frozen=True)
class KnownPrices:
    """Which prices are public at the start of each step.

    `steps_known`, `(steps,)`: how many prices are known, counted from the step itself, never beyond the clock.
    `hourly`, `(steps, hours)`: mean price of each hour ahead; where it isn't published, the same time of the last
    published day stands for it.
    """

    steps_known: IntArray
    hourly: Float32Array


def known_prices(price_eur_per_mwh: FloatArray, clock: Clock, hours: int = 24) -> KnownPrices:
    """Day-ahead prices as they become public: a local day's prices at 12:00 local time of the day before."""
    day = steps_per_day(clock)
    per_hour = day // 24
    step = np.arange(clock.steps)
    of_day = (clock.local_step_of_day(0) + step) % day
    published = np.where(of_day >= PUBLISHED_AT_HOUR * per_hour, 2 * day, day) - of_day
    known_until = np.minimum(step + published, clock.steps)
    hourly = np.zeros((clock.steps, hours))
    for ahead in range(hours * per_hour):
        wanted = step + ahead
        days_back = np.maximum(0, -((known_until - 1 - wanted) // day))
        # A clock that starts late in a day may know less than a day of prices: then its first one stands in.
        hourly[:, ahead // per_hour] += price_eur_per_mwh[np.maximum(wanted - days_back * day, 0)]
    return KnownPrices(steps_known=known_until - step, hourly=(hourly / per_hour).astype(np.float32))


def _corrections(actual: FloatArray, mean: FloatArray, method: ForecastMethod) -> FloatArray:
    """What each step's error says about the next ones: the error itself, or by how much the ratio differs from 1."""
    if method.multiplies:
        return _ratio(actual, mean, np.maximum.accumulate(np.abs(actual))) - 1
    return np.nan_to_num(actual - mean)


def _ratio(actual: FloatArray | float, mean: FloatArray, peak: FloatArray) -> FloatArray:
    """Actual over mean, 0 to 2; 1 where the mean is next to nothing, as by night, or unknown."""
    day = np.nan_to_num(mean) > _DAWN * peak
    return np.where(day, np.clip(actual / np.where(day, mean, 1.0), 0.0, _RATIO_MAX), 1.0)
