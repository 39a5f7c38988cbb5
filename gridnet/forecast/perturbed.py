"""The truth, disturbed by an error of a chosen size: for studies of what a forecast's error costs. It is no forecast.

As issued at the start of step `t`, step `s` is said to be `actual[s] * (1 + scale * e(t, s))`, where

    e(t, s) = x(s) - E[x(s) | x(t - 1), x(t - 2), ..]

is what news from `t` on will do to a process `x` of mean 0 and variance 1 that runs beside the series:

    x(s) = 2 r x(s - 1) - r^2 x(s - 2) + noise,  r = exp(-1 / DECAY_STEPS)

So errors are smooth over the steps ahead, and from one issue to the next they change by the news of one step alone: they are
revised, not drawn again. With `DECAY_STEPS` of 16 an error of full size 1 is 0.03 for the step of issue itself, 0.14 at the end
of the first hour, 0.46 after three hours, 0.77 after six, 0.96 after twelve.

Values keep their sign and 0 stays 0, night too; an error never passes -100 %, nor a forecast the ceiling. `scale` is found by
bisection on the series itself so that the mean absolute error over the next 24 hours, relative to the mean magnitude, is what
was asked.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gridnet.clock import STEPS_PER_DAY, STEPS_PER_WEEK
from gridnet.errors import InputError
from gridnet.forecast.climatology import MEDIAN, STEPS_PER_HOUR, Float32Array
from gridnet.series.days import IntArray
from gridnet.series.profiles import FloatArray

DECAY_STEPS = 16
"""Time constant of the process: 4 hours."""

_MEMORY_STEPS = 30 * DECAY_STEPS
_KEEP = np.exp(-1 / DECAY_STEPS)
_ISSUES_EVERY = 4 * STEPS_PER_HOUR
_HALVINGS = 40
_SCALE_MOST = 2.0**10


class PerturbedTotal:
    """One total, `actual`, `(steps,)`, disturbed so that `error`, 0 to 1, is the relative mean absolute error 24 hours ahead.

    `seed` draws the error process, the same for every `error`: an error twice as large has the same shape. No magnitude
    above `ceiling`, in the unit of `actual`, is forecast. After the series' end its last day repeats.

    Raises `InputError` where the ceiling leaves no room for so large an error.
    """

    levels: tuple[float, ...] = MEDIAN
    """Quantile levels that `quantiles` gives."""

    def __init__(self, actual: FloatArray, error: float, seed: Sequence[int], ceiling: float = np.inf) -> None:
        self.actual, self._ceiling = actual, ceiling
        # Two steps more for what is known before the first issue; a week for horizons past the end, then it comes round.
        self._process = _smooth_process(len(actual) + STEPS_PER_WEEK + 2, seed)
        self.scale = self._scale_of(error)

    def at(self, step: int, horizon: int) -> FloatArray:
        """What is said at the start of `step` of the steps ahead, `(horizon,)`."""
        return self._disturbed(np.array([step]), np.arange(horizon), self.scale)

    def quantiles(self, step: int, horizon: int) -> FloatArray:
        """`at` as a table of quantiles, `(levels, horizon)`: one row, for the error is not part of what is said."""
        return self.at(step, horizon)[None]

    def hourly(self, hours: int) -> Float32Array:
        """Hourly means of `at` for every step, `(steps, hours)`."""
        issued = np.arange(len(self.actual))
        means = np.empty((len(issued), hours), dtype=np.float32)
        for hour in range(hours):
            quarters = range(hour * STEPS_PER_HOUR, (hour + 1) * STEPS_PER_HOUR)
            means[:, hour] = sum(self._disturbed(issued, np.array([ahead]), self.scale) for ahead in quarters) / STEPS_PER_HOUR
        return means

    def _disturbed(self, issued: IntArray, ahead: IntArray, scale: float) -> FloatArray:
        """Of steps `issued + ahead`, arrays that broadcast, as said at the start of `issued`."""
        actual = self._truth(issued + ahead)
        said = actual * np.maximum(0.0, 1.0 + scale * self._news(issued, ahead))
        return np.clip(said, -self._ceiling, self._ceiling)

    def _truth(self, at: IntArray) -> FloatArray:
        steps = len(self.actual)
        day = min(STEPS_PER_DAY, steps)
        inside: FloatArray = self.actual[np.where(at < steps, at, steps - day + (at - steps) % day)]
        return inside

    def _news(self, issued: IntArray, ahead: IntArray) -> FloatArray:
        """e(t, s) of the module's docstring."""
        last, before = self._process[issued + 1], self._process[issued]
        steps = ahead + 1
        expected = _KEEP**steps * (last + steps * (last - _KEEP * before))
        unexpected: FloatArray = self._process[(issued + ahead + 2) % len(self._process)] - expected
        return unexpected

    def _scale_of(self, error: float) -> float:
        issued, ahead = np.arange(0, len(self.actual), _ISSUES_EVERY)[:, None], np.arange(STEPS_PER_DAY)
        truth = np.where(issued + ahead < len(self.actual), self._truth(issued + ahead), 0.0)
        if error == 0 or not truth.any():
            return 0.0

        def too_small(scale: float) -> bool:
            wrong = np.abs(self._disturbed(issued, ahead, scale) - self._truth(issued + ahead))
            return bool(wrong[truth != 0].sum() < error * np.abs(truth).sum())

        if too_small(_SCALE_MOST):
            raise InputError(f"forecasts of a series that keeps so near its peak can't be wrong by {100 * error:g} %; ask for less")
        low, high = 0.0, _SCALE_MOST
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            low, high = (middle, high) if too_small(middle) else (low, middle)
        return high


def _smooth_process(steps: int, seed: Sequence[int]) -> FloatArray:
    """The process `x` of the module's docstring, `(steps,)`, as the weighted sum of the noise before each step."""
    age = np.arange(_MEMORY_STEPS)
    weight = (age + 1) * _KEEP**age
    noise = np.random.default_rng(seed).standard_normal(steps + _MEMORY_STEPS - 1)
    summed: FloatArray = np.convolve(noise, weight / np.sqrt(weight @ weight), mode="valid")
    return summed
