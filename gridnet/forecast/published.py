"""Day-ahead prices as far as they are published: nobody needs to guess those."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import numpy.typing as npt

from gridnet.clock import Clock
from gridnet.series.days import IntArray, steps_per_day
from gridnet.series.profiles import FloatArray

PUBLISHED_AT_HOUR = 12
"""Local hour at which the next day's prices are published: the day-ahead auction closes at noon."""


@dataclass(frozen=True)
class KnownPrices:
    """Which prices are public at the start of each step: those of a local day at 12:00 local time of the day before."""

    price_eur_per_mwh: FloatArray
    clock: Clock
    hours: int

    @property
    def steps_known(self) -> IntArray:
        """`(steps,)` how many prices are known, counted from the step itself, never beyond the clock."""
        return _steps_known(self.clock)

    @cached_property
    def hourly(self) -> npt.NDArray[np.float32]:
        """`(steps, hours)` mean price of each hour ahead; where it isn't published, the same time of the last published day stands
        for it. Computed when it is first looked at."""
        day = steps_per_day(self.clock)
        per_hour = day // 24
        step = np.arange(self.clock.steps)
        known_until = step + self.steps_known
        hourly = np.zeros((self.clock.steps, self.hours))
        for ahead in range(self.hours * per_hour):
            wanted = step + ahead
            days_back = np.maximum(0, -((known_until - 1 - wanted) // day))
            # A clock that starts late in a day may know less than a day of prices: then its first one stands in.
            hourly[:, ahead // per_hour] += self.price_eur_per_mwh[np.maximum(wanted - days_back * day, 0)]
        return (hourly / per_hour).astype(np.float32)


def known_prices(price_eur_per_mwh: FloatArray, clock: Clock, hours: int = 24) -> KnownPrices:
    """Day-ahead prices, `(steps,)`, as they become public."""
    return KnownPrices(price_eur_per_mwh, clock, hours)


@lru_cache(maxsize=8)
def _steps_known(clock: Clock) -> IntArray:
    """One array for all feeders of a clock: not to be written to."""
    day = steps_per_day(clock)
    step = np.arange(clock.steps)
    of_day = (clock.local_step_of_day(0) + step) % day
    published = np.where(of_day >= PUBLISHED_AT_HOUR * (day // 24), 2 * day, day) - of_day
    return np.asarray(np.minimum(step + published, clock.steps) - step)
