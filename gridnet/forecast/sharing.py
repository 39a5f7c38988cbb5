"""From a total to its devices: each takes part in what the total differs from the devices' own means."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gridnet.clock import STEPS_PER_DAY
from gridnet.forecast.climatology import same_time_mean
from gridnet.series.profiles import FloatArray


@dataclass(frozen=True)
class Devices:
    """The devices of one total: `actual`, `(steps, devices)`, and `rated`, `(devices,)`, their size in any unit."""

    actual: FloatArray
    rated: FloatArray
    days: int
    """Days over which the same time is averaged."""

    def base(self, step: int, horizon: int) -> FloatArray:
        """The same-time mean of each device as known at the start of `step`, `(horizon, devices)`; the last value where
        no day is known yet."""
        of_day = np.arange(min(horizon, STEPS_PER_DAY))
        first = max(0, step - self.days * STEPS_PER_DAY)
        known = self.actual[first:step]
        mean = same_time_mean(known, step - first + of_day, self.days)
        last = known[-1] if step else np.zeros(known.shape[1])
        mean = np.where(np.isnan(mean), last, mean)
        return mean[np.arange(horizon) % STEPS_PER_DAY]

    def shared(self, base: FloatArray, total: FloatArray) -> tuple[FloatArray, FloatArray]:
        """`(horizon, devices)` that add up to `total`, `(horizon,)`, and the factor that each device's `base` was changed by.

        What is missing from the sum of `base`, or is too much, is shared by the magnitude of each device's base; by
        its rating where all bases are 0. Where all have one sign this is the total in proportion to the bases.
        """
        excess = total - base.sum(axis=1)
        magnitude = np.abs(base)
        together = magnitude.sum(axis=1)
        some = together > 0
        relative = np.divide(excess, together, out=np.zeros_like(excess), where=some)
        shared = base + relative[:, None] * magnitude
        if not some.all():
            rated = np.abs(self.rated) if np.abs(self.rated).sum() > 0 else np.ones(len(self.rated))
            shared[~some] = excess[~some, None] * rated / max(rated.sum(), 1.0)
        return shared, 1.0 + np.sign(base) * relative[:, None]
