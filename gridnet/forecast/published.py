"""Day-ahead prices as far as they are published: nobody needs to guess those."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gridnet.clock import Clock
from gridnet.series.days import IntArray, steps_per_day
from gridnet.series.profiles import FloatArray

PUBLISHED_AT_HOUR = 12
"""Local hour at which the next day's prices are published: the day-ahead auction closes at noon."""


@dataclass(frozen=True)
class KnownPrices:
    """Which prices are public at the start of each step.

    `steps_known`, `(steps,)`: how many prices are known, counted from the step itself, never beyond the clock.
    `hourly`, `(steps, hours)`: mean price of each hour ahead; where it isn't published, the same time of the last
    published day stands for it.
    """

    steps_known: IntArray
    hourly: npt.NDArray[np.float32]


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
