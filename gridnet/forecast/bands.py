"""A band around forecasts that come without one: how wrong the same method was at the same time on the last days."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from gridnet.clock import STEPS_PER_DAY
from gridnet.series.profiles import FloatArray

LEVELS = (0.1, 0.5, 0.9)
DAYS = 28
"""That errors are taken from."""
LEAST_DAYS = 7


class Point(Protocol):
    """A method that says one number for each step of a total, `actual`, `(steps,)`."""

    actual: FloatArray

    def at(self, step: int, horizon: int) -> FloatArray:
        """The forecast issued at the start of `step`, `(horizon,)`."""


def band(total: Point, step: int, horizon: int) -> FloatArray | None:
    """Quantiles of `LEVELS`, `(levels, horizon)`: the forecast, and beside it the quantiles of its errors as far ahead, issued at
    this time on each of the last `DAYS` days. Nothing lies beyond what was ever seen, or on the other side of 0. None before
    `LEAST_DAYS` days of errors are known. Only `actual[:step]` is looked at."""
    ahead = min(horizon, STEPS_PER_DAY)
    issued = [step - day * STEPS_PER_DAY for day in range(1, DAYS + 1) if step >= (day + 1) * STEPS_PER_DAY]
    if len(issued) < LEAST_DAYS:
        return None
    errors = np.array([total.actual[before : before + ahead] - total.at(before, ahead) for before in issued])
    low, high = np.quantile(errors, (LEVELS[0], LEVELS[-1]), axis=0)
    # Beyond a day ahead errors are taken to be those of a day.
    of_day = np.arange(horizon) % STEPS_PER_DAY
    median = total.at(step, horizon)
    outer = np.array([median + np.minimum(low[of_day], 0.0), median + np.maximum(high[of_day], 0.0)])
    known = total.actual[:step]
    outer = np.clip(outer, min(known.min(), 0.0), max(known.max(), 0.0))
    return np.array([np.minimum(outer[0], median), median, np.maximum(outer[1], median)])
